//! Caches the public keys of the authentication server and decides when to fetch them.
//!
//! This module does no I/O. Keys are fresh for ten minutes. An unknown key id causes one fetch, and
//! then none for 30 seconds, so that invalid tokens cannot overload the server. After a failed
//! fetch, known keys stay valid for one more hour. An empty set is a valid answer: a project that
//! signs with its secret publishes no keys.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::core::auth::jwt::Key;

const FRESH_MS: u64 = 600_000;
const COOLDOWN_MS: u64 = 30_000;
/// How long stale keys stay usable while the server does not answer.
const GRACE_MS: u64 = 3_600_000;
/// After this time a fetch counts as lost, because its request has ended. It exceeds
/// [`FETCH_TIMEOUT_MS`].
const FETCH_MS_MAX: u64 = 6_000;

/// The time limit of one fetch of the set.
pub const FETCH_TIMEOUT_MS: u32 = 5_000;

/// What the caller does next about a key id.
pub enum Lookup {
    Use(Key),
    /// Fetch the set, report it by `fetched` or `failed`, then look up the id once more.
    Fetch,
    /// Another request is fetching the set: look up the id once more after a short pause.
    Wait,
    /// The set is fresh and has no such key.
    Unknown,
    /// The set is not available, so the token can be neither accepted nor refused.
    Unavailable,
}

/// The set of the last successful fetch. Times are milliseconds of the caller's clock.
#[derive(Default)]
pub struct Jwks {
    keys: Vec<(String, Key)>,
    fetched_at: Option<u64>,
    tried_at: Option<u64>,
    /// The start of the present fetch.
    fetching_since: Option<u64>,
}

impl Jwks {
    /// Parses a configured set that is never fetched. `None` if it is no key set.
    pub fn fixed(text: &str) -> Option<Jwks> {
        Some(Jwks { keys: parse(text)?, ..Jwks::default() })
    }

    /// Returns the key of that id, whatever the age of the set.
    pub fn get(&self, kid: &str) -> Option<Key> {
        self.keys.iter().find(|(known, _)| known == kid).map(|(_, key)| key.clone())
    }

    /// Decides about a key id. Answering `Fetch` records that a fetch is under way.
    pub fn look_up(&mut self, kid: &str, now: u64) -> Lookup {
        let known = self.get(kid);
        let age = self.fetched_at.map(|at| now.saturating_sub(at));
        let fresh = age.is_some_and(|age| age < FRESH_MS);
        let usable = age.is_some_and(|age| age < FRESH_MS + GRACE_MS);
        let fetching =
            self.fetching_since.is_some_and(|since| now.saturating_sub(since) < FETCH_MS_MAX);
        let cooling = self.tried_at.is_some_and(|at| now.saturating_sub(at) < COOLDOWN_MS);
        match known {
            Some(key) if fresh => Lookup::Use(key),
            Some(key) if usable && (fetching || cooling) => Lookup::Use(key),
            None if fresh && cooling => Lookup::Unknown,
            _ if fetching => Lookup::Wait,
            _ if cooling => Lookup::Unavailable,
            _ => {
                self.fetching_since = Some(now);
                Lookup::Fetch
            }
        }
    }

    /// Records the answer of a fetch. Returns false, and records a failure, if it is no key set.
    pub fn fetched(&mut self, text: &str, now: u64) -> bool {
        let Some(keys) = parse(text) else {
            self.failed(now);
            return false;
        };
        *self = Jwks { keys, fetched_at: Some(now), tried_at: Some(now), fetching_since: None };
        true
    }

    /// Records that a fetch failed. The known keys stay.
    pub fn failed(&mut self, now: u64) {
        self.tried_at = Some(now);
        self.fetching_since = None;
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

/// Returns the usable keys and skips the others, so that a new kind of key does not disable the old
/// ones. `None` if the text is no key set.
fn parse(text: &str) -> Option<Vec<(String, Key)>> {
    let set: JwkSet = serde_json::from_str(text).ok()?;
    Some(set.keys.iter().filter_map(usable).collect())
}

/// Takes the algorithm from the type of the key, never from a token.
fn usable(jwk: &Value) -> Option<(String, Key)> {
    let text = |name: &str| jwk.get(name)?.as_str();
    // An absent member is accepted; a present one must have this value.
    let is =
        |name: &str, value: &str| jwk.get(name).is_none_or(|said| said.is_null() || said == value);
    if !is("use", "sig") {
        return None;
    }
    let (algorithm, name, decoding) = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => {
            let decoding = DecodingKey::from_ec_components(text("x")?, text("y")?);
            (Algorithm::ES256, "ES256", decoding)
        }
        ("RSA", _) => {
            let decoding = DecodingKey::from_rsa_components(text("n")?, text("e")?);
            (Algorithm::RS256, "RS256", decoding)
        }
        _ => return None,
    };
    if !is("alg", name) {
        return None;
    }
    Some((text("kid")?.to_owned(), Key { algorithm, decoding: decoding.ok()? }))
}
