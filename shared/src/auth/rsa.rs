//! `signature ^ exponent mod modulus`, and nothing else of RSA.
//!
//! Only public values ever come here, so it need not take constant time. A general big-number crate
//! would weigh twenty times as much; this one is checked against such a crate in the tests.

const LIMB_BITS: usize = 32;

/// A public key of 2048 to 8192 bits with an odd exponent of at most 32 bits: weaker keys are no
/// keys, larger ones only cost time.
pub(crate) struct PublicKey {
    /// Least significant limb first.
    modulus: Vec<u32>,
    exponent: u32,
    bytes: usize,
    /// -modulus⁻¹ mod 2³², for Montgomery's reduction.
    inverse: u32,
}

impl PublicKey {
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
        let modulus = without_zeros(modulus);
        let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
        let mut word = [0_u8; 4];
        let exponent = without_zeros(exponent);
        word.get_mut(4_usize.checked_sub(exponent.len())?..)?.copy_from_slice(exponent);
        let exponent = u32::from_be_bytes(word);
        let bytes = modulus.len();
        let limbs = limbs(modulus, bytes.div_ceil(4));
        let lowest = *limbs.first()?;
        if !(2048..=8192).contains(&bits) || lowest & 1 == 0 || exponent < 3 || exponent & 1 == 0 {
            return None;
        }
        Some(PublicKey { inverse: negative_inverse(lowest), modulus: limbs, exponent, bytes })
    }

    /// Bytes of the modulus, and so of every signature.
    pub(crate) fn length(&self) -> usize {
        self.bytes
    }

    /// What a signature opens to, in as many bytes as the modulus has. `None` where it is too long,
    /// too short or too large to be one.
    pub(crate) fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let base = limbs(signature, self.modulus.len());
        if signature.len() != self.bytes || !less(&base, &self.modulus) {
            return None;
        }
        let base = self.multiply(&base, &self.square_of_radix());
        let mut power = base.clone();
        // From the bit below the highest: that one is `base` itself.
        for bit in (0..31 - self.exponent.leading_zeros()).rev() {
            power = self.multiply(&power, &power);
            if self.exponent >> bit & 1 == 1 {
                power = self.multiply(&power, &base);
            }
        }
        let mut one = vec![0; self.modulus.len()];
        *one.first_mut()? = 1;
        let plain = self.multiply(&power, &one);
        let bytes: Vec<u8> = plain.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
        bytes.get(bytes.len() - self.bytes..).map(<[u8]>::to_vec)
    }

    /// `a · b / radix mod modulus`, for `a` and `b` below the modulus.
    fn multiply(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        // One limb longer than the modulus; between rounds it is below twice the modulus.
        let mut sum: Vec<u32> = vec![0; self.modulus.len() + 1];
        for &digit in a {
            let mut carry = add_product(&mut sum, b, digit);
            let factor = sum.first().copied().unwrap_or(0).wrapping_mul(self.inverse);
            carry += add_product(&mut sum, &self.modulus, factor);
            // The lowest limb is zero now: divide by 2³².
            sum.rotate_left(1);
            if let Some(top) = sum.last_mut() {
                *top = carry;
            }
        }
        subtract_if_not_less(&mut sum, &self.modulus);
        sum.truncate(self.modulus.len());
        sum
    }

    /// `radix² mod modulus`, by doubling 1.
    fn square_of_radix(&self) -> Vec<u32> {
        let mut value = vec![0; self.modulus.len() + 1];
        if let Some(lowest) = value.first_mut() {
            *lowest = 1_u32;
        }
        for _ in 0..2 * LIMB_BITS * self.modulus.len() {
            let mut carry = 0;
            for limb in &mut value {
                let doubled = *limb << 1 | carry;
                carry = *limb >> (LIMB_BITS - 1);
                *limb = doubled;
            }
            subtract_if_not_less(&mut value, &self.modulus);
        }
        value.truncate(self.modulus.len());
        value
    }
}

fn without_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Big-endian bytes as `count` limbs; what does not fit is cut off, so check lengths first.
fn limbs(bytes: &[u8], count: usize) -> Vec<u32> {
    let mut limbs: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| chunk.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte)))
        .collect();
    limbs.resize(count, 0);
    limbs
}

/// Newton's iteration doubles the correct bits each time: 3, 6, 12, 24, 48.
fn negative_inverse(odd: u32) -> u32 {
    let mut inverse = odd;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// `sum += factors · digit`; `sum` is one limb longer. Returns what does not fit.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn add_product(sum: &mut [u32], factors: &[u32], digit: u32) -> u32 {
    let mut carry = 0_u64;
    for (limb, factor) in sum.iter_mut().zip(factors.iter().chain([&0])) {
        carry += u64::from(*limb) + u64::from(*factor) * u64::from(digit);
        *limb = carry as u32;
        carry >>= LIMB_BITS;
    }
    carry as u32
}

fn less(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// One subtraction at most: `value` is below twice the modulus and may be one limb longer.
fn subtract_if_not_less(value: &mut [u32], modulus: &[u32]) {
    let (low, high) = value.split_at(modulus.len());
    if high.iter().all(|limb| *limb == 0) && less(low, modulus) {
        return;
    }
    let mut borrow = false;
    for (limb, part) in value.iter_mut().zip(modulus.iter().chain([&0])) {
        let (once, first) = limb.overflowing_sub(*part);
        let (twice, second) = once.overflowing_sub(u32::from(borrow));
        *limb = twice;
        borrow = first || second;
    }
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
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn opens_as_a_big_number_crate_does(
            mut modulus in prop::collection::vec(any::<u8>(), 256..300),
            seed in prop::collection::vec(any::<u8>(), 300),
            exponent in prop_oneof![Just(3_u32), Just(17), Just(65_537), any::<u32>().prop_map(|e| e | 3)],
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
            prop_assert_eq!(key.open(&signature), oracle(&signature, &modulus, &exponent.to_be_bytes(), modulus.len()));
        }
    }

    #[test]
    fn edges() {
        let modulus = [&[0x80][..], &[0; 254], &[1]].concat();
        let key = PublicKey::new(&modulus, &[1, 0, 1]).unwrap();
        for last in [0, 1, 2] {
            let small = [vec![0; 255], vec![last]].concat();
            assert_eq!(key.open(&small), oracle(&small, &modulus, &[1, 0, 1], 256));
        }
        assert_eq!(key.open(&modulus), None, "not below the modulus");
        assert_eq!(key.open(&modulus[1..]), None, "too short");
        assert_eq!(key.open(&[&[0][..], &modulus].concat()), None, "too long");
        assert!(PublicKey::new(&[&[0, 0][..], &modulus].concat(), &[0, 0, 0, 0, 1, 0, 1]).is_some(), "zeros in front");
    }

    #[test]
    fn what_is_no_key() {
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
            (&[0xff; 1025], &[3]),
        ] {
            assert!(PublicKey::new(modulus, exponent).is_none(), "{} {exponent:?}", modulus.len());
        }
    }
}
