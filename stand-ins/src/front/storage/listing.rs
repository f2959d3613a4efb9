//! Lists a whole bucket, page by page (`list-v2`).
//!
//! Source: supabase/storage, src/http/routes/object/listObjectsV2.ts and src/storage/object.ts,
//! `listObjectsV2`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::StorageRefusal;
use super::disk::ObjectPath;
use super::write::service_only;
use crate::clock;
use crate::front::SharedFront;

/// The most objects of one page, whatever the request asks for.
const PAGE_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatListing {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    with_delimiter: bool,
}

/// The objects of a bucket whose whole names begin with the prefix, sorted by name; none if the
/// bucket does not exist. Only the service key may list here, and only without folders.
pub(super) async fn list_all(
    State(front): State<SharedFront>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StorageRefusal> {
    service_only(&front, &headers)?;
    let listing: FlatListing = serde_json::from_slice(&body)
        .map_err(|error| StorageRefusal::bad_request(&format!("body is not valid: {error}")))?;
    if front.storage.faults().no_list_v2 {
        return Err(StorageRefusal::no_feature());
    }
    if listing.limit == Some(0) {
        return Err(StorageRefusal::bad_request("body/limit must be >= 1"));
    }
    if listing.with_delimiter {
        return Err(StorageRefusal::bad_request("this stand-in lists without folders"));
    }
    let after = last_of(&listing.cursor)?;
    let mut names = front.storage.disk.names_in(&bucket).await;
    names.retain(|name| name.starts_with(&listing.prefix) && *name > after);
    let limit = listing.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
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
        // A cursor that continues another one also names the order.
        let order = if listing.cursor.is_empty() { "" } else { "\no:asc" };
        answer["nextCursor"] = STANDARD.encode(format!("l:{last}{order}")).into();
        answer["nextCursorKey"] = Value::from(last.as_str());
    }
    Ok(Json(answer).into_response())
}

/// The name after which the page of this cursor begins. An empty cursor begins at the first name.
fn last_of(cursor: &str) -> Result<String, StorageRefusal> {
    let mut last = String::new();
    if cursor.is_empty() {
        return Ok(last);
    }
    let bytes = STANDARD.decode(cursor).unwrap_or_default();
    for part in String::from_utf8_lossy(&bytes).split('\n') {
        match part.split_once(':') {
            Some(("l", name)) => last = name.to_owned(),
            Some(("o", "asc")) => {}
            _ => return Err(StorageRefusal::bad_cursor()),
        }
    }
    Ok(last)
}
