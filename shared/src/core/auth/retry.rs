//! What a caller asks of a function whose work may be retried: a new order, or another attempt of an old one.
//!
//! A retry takes nothing from the body but the record's id: whose it is and what it is about, the record says. A user
//! may name own records only; the service may name any. Pure; whether the record may be retried the database decides.

use crate::core::auth::Caller;
use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use serde_json::Value;

const FIELD: &str = "retryHistoryId";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Order(UserId),
    Retry {
        history: JobId,
        /// Whose record it must be; none: the service asks, and the record names its user.
        owner: Option<UserId>,
    },
}

/// Reads the request of a caller whom the policy let in. `body` is the request's, read once.
pub fn asked(caller: &Caller, body: &Value) -> Result<Asked, ApiError> {
    let named = body.get(FIELD).filter(|value| !value.is_null());
    let history = named.map(|value| {
        let id = value.as_str().and_then(JobId::parse);
        id.ok_or_else(|| ApiError::bad_field(FIELD, "is not a UUID"))
    });
    match (caller, history.transpose()?) {
        (Caller::User { id, .. }, None) => Ok(Asked::Order(*id)),
        (Caller::User { id, .. }, Some(history)) => Ok(Asked::Retry { history, owner: Some(*id) }),
        (Caller::Service, Some(history)) => Ok(Asked::Retry { history, owner: None }),
        (Caller::Service, None) => Err(ApiError::bad_field(FIELD, "is missing")),
        _ => Err(ApiError::forbidden()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, asked};
    use crate::core::auth::Caller;
    use crate::core::error::ErrorCode;
    use crate::core::id::{JobId, UserId};
    use serde_json::json;

    #[test]
    fn the_record_is_named_by_the_body_and_its_user_is_not() {
        let id = UserId::from_random(1);
        let user = Caller::User { id, anonymous: false, admin: false };
        let history = JobId::from_random(2);
        let body =
            json!({"retryHistoryId": history, "userId": UserId::from_random(3), "prompt": "x"});
        assert_eq!(asked(&user, &json!({})), Ok(Asked::Order(id)));
        assert_eq!(asked(&user, &json!({"retryHistoryId": null})), Ok(Asked::Order(id)));
        assert_eq!(asked(&user, &body), Ok(Asked::Retry { history, owner: Some(id) }));
        assert_eq!(asked(&Caller::Service, &body), Ok(Asked::Retry { history, owner: None }));
    }

    #[test]
    fn what_names_no_record_is_refused() {
        let user = Caller::User { id: UserId::from_random(1), anonymous: false, admin: false };
        for caller in [user, Caller::Service] {
            for bad in [
                json!(""),
                json!("7"),
                json!(7),
                json!({}),
                json!("00000000-0000-4000-8000-00000000000"),
            ] {
                let refused = asked(&caller, &json!({"retryHistoryId": bad})).unwrap_err();
                assert_eq!(
                    (refused.code, &refused.fields["field"]),
                    (ErrorCode::BadRequest, &json!("retryHistoryId"))
                );
            }
        }
        assert_eq!(
            asked(&Caller::Service, &json!({"prompt": "x"})).unwrap_err().code,
            ErrorCode::BadRequest
        );
        for caller in [Caller::Scheduler, Caller::Public, Caller::Platform] {
            assert_eq!(asked(&caller, &json!({})).unwrap_err().code, ErrorCode::Forbidden);
        }
    }
}
