//! Computes `signature ^ exponent mod modulus` for RSA signature checks.
//!
//! The arithmetic comes from `crypto-bigint`, which P-256 needs anyway. The crate `rsa` would link
//! key generation, padding schemes and a second big-number library. All keys are computed in one
//! width: code for each of three widths would be larger, and a token is verified only once.

use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{Encoding, U64, U4096};

/// A public key of 2048 to 4096 bits with an odd exponent of at most 32 bits. Weaker keys are
/// unsafe, larger ones only cost time.
pub(crate) struct PublicKey {
    /// Big-endian bytes without leading zeros.
    modulus: Vec<u8>,
    exponent: U64,
}

impl PublicKey {
    /// Takes big-endian bytes. `None` if the modulus or the exponent is outside the bounds.
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
        let modulus = without_zeros(modulus);
        let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
        let mut word = [0_u8; 4];
        let exponent = without_zeros(exponent);
        word.get_mut(4_usize.checked_sub(exponent.len())?..)?.copy_from_slice(exponent);
        let exponent = u32::from_be_bytes(word);
        let odd = modulus.last()? & 1 == 1;
        if !(2048..=4096).contains(&bits) || !odd || exponent < 3 || exponent & 1 == 0 {
            return None;
        }
        Some(PublicKey { modulus: modulus.to_vec(), exponent: U64::from_u32(exponent) })
    }

    /// Returns the number of bytes of the modulus, which every signature has too.
    pub(crate) fn length(&self) -> usize {
        self.modulus.len()
    }

    /// Raises a signature to the exponent. The result has as many bytes as the modulus. `None` if
    /// the signature has another length or is not below the modulus.
    pub(crate) fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.len() != self.length() || signature >= self.modulus.as_slice() {
            return None;
        }
        // `new` has refused even moduli, on which this constructor panics.
        let modulus = DynResidueParams::new(&wide(&self.modulus)?);
        let power = DynResidue::new(&wide(signature)?, modulus)
            .pow_bounded_exp(&self.exponent, 32)
            .retrieve()
            .to_be_bytes();
        power.get(power.len().checked_sub(self.length())?..).map(<[u8]>::to_vec)
    }
}

/// Widens big-endian bytes with leading zeros. `None` if they are too many.
fn wide(bytes: &[u8]) -> Option<U4096> {
    let mut padded = vec![0; U4096::BYTES.checked_sub(bytes.len())?];
    padded.extend_from_slice(bytes);
    Some(U4096::from_be_slice(&padded))
}

fn without_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    fn oracle(signature: &[u8], modulus: &[u8], exponent: &[u8], length: usize) -> Option<Vec<u8>> {
        let [s, n, e] = [signature, modulus, exponent].map(BigUint::from_bytes_be);
        if s >= n {
            return None;
        }
        let opened = s.modpow(&e, &n).to_bytes_be();
        Some([vec![0; length - opened.len()], opened].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn open_agrees_with_a_big_number_crate(
            mut modulus in prop::collection::vec(any::<u8>(), 256..=512),
            seed in prop::collection::vec(any::<u8>(), 512),
            exponent in prop_oneof![
                Just(3_u32),
                Just(17),
                Just(65_537),
                any::<u32>().prop_map(|e| e | 3),
            ],
            dense in any::<bool>(),
        ) {
            modulus[0] |= 0x80;
            if dense {
                modulus[1..40].fill(0xff);
            }
            *modulus.last_mut().unwrap() |= 1;
            let key = PublicKey::new(&modulus, &exponent.to_be_bytes()).unwrap();
            prop_assert_eq!(key.length(), modulus.len());
            let mut signature = seed[..modulus.len()].to_vec();
            if dense {
                signature = modulus.clone();
                *signature.last_mut().unwrap() -= 1;
            }
            let expected =
                oracle(&signature, &modulus, &exponent.to_be_bytes(), modulus.len());
            prop_assert_eq!(key.open(&signature), expected);
        }
    }

    #[test]
    fn signatures_at_the_bounds_open_or_are_refused() {
        let modulus = [&[0x80][..], &[0; 254], &[1]].concat();
        let key = PublicKey::new(&modulus, &[1, 0, 1]).unwrap();
        for last in [0, 1, 2] {
            let small = [vec![0; 255], vec![last]].concat();
            assert_eq!(key.open(&small), oracle(&small, &modulus, &[1, 0, 1], 256));
        }
        assert_eq!(key.open(&modulus), None, "not below the modulus");
        assert_eq!(key.open(&modulus[1..]), None, "too short");
        assert_eq!(key.open(&[&[0][..], &modulus].concat()), None, "too long");
        assert!(
            PublicKey::new(&[&[0, 0][..], &modulus].concat(), &[0, 0, 0, 0, 1, 0, 1]).is_some(),
            "zeros in front"
        );
    }

    #[test]
    fn a_malformed_key_is_refused() {
        let good = vec![0xff; 256];
        assert!(PublicKey::new(&good, &[3]).is_some());
        for (modulus, exponent) in [
            (&good[..], &[][..]),
            (&good, &[1]),
            (&good, &[4]),
            (&good, &[1, 0, 0, 0, 1]),
            (&good[..255], &[3]),
            (&[], &[3]),
            (&[0, 0], &[3]),
            (&[&good[..255], &[0xfe]].concat(), &[3]),
            (&[0xff; 513], &[3]),
        ] {
            assert!(PublicKey::new(modulus, exponent).is_none(), "{} {exponent:?}", modulus.len());
        }
    }
}
