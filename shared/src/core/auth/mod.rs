//! Who is calling, and may they?
//!
//! Credentials → [`Identity`] (what they prove) → [`policy::admit`] (what that allows). A bad
//! credential is never downgraded to a weaker kind. Nothing here does I/O: keys fetched from the
//! authentication server, and whether a user is an admin, are asked for by the caller.

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

/// What the presented credentials prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// No credential, or one that names nobody: the anon key, a publishable key.
    Nobody,
    /// A credential that proves nothing: forged, expired, another project's, garbage.
    Invalid,
    User {
        id: UserId,
        anonymous: bool,
    },
    Service,
    Scheduler,
}

impl Identity {
    /// For the log line of a request that is refused.
    pub fn kind(&self) -> &'static str {
        match self {
            Identity::Nobody => "nobody",
            Identity::Invalid => "invalid",
            Identity::User { anonymous: true, .. } => "anonymous",
            Identity::User { .. } => "user",
            Identity::Service => "service",
            Identity::Scheduler => "scheduler",
        }
    }
}

/// Who a handler works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// `admin` is only ever true where the policy asked the database about it.
    User {
        id: UserId,
        anonymous: bool,
        admin: bool,
    },
    Service,
    Scheduler,
    /// The platform's own event: cron or queue.
    Platform,
    /// Anybody: a public address, or one that holds its own proof.
    Public,
}

impl Caller {
    /// For the log line.
    pub fn kind(&self) -> &'static str {
        match self {
            Caller::User { admin: true, .. } => "admin",
            Caller::User { anonymous: true, .. } => "anonymous",
            Caller::User { .. } => "user",
            Caller::Service => "service",
            Caller::Scheduler => "scheduler",
            Caller::Platform => "platform",
            Caller::Public => "public",
        }
    }

    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Caller::User { id, .. } => Some(*id),
            _ => None,
        }
    }
}
