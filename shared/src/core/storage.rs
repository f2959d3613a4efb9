//! What the answers of Supabase Storage mean.
//!
//! Source: supabase/storage, src/internal/errors: most errors are sent as HTTP 400 with the true
//! status as text in the body's `statusCode`.

use serde_json::Value;

/// The status that storage means.
pub fn status(http: u16, body: &str) -> u16 {
    if http != 400 {
        return http;
    }
    let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let named = body.get("statusCode");
    let text = named.and_then(Value::as_str).and_then(|text| text.parse().ok());
    let number = named.and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
    text.or(number).unwrap_or(http)
}

/// What a refused upload means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadRefusal {
    /// The object exists.
    Duplicate,
    /// Storage will never take this file.
    Rejected,
    /// The bucket, its policy or our key is at fault.
    Misconfigured,
    Transient,
}

/// Classifies an answer to an upload that is no success.
pub fn upload_refusal(http: u16, body: &str) -> UploadRefusal {
    match status(http, body) {
        409 if http == 409 || body.contains("uplicate") => UploadRefusal::Duplicate,
        400 | 413 | 415 | 422 => UploadRefusal::Rejected,
        401 | 403 | 404 => UploadRefusal::Misconfigured,
        _ => UploadRefusal::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::{UploadRefusal, status, upload_refusal};

    fn wrapped(status: &str, error: &str) -> String {
        format!(r#"{{"statusCode":"{status}","error":"{error}","message":"words"}}"#)
    }

    #[test]
    fn the_status_in_the_body_counts_where_http_says_400() {
        assert_eq!(status(400, &wrapped("503", "SlowDown")), 503);
        assert_eq!(status(400, r#"{"statusCode":413}"#), 413);
        assert_eq!(status(400, "<html>"), 400);
        assert_eq!(status(502, &wrapped("404", "x")), 502);
    }

    #[test]
    fn r05_only_what_storage_will_never_take_is_final() {
        for (http, body, expected) in [
            (400, wrapped("503", "SlowDown"), UploadRefusal::Transient),
            (400, wrapped("503", "LockTimeout"), UploadRefusal::Transient),
            (400, wrapped("423", "ResourceLocked"), UploadRefusal::Transient),
            (400, wrapped("409", "TransactionError"), UploadRefusal::Transient),
            (400, wrapped("409", "Duplicate"), UploadRefusal::Duplicate),
            (409, String::new(), UploadRefusal::Duplicate),
            (400, wrapped("408", "x"), UploadRefusal::Transient),
            (400, wrapped("429", "x"), UploadRefusal::Transient),
            (544, String::new(), UploadRefusal::Transient),
            (400, wrapped("413", "Payload too large"), UploadRefusal::Rejected),
            (400, wrapped("415", "invalid_mime_type"), UploadRefusal::Rejected),
            (400, "{}".to_owned(), UploadRefusal::Rejected),
            (400, wrapped("403", "Unauthorized"), UploadRefusal::Misconfigured),
            (400, wrapped("404", "Bucket not found"), UploadRefusal::Misconfigured),
            (401, String::new(), UploadRefusal::Misconfigured),
        ] {
            assert_eq!(upload_refusal(http, &body), expected, "{http} {body}");
        }
    }
}
