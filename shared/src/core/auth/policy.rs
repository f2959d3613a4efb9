//! The table "who may call" as one pure function.
//!
//! It never looks at a header or a token: it sees only what was proved.

use crate::core::auth::{Caller, Identity};
use crate::core::error::ApiError;

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Anybody; credentials are not looked at.
    Public,
    /// A webhook: what counts is the token in the path.
    Provider,
    User,
    /// `check-user-active`: the service may ask for a user it names.
    UserOrService,
    Admin,
    Service,
    /// `reconcile`, `status`.
    ServiceOrAdmin,
    /// The scheduled functions: service, an outside scheduler.
    Scheduled,
}

/// What the policy says of this identity.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    Granted(Caller),
    /// A user: granted only if the database calls them an admin now.
    IfAdmin(Caller),
    Refused(ApiError),
}

/// The table of API.md, row by column. `charges`: an anonymous user is refused unless allowed.
pub fn admit(
    identity: Identity,
    policy: Policy,
    charges: bool,
    allow_anonymous: bool,
) -> Admission {
    if matches!(policy, Policy::Public | Policy::Provider) {
        return Admission::Granted(Caller::Public);
    }
    match identity {
        Identity::Nobody | Identity::Invalid => Admission::Refused(ApiError::unauthorized()),
        Identity::Scheduler if policy == Policy::Scheduled => Admission::Granted(Caller::Scheduler),
        // Good for the scheduled functions and nothing else: elsewhere it proves nothing.
        Identity::Scheduler => Admission::Refused(ApiError::unauthorized()),
        Identity::Service => match policy {
            Policy::Scheduled
            | Policy::Service
            | Policy::ServiceOrAdmin
            | Policy::UserOrService => Admission::Granted(Caller::Service),
            _ => Admission::Refused(ApiError::forbidden()),
        },
        Identity::User { id, anonymous } => {
            let caller = Caller::User { id, anonymous, admin: false };
            match policy {
                Policy::User | Policy::UserOrService
                    if charges && anonymous && !allow_anonymous =>
                {
                    Admission::Refused(ApiError::forbidden())
                }
                Policy::User | Policy::UserOrService => Admission::Granted(caller),
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
    fn the_table_cell_by_cell() {
        use Policy::*;
        let columns = [User, Admin, Scheduled, Service, UserOrService, ServiceOrAdmin];
        let rows = [
            (Identity::Nobody, ["401", "401", "401", "401", "401", "401"]),
            (Identity::Invalid, ["401", "401", "401", "401", "401", "401"]),
            (user(false), ["user", "if admin", "403", "403", "user", "if admin"]),
            (user(true), ["anonymous", "if admin", "403", "403", "anonymous", "if admin"]),
            (Identity::Service, ["403", "403", "service", "service", "service", "service"]),
            (Identity::Scheduler, ["401", "401", "scheduler", "401", "401", "401"]),
        ];
        for (identity, expected) in rows {
            for (policy, expected) in columns.iter().zip(expected) {
                assert_eq!(
                    answer(identity, *policy, false, false),
                    expected,
                    "{identity:?} × {policy:?}"
                );
            }
            for policy in [Public, Provider] {
                assert_eq!(answer(identity, policy, false, false), "public");
            }
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
