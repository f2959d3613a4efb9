//! The writes of storage: it signs an upload, accepts it, replaces objects. The database decides
//! who may do that.

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::collections::HashMap;

use super::disk::{Description, ObjectPath, WriteError};
use super::{Bucket, Storage, StorageRefusal};
use crate::clock;
use crate::front::SharedFront;
use crate::front::caller::{ProjectCaller, text};
use crate::front::token::Claims;

/// The lifetime that hosted projects give.
const UPLOAD_TOKEN_LIFETIME_S: u64 = 7200;

/// Checks the right to upload now; the token proves it later.
pub(super) async fn sign(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StorageRefusal> {
    let storage = &front.storage;
    let (object, _) = storage.object(&path).await?;
    let upsert = wants_upsert(&headers);
    let owner = may_write(&front, &headers, &object, upsert).await?;
    if !upsert && storage.disk.meta(&object).await.is_some() {
        return Err(StorageRefusal::duplicate());
    }
    let (name, now) = (object.to_string(), clock::now_s());
    let claims = json!({
        "url": name,
        "owner": owner,
        "upsert": upsert,
        "iat": now,
        "exp": now + UPLOAD_TOKEN_LIFETIME_S,
    });
    let token = storage.secret.sign(&claims);
    let url = format!("/object/upload/sign/{}?token={token}", object.url_path());
    Ok(Json(json!({"url": url, "token": token})).into_response())
}

/// The token is the only credential, and is valid for this one object.
pub(super) async fn upload_signed(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Result<Response, StorageRefusal> {
    let (object, bucket) = front.storage.object(&path).await?;
    let token = query.get("token").map_or("", String::as_str);
    let upsert = signed_upsert(&front.storage, token, &object)?;
    store(&front.storage, &object, &bucket, upsert, request).await?;
    Ok(Json(json!({"Key": object.to_string()})).into_response())
}

/// Whether the token of a signed upload may replace this object.
pub(super) fn signed_upsert(
    storage: &Storage,
    token: &str,
    object: &ObjectPath,
) -> Result<bool, StorageRefusal> {
    let claims = storage.secret.claims(token);
    let is_meant = |claims: &Claims| {
        claims.get("url").and_then(Value::as_str) == Some(object.to_string().as_str())
    };
    let claims = claims.filter(is_meant).ok_or_else(StorageRefusal::bad_upload_token)?;
    Ok(claims.get("upsert").and_then(Value::as_bool).unwrap_or_default())
}

pub(super) async fn upload(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, StorageRefusal> {
    let upsert = wants_upsert(request.headers());
    write(&front, &path, upsert, request).await
}

pub(super) async fn replace(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, StorageRefusal> {
    write(&front, &path, true, request).await
}

async fn write(
    front: &SharedFront,
    path: &str,
    upsert: bool,
    request: Request,
) -> Result<Response, StorageRefusal> {
    let (object, bucket) = front.storage.object(path).await?;
    may_write(front, request.headers(), &object, upsert).await?;
    let id = store(&front.storage, &object, &bucket, upsert, request).await?;
    Ok(Json(json!({"Key": object.to_string(), "Id": id})).into_response())
}

/// Refuses a caller without the right: a service key may write everything, every other caller what
/// a policy allows. Returns the caller's id.
pub(super) async fn may_write(
    front: &SharedFront,
    headers: &HeaderMap,
    object: &ObjectPath,
    upsert: bool,
) -> Result<Option<String>, StorageRefusal> {
    let caller = ProjectCaller::of(headers, &front.keys, &front.signer);
    let Some(caller) = bound(caller)? else { return Ok(None) };
    front.storage.database.test_write(caller.role, &caller.claims, object, upsert).await?;
    Ok(caller.id)
}

/// A caller to whom policies apply.
pub(super) struct BoundCaller {
    pub(super) role: &'static str,
    pub(super) claims: Value,
    id: Option<String>,
}

/// The caller, or `None` for a service key, to which no policy applies.
pub(super) fn bound(caller: ProjectCaller) -> Result<Option<BoundCaller>, StorageRefusal> {
    let (role, claims, id) = match caller {
        ProjectCaller::Service => return Ok(None),
        ProjectCaller::Anon => ("anon", json!({"role": "anon"}), None),
        ProjectCaller::User { id, claims } => ("authenticated", Value::Object(claims), Some(id)),
        ProjectCaller::Nobody => return Err(StorageRefusal::no_credential()),
        ProjectCaller::Invalid => return Err(StorageRefusal::bad_token()),
    };
    Ok(Some(BoundCaller { role, claims, id }))
}

pub(super) fn service_only(front: &SharedFront, headers: &HeaderMap) -> Result<(), StorageRefusal> {
    match ProjectCaller::of(headers, &front.keys, &front.signer) {
        ProjectCaller::Service => Ok(()),
        ProjectCaller::Nobody => Err(StorageRefusal::no_credential()),
        ProjectCaller::Invalid => Err(StorageRefusal::bad_token()),
        ProjectCaller::Anon | ProjectCaller::User { .. } => Err(StorageRefusal::not_allowed()),
    }
}

pub(super) fn wants_upsert(headers: &HeaderMap) -> bool {
    text(headers, "x-upsert") == Some("true")
}

/// Stores an object. Browsers send a form whose file has no name; other clients send the bytes.
async fn store(
    storage: &Storage,
    object: &ObjectPath,
    bucket: &Bucket,
    upsert: bool,
    mut request: Request,
) -> Result<String, StorageRefusal> {
    let headers = request.headers().clone();
    let is_form = text(&headers, CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("multipart/form-data"));
    if !is_form {
        let metadata = text(&headers, "x-metadata").and_then(|text| STANDARD.decode(text).ok());
        let description = Description {
            content_type: text(&headers, CONTENT_TYPE.as_str()).map(str::to_owned),
            cache_control: text(&headers, CACHE_CONTROL.as_str()).map(str::to_owned),
            user_metadata: metadata.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        };
        return put(storage, object, bucket, upsert, description, data(request.into_body())).await;
    }
    DefaultBodyLimit::disable().apply(&mut request);
    let mut fields = Multipart::from_request(request, &())
        .await
        .map_err(|error| StorageRefusal::bad_request(&error.body_text()))?;
    let mut description = Description::default();
    while let Some(field) = fields
        .next_field()
        .await
        .map_err(|error| StorageRefusal::bad_request(&error.body_text()))?
    {
        let name = field.name().unwrap_or_default().to_owned();
        if name.is_empty() || field.file_name().is_some() {
            description.content_type = field.content_type().map(str::to_owned);
            return put(
                storage,
                object,
                bucket,
                upsert,
                description,
                field.map(|chunk| chunk.map_err(std::io::Error::other)),
            )
            .await;
        }
        let value =
            field.text().await.map_err(|error| StorageRefusal::bad_request(&error.body_text()))?;
        match name.as_str() {
            "cacheControl" => description.cache_control = Some(format!("max-age={value}")),
            "metadata" => description.user_metadata = serde_json::from_str(&value).ok(),
            _ => {}
        }
    }
    Err(StorageRefusal::bad_request("The form has no file"))
}

fn data(body: Body) -> impl Stream<Item = std::io::Result<Bytes>> {
    let stream: BodyDataStream = body.into_data_stream();
    stream.map(|chunk| chunk.map_err(std::io::Error::other))
}

pub(super) async fn put(
    storage: &Storage,
    object: &ObjectPath,
    bucket: &Bucket,
    upsert: bool,
    description: Description,
    chunks: impl Stream<Item = std::io::Result<Bytes>>,
) -> Result<String, StorageRefusal> {
    check_type(&description, bucket)?;
    let bytes_max = bucket.bytes_max.unwrap_or(u64::MAX).min(storage.bytes_max);
    let written = storage.disk.write(object, bytes_max, upsert, description, chunks).await;
    written.map_err(|error| match error {
        WriteError::Exists => StorageRefusal::duplicate(),
        WriteError::TooLarge => StorageRefusal::too_large(),
        WriteError::Io(error) => StorageRefusal::internal(&error.to_string()),
    })
}

pub(super) fn check_type(description: &Description, bucket: &Bucket) -> Result<(), StorageRefusal> {
    let content_type = description.content_type.as_deref().unwrap_or("application/octet-stream");
    let is_allowed = is_allowed_type(content_type, &bucket.mime_types);
    is_allowed.then_some(()).ok_or_else(|| StorageRefusal::mime_type(content_type))
}

/// A bucket may name whole types, or `image/*`. The type's parameters do not matter.
fn is_allowed_type(content_type: &str, allowed: &[String]) -> bool {
    let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    allowed.is_empty()
        || allowed.iter().any(|each| match each.strip_suffix('*') {
            Some(family) => name.starts_with(family),
            None => name == *each,
        })
}
