//! Makes and verifies the tokens of webhook URLs. Each token is valid for one run only.
//!
//! A token proves that we made the URL. It proves nothing about the content of a call.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::core::digest::hex;
use crate::core::id::{JobId, Run, Step};

/// The length of a token: 32 hexadecimal digits, 128 bits.
const TOKEN_LENGTH: usize = 32;

/// The name in place of a provider in the address with which `doctor` tests webhooks.
pub const NO_PROVIDER: &str = "doctor";

/// The run in a webhook's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookAddress<'a> {
    pub provider: &'a str,
    pub job: JobId,
    pub step: Step,
    pub run: Run,
}

impl WebhookAddress<'static> {
    /// An address without a job. A call to it shows that webhooks arrive, and changes nothing.
    pub fn of_nothing() -> Self {
        Self { provider: NO_PROVIDER, job: JobId::from_random(0), step: Step(0), run: Run(0) }
    }
}

impl<'a> WebhookAddress<'a> {
    /// Parses `<provider>/<job>/<step>/<run>/<token>` into the address and its token, without
    /// verifying the token.
    pub fn of_path(segments: &'a [String]) -> Option<(Self, &'a str)> {
        let [provider, job, step, run, token] = segments else { return None };
        let (job, step, run) =
            (JobId::parse(job)?, Step(step.parse().ok()?), Run(run.parse().ok()?));
        Some((Self { provider, job, step, run }, token))
    }
}

/// The signature headers of a webhook call; each is empty if it is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The id of the call, the same in every delivery of it.
    pub id: String,
    /// The time of the call in seconds since 1970.
    pub timestamp: String,
    /// One or more signatures, separated by spaces.
    pub entries: String,
    /// The `Stripe-Signature` header, which holds a time and signatures of its own form.
    pub stripe: String,
}

/// Returns the token of an address, or `None` if the secret is empty.
pub fn token(secret: &str, address: WebhookAddress<'_>) -> Option<String> {
    if secret.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    let WebhookAddress { provider, job, step, run } = address;
    mac.update(format!("{provider}/{job}/{step}/{run}").as_bytes());
    mac.finalize().into_bytes().get(..TOKEN_LENGTH / 2).map(hex)
}

/// Returns the URL that the provider is to call, or `None` if the secret is empty.
pub fn url(functions_url: &str, secret: &str, address: WebhookAddress<'_>) -> Option<String> {
    let token = token(secret, address)?;
    let WebhookAddress { provider, job, step, run } = address;
    Some(format!("{functions_url}/provider-webhook/{provider}/{job}/{step}/{run}/{token}"))
}

/// Returns whether `url` was made for this address, whatever its token. `flow` finds our own tasks
/// in a provider's list by it.
pub fn names(url: &str, address: WebhookAddress<'_>) -> bool {
    let WebhookAddress { provider, job, step, run } = address;
    url.contains(&format!("/provider-webhook/{provider}/{job}/{step}/{run}/"))
}

/// Returns whether the token was made with the present or the previous secret. The time taken does
/// not depend on which secret or which digit differs.
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
    fn a_token_is_valid_for_its_run_under_either_secret() {
        let now = token("now", address(3)).unwrap();
        let before = token("before", address(3)).unwrap();
        assert_eq!(now.len(), TOKEN_LENGTH);
        for good in [&now, &before] {
            assert!(verify(&["now", "before"], address(3), good));
            assert!(!verify(&["now", "before"], address(4), good), "another run");
            assert!(!verify(&["later"], address(3), good), "the secret was rotated out");
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
    fn of_path_parses_a_made_url() {
        let url = url("http://x", "s", address(9)).unwrap();
        let path: Vec<String> = url.split('/').skip(4).map(str::to_owned).collect();
        assert_eq!(
            WebhookAddress::of_path(&path),
            Some((address(9), token("s", address(9)).unwrap().as_str()))
        );
        for (index, text) in [(1, "x"), (2, "x"), (2, "99999999999"), (3, ""), (3, "9.0")] {
            let mut other = path.clone();
            other[index] = text.to_owned();
            assert_eq!(WebhookAddress::of_path(&other), None, "{other:?}");
        }
        assert_eq!(WebhookAddress::of_path(&path[..4]), None);
        assert_eq!(WebhookAddress::of_path(&[path.clone(), path].concat()), None);
    }

    #[test]
    fn a_url_names_its_own_run_only() {
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
