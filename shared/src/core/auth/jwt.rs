//! Checking a token with a key that is already in hand.
//!
//! `jsonwebtoken` checks form and signature, with the algorithm of *our* key; the claims are judged
//! here, against a clock that is an argument. `user_metadata` is never looked at: users write it.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;

use crate::core::auth::Identity;
use crate::core::id::UserId;

/// How far clocks may differ.
const LEEWAY_S: u64 = 60;

/// A key and the one algorithm it is good for.
#[derive(Clone)]
pub struct Key {
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
}

impl Key {
    /// The project's legacy secret.
    pub fn hs256(secret: &str) -> Key {
        Key { algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret.as_bytes()) }
    }
}

/// Who a good token names, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedToken {
    pub identity: Identity,
    /// Leeway included.
    pub until_s: u64,
}

#[derive(Deserialize)]
struct TokenClaims {
    exp: f64,
    nbf: Option<f64>,
    role: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    iss: Option<String>,
    is_anonymous: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Audience::One(name) => name == wanted,
            Audience::Many(names) => names.iter().any(|name| name == wanted),
        }
    }
}

/// The unverified header: good for choosing a key and for nothing else. One that demands extensions
/// is refused, as we know none.
pub fn header(token: &str) -> Option<Header> {
    decode_header(token).ok().filter(|header| header.crit.is_none())
}

/// The identity a token proves under this key, or `None` where it proves none.
pub fn verify(token: &str, key: &Key, issuer: Option<&str>, now_s: u64) -> Option<VerifiedToken> {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    // Judged below, with the caller's clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let claims = decode::<TokenClaims>(token, &key.decoding, &validation).ok()?.claims;
    let until_s = valid_until(&claims, now_s)?;
    Some(VerifiedToken { identity: identity(&claims, issuer)?, until_s })
}

/// When the token ends, if it is valid at this moment.
fn valid_until(claims: &TokenClaims, now_s: u64) -> Option<u64> {
    if !claims.exp.is_finite() || claims.exp < 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite, not negative; huge saturates"
    )]
    let until_s = (claims.exp as u64).saturating_add(LEEWAY_S);
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in f64")]
    let latest_start = now_s.saturating_add(LEEWAY_S) as f64;
    let begun = claims.nbf.is_none_or(|nbf| nbf <= latest_start);
    (until_s > now_s && begun).then_some(until_s)
}

/// A service token needs no audience, issuer or subject; a user's needs all that is configured.
/// The anon key is a good token that names nobody.
fn identity(claims: &TokenClaims, issuer: Option<&str>) -> Option<Identity> {
    match claims.role.as_deref() {
        Some("service_role") => Some(Identity::Service),
        Some("anon") => Some(Identity::Nobody),
        Some("authenticated") => {
            let for_us = claims.aud.as_ref().is_some_and(|aud| aud.names("authenticated"))
                && issuer.is_none_or(|wanted| claims.iss.as_deref() == Some(wanted));
            let id = claims.sub.as_deref().and_then(UserId::parse)?;
            for_us.then_some(Identity::User { id, anonymous: claims.is_anonymous.unwrap_or(false) })
        }
        _ => None,
    }
}
