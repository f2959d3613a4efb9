//! Decides who calls and whether they may.
//!
//! [`credential`] and [`jwt`] turn credentials into an [`Identity`]; [`policy::admit`] turns that
//! into a [`Caller`]. A bad credential is never downgraded to a weaker kind. This module does no
//! I/O: `edge` fetches the keys of the authentication server and asks the database who is an admin.

pub mod behalf;
pub mod credential;
pub mod crypto;
pub mod jwks;
pub mod jwt;
pub mod policy;
pub mod quota;
pub mod remembered;
mod rsa;
#[cfg(test)]
mod token_tests;

pub use policy::Policy;
pub use quota::Quota;

use crate::core::id::UserId;

/// The identity that the presented credentials prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The request has no credential, or one without a user: the anon key or a publishable key.
    Nobody,
    /// The credential is malformed, forged, expired or of another project.
    Invalid,
    User {
        id: UserId,
        anonymous: bool,
    },
    Service,
    Scheduler,
    /// The reader of the metrics.
    Scraper,
}

impl Identity {
    /// Returns the word of the log line for a request that is refused.
    pub fn kind(&self) -> &'static str {
        match self {
            Identity::Nobody => "nobody",
            Identity::Invalid => "invalid",
            Identity::User { anonymous: true, .. } => "anonymous",
            Identity::User { .. } => "user",
            Identity::Service => "service",
            Identity::Scheduler => "scheduler",
            Identity::Scraper => "scraper",
        }
    }
}

/// The caller whom a policy admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// `admin` is true only if the policy needs an admin and the database confirmed the role.
    User {
        id: UserId,
        anonymous: bool,
        admin: bool,
    },
    Service,
    /// The service on behalf of this user, who exists in the project.
    Behalf(UserId),
    Scheduler,
    Scraper,
    /// An event of the platform: cron or queue.
    Platform,
    /// Any caller: of a public operation, or of an address that holds its own token.
    Public,
}

impl Caller {
    /// Returns the word of the log line.
    pub fn kind(&self) -> &'static str {
        match self {
            Caller::User { admin: true, .. } => "admin",
            Caller::User { anonymous: true, .. } => "anonymous",
            Caller::User { .. } => "user",
            Caller::Service | Caller::Behalf(_) => "service",
            Caller::Scheduler => "scheduler",
            Caller::Scraper => "scraper",
            Caller::Platform => "platform",
            Caller::Public => "public",
        }
    }

    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Caller::User { id, .. } | Caller::Behalf(id) => Some(*id),
            _ => None,
        }
    }
}
