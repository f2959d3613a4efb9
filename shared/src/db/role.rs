//! The rights of a user.

use crate::core::id::UserId;

rpc! {
    /// Whether the user has `role` now. A role in a token would outlive its withdrawal.
    value has_role(user: UserId as "_user_id", role: &str as "_role") -> bool;
    /// Whether the user whom the service names is anonymous.
    value user_on_behalf_v1(user_id: UserId) -> bool;
}
