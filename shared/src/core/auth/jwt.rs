//! Verifies a token with a known key.
//!
//! `jsonwebtoken` verifies the signature with the algorithm of *our* key. This module parses header
//! and claims into types of its own, which hold only the fields in use (the crate's types are 30 KB
//! of each wasm file), and checks the claims against the caller's clock. It ignores
//! `user_metadata`, because users write it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

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

/// The fields of a token's header that choose its key.
#[derive(Deserialize)]
pub struct TokenHeader {
    pub alg: Algorithm,
    pub kid: Option<String>,
    /// Extensions that a reader must support.
    crit: Option<IgnoredAny>,
}

/// A token in its parts, each still encoded.
struct TokenParts<'a> {
    header: &'a str,
    claims: &'a str,
    /// The signed text: header and claims.
    message: &'a str,
    signature: &'a str,
}

impl<'a> TokenParts<'a> {
    fn of(token: &'a str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.rsplit_once('.')?;
        Some(Self { header, claims, message, signature })
    }
}

/// Parses a part as a text, as all other JSON is parsed: `serde_json::from_slice` would add another
/// parser, 6 KB of each wasm file.
fn decoded<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    serde_json::from_str(&json).ok()
}

/// Reads the unverified header, which may only choose a key. `None` if it is malformed or demands
/// extensions (`crit`), because this module supports none.
pub fn header(token: &str) -> Option<TokenHeader> {
    let header: TokenHeader = decoded(TokenParts::of(token)?.header)?;
    header.crit.is_none().then_some(header)
}

/// Verifies `token` with `key` at `now_s` (seconds since 1970). `None` if the algorithm, the
/// signature, the times or the claims do not fit; `issuer` restricts users' tokens if it is given.
pub fn verify(token: &str, key: &Key, issuer: Option<&str>, now_s: u64) -> Option<VerifiedToken> {
    let TokenParts { claims, message, signature, .. } = TokenParts::of(token)?;
    let is_ours = header(token)?.alg == key.algorithm
        && crypto::verify(signature, message.as_bytes(), &key.decoding, key.algorithm).ok()?;
    let claims: TokenClaims = decoded(claims).filter(|_| is_ours)?;
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
