//! Decides which identity may call which operation, as one pure function.
//!
//! This module sees no header and no token, only the proved identity.

use crate::core::auth::{Caller, Identity};
use crate::core::error::ApiError;

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everyone may call; credentials are ignored.
    Public,
    /// A provider's webhook: the token in its path admits the call.
    Provider,
    /// A seller's webhook: the handler admits the call by the signature over its body.
    Seller,
    User,
    /// A user, or a caller without a credential. A bad credential is refused.
    UserOrNobody,
    /// The service may call for a user whom it names.
    UserOrService,
    /// A user, or the service on behalf of the user whom `onBehalfOf` names; see
    /// [`behalf`](crate::core::auth::behalf).
    UserOrBehalf,
    Admin,
    Service,
    ServiceOrAdmin,
    /// The service and the external scheduler may call.
    Scheduled,
    /// The reader of the metrics may call.
    Metrics,
}

/// The decision about an identity.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    Granted(Caller),
    /// Grants the user only if the database confirms that they are an admin now.
    IfAdmin(Caller),
    Refused(ApiError),
}

/// Applies `policy` to `identity`. If the call costs credits (`charges`), an anonymous user is
/// refused unless `allow_anonymous` is set.
pub fn admit(
    identity: Identity,
    policy: Policy,
    charges: bool,
    allow_anonymous: bool,
) -> Admission {
    if matches!(policy, Policy::Public | Policy::Provider | Policy::Seller) {
        return Admission::Granted(Caller::Public);
    }
    match identity {
        Identity::Nobody if policy == Policy::UserOrNobody => Admission::Granted(Caller::Public),
        Identity::Nobody | Identity::Invalid => Admission::Refused(ApiError::unauthorized()),
        Identity::Scheduler if policy == Policy::Scheduled => Admission::Granted(Caller::Scheduler),
        Identity::Scraper if policy == Policy::Metrics => Admission::Granted(Caller::Scraper),
        // For other policies these secrets prove nothing.
        Identity::Scheduler | Identity::Scraper => Admission::Refused(ApiError::unauthorized()),
        Identity::Service => match policy {
            Policy::Scheduled
            | Policy::Service
            | Policy::ServiceOrAdmin
            | Policy::UserOrService
            | Policy::UserOrBehalf => Admission::Granted(Caller::Service),
            _ => Admission::Refused(ApiError::forbidden()),
        },
        Identity::User { id, anonymous } => {
            let caller = Caller::User { id, anonymous, admin: false };
            match policy {
                Policy::User | Policy::UserOrService | Policy::UserOrBehalf
                    if charges && anonymous && !allow_anonymous =>
                {
                    Admission::Refused(ApiError::forbidden())
                }
                Policy::User
                | Policy::UserOrNobody
                | Policy::UserOrService
                | Policy::UserOrBehalf => Admission::Granted(caller),
                Policy::Admin | Policy::ServiceOrAdmin => Admission::IfAdmin(caller),
                _ => Admission::Refused(ApiError::forbidden()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorCode;
    use crate::core::id::UserId;

    fn user(anonymous: bool) -> Identity {
        Identity::User { id: UserId::from_random(1), anonymous }
    }

    fn answer(
        identity: Identity,
        policy: Policy,
        charges: bool,
        allow_anonymous: bool,
    ) -> &'static str {
        match admit(identity, policy, charges, allow_anonymous) {
            Admission::Granted(caller) => caller.kind(),
            Admission::IfAdmin(_) => "if admin",
            Admission::Refused(error) => match error.code {
                ErrorCode::Unauthorized => "401",
                ErrorCode::Forbidden => "403",
                _ => "other",
            },
        }
    }

    #[test]
    fn every_policy_decides_every_identity() {
        use Policy::*;
        assert_eq!(answer(Identity::Scraper, Metrics, false, false), "scraper");
        for other in [Identity::Nobody, Identity::Invalid, Identity::Scheduler] {
            assert_eq!(answer(other, Metrics, false, false), "401");
        }
        for other in [user(false), Identity::Service] {
            assert_eq!(answer(other, Metrics, false, false), "403");
        }
        let columns =
            [User, Admin, Scheduled, Service, UserOrService, UserOrBehalf, ServiceOrAdmin];
        let rows = [
            (Identity::Nobody, ["401"; 7]),
            (Identity::Invalid, ["401"; 7]),
            (user(false), ["user", "if admin", "403", "403", "user", "user", "if admin"]),
            (
                user(true),
                ["anonymous", "if admin", "403", "403", "anonymous", "anonymous", "if admin"],
            ),
            (
                Identity::Service,
                ["403", "403", "service", "service", "service", "service", "service"],
            ),
            (Identity::Scheduler, ["401", "401", "scheduler", "401", "401", "401", "401"]),
            (Identity::Scraper, ["401"; 7]),
        ];
        for (identity, expected) in rows {
            for (policy, expected) in columns.iter().zip(expected) {
                assert_eq!(
                    answer(identity, *policy, false, false),
                    expected,
                    "{identity:?} × {policy:?}"
                );
            }
            for policy in [Public, Provider, Seller] {
                assert_eq!(answer(identity, policy, false, false), "public");
            }
        }
    }

    #[test]
    fn a_caller_without_a_credential_may_ask_where_nobody_is_admitted() {
        for (identity, expected) in [
            (Identity::Nobody, "public"),
            (Identity::Invalid, "401"),
            (user(false), "user"),
            (user(true), "anonymous"),
            (Identity::Service, "403"),
            (Identity::Scheduler, "401"),
        ] {
            assert_eq!(answer(identity, Policy::UserOrNobody, false, false), expected);
        }
    }

    #[test]
    fn an_anonymous_user_is_not_charged_unless_allowed() {
        assert_eq!(answer(user(true), Policy::User, true, false), "403");
        assert_eq!(answer(user(true), Policy::User, true, true), "anonymous");
        assert_eq!(answer(user(true), Policy::User, false, false), "anonymous");
        assert_eq!(answer(user(false), Policy::User, true, false), "user");
    }
}
