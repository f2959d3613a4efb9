//! Tokens that were found good, so that a second request with one costs a hash instead of a
//! signature check.
//!
//! It keeps digests, never tokens; is bounded; and forgets a token when it ends, or after ten minutes
//! (the time a withdrawn key may live on in the key cache anyway).

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::core::auth::Identity;
use crate::core::auth::jwt::VerifiedToken;

const ENTRIES_MAX: usize = 512;
const KEPT_S: u64 = 600;

#[derive(Default)]
pub struct VerifiedTokens {
    entries: HashMap<[u8; 32], VerifiedToken>,
}

impl VerifiedTokens {
    pub fn get(&self, token: &str, now_s: u64) -> Option<Identity> {
        let entry = self.entries.get(&digest(token))?;
        (entry.until_s > now_s).then_some(entry.identity)
    }

    pub fn put(&mut self, token: &str, verified: VerifiedToken, now_s: u64) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.retain(|_, entry| entry.until_s > now_s);
        }
        if self.entries.len() >= ENTRIES_MAX {
            // Full of live ones: start over rather than keep an order for the rare case.
            self.entries.clear();
        }
        let until_s = verified.until_s.min(now_s.saturating_add(KEPT_S));
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
    fn a_token_is_remembered_until_it_ends() {
        let mut remembered = VerifiedTokens::default();
        remembered.put("a", good(100), 50);
        assert_eq!(remembered.get("a", 99), Some(Identity::Service));
        assert_eq!(remembered.get("a", 100), None);
        assert_eq!(remembered.get("b", 50), None);
    }

    #[test]
    fn never_longer_than_ten_minutes_and_never_more_than_the_bound() {
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
