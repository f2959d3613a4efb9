//! Signatures by the Standard Webhooks scheme, which Svix and therefore Replicate use. A signature
//! proves who sent a webhook, not that its content is true.
//!
//! Source: the specification of github.com/standard-webhooks/standard-webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::core::webhook::Signature;

/// The greatest allowed difference between the sender's clock and ours.
const TOLERANCE_S: u64 = 300;

/// Whether one of the signatures was made with `secret` over exactly this id, time and body.
/// `None`: the secret is malformed. The run time does not depend on which signature or letter
/// differs.
///
/// A secret `whsec_…` is base64. Any other text is the key itself, or base64 without its prefix:
/// nobody can tell which, so either passes.
pub fn verify(secret: &str, signature: &Signature, raw: &str, now_s: u64) -> Option<bool> {
    let Signature { id, timestamp, entries, .. } = signature;
    let expected = sign(secret, id, timestamp, raw)?;
    let mut good = Choice::from(0);
    for entry in entries.split_ascii_whitespace().filter_map(|entry| entry.strip_prefix("v1,")) {
        for expected in &expected {
            good |= expected.as_bytes().ct_eq(entry.as_bytes());
        }
    }
    Some(bool::from(good) && is_fresh(timestamp, now_s) && !id.is_empty())
}

/// Signs a message with this id, time in seconds and body, once with each key that the secret may
/// mean. The signatures lack the version prefix. `None`: the secret is malformed.
pub fn sign(secret: &str, id: &str, timestamp: &str, raw: &str) -> Option<Vec<String>> {
    let decoded = |text: &str| STANDARD.decode(text).ok();
    let keys = match secret.strip_prefix("whsec_") {
        Some(encoded) => vec![decoded(encoded)?],
        None => [Some(secret.into()), decoded(secret)].into_iter().flatten().collect(),
    };
    let signed = |key: Vec<u8>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok().filter(|_| !key.is_empty())?;
        mac.update(format!("{id}.{timestamp}.{raw}").as_bytes());
        Some(STANDARD.encode(mac.finalize().into_bytes()))
    };
    keys.into_iter().map(signed).collect()
}

/// Whether a signature's time, in seconds since 1970, is neither too old nor too early.
pub(crate) fn is_fresh(timestamp: &str, now_s: u64) -> bool {
    timestamp.parse::<u64>().is_ok_and(|sent_s| sent_s.abs_diff(now_s) <= TOLERANCE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The scheme's published test vector.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SENT_S: u64 = 1_614_265_330;
    const BODY: &str = r#"{"test": 2432232314}"#;
    const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const BAD: &str = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";

    fn signed(entries: &str) -> Signature {
        Signature {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            timestamp: SENT_S.to_string(),
            entries: entries.to_owned(),
            ..Signature::default()
        }
    }

    fn check(entries: &str) -> bool {
        verify(SECRET, &signed(entries), BODY, SENT_S).unwrap()
    }

    #[test]
    fn the_published_vector_passes_at_any_place_in_the_list() {
        assert!(check(GOOD));
        assert!(check(&format!("{BAD} {GOOD}")));
        assert!(check(&format!("v2,anything {GOOD} {BAD}")));
        assert!(verify(SECRET.trim_start_matches("whsec_"), &signed(GOOD), BODY, SENT_S).unwrap());
    }

    #[test]
    fn nothing_else_passes() {
        let other_version = GOOD.replace("v1,", "v2,");
        let bare = GOOD.trim_start_matches("v1,");
        for entries in ["", BAD, &other_version, bare, &GOOD[..40], &format!("{GOOD}x")] {
            assert!(!check(entries), "{entries}");
        }
        let other_secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(verify(other_secret, &signed(GOOD), BODY, SENT_S), Some(false));
        assert_eq!(
            verify(SECRET, &signed(GOOD), r#"{"test":2432232314}"#, SENT_S),
            Some(false),
            "re-serialised"
        );
        let renamed = Signature { id: "msg_other".to_owned(), ..signed(GOOD) };
        assert_eq!(verify(SECRET, &renamed, BODY, SENT_S), Some(false));
    }

    #[test]
    fn an_old_or_early_call_does_not_pass() {
        for (now_s, passes) in [(300, true), (301, false)] {
            assert_eq!(verify(SECRET, &signed(GOOD), BODY, SENT_S + now_s), Some(passes));
            assert_eq!(verify(SECRET, &signed(GOOD), BODY, SENT_S - now_s), Some(passes));
        }
        for timestamp in ["", "x", "1614265330.0", "-1614265330"] {
            let odd = Signature { timestamp: timestamp.to_owned(), ..signed(GOOD) };
            assert_eq!(verify(SECRET, &odd, BODY, SENT_S), Some(false), "{timestamp}");
        }
    }

    #[test]
    fn a_plain_secret_is_the_key_itself_also_if_it_is_base64() {
        for secret in ["a plain secret!", "plainsecret1", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(format!("msg_p5jXN8AQM9LWM0D4loKWxJek.{SENT_S}.{BODY}").as_bytes());
            let entry = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
            assert_eq!(verify(secret, &signed(&entry), BODY, SENT_S), Some(true), "{secret}");
            assert_eq!(verify("another secret!", &signed(&entry), BODY, SENT_S), Some(false));
        }
    }

    #[test]
    fn a_secret_that_is_none_is_told_apart() {
        for secret in ["", "whsec_", "whsec_!!"] {
            assert_eq!(verify(secret, &signed(GOOD), BODY, SENT_S), None, "{secret}");
        }
    }
}
