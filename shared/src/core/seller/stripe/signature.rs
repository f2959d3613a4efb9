//! Stripe's signature of an event: `t=<seconds>,v1=<hex>[,v1=<hex>…]` signs `<t>.<body>`.
//!
//! Source: `stripe` 23.1.0 of npm, esm/Webhooks.js. The HMAC key is the secret as it is written,
//! including `whsec_`.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::core::digest::hex;
use crate::core::standard_webhooks::is_fresh;

/// Whether one of the header's signatures was made with one of `secrets` over exactly this body, at
/// most five minutes before or after now. The run time does not depend on which secret, signature
/// or letter differs.
pub fn verify(secrets: &[String], header: &str, raw: &str, now_s: u64) -> bool {
    let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
    let values = |name: &'static str| {
        fields().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    };
    let mut times = values("t");
    let (Some(time), None) = (times.next(), times.next()) else { return false };
    let mut good = Choice::from(0);
    for secret in secrets {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(format!("{time}.{raw}").as_bytes());
        let expected = hex(&mac.finalize().into_bytes());
        for signature in values("v1") {
            good |= expected.as_bytes().ct_eq(signature.as_bytes());
        }
    }
    bool::from(good) && is_fresh(time, now_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT_S: u64 = 1_750_000_000;
    const BODY: &str = "{\n  \"id\": \"evt_1\",\n  \"object\": \"event\"\n}";
    /// Made with OpenSSL: `printf '1750000000.<body>' | openssl dgst -sha256 -hmac whsec_test`.
    const GOOD: &str = "f2aed365b0513eec8d21f93beae8a88ed691466c834645a5156cfec89006d0a0";

    fn check(header: &str) -> bool {
        verify(&["whsec_test".to_owned()], header, BODY, SENT_S)
    }

    #[test]
    fn a_signature_passes_at_any_place_in_the_header_and_under_any_secret() {
        let zeros = "0".repeat(64);
        for header in [
            format!("t={SENT_S},v1={GOOD}"),
            format!("t={SENT_S},v1={zeros},v1={GOOD}"),
            format!("v0=x, v1={GOOD}, t={SENT_S}"),
        ] {
            assert!(check(&header), "{header}");
        }
        let secrets = ["whsec_new", "whsec_test"].map(str::to_owned);
        assert!(verify(&secrets, &format!("t={SENT_S},v1={GOOD}"), BODY, SENT_S));
    }

    #[test]
    fn nothing_else_passes() {
        for header in [
            "",
            "t=",
            "v1",
            "=,=",
            GOOD,
            &format!("v1={GOOD}"),
            &format!("t={SENT_S}"),
            &format!("t={SENT_S},v0={GOOD}"),
            &format!("t={SENT_S},v1="),
            &format!("t={SENT_S},v1={}", &GOOD[1..]),
            &format!("t={SENT_S},v1={}", GOOD.to_uppercase()),
            &format!("t={},v1={GOOD}", SENT_S + 1),
            &format!("t=x{SENT_S},v1={GOOD}"),
            &format!("t={SENT_S},t={SENT_S},v1={GOOD}"),
        ] {
            assert!(!check(header), "{header}");
        }
        let header = format!("t={SENT_S},v1={GOOD}");
        let compact = "{\"id\":\"evt_1\",\"object\":\"event\"}";
        assert!(!verify(&["whsec_test".to_owned()], &header, compact, SENT_S), "re-serialised");
        assert!(!verify(&[], &header, BODY, SENT_S), "no secret");
        assert!(!verify(&["whsec_other".to_owned()], &header, BODY, SENT_S));
    }

    #[test]
    fn an_old_or_early_event_does_not_pass() {
        let header = format!("t={SENT_S},v1={GOOD}");
        let secrets = ["whsec_test".to_owned()];
        for (apart_s, passes) in [(300, true), (301, false)] {
            assert_eq!(verify(&secrets, &header, BODY, SENT_S + apart_s), passes);
            assert_eq!(verify(&secrets, &header, BODY, SENT_S - apart_s), passes);
        }
    }
}
