//! Storage's error answers. All but three statuses are sent as HTTP 400; the body has the real
//! status as text, and the error's name in its old (`error`) and new (`code`) form. Source:
//! supabase/storage, src/internal/errors/storage-error.ts and src/http/error-handler.ts.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Debug)]
pub(super) struct StorageRefusal {
    status: u16,
    code: &'static str,
    error: &'static str,
    message: String,
}

impl StorageRefusal {
    fn new(status: u16, code: &'static str, error: &'static str, message: &str) -> Self {
        Self { status, code, error, message: message.to_owned() }
    }

    pub(super) fn no_object() -> Self {
        Self::new(404, "NoSuchKey", "not_found", "Object not found")
    }

    /// The real status, and the message.
    pub(super) fn into_parts(self) -> (u16, String) {
        (self.status, self.message)
    }

    /// Whether the refusal means that the object does not exist.
    pub(super) fn is_about_object(&self) -> bool {
        self.code == "NoSuchKey"
    }

    pub(super) fn no_bucket() -> Self {
        Self::new(404, "NoSuchBucket", "Bucket not found", "Bucket not found")
    }

    pub(super) fn invalid_key(key: &str) -> Self {
        Self::new(400, "InvalidKey", "InvalidKey", &format!("Invalid key: {key}"))
    }

    pub(super) fn no_credential() -> Self {
        Self::new(
            400,
            "InvalidRequest",
            "Error",
            "headers must have required property 'authorization'",
        )
    }

    pub(super) fn bad_token() -> Self {
        Self::new(403, "InvalidJWT", "Unauthorized", "invalid token")
    }

    pub(super) fn bad_upload_token() -> Self {
        Self::new(
            400,
            "InvalidSignature",
            "InvalidSignature",
            "The signature of this upload URL is not valid",
        )
    }

    pub(super) fn not_allowed() -> Self {
        Self::new(403, "AccessDenied", "Unauthorized", "new row violates row-level security policy")
    }

    pub(super) fn no_such_range() -> Self {
        let message = "The requested range is not satisfiable";
        Self::new(416, "InvalidRange", "InvalidRange", message)
    }

    pub(super) fn access_denied(message: &str) -> Self {
        Self::new(403, "AccessDenied", "Unauthorized", message)
    }

    pub(super) fn duplicate() -> Self {
        Self::new(409, "KeyAlreadyExists", "Duplicate", "The resource already exists")
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(400, "InvalidRequest", "invalid_request", message)
    }

    pub(super) fn bad_cursor() -> Self {
        let message = "Invalid Parameter continuation token";
        Self::new(400, "InvalidParameter", "InvalidParameter", message)
    }

    pub(super) fn no_feature() -> Self {
        let message = "This feature is not available for your tenant";
        Self::new(400, "FeatureNotEnabled", "FeatureNotEnabled", message)
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            413,
            "EntityTooLarge",
            "Payload too large",
            "The object exceeded the maximum allowed size",
        )
    }

    pub(super) fn mime_type(mime_type: &str) -> Self {
        let message = format!("mime type {mime_type} is not supported");
        Self::new(415, "InvalidMimeType", "invalid_mime_type", &message)
    }

    pub(super) fn no_database() -> Self {
        let message = "The connection to the database timed out";
        Self::new(544, "DatabaseTimeout", "DatabaseTimeout", message)
    }

    /// An error of the database without a refusal of its own, such as a trigger's exception.
    pub(super) fn database(code: &str) -> Self {
        let message = format!("database error, code: {code}");
        Self::new(500, "DatabaseError", "DatabaseError", &message)
    }

    pub(super) fn referenced() -> Self {
        let message =
            "The resource could not be updated or removed due to a foreign key constraint";
        Self::new(409, "ResourceReferenced", "ResourceReferenced", message)
    }

    pub(super) fn locked() -> Self {
        Self::new(423, "ResourceLocked", "ResourceLocked", "The resource is locked")
    }

    /// The answer during a scripted outage.
    pub(super) fn down(status: u16) -> Self {
        Self::new(status, "Unavailable", "Unavailable", "Storage is down")
    }

    pub(super) fn internal(message: &str) -> Self {
        Self::new(500, "InternalError", "internal", message)
    }
}

impl IntoResponse for StorageRefusal {
    fn into_response(self) -> Response {
        let http = match self.status {
            429 | 500 | 544 => StatusCode::from_u16(self.status).unwrap_or_default(),
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({
            "statusCode": self.status.to_string(),
            "code": self.code,
            "error": self.error,
            "message": self.message,
        });
        (http, Json(body)).into_response()
    }
}
