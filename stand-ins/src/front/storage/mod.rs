//! `/storage/v1`: signed uploads, uploads in chunks, object info, reading by URL. Whether a caller
//! may write or read is what the policies of the project's database say; its buckets are the rows
//! there. Only a service key passes without a policy or removes objects.

mod database;
mod disk;
mod refusal;
mod resumable;
mod write;

use std::sync::{Mutex, PoisonError};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

use super::SharedFront;
use super::caller::ProjectCaller;
use super::token::Secret;
use crate::clock;
use crate::config::StandInConfig;
use database::{Bucket, StorageDatabase};
use disk::{Disk, ObjectPath, Stored};
use refusal::StorageRefusal;
use resumable::ResumableUploads;

/// Objects on one page of `list-v2`, whatever is asked for.
const FLAT_LISTING_MAX: usize = 1_000;

pub(super) struct Storage {
    disk: Disk,
    database: StorageDatabase,
    /// The project's limit, which no bucket exceeds.
    bytes_max: u64,
    /// Storage signs upload tokens with a key of its own.
    secret: Secret,
    resumable: ResumableUploads,
    down: Mutex<Option<u16>>,
}

impl Storage {
    pub(super) fn new(config: &StandInConfig) -> anyhow::Result<Self> {
        let secret = Secret::new(format!("storage {}", config.jwt_secret).as_bytes());
        let disk = Disk::new(config.storage_dir.clone())?;
        let database = StorageDatabase::new(&config.database_url);
        let bytes_max = config.storage_bytes_max;
        let resumable = ResumableUploads::new(config.upload_lifetime_s);
        Ok(Self { disk, database, bytes_max, secret, resumable, down: Mutex::default() })
    }

    fn down(&self) -> Option<u16> {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object that a request reads; an impossible name is one that does not exist.
    async fn readable(&self, path: &str) -> Result<(ObjectPath, Bucket), StorageRefusal> {
        ObjectPath::of(path).ok_or_else(StorageRefusal::no_object)?;
        self.object(path).await
    }

    /// The object that anybody reads without a credential.
    async fn public(&self, path: &str) -> Result<ObjectPath, StorageRefusal> {
        let (object, bucket) = self.readable(path).await?;
        bucket.is_public.then_some(object).ok_or_else(StorageRefusal::no_bucket)
    }

    /// `<bucket>/<path>` of a URL, and its bucket's row.
    async fn object(&self, path: &str) -> Result<(ObjectPath, Bucket), StorageRefusal> {
        let object = ObjectPath::of(path).ok_or_else(|| StorageRefusal::invalid_key(path))?;
        let bucket = self.database.bucket(&object.bucket).await?;
        Ok((object, bucket))
    }
}

pub(super) fn routes(front: &SharedFront) -> Router<SharedFront> {
    Router::new()
        .route("/object/upload/sign/{*path}", post(write::sign).put(write::upload_signed))
        .route("/object/info/public/{*path}", get(info_public))
        .route("/object/info/authenticated/{*path}", get(info))
        .route("/object/info/{*path}", get(info))
        .route("/object/list/{bucket}", post(list))
        .route("/object/list-v2/{bucket}", post(list_all))
        .route("/object/public/{*path}", get(read_public))
        .route("/object/authenticated/{*path}", get(read))
        .route(
            "/object/{*path}",
            get(read).post(write::upload).put(write::replace).delete(write::remove),
        )
        .merge(resumable::routes())
        .layer(middleware::from_fn_with_state(front.clone(), while_up))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Misbehaviour {
    down: bool,
    status: Option<u16>,
}

/// `POST /__storage {"down":true,"status":503}` makes every storage request answer that, in the way
/// in which storage sends its errors, until `{"down":false}`.
pub(super) async fn misbehave(
    State(front): State<SharedFront>,
    Json(wanted): Json<Misbehaviour>,
) -> Json<Value> {
    let down = wanted.down.then(|| wanted.status.unwrap_or(503));
    *front.storage.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
    Json(json!({"ok": true}))
}

async fn while_up(State(front): State<SharedFront>, request: Request, next: Next) -> Response {
    match front.storage.down() {
        None => next.run(request).await,
        Some(status) => {
            // A connection with an unread body is closed, and the caller's next request with it.
            let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            StorageRefusal::down(status).into_response()
        }
    }
}

async fn info(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StorageRefusal> {
    let (object, _) = front.storage.readable(&path).await?;
    may_read(&front, &headers, &object).await?;
    shown(&front, &object).await
}

async fn info_public(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
) -> Result<Response, StorageRefusal> {
    shown(&front, &front.storage.public(&path).await?).await
}

async fn read(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, StorageRefusal> {
    let (object, _) = front.storage.readable(&path).await?;
    may_read(&front, &headers, &object).await?;
    content(&front, &object, &query).await
}

async fn read_public(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, StorageRefusal> {
    content(&front, &front.storage.public(&path).await?, &query).await
}

/// A service key reads everything, everybody else what a policy shows. What may not be read is not
/// there.
async fn may_read(
    front: &SharedFront,
    headers: &HeaderMap,
    object: &ObjectPath,
) -> Result<(), StorageRefusal> {
    let caller = ProjectCaller::of(headers, &front.keys, &front.signer);
    let Some(caller) = write::bound(caller)? else { return Ok(()) };
    let seen = front.storage.database.may_read(caller.role, &caller.claims, object).await?;
    seen.then_some(()).ok_or_else(StorageRefusal::no_object)
}

#[derive(Deserialize)]
pub(super) struct Listing {
    prefix: String,
    #[serde(default)]
    search: String,
    limit: Option<usize>,
}

/// The objects of one folder whose names begin like that, as far as the caller may read them.
async fn list(
    State(front): State<SharedFront>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    Json(listing): Json<Listing>,
) -> Result<Response, StorageRefusal> {
    // A name is needed only to ask for the folder it would lie in.
    let folder = listing.prefix.trim_matches('/');
    let (object, _) = front.storage.readable(&format!("{bucket}/{folder}/any")).await?;
    let mut names = front.storage.disk.names_beside(&object).await;
    names.retain(|name| name.starts_with(&listing.search));
    // Policies go by bucket and folder: what is said of one object there holds for each.
    match may_read(&front, &headers, &object).await {
        Err(refusal) if refusal.is_about_object() => names.clear(),
        said => said?,
    }
    names.truncate(listing.limit.unwrap_or(100));
    Ok(Json(names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlatListing {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    cursor: Option<String>,
    #[serde(default)]
    with_delimiter: bool,
}

/// The objects of a bucket whose whole names begin like that, by name. A cursor is storage's own
/// and goes on after the last name (supabase/storage, src/storage/object.ts, `listObjectsV2`).
/// Only the service key lists here, and only without folders.
async fn list_all(
    State(front): State<SharedFront>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    Json(listing): Json<FlatListing>,
) -> Result<Response, StorageRefusal> {
    write::service_only(&front, &headers)?;
    front.storage.database.bucket(&bucket).await?;
    if listing.with_delimiter || listing.limit == Some(0) {
        return Err(StorageRefusal::bad_request("body/limit must be >= 1"));
    }
    let after = match listing.cursor {
        Some(cursor) => {
            let bytes = STANDARD.decode(cursor).unwrap_or_default();
            let text = String::from_utf8(bytes).unwrap_or_default();
            let after = text.strip_prefix("l:").map(str::to_owned);
            after.ok_or_else(|| StorageRefusal::bad_request("Invalid continuation token"))?
        }
        None => String::new(),
    };
    let mut names = front.storage.disk.names_in(&bucket).await;
    names.retain(|name| name.starts_with(&listing.prefix) && *name > after);
    let limit = listing.limit.unwrap_or(FLAT_LISTING_MAX).min(FLAT_LISTING_MAX);
    let has_next = names.len() > limit;
    names.truncate(limit);
    let mut objects = Vec::new();
    for name in &names {
        let object = ObjectPath { bucket: bucket.clone(), path: name.clone() };
        if let Some(meta) = front.storage.disk.meta(&object).await {
            objects.push(json!({
                "id": meta.id,
                "name": name,
                "created_at": clock::iso(meta.created_ms),
                "updated_at": clock::iso(meta.updated_ms),
                "metadata": {"size": meta.size, "mimetype": meta.content_type},
            }));
        }
    }
    let mut answer = json!({"hasNext": has_next, "folders": [], "objects": objects});
    if let (true, Some(last)) = (has_next, names.last()) {
        answer["nextCursor"] = STANDARD.encode(format!("l:{last}")).into();
    }
    Ok(Json(answer).into_response())
}

async fn shown(front: &SharedFront, object: &ObjectPath) -> Result<Response, StorageRefusal> {
    let meta = front.storage.disk.meta(object).await.ok_or_else(StorageRefusal::no_object)?;
    let body = json!({
        "id": meta.id,
        "name": object.path,
        "version": meta.version,
        "bucket_id": object.bucket,
        "size": meta.size,
        "content_type": meta.content_type,
        "cache_control": meta.cache_control,
        "etag": meta.etag,
        "metadata": meta.user_metadata,
        "last_modified": clock::iso(meta.updated_ms),
        "created_at": clock::iso(meta.created_ms),
    });
    Ok(Json(body).into_response())
}

async fn content(
    front: &SharedFront,
    object: &ObjectPath,
    query: &HashMap<String, String>,
) -> Result<Response, StorageRefusal> {
    let Stored { meta, body } =
        front.storage.disk.open(object).await.ok_or_else(StorageRefusal::no_object)?;
    let mut response = Response::new(body);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, &meta.content_type);
    set(header::CONTENT_LENGTH, &meta.size.to_string());
    set(header::CACHE_CONTROL, &meta.cache_control);
    set(header::ETAG, &meta.etag);
    // A page must not be able to run what somebody uploaded.
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if query.contains_key("download") {
        set(header::CONTENT_DISPOSITION, "attachment");
    }
    Ok(response)
}
