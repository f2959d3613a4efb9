//! Fingerprints of settings: they show whether two values are equal, without showing the values.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::core::digest::hex;

/// The number of bytes of the HMAC that are shown: so few that many values share them.
const BYTES: usize = 4;

/// Returns 8 hexadecimal digits that are equal for equal values, or `None` for an empty value. The
/// HMAC's key is the service key: its holder can read everything anyway, nobody else can test
/// guesses, and two deployments show different digits for the same value.
pub fn fingerprint(service_key: &str, name: &str, value: &str) -> Option<String> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(service_key.as_bytes()).ok()?;
    mac.update(name.as_bytes());
    mac.update(b"=");
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().get(..BYTES).map(hex)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn a_fingerprint_depends_on_key_name_and_value_and_shows_none_of_them() {
        let one = fingerprint("key", "A", "value").unwrap();
        assert_eq!(one.len(), 8);
        assert_eq!(fingerprint("key", "A", " value\n").as_deref(), Some(one.as_str()));
        for other in [("kez", "A", "value"), ("key", "B", "value"), ("key", "A", "valuf")] {
            assert_ne!(fingerprint(other.0, other.1, other.2).as_deref(), Some(one.as_str()));
        }
        assert_eq!(fingerprint("key", "A", " "), None);
    }
}
