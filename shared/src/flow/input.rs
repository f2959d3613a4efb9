//! Inputs before the debit: a text that is short enough, a URL that may be named, an object that is there.
//!
//! It never downloads an input; the provider does.

use super::Cx;
use crate::address::{self, Input};
use crate::error::ApiError;
use crate::id::UserId;
use crate::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use serde_json::Value;

const INFO_MS: u32 = 5_000;

/// Refuses a text of more characters.
pub fn at_most(field: &str, text: Option<&str>, chars: usize) -> Result<(), ApiError> {
    match text {
        Some(text) if text.chars().count() > chars => {
            Err(ApiError::bad_field(field, &format!("must have at most {chars} characters")))
        }
        _ => Ok(()),
    }
}

/// Checks the URL in `field` and, where it is in our own storage, that the object exists.
/// Returns the URL to hand to the provider.
pub async fn check<T: Transport>(cx: &Cx<'_, T>, field: &str, url: &str, caller: UserId) -> Result<String, ApiError> {
    let input = address::input(url, caller, cx.config).map_err(|problem| ApiError::bad_field(field, problem))?;
    if let Input::Own { object, .. } = &input {
        exists(cx, field, object).await?;
    }
    Ok(input.url().to_owned())
}

async fn exists<T: Transport>(cx: &Cx<'_, T>, field: &str, object: &str) -> Result<(), ApiError> {
    let request = HttpRequest {
        method: "GET",
        url: format!("{}/storage/v1/object/info/{object}", cx.config.supabase_url()?),
        headers: cx.config.service_headers()?,
        body: None,
        timeout_ms: INFO_MS,
    };
    match cx.transport.send(request).await {
        Ok(HttpResponse { status: 200..=299, .. }) => Ok(()),
        Ok(response) if is_missing(&response) => {
            Err(ApiError::bad_field(field, "is not in our storage; upload it first"))
        }
        Ok(response) => Err(ApiError::upstream(format!("storage answered {}", response.status))),
        Err(TransportError::NotSent(detail) | TransportError::Unknown(detail)) => {
            Err(ApiError::upstream(format!("storage: {detail}")))
        }
    }
}

/// Storage says "not found" as a 404, or as a 400 whose body carries the status.
fn is_missing(response: &HttpResponse) -> bool {
    let inner = || serde_json::from_str::<Value>(&response.body).ok()?.get("statusCode").cloned();
    response.status == 404 || (response.status == 400 && inner().is_some_and(|status| status == "404" || status == 404))
}

#[cfg(test)]
mod tests {
    use super::is_missing;
    use crate::transport::HttpResponse;

    #[test]
    fn storage_has_two_ways_to_say_not_found() {
        let missing = |status, body: &str| is_missing(&HttpResponse { status, headers: Vec::new(), body: body.into() });
        assert!(missing(404, ""));
        assert!(missing(400, r#"{"statusCode":"404","error":"not_found","message":"Object not found"}"#));
        assert!(!missing(400, r#"{"statusCode":"400","error":"InvalidKey","message":"404.png"}"#));
        assert!(!missing(503, "404"));
    }
}
