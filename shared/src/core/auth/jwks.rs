//! The public keys of the authentication server: what to do about a key id at this moment.
//!
//! It never fetches; it says when to. Keys are fresh for ten minutes. An unknown id causes one fetch
//! at a time and then none for a while, so that garbage tokens cannot make us hammer the server.
//! When a fetch fails, known keys go on serving for a bounded time. An empty set is a good answer:
//! a project that signs with its secret publishes none.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::core::auth::jwt::Key;

const FRESH_MS: u64 = 600_000;
const COOLDOWN_MS: u64 = 30_000;
/// How long stale keys may serve while the server does not answer.
const GRACE_MS: u64 = 3_600_000;
/// A fetch older than this has died with its request. Longer than its own time limit.
const FLIGHT_MS: u64 = 6_000;

/// The time limit of one fetch.
pub const FETCH_TIMEOUT_MS: u32 = 5_000;

/// What to do about a key id.
pub enum Lookup {
    Use(Key),
    /// Fetch the set, then `fetched` or `failed`, then look again.
    Fetch,
    /// Another request is fetching: look again in a moment.
    Wait,
    /// The set is known and has no such key.
    Unknown,
    /// The set cannot be had, so nothing can be said about the token.
    Unavailable,
}

/// The set as last fetched. Times are milliseconds of the caller's clock.
#[derive(Default)]
pub struct Jwks {
    keys: Vec<(String, Key)>,
    fetched_at: Option<u64>,
    tried_at: Option<u64>,
    /// Set while a fetch is under way.
    flying_since: Option<u64>,
}

impl Jwks {
    /// A fixed set that is never fetched.
    pub fn fixed(text: &str) -> Option<Jwks> {
        Some(Jwks { keys: parse(text)?, ..Jwks::default() })
    }

    /// The key of a fixed set.
    pub fn get(&self, kid: &str) -> Option<Key> {
        self.keys.iter().find(|(known, _)| known == kid).map(|(_, key)| key.clone())
    }

    /// Decides; `Fetch` marks the fetch as under way.
    pub fn look_up(&mut self, kid: &str, now: u64) -> Lookup {
        let known = self.get(kid);
        let age = self.fetched_at.map(|at| now.saturating_sub(at));
        let fresh = age.is_some_and(|age| age < FRESH_MS);
        let usable = age.is_some_and(|age| age < FRESH_MS + GRACE_MS);
        let flying = self.flying_since.is_some_and(|since| now.saturating_sub(since) < FLIGHT_MS);
        let cooling = self.tried_at.is_some_and(|at| now.saturating_sub(at) < COOLDOWN_MS);
        match known {
            Some(key) if fresh => Lookup::Use(key),
            Some(key) if usable && (flying || cooling) => Lookup::Use(key),
            None if fresh && cooling => Lookup::Unknown,
            _ if flying => Lookup::Wait,
            _ if cooling => Lookup::Unavailable,
            _ => {
                self.flying_since = Some(now);
                Lookup::Fetch
            }
        }
    }

    /// A fetch answered. Returns whether the answer was a key set; if not it counts as failed.
    pub fn fetched(&mut self, text: &str, now: u64) -> bool {
        let Some(keys) = parse(text) else {
            self.failed(now);
            return false;
        };
        *self = Jwks { keys, fetched_at: Some(now), tried_at: Some(now), flying_since: None };
        true
    }

    /// A fetch did not answer: the keys stay what they were.
    pub fn failed(&mut self, now: u64) {
        self.tried_at = Some(now);
        self.flying_since = None;
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The keys we can use; others are skipped, so that a new kind does not take the old ones away.
fn parse(text: &str) -> Option<Vec<(String, Key)>> {
    let set: JwkSet = serde_json::from_str(text).ok()?;
    Some(set.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?)).collect())
}

/// The algorithm follows from the key's own type, never from a token.
fn usable(jwk: Jwk) -> Option<(String, Key)> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let (algorithm, name, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => (
            Algorithm::ES256,
            "ES256",
            DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?),
        ),
        ("RSA", _) => (
            Algorithm::RS256,
            "RS256",
            DecodingKey::from_rsa_components(jwk.n.as_deref()?, jwk.e.as_deref()?),
        ),
        _ => return None,
    };
    if jwk.alg.as_deref().is_some_and(|alg| alg != name) {
        return None;
    }
    Some((jwk.kid, Key { algorithm, decoding: decoding.ok()? }))
}
