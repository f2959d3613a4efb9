//! The envelope of every answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A call that is refused, as the API says it.
#[derive(Debug)]
pub(super) struct CloudRefusal {
    status: StatusCode,
    code: u64,
    message: String,
}

pub(super) type CloudAnswer = Result<Value, CloudRefusal>;

/// A call that is wrong in itself.
pub(super) fn refused(code: u64, message: impl Into<String>) -> CloudRefusal {
    CloudRefusal { status: StatusCode::BAD_REQUEST, code, message: message.into() }
}

/// A call of somebody who may not.
pub(super) fn forbidden(code: u64, message: impl Into<String>) -> CloudRefusal {
    CloudRefusal { status: StatusCode::FORBIDDEN, code, message: message.into() }
}

/// A Worker that does not exist.
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
