//! Determines on whose behalf the service calls. Only the service may name a user; for all others
//! the credential tells the user.

use serde_json::Value;

use crate::core::auth::{Caller, Policy, Quota};
use crate::core::error::ApiError;
use crate::core::id::UserId;

/// The field of a body or a query that names the user.
pub const FIELD: &str = "onBehalfOf";

/// Returns the user on whose behalf the admitted `caller` calls; `None` for a call of its own. The
/// service gets a 403 if it names nobody, except in a retry of a website, which needs no user.
pub fn named(
    policy: Policy,
    quota: Quota,
    caller: &Caller,
    body: &Value,
) -> Result<Option<UserId>, ApiError> {
    let may_retry = policy == Policy::UserOrService && quota == Quota::Order;
    if policy != Policy::UserOrBehalf && !may_retry {
        return Ok(None);
    }
    let field = body.get(FIELD).filter(|value| !value.is_null());
    match (caller, field) {
        (Caller::Service, None) if may_retry => Ok(None),
        (Caller::Service, None) => Err(ApiError::forbidden()),
        (Caller::Service, Some(user)) => {
            let user = user.as_str().and_then(UserId::parse);
            user.map(Some).ok_or_else(|| ApiError::bad_field(FIELD, "is not a UUID"))
        }
        (_, None) => Ok(None),
        (_, Some(_)) => Err(ApiError::bad_field(FIELD, "may be said by the service only")),
    }
}

#[cfg(test)]
mod tests {
    use super::named;
    use crate::core::auth::{Caller, Policy, Quota};
    use crate::core::error::ErrorCode;
    use crate::core::id::UserId;
    use serde_json::{Value, json};

    fn ask(policy: Policy, caller: &Caller, body: &Value) -> Result<Option<UserId>, ErrorCode> {
        named(policy, Quota::Order, caller, body).map_err(|error| error.code)
    }

    #[test]
    fn only_the_service_names_a_user() {
        let id = UserId::from_random(1);
        let body = json!({"onBehalfOf": id});
        let user = Caller::User { id: UserId::from_random(2), anonymous: false, admin: false };
        for policy in [Policy::UserOrBehalf, Policy::UserOrService] {
            assert_eq!(ask(policy, &Caller::Service, &body), Ok(Some(id)));
            assert_eq!(ask(policy, &user, &body), Err(ErrorCode::BadRequest));
            for own in [json!({}), json!({"onBehalfOf": null}), Value::Null] {
                assert_eq!(ask(policy, &user, &own), Ok(None));
            }
            for bad in [json!(""), json!(7), json!("x"), json!([id])] {
                let body = json!({"onBehalfOf": bad});
                assert_eq!(ask(policy, &Caller::Service, &body), Err(ErrorCode::BadRequest));
            }
        }
    }

    #[test]
    fn the_service_without_a_user_may_retry_and_nothing_else() {
        let none = json!({});
        let service = Caller::Service;
        assert_eq!(ask(Policy::UserOrBehalf, &service, &none), Err(ErrorCode::Forbidden));
        assert_eq!(ask(Policy::UserOrService, &service, &none), Ok(None));
    }

    #[test]
    fn elsewhere_the_field_means_nothing() {
        let body = json!({"onBehalfOf": UserId::from_random(1)});
        for caller in [Caller::Service, Caller::Public] {
            assert_eq!(named(Policy::Service, Quota::Other, &caller, &body), Ok(None));
            assert_eq!(named(Policy::UserOrService, Quota::Other, &caller, &body), Ok(None));
        }
    }
}
