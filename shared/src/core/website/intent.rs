//! Tells whether a call of a website function orders a website or retries one.
//!
//! A retry reads only the record's id from the body: the record itself holds its owner and its
//! order. A user may name only their own records, the service may name any. The database decides
//! whether the record may be retried.

use crate::core::auth::Caller;
use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use serde::Deserialize;

/// The field of the body that makes a request a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryTarget {
    pub retry_history_id: Option<JobId>,
}

/// What a caller wants of a website function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    Order,
    Retry {
        website: JobId,
        /// The required owner. `None` for a service call: the record names its owner.
        owner: Option<UserId>,
    },
}

impl Intent {
    /// Returns the intent of a caller whom the policy admitted. Answers 400 if the service names no
    /// record.
    pub fn of(caller: &Caller, target: RetryTarget) -> Result<Self, ApiError> {
        match (caller, target.retry_history_id) {
            (Caller::User { .. } | Caller::Behalf(_), None) => Ok(Self::Order),
            (Caller::User { id, .. }, Some(website)) => {
                Ok(Self::Retry { website, owner: Some(*id) })
            }
            // The record holds all that a retry needs, whomever the service names.
            (Caller::Service | Caller::Behalf(_), Some(website)) => {
                Ok(Self::Retry { website, owner: None })
            }
            (Caller::Service, None) => Err(ApiError::bad_field("retryHistoryId", "is missing")),
            _ => Err(ApiError::forbidden()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Intent, RetryTarget};
    use crate::core::auth::Caller;
    use crate::core::body;
    use crate::core::error::ApiError;
    use crate::core::error::ErrorCode;
    use crate::core::id::{JobId, UserId};
    use serde_json::{Value, json};

    fn intent(caller: &Caller, body: &Value) -> Result<Intent, ApiError> {
        Intent::of(caller, body::typed::<RetryTarget>(body)?)
    }

    #[test]
    fn the_body_names_the_record_but_never_its_owner() {
        let id = UserId::from_random(1);
        let user = Caller::User { id, anonymous: false, admin: false };
        let website = JobId::from_random(2);
        let body =
            json!({"retryHistoryId": website, "userId": UserId::from_random(3), "prompt": "x"});
        assert_eq!(intent(&user, &json!({})), Ok(Intent::Order));
        assert_eq!(intent(&user, &json!({"retryHistoryId": null})), Ok(Intent::Order));
        assert_eq!(intent(&user, &body), Ok(Intent::Retry { website, owner: Some(id) }));
        let behalf = Caller::Behalf(id);
        assert_eq!(intent(&behalf, &json!({})), Ok(Intent::Order));
        for service in [Caller::Service, behalf] {
            assert_eq!(intent(&service, &body), Ok(Intent::Retry { website, owner: None }));
        }
    }

    #[test]
    fn a_body_without_a_valid_record_id_is_refused() {
        let user = Caller::User { id: UserId::from_random(1), anonymous: false, admin: false };
        for caller in [user, Caller::Service] {
            for bad in [
                json!(""),
                json!("7"),
                json!(7),
                json!({}),
                json!("00000000-0000-4000-8000-00000000000"),
            ] {
                let refused = intent(&caller, &json!({"retryHistoryId": bad})).unwrap_err();
                assert_eq!(
                    (refused.code, &refused.fields["field"]),
                    (ErrorCode::BadRequest, &json!("retryHistoryId"))
                );
            }
        }
        assert_eq!(
            intent(&Caller::Service, &json!({"prompt": "x"})).unwrap_err().code,
            ErrorCode::BadRequest
        );
        for caller in [Caller::Scheduler, Caller::Public, Caller::Platform] {
            assert_eq!(intent(&caller, &json!({})).unwrap_err().code, ErrorCode::Forbidden);
        }
    }
}
