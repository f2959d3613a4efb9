//! The only list of error codes, and the error that every handler returns.
//!
//! An error never shows the caller a stack, SQL text, a key or a token: details for the log belong
//! in `internal`.

use serde_json::{Map, Value};

macro_rules! error_codes {
    ($($variant:ident $code:literal $status:literal $message:literal;)*) => {
        /// The error codes of the HTTP contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($variant),* }

        impl ErrorCode {
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code),* }
            }

            pub fn http_status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status),* }
            }

            /// Returns the message for errors that have no better one.
            pub fn default_message(self) -> &'static str {
                match self { $(ErrorCode::$variant => $message),* }
            }
        }
    };
}

error_codes! {
    BadRequest "bad_request" 400 "The request is not valid";
    Unauthorized "unauthorized" 401 "Sign in first";
    InsufficientCredits "insufficient_credits" 402 "Not enough credits";
    Forbidden "forbidden" 403 "Not allowed";
    NotFound "not_found" 404 "Not found";
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed";
    ActiveJobExists "active_job_exists" 409 "Another job of yours is still active";
    AlreadyFinal "already_final" 409 "The job has already ended";
    InProgress "in_progress" 409 "The job is in progress";
    PriceChanged "price_changed" 409 "The order costs more than you agreed to";
    IdempotencyConflict "idempotency_conflict" 409 "This id was used for a different request";
    PayloadTooLarge "payload_too_large" 413 "The request body is too large";
    ProviderRejected "provider_rejected" 422 "The provider refused the job";
    RateLimited "rate_limited" 429 "Too many requests";
    Internal "internal" 500 "Internal error";
    Misconfigured "misconfigured" 500 "The function is not configured";
    QueueFull "queue_full" 503 "The queue is full";
    ToolDisabled "tool_disabled" 503 "This tool is switched off";
    WrongDeployment "wrong_deployment" 503 "The database belongs to another deployment";
    UpstreamUnavailable "upstream_unavailable" 503 "A service this function needs does not answer";
}

impl ErrorCode {
    pub fn parse(code: &str) -> Option<ErrorCode> {
        Self::ALL.iter().copied().find(|known| known.as_str() == code)
    }
}

/// The one error type of every handler.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub code: ErrorCode,
    /// The message for the caller.
    pub message: String,
    /// Further fields of the body that the contract names for this code.
    pub fields: Map<String, Value>,
    /// The seconds of `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// Details for the log line only.
    pub internal: Option<String>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: Map::new(),
            retry_after_s: None,
            internal: None,
        }
    }

    /// Returns the error with the default message of its code.
    pub fn of(code: ErrorCode) -> Self {
        Self::new(code, code.default_message())
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// Returns a 400 that names the field at fault. `problem` follows the field's name in the
    /// message.
    pub fn bad_field(field: &str, problem: &str) -> Self {
        Self::new(ErrorCode::BadRequest, format!("`{field}` {problem}")).with_field("field", field)
    }

    pub fn unauthorized() -> Self {
        Self::of(ErrorCode::Unauthorized)
    }

    pub fn forbidden() -> Self {
        Self::of(ErrorCode::Forbidden)
    }

    pub fn not_found() -> Self {
        Self::of(ErrorCode::NotFound)
    }

    /// Returns a 500 that names the setting, never its value.
    pub fn misconfigured(variable: &str) -> Self {
        Self::new(ErrorCode::Misconfigured, format!("{variable} is missing or not valid"))
    }

    /// Returns a 500 whose `detail` only the log shows.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::of(ErrorCode::Internal).with_internal(detail)
    }

    /// Returns a 503 whose `detail` only the log shows.
    pub fn upstream(detail: impl Into<String>) -> Self {
        Self::of(ErrorCode::UpstreamUnavailable).with_internal(detail)
    }

    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    #[must_use]
    pub fn with_internal(mut self, detail: impl Into<String>) -> Self {
        self.internal = Some(detail.into());
        self
    }

    /// Returns the JSON body of the error. The four fixed fields take precedence over extra fields
    /// of the same name.
    pub fn to_body(&self, request_id: &str) -> Value {
        let mut body = self.fields.clone();
        body.insert("error".to_owned(), Value::from(self.message.as_str()));
        body.insert("message".to_owned(), Value::from(self.message.as_str()));
        body.insert("code".to_owned(), Value::from(self.code.as_str()));
        body.insert("request_id".to_owned(), Value::from(request_id));
        Value::Object(body)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_parse_back() {
        for (i, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!(ErrorCode::ALL[..i].iter().all(|other| other.as_str() != code.as_str()));
        }
        assert_eq!(ErrorCode::parse("nonsense"), None);
    }

    #[test]
    fn the_body_has_the_fixed_fields_and_hides_internal_details() {
        let body =
            ApiError::internal("select * from secrets").with_field("code", "fake").to_body("r-1");
        assert_eq!(
            body,
            serde_json::json!({
                "error": "Internal error",
                "message": "Internal error",
                "code": "internal",
                "request_id": "r-1",
            })
        );
    }
}
