//! Checks inputs before the debit: the length of a text, the host of a URL, the existence of an
//! object in our storage.
//!
//! It never downloads an input; the provider does.

use crate::core::address::{self, InputUrl};
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::transport::{HttpRequest, HttpResponse, Transport};
use crate::core::{origin, storage};
use crate::flow::Cx;
use serde_json::Value;

const INFO_MS: u32 = 5_000;

/// Refuses a text of more than `chars` characters.
pub fn at_most(field: &str, text: Option<&str>, chars: usize) -> Result<(), ApiError> {
    match text {
        Some(text) if text.chars().count() > chars => {
            Err(ApiError::bad_field(field, &format!("must have at most {chars} characters")))
        }
        _ => Ok(()),
    }
}

/// Refuses an admin's text of more than 500 characters.
pub fn admin_text(field: &str, text: Option<&str>) -> Result<(), ApiError> {
    at_most(field, text, ADMIN_CHARS_MAX)
}

const ADMIN_CHARS_MAX: usize = 500;
const SESSION_CHARS_MAX: usize = 200;

/// Refuses a session id of more than 200 characters.
pub fn session_id(field: &str, text: Option<&str>) -> Result<(), ApiError> {
    at_most(field, text, SESSION_CHARS_MAX)
}

/// Checks the URL in `field` and, if it is in our own storage, that the object exists. Returns the
/// URL for the provider.
pub async fn check<T: Transport>(
    cx: &Cx<'_, T>,
    field: &str,
    url: &str,
    caller: UserId,
) -> Result<String, ApiError> {
    if url.is_empty() {
        return Err(ApiError::bad_field(field, "is missing"));
    }
    let url = origin::at_project(url, cx.transport.origin(), cx.config);
    let input = address::input(&url, caller, cx.config)
        .map_err(|problem| ApiError::bad_field(field, problem))?;
    if let InputUrl::Own { object, .. } = &input {
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
        Ok(response) => found(field, &response),
        Err(error) => Err(ApiError::upstream(format!("storage: {error}"))),
    }
}

/// Refuses an object that storage does not have. Answers 503 if storage does not tell.
pub(super) fn found(field: &str, response: &HttpResponse) -> Result<(), ApiError> {
    match input_lookup(response) {
        InputLookup::Found => Ok(()),
        InputLookup::Missing => {
            Err(ApiError::bad_field(field, "is not in our storage; upload it first"))
        }
        InputLookup::Empty => Err(ApiError::bad_field(field, "is an empty file; upload it anew")),
        InputLookup::KeyRefused => Err(ApiError::misconfigured("SUPABASE_SERVICE_ROLE_KEY")
            .with_internal(format!("storage answered {}", response.status))),
        InputLookup::Inconclusive => {
            Err(ApiError::upstream(format!("storage answered {}", response.status)))
        }
    }
}

/// Storage's answer about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputLookup {
    Found,
    /// No object has this name: a retry changes nothing.
    Missing,
    /// The browser lost the file before it was uploaded.
    Empty,
    KeyRefused,
    Inconclusive,
}

fn input_lookup(response: &HttpResponse) -> InputLookup {
    let body = response.json();
    let meant = storage::status(response.status, &response.body);
    let code =
        body.get("code").or_else(|| body.get("error")).and_then(Value::as_str).unwrap_or_default();
    match meant {
        200..=299 if body.get("size").and_then(Value::as_u64) == Some(0) => InputLookup::Empty,
        200..=299 => InputLookup::Found,
        401 => InputLookup::KeyRefused,
        400 | 403 if matches!(code, "InvalidJWT" | "invalid_jwt" | "Unauthorized") => {
            InputLookup::KeyRefused
        }
        408 | 425 | 429 => InputLookup::Inconclusive,
        400..=499 => InputLookup::Missing,
        _ => InputLookup::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::{InputLookup, input_lookup};
    use crate::core::transport::HttpResponse;

    #[test]
    fn only_an_outage_is_inconclusive() {
        let input_lookup = |status, body: &str| {
            input_lookup(&HttpResponse { status, headers: Vec::new(), body: body.into() })
        };
        let says = |status: &str, code: &str| {
            format!(r#"{{"statusCode":"{status}","code":"{code}","message":"404"}}"#)
        };
        for (status, body) in [
            (404, String::new()),
            (
                400,
                r#"{"statusCode":"404","error":"not_found","message":"Object not found"}"#
                    .to_owned(),
            ),
            (400, r#"{"statusCode":404}"#.to_owned()),
            (400, says("404", "NoSuchBucket")),
            (400, says("400", "InvalidKey")),
            (400, "Invalid URL: Invalid UTF-8".to_owned()),
            (400, String::new()),
            (403, "<html>refused by a firewall".to_owned()),
            (400, says("403", "AccessDenied")),
            (414, String::new()),
            (422, String::new()),
        ] {
            assert_eq!(input_lookup(status, &body), InputLookup::Missing, "{status} {body}");
        }
        for (status, body) in [
            (500, String::new()),
            (503, "404".to_owned()),
            (504, says("404", "x")),
            (544, says("544", "DatabaseTimeout")),
            (429, String::new()),
            (408, String::new()),
            (400, says("500", "InternalError")),
            (400, says("503", "SlowDown")),
            (400, says("429", "TooManyRequests")),
            (302, String::new()),
        ] {
            assert_eq!(input_lookup(status, &body), InputLookup::Inconclusive, "{status} {body}");
        }
        for (status, body) in [
            (401, String::new()),
            (403, says("403", "InvalidJWT")),
            (400, says("403", "InvalidJWT")),
        ] {
            assert_eq!(input_lookup(status, &body), InputLookup::KeyRefused, "{status} {body}");
        }
        assert_eq!(input_lookup(200, "{}"), InputLookup::Found);
        assert_eq!(input_lookup(200, r#"{"size":1}"#), InputLookup::Found);
        assert_eq!(input_lookup(200, r#"{"size":0}"#), InputLookup::Empty);
    }
}
