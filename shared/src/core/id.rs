//! Typed ids and numbers, so that one cannot be passed for another.
//!
//! This module makes no id by itself: randomness is an argument.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Parses the hyphenated form of 36 characters only: two spellings of one id could pass
            /// for two ids.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 36 {
                    return None;
                }
                Uuid::try_parse(text).ok().map(Self)
            }

            /// Makes a version 4 UUID from 128 random bits.
            pub fn from_random(bits: u128) -> Self {
                Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| de::Error::custom("not a UUID"))
            }
        }
    };
}

uuid_newtype!(
    /// The id of a job. The client chooses it or, if it does not, the function.
    JobId
);
uuid_newtype!(
    /// The id of a user. It comes from the `sub` of a verified token, from the database or from a
    /// service call, never from a user's body.
    UserId
);

macro_rules! number_newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_newtype!(
    /// The number of a step within its job, from 1.
    Step(i32)
);
number_newtype!(
    /// The fencing number of a step. Every claim raises it; a worker with an older run changes
    /// nothing.
    Run(i64)
);
number_newtype!(
    /// An amount of credits.
    Credits(i32)
);

/// Returns whether a caller's request id may be echoed: 1 to 128 ASCII letters, digits, `-`, `_`,
/// `.` or `:`, which no log and no header misreads.
pub fn is_sane_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

/// Makes a request id from 128 random bits.
pub fn request_id(bits: u128) -> String {
    JobId::from_random(bits).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyphenated_uuids_are_ids() {
        let id = "00000000-0000-4000-8000-0000000000a1";
        assert_eq!(JobId::parse(id).map(|j| j.to_string()).as_deref(), Some(id));
        for bad in [
            "",
            "1",
            "00000000000040008000000000000001",
            "{00000000-0000-4000-8000-0000000000a1}",
            "urn:uuid:00000000-0000-4000-8000-0000000000a1",
        ] {
            assert_eq!(JobId::parse(bad), None, "{bad}");
        }
        assert!(serde_json::from_str::<UserId>("\"x\"").is_err());
        assert!(serde_json::from_str::<UserId>("7").is_err());
        assert_eq!(JobId::parse(&id.to_uppercase()).map(|j| j.to_string()).as_deref(), Some(id));
    }

    #[test]
    fn request_ids_are_version_4_uuids() {
        assert_eq!(request_id(0), "00000000-0000-4000-8000-000000000000");
        assert_ne!(request_id(1), request_id(2));
    }

    #[test]
    fn only_short_plain_request_ids_are_echoed() {
        assert!(is_sane_request_id("a-B_9.z:1"));
        for bad in ["", "a b", "a\nb", "ä", &"x".repeat(129)] {
            assert!(!is_sane_request_id(bad), "{bad:?}");
        }
    }
}
