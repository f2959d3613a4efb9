//! The envelope of every answer of the API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refused call, in the API's words.
#[derive(Debug)]
pub(super) struct CloudRefusal {
    status: StatusCode,
    code: u64,
    message: String,
}

pub(super) type CloudAnswer = Result<Value, CloudRefusal>;

/// The refusal of a call that is invalid.
pub(super) fn refused(code: u64, message: impl Into<String>) -> CloudRefusal {
    CloudRefusal { status: StatusCode::BAD_REQUEST, code, message: message.into() }
}

/// The refusal of a caller without the right.
pub(super) fn forbidden(code: u64, message: impl Into<String>) -> CloudRefusal {
    CloudRefusal { status: StatusCode::FORBIDDEN, code, message: message.into() }
}

/// The refusal of a call about a Worker that does not exist.
pub(super) fn no_worker() -> CloudRefusal {
    missing(10007, "This Worker does not exist on your account.")
}

pub(super) fn missing(code: u64, message: impl Into<String>) -> CloudRefusal {
    CloudRefusal { status: StatusCode::NOT_FOUND, code, message: message.into() }
}

pub(super) fn respond(answer: CloudAnswer) -> Response {
    match answer {
        Ok(result) => {
            let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
            Json(body).into_response()
        }
        Err(CloudRefusal { status, code, message }) => {
            let errors = json!([{ "code": code, "message": message }]);
            let body =
                json!({ "success": false, "errors": errors, "messages": [], "result": null });
            (status, Json(body)).into_response()
        }
    }
}
