//! Caches verified tokens, so that a second request with the same token costs a hash instead of a
//! signature check.
//!
//! The cache keeps digests, never tokens. It is bounded. It drops a token when the token ends and
//! at the latest after ten minutes, which is how long a withdrawn key may stay in the key cache.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::core::auth::Identity;
use crate::core::auth::jwt::VerifiedToken;

const ENTRIES_MAX: usize = 512;
const CACHED_S_MAX: u64 = 600;

/// A bounded cache from a token's digest to its verified identity.
#[derive(Default)]
pub struct VerifiedTokens {
    entries: HashMap<[u8; 32], VerifiedToken>,
}

impl VerifiedTokens {
    /// Returns the identity of a cached token that is still valid at `now_s` (seconds since 1970).
    pub fn get(&self, token: &str, now_s: u64) -> Option<Identity> {
        let entry = self.entries.get(&digest(token))?;
        (entry.until_s > now_s).then_some(entry.identity)
    }

    /// Caches a verified token. Drops all entries if the cache is full of valid ones.
    pub fn put(&mut self, token: &str, verified: VerifiedToken, now_s: u64) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.retain(|_, entry| entry.until_s > now_s);
        }
        if self.entries.len() >= ENTRIES_MAX {
            // All entries are valid. To drop them all is simpler than to order them by age.
            self.entries.clear();
        }
        let until_s = verified.until_s.min(now_s.saturating_add(CACHED_S_MAX));
        self.entries.insert(digest(token), VerifiedToken { until_s, ..verified });
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(until_s: u64) -> VerifiedToken {
        VerifiedToken { identity: Identity::Service, until_s }
    }

    #[test]
    fn a_token_is_cached_until_it_ends() {
        let mut remembered = VerifiedTokens::default();
        remembered.put("a", good(100), 50);
        assert_eq!(remembered.get("a", 99), Some(Identity::Service));
        assert_eq!(remembered.get("a", 100), None);
        assert_eq!(remembered.get("b", 50), None);
    }

    #[test]
    fn the_cache_is_bounded_in_time_and_in_size() {
        let mut remembered = VerifiedTokens::default();
        remembered.put("week", good(604_800), 0);
        assert_eq!(remembered.get("week", 599), Some(Identity::Service));
        assert_eq!(remembered.get("week", 600), None);
        for i in 0..3 * ENTRIES_MAX {
            remembered.put(&i.to_string(), good(1_000), 10);
            assert!(remembered.entries.len() <= ENTRIES_MAX);
        }
    }
}
