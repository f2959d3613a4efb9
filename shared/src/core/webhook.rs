//! The token in a webhook URL: one per run, worth nothing for any other.
//!
//! It never decides what a webhook means; it only says whether the URL is one we made.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::core::digest::hex;
use crate::core::id::{JobId, Run, Step};

/// Hex digits of the token: 128 bits.
const TOKEN_LENGTH: usize = 32;

/// What a webhook URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookAddress<'a> {
    pub provider: &'a str,
    pub job: JobId,
    pub step: Step,
    pub run: Run,
}

impl<'a> WebhookAddress<'a> {
    /// What `<provider>/<job>/<step>/<run>/<token>` names, and its token, which is not looked at.
    pub fn of_path(segments: &'a [String]) -> Option<(Self, &'a str)> {
        let [provider, job, step, run, token] = segments else { return None };
        let (job, step, run) =
            (JobId::parse(job)?, Step(step.parse().ok()?), Run(run.parse().ok()?));
        Some((Self { provider, job, step, run }, token))
    }
}

/// What the headers of a signed call say; empty where they are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The same over all deliveries of one call.
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: String,
    /// One or more signatures, separated by spaces.
    pub entries: String,
}

/// The token for this run, or `None` where the secret is empty: an empty secret signs nothing.
pub fn token(secret: &str, address: WebhookAddress<'_>) -> Option<String> {
    if secret.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    let WebhookAddress { provider, job, step, run } = address;
    mac.update(format!("{provider}/{job}/{step}/{run}").as_bytes());
    mac.finalize().into_bytes().get(..TOKEN_LENGTH / 2).map(hex)
}

/// The address a provider is told to call.
pub fn url(functions_url: &str, secret: &str, address: WebhookAddress<'_>) -> Option<String> {
    let token = token(secret, address)?;
    let WebhookAddress { provider, job, step, run } = address;
    Some(format!("{functions_url}/provider-webhook/{provider}/{job}/{step}/{run}/{token}"))
}

/// Whether an address was made for this run, whatever its token: for finding our own tasks in a
/// provider's list.
pub fn names(url: &str, address: WebhookAddress<'_>) -> bool {
    let WebhookAddress { provider, job, step, run } = address;
    url.contains(&format!("/provider-webhook/{provider}/{job}/{step}/{run}/"))
}

/// Is the presented token ours, under the present secret or the one before it? The time taken
/// does not depend on which secret or which digit differs.
pub fn verify(secrets: &[&str], address: WebhookAddress<'_>, presented: &str) -> bool {
    let mut good = Choice::from(0);
    for secret in secrets {
        if let Some(expected) = token(secret, address) {
            good |= expected.as_bytes().ct_eq(presented.as_bytes());
        }
    }
    good.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(run: i64) -> WebhookAddress<'static> {
        WebhookAddress {
            provider: "runninghub",
            job: JobId::from_random(7),
            step: Step(1),
            run: Run(run),
        }
    }

    #[test]
    fn a_token_is_good_for_its_run_under_either_secret() {
        let now = token("now", address(3)).unwrap();
        let before = token("before", address(3)).unwrap();
        assert_eq!(now.len(), TOKEN_LENGTH);
        for good in [&now, &before] {
            assert!(verify(&["now", "before"], address(3), good));
            assert!(!verify(&["now", "before"], address(4), good), "another run");
            assert!(!verify(&["later"], address(3), good), "rotated out");
        }
        assert!(!verify(&["now"], address(3), ""));
        assert!(!verify(&["now"], address(3), &now[..31]));
        assert!(!verify(&["now"], address(3), &format!("{now}0")));
    }

    #[test]
    fn an_empty_secret_signs_and_accepts_nothing() {
        assert_eq!(token("", address(1)), None);
        let forged = {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
            mac.update(format!("runninghub/{}/1/1", JobId::from_random(7)).as_bytes());
            hex(&mac.finalize().into_bytes()[..16])
        };
        assert!(!verify(&["", ""], address(1), &forged));
        assert!(!verify(&[], address(1), &forged));
    }

    #[test]
    fn an_address_is_read_back() {
        let url = url("http://x", "s", address(9)).unwrap();
        let path: Vec<String> = url.split('/').skip(4).map(str::to_owned).collect();
        assert_eq!(
            WebhookAddress::of_path(&path),
            Some((address(9), token("s", address(9)).unwrap().as_str()))
        );
        for (place, text) in [(1, "x"), (2, "x"), (2, "99999999999"), (3, ""), (3, "9.0")] {
            let mut other = path.clone();
            other[place] = text.to_owned();
            assert_eq!(WebhookAddress::of_path(&other), None, "{other:?}");
        }
        assert_eq!(WebhookAddress::of_path(&path[..4]), None);
        assert_eq!(WebhookAddress::of_path(&[path.clone(), path].concat()), None);
    }

    #[test]
    fn an_address_names_its_run_and_no_other() {
        let url = url("http://x/functions/v1", "s", address(9)).unwrap();
        assert!(names(&url, address(9)));
        assert!(
            !names(&url, address(90))
                && !names(&url, WebhookAddress { step: Step(2), ..address(9) })
        );
        assert!(!names(&url, WebhookAddress { provider: "replicate", ..address(9) }));
    }

    #[test]
    fn the_url_ends_in_the_token() {
        let url = url("http://x/functions/v1", "s", address(9)).unwrap();
        let token = token("s", address(9)).unwrap();
        assert_eq!(
            url,
            format!(
                "http://x/functions/v1/provider-webhook/runninghub/{}/1/9/{token}",
                JobId::from_random(7)
            )
        );
    }
}
