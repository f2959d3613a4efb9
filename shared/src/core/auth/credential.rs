//! Chooses the credential of a request that counts, and compares it with the configured keys.
//!
//! If `Authorization` is present, it alone counts; `apikey` counts only without it. This module
//! never falls back from one to the other. It refuses an `Authorization` without a value too, but
//! deployed Workers never see one: the platform drops it, as it does with every empty standard
//! header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::core::auth::Identity;
use crate::core::config::Config;

/// The credential that a request presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    Nothing,
    Bearer(&'a str),
    Apikey(&'a str),
    /// A user name and a password, still encoded.
    Basic(&'a str),
    /// An `Authorization` that holds neither.
    Malformed,
}

/// Chooses the one credential that counts from the values of the two headers.
pub fn presented<'a>(authorization: Option<&'a str>, apikey: Option<&'a str>) -> Credential<'a> {
    if let Some(authorization) = authorization {
        let (scheme, value) = authorization.trim().split_once(' ').unwrap_or_default();
        let value = value.trim();
        return match scheme {
            _ if value.is_empty() => Credential::Malformed,
            _ if scheme.eq_ignore_ascii_case("bearer") => Credential::Bearer(value),
            _ if scheme.eq_ignore_ascii_case("basic") => Credential::Basic(value),
            _ => Credential::Malformed,
        };
    }
    match apikey.map(str::trim) {
        Some(key) if !key.is_empty() => Credential::Apikey(key),
        _ => Credential::Nothing,
    }
}

/// The result of the comparison with the configured keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<'a> {
    Settled(Identity),
    /// A token whose signature the caller must verify.
    Token(&'a str),
}

/// Compares a credential with the configured keys. Every bearer that is no known key is a token.
pub fn prove<'a>(presented: Credential<'a>, config: &Config) -> Proof<'a> {
    match presented {
        Credential::Nothing => Proof::Settled(Identity::Nobody),
        Credential::Malformed => Proof::Settled(Identity::Invalid),
        Credential::Apikey(key) if is_service_key(key, config) => Proof::Settled(Identity::Service),
        // The anon and publishable keys identify the project, not the caller.
        Credential::Apikey(_) => Proof::Settled(Identity::Nobody),
        Credential::Bearer(token) if is_service_key(token, config) => {
            Proof::Settled(Identity::Service)
        }
        Credential::Bearer(token) if equals_one_of(token, config.cron_secret.as_deref()) => {
            Proof::Settled(Identity::Scheduler)
        }
        Credential::Basic(encoded) if holds_cron_secret(encoded, config) => {
            Proof::Settled(Identity::Scheduler)
        }
        // A key or token is never accepted as a password.
        Credential::Basic(_) => Proof::Settled(Identity::Invalid),
        Credential::Bearer(token) if equals_one_of(token, config.metrics_token.as_deref()) => {
            Proof::Settled(Identity::Scraper)
        }
        // Older clients send their publishable key as a bearer token while no user is signed in.
        Credential::Bearer(token) if token.starts_with("sb_") => Proof::Settled(Identity::Nobody),
        Credential::Bearer(token) => Proof::Token(token),
    }
}

fn is_service_key(key: &str, config: &Config) -> bool {
    let configured = config.service_role_key.iter().chain(&config.secret_keys);
    equals_one_of(key, configured.map(String::as_str))
}

/// Whether the password is the scheduler's secret; the user name may be anything.
fn holds_cron_secret(encoded: &str, config: &Config) -> bool {
    let pair = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    pair.as_deref()
        .and_then(|pair| pair.split_once(':'))
        .is_some_and(|(_, password)| equals_one_of(password, config.cron_secret.as_deref()))
}

/// Compares SHA-256 digests with every configured value, so that the time taken reveals neither
/// length nor content. An empty configured value never matches.
fn equals_one_of<'a>(presented: &str, configured: impl IntoIterator<Item = &'a str>) -> bool {
    let presented: [u8; 32] = Sha256::digest(presented).into();
    let mut found = Choice::from(0);
    for value in configured.into_iter().filter(|value| !value.is_empty()) {
        let value: [u8; 32] = Sha256::digest(value).into();
        found |= presented.ct_eq(&value);
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            service_role_key: Some("legacy.service.jwt".to_owned()),
            secret_keys: vec!["sb_secret_a".to_owned(), String::new(), "sb_secret_b".to_owned()],
            cron_secret: Some("tick".to_owned()),
            ..Config::default()
        }
    }

    fn proof<'a>(authorization: Option<&'a str>, apikey: Option<&'a str>) -> Proof<'a> {
        prove(presented(authorization, apikey), &config())
    }

    #[test]
    fn authorization_alone_counts_if_it_is_present() {
        assert_eq!(proof(Some("Bearer x.y.z"), Some("sb_secret_a")), Proof::Token("x.y.z"));
        assert_eq!(
            proof(Some("Basic abc"), Some("sb_secret_a")),
            Proof::Settled(Identity::Invalid)
        );
        assert_eq!(proof(Some(""), Some("sb_secret_a")), Proof::Settled(Identity::Invalid));
        assert_eq!(proof(Some("Bearer "), Some("sb_secret_a")), Proof::Settled(Identity::Invalid));
        assert_eq!(
            proof(Some("Bearer sb_publishable_x"), Some("sb_secret_a")),
            Proof::Settled(Identity::Nobody)
        );
        assert_eq!(proof(None, Some("sb_secret_a")), Proof::Settled(Identity::Service));
    }

    #[test]
    fn every_configured_key_proves_the_service_in_either_header() {
        for key in ["legacy.service.jwt", "sb_secret_a", "sb_secret_b"] {
            let bearer = format!("bearer  {key}");
            assert_eq!(proof(Some(&bearer), None), Proof::Settled(Identity::Service), "{key}");
            assert_eq!(proof(None, Some(key)), Proof::Settled(Identity::Service), "{key}");
        }
    }

    #[test]
    fn near_misses_prove_nothing() {
        assert_eq!(proof(Some("Bearer sb_secret_aa"), None), Proof::Settled(Identity::Nobody));
        assert_eq!(proof(Some("Bearer sb_secret_"), None), Proof::Settled(Identity::Nobody));
        assert_eq!(proof(None, Some("anon.key.jwt")), Proof::Settled(Identity::Nobody));
        assert_eq!(proof(None, Some("")), Proof::Settled(Identity::Nobody));
        assert_eq!(proof(None, None), Proof::Settled(Identity::Nobody));
        assert_eq!(
            proof(Some("Bearer legacy.service.jwt, Bearer x"), None),
            Proof::Token("legacy.service.jwt, Bearer x")
        );
    }

    #[test]
    fn the_scheduler_secret_counts_as_a_bearer_or_a_password_only() {
        assert_eq!(proof(Some("Bearer tick"), None), Proof::Settled(Identity::Scheduler));
        assert_eq!(proof(None, Some("tick")), Proof::Settled(Identity::Nobody));
        let none = Config::default();
        assert_eq!(prove(Credential::Bearer("tick"), &none), Proof::Token("tick"));
        assert_eq!(prove(Credential::Apikey(""), &none), Proof::Settled(Identity::Nobody));
        for user in ["any", "", "tick", "añy"] {
            let encoded = STANDARD.encode(format!("{user}:tick"));
            for scheme in ["Basic", "basic", "BASIC "] {
                let header = format!("{scheme} {encoded}");
                let scheduler = Proof::Settled(Identity::Scheduler);
                assert_eq!(proof(Some(&header), Some("sb_secret_a")), scheduler, "{header}");
            }
            let invalid = Proof::Settled(Identity::Invalid);
            assert_eq!(prove(Credential::Basic(&encoded), &none), invalid);
        }
    }

    #[test]
    fn a_password_that_is_not_the_scheduler_secret_is_refused_whatever_else_it_is() {
        let pairs = ["tick", "tick:", ":", "", "any:tick:", "any:tic", "any:x:tick"];
        let keys = ["any:legacy.service.jwt", "any:sb_secret_a", "any:sb_publishable_x"];
        for pair in pairs.into_iter().chain(keys) {
            let header = format!("Basic {}", STANDARD.encode(pair));
            let invalid = Proof::Settled(Identity::Invalid);
            assert_eq!(proof(Some(&header), Some("sb_secret_a")), invalid, "{pair}");
        }
        for encoded in ["any:tick", "!", "/w==", &STANDARD.encode("any:tick")[..10]] {
            let header = format!("Basic {encoded}");
            assert_eq!(proof(Some(&header), None), Proof::Settled(Identity::Invalid), "{header}");
        }
        let empty = Config { cron_secret: Some(String::new()), ..Config::default() };
        let nothing = STANDARD.encode("any:");
        assert_eq!(prove(Credential::Basic(&nothing), &empty), Proof::Settled(Identity::Invalid));
    }
}
