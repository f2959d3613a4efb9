//! Requests to our own functions with the service key.

use super::Cx;
use crate::core::error::ApiError;
use crate::core::transport::{HttpRequest, Transport};
use serde_json::Value;

/// A POST to `path`, which is the function's name and its operation.
pub(super) fn request<T: Transport>(
    cx: &Cx<'_, T>,
    path: &str,
    body: &Value,
    timeout_ms: u32,
) -> Result<HttpRequest, ApiError> {
    let key = cx.config.service_key()?;
    Ok(HttpRequest {
        method: "POST",
        // A binding uses only the path.
        url: format!("https://functions.invalid/functions/v1/{path}"),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {key}")),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-request-id".to_owned(), cx.request_id.to_owned()),
        ],
        body: Some(body.to_string()),
        timeout_ms,
    })
}
