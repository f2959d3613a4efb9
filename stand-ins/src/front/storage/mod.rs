//! `/storage/v1`: signed uploads, uploads in chunks, object info, reads by URL. The policies of the
//! project's database decide whether a caller may write or read, and its rows are the buckets. Only
//! a service key needs no policy, or removes objects.

mod database;
mod disk;
mod listing;
mod refusal;
mod remove;
mod resumable;
mod write;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
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

pub(super) struct Storage {
    disk: Disk,
    database: StorageDatabase,
    /// The project's limit for a file, which no bucket exceeds.
    bytes_max: u64,
    /// Storage signs upload tokens with a key of its own.
    secret: Secret,
    resumable: ResumableUploads,
    faults: Mutex<StorageFaults>,
}

/// The faults that `POST /__storage` has set.
#[derive(Clone, Copy, Default)]
pub(super) struct StorageFaults {
    down: Option<u16>,
    no_list_v2: bool,
}

impl Storage {
    pub(super) fn new(config: &StandInConfig) -> anyhow::Result<Self> {
        let secret = Secret::new(format!("storage {}", config.jwt_secret).as_bytes());
        let disk = Disk::new(config.storage_dir.clone())?;
        let database = StorageDatabase::new(&config.database_url);
        let bytes_max = config.storage_bytes_max;
        let resumable = ResumableUploads::new(config.upload_lifetime_s);
        Ok(Self { disk, database, bytes_max, secret, resumable, faults: Mutex::default() })
    }

    fn faults(&self) -> StorageFaults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object that a request reads. An impossible name counts as one of no object.
    async fn readable(&self, path: &str) -> Result<(ObjectPath, Bucket), StorageRefusal> {
        ObjectPath::of(path).ok_or_else(StorageRefusal::no_object)?;
        self.object(path).await
    }

    /// The object, if everybody may read it without a credential.
    async fn public(&self, path: &str) -> Result<ObjectPath, StorageRefusal> {
        let (object, bucket) = self.readable(path).await?;
        bucket.is_public.then_some(object).ok_or_else(StorageRefusal::no_bucket)
    }

    /// The object that a URL's `<bucket>/<path>` names, and the row of its bucket.
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
        .route("/object/list-v2/{bucket}", post(listing::list_all))
        .route("/object/public/{*path}", get(read_public))
        .route("/object/authenticated/{*path}", get(read))
        .route(
            "/object/{*path}",
            get(read).post(write::upload).put(write::replace).delete(remove::remove),
        )
        .merge(resumable::routes())
        .layer(middleware::from_fn_with_state(front.clone(), while_up))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Misbehaviour {
    down: bool,
    status: Option<u16>,
    #[serde(default)]
    no_list_v2: bool,
}

/// `POST /__storage {"down":true,"status":503}` makes every storage request fail with that status,
/// in the form of storage's errors, until `{"down":false}`. With `"no_list_v2":true` storage
/// behaves as if its database lacked what `list-v2` needs.
pub(super) async fn misbehave(
    State(front): State<SharedFront>,
    Json(wanted): Json<Misbehaviour>,
) -> Json<Value> {
    let down = wanted.down.then(|| wanted.status.unwrap_or(503));
    let faults = StorageFaults { down, no_list_v2: wanted.no_list_v2 };
    *front.storage.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    Json(json!({"ok": true}))
}

async fn while_up(State(front): State<SharedFront>, request: Request, next: Next) -> Response {
    match front.storage.faults().down {
        None => next.run(request).await,
        Some(status) => {
            // A connection with an unread body would be closed, and the caller's next request would
            // fail.
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
    content(&front, &object, &query, &headers).await
}

async fn read_public(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, StorageRefusal> {
    content(&front, &front.storage.public(&path).await?, &query, &headers).await
}

/// Whether the caller may read: a service key reads everything, and every other caller what a
/// policy shows. An object that may not be read counts as missing.
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

/// The objects of one folder whose names begin with the search text, if the caller may read them.
async fn list(
    State(front): State<SharedFront>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    Json(listing): Json<Listing>,
) -> Result<Response, StorageRefusal> {
    // The object's name only serves to read its folder.
    let folder = listing.prefix.trim_matches('/');
    let (object, _) = front.storage.readable(&format!("{bucket}/{folder}/any")).await?;
    let mut names = front.storage.disk.names_beside(&object).await;
    names.retain(|name| name.starts_with(&listing.search));
    // Policies decide by bucket and folder, so the answer for one object of the folder holds for
    // all.
    match may_read(&front, &headers, &object).await {
        Err(refusal) if refusal.is_about_object() => names.clear(),
        said => said?,
    }
    names.truncate(listing.limit.unwrap_or(100));
    Ok(Json(names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()).into_response())
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
    headers: &HeaderMap,
) -> Result<Response, StorageRefusal> {
    let asked = asked_range(headers);
    let part = asked.clone().unwrap_or(0..u64::MAX);
    let stored = front.storage.disk.open(object, &part).await;
    let Stored { meta, body } = stored.ok_or_else(StorageRefusal::no_object)?;
    let end = part.end.min(meta.size);
    if asked.is_some() && part.start >= end {
        return Err(StorageRefusal::no_such_range());
    }
    let mut response = Response::new(body);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, &meta.content_type);
    set(header::CONTENT_LENGTH, &(end - part.start).to_string());
    if asked.is_some() {
        let last = end - 1;
        set(header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", part.start, meta.size));
    }
    set(header::CACHE_CONTROL, &meta.cache_control);
    set(header::ETAG, &meta.etag);
    if query.contains_key("download") {
        set(header::CONTENT_DISPOSITION, "attachment");
    }
    if asked.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The range of bytes that a request asks for, as `bytes=<first>-<last>` or `bytes=<first>-`.
fn asked_range(headers: &HeaderMap) -> Option<Range<u64>> {
    let range = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let end = if last.is_empty() { u64::MAX } else { last.parse::<u64>().ok()?.checked_add(1)? };
    Some(first.parse().ok()?..end)
}
