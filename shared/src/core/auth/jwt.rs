//! Verifies a token with a known key.
//!
//! `jsonwebtoken` verifies form and signature with the algorithm of *our* key. This module judges
//! the claims by the caller's clock. It ignores `user_metadata`, because users write it.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;

use crate::core::auth::Identity;
use crate::core::id::UserId;

/// The accepted difference between two clocks.
const LEEWAY_S: u64 = 60;

/// A key and the only algorithm it may verify.
#[derive(Clone)]
pub struct Key {
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
}

impl Key {
    /// Returns the key of the project's legacy JWT secret.
    pub fn hs256(secret: &str) -> Key {
        Key { algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret.as_bytes()) }
    }
}

/// The identity that a verified token proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedToken {
    pub identity: Identity,
    /// The end of the token in seconds since 1970, with the leeway added.
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

/// Reads the unverified header, which may only choose a key. `None` if it is malformed or demands
/// extensions (`crit`), because this module supports none.
pub fn header(token: &str) -> Option<Header> {
    decode_header(token).ok().filter(|header| header.crit.is_none())
}

/// Verifies `token` with `key` at `now_s` (seconds since 1970). `None` if the signature, the times
/// or the claims do not fit; `issuer` restricts users' tokens if it is given.
pub fn verify(token: &str, key: &Key, issuer: Option<&str>, now_s: u64) -> Option<VerifiedToken> {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    // `valid_until` and `identity` judge these claims by the caller's clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let claims = decode::<TokenClaims>(token, &key.decoding, &validation).ok()?.claims;
    let until_s = valid_until(&claims, now_s)?;
    Some(VerifiedToken { identity: identity(&claims, issuer)?, until_s })
}

/// Returns the end of the token in seconds since 1970, or `None` if it is not valid at `now_s`.
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

/// A service token needs no audience, issuer or subject. A user's token needs a subject, our
/// audience and, if one is configured, the issuer. The anon key is a valid token without a user.
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
