//! The meaning of the answers of Supabase Storage.
//!
//! Source: supabase/storage, src/internal/errors: most errors are sent as HTTP 400, with the true
//! status as text in the body's `statusCode`.

use serde_json::{Value, json};

/// The true status of an answer.
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

/// A page of a bucket's flat listing.
///
/// Source: supabase/storage, src/storage/object.ts, `listObjectsV2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPage {
    /// `{name, created_at}` of each file.
    pub files: Value,
    /// Storage's own cursor to the next page. `None`: this is the last one.
    pub next: Option<String>,
}

impl ListedPage {
    pub fn of(answer: &Value) -> Self {
        let objects = answer.get("objects").and_then(Value::as_array);
        let files = objects.into_iter().flatten().map(
            |object| json!({"name": object.get("name"), "created_at": object.get("created_at")}),
        );
        let next = answer.get("nextCursor").and_then(Value::as_str);
        let next = next.filter(|_| answer.get("hasNext") == Some(&Value::Bool(true)));
        Self { files: files.collect(), next: next.map(str::to_owned) }
    }
}

/// The reason why several files could not be deleted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteRefusal {
    /// One of the files may be the cause: a trigger or a foreign key of the app, or a lock. Storage
    /// deletes all rows in one transaction, and sends a trigger's exception as a 500.
    OneOfThem,
    /// Storage is unreachable or overloaded.
    Outage,
}

/// Classifies an unsuccessful answer to a DELETE of several files.
///
/// Source: supabase/storage, src/storage/object.ts, `deleteObjects`, and
/// src/storage/database/errors.ts.
pub fn delete_refusal(http: u16, body: &str) -> DeleteRefusal {
    match status(http, body) {
        401 | 408 | 429 | 501.. => DeleteRefusal::Outage,
        _ => DeleteRefusal::OneOfThem,
    }
}

/// The meaning of a refused upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadRefusal {
    /// The object exists.
    Duplicate,
    /// Storage will never accept this file.
    Rejected,
    /// The bucket, its policy or our key is wrong.
    Misconfigured,
    Transient,
}

/// Classifies an unsuccessful answer to an upload.
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
    use super::{DeleteRefusal, ListedPage, UploadRefusal, delete_refusal, status, upload_refusal};
    use serde_json::json;

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
    #[test]
    fn a_page_names_its_files_and_the_page_behind_it() {
        let file = json!({"id": "1", "name": "a", "created_at": "2026-01-01T00:00:00Z"});
        let mut answer = json!({"hasNext": true, "nextCursor": "x", "objects": [file]});
        let page = ListedPage::of(&answer);
        assert_eq!(page.files, json!([{"name": "a", "created_at": "2026-01-01T00:00:00Z"}]));
        assert_eq!(page.next.as_deref(), Some("x"));
        answer["hasNext"] = json!(false);
        assert_eq!(ListedPage::of(&answer).next, None);
        assert_eq!(ListedPage::of(&json!(null)).files, json!([]));
    }

    #[test]
    fn only_what_one_file_may_have_caused_is_no_outage_of_a_delete() {
        for (http, body, expected) in [
            (500, wrapped("500", "DatabaseError"), DeleteRefusal::OneOfThem),
            (400, wrapped("409", "ResourceReferenced"), DeleteRefusal::OneOfThem),
            (400, wrapped("423", "ResourceLocked"), DeleteRefusal::OneOfThem),
            (400, wrapped("403", "Unauthorized"), DeleteRefusal::OneOfThem),
            (400, "{}".to_owned(), DeleteRefusal::OneOfThem),
            (400, wrapped("503", "SlowDown"), DeleteRefusal::Outage),
            (429, wrapped("429", "too_many_connections"), DeleteRefusal::Outage),
            (544, wrapped("544", "DatabaseTimeout"), DeleteRefusal::Outage),
            (502, "<html>".to_owned(), DeleteRefusal::Outage),
            (401, String::new(), DeleteRefusal::Outage),
        ] {
            assert_eq!(delete_refusal(http, &body), expected, "{http} {body}");
        }
    }
}
