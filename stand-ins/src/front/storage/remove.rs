//! Removes objects, one by its path or many by their names. The database decides as it would for
//! the caller: its policies say which rows a caller may delete, and a trigger or a foreign key that
//! refuses one row refuses all of them.
//!
//! Source: supabase/storage, src/http/routes/object/deleteObjects.ts, src/storage/object.ts and
//! limits.ts.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::StorageRefusal;
use super::disk::ObjectPath;
use super::write::bound;
use crate::clock;
use crate::front::SharedFront;
use crate::front::caller::{ProjectCaller, text};

/// The most objects that one call may name.
const NAMES_MAX: usize = 1_000;
/// The objects of one transaction. A call with more may remove the first ones and then fail.
const BATCH: usize = 500;

/// `DELETE /object/<bucket>/<path>`, or `/object/<bucket>` with `{"prefixes":[…]}`, whose entries
/// are whole paths.
pub(super) async fn remove(
    State(front): State<SharedFront>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StorageRefusal> {
    let caller = bound(ProjectCaller::of(&headers, &front.keys, &front.signer))?;
    let (role, claims) = match &caller {
        Some(caller) => (caller.role, &caller.claims),
        None => ("service_role", &json!({"role": "service_role"})),
    };
    if path.contains('/') {
        let (object, _) = front.storage.object(&path).await?;
        front.storage.disk.meta(&object).await.ok_or_else(StorageRefusal::no_object)?;
        let removed = remove_batch(&front, role, claims, vec![object]).await?;
        removed.first().ok_or_else(|| StorageRefusal::access_denied("Access denied"))?;
        return Ok(Json(json!({"message": "Successfully deleted"})).into_response());
    }
    let is_json = text(&headers, CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json"));
    let names = prefixes(if is_json { &body } else { &[] })?;
    let mut removed = Vec::new();
    for batch in names.chunks(BATCH) {
        // A name that no object can have is skipped.
        let named = batch.iter().filter_map(|name| ObjectPath::of(&format!("{path}/{name}")));
        removed.extend(remove_batch(&front, role, claims, named.collect()).await?);
    }
    Ok(Json(removed).into_response())
}

/// The names in a body; an empty body has none.
fn prefixes(body: &[u8]) -> Result<Vec<String>, StorageRefusal> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let body =
        body.as_object().ok_or_else(|| StorageRefusal::bad_request("body must be object"))?;
    let named = body.get("prefixes").ok_or_else(|| {
        StorageRefusal::bad_request("body must have required property 'prefixes'")
    })?;
    let named = named
        .as_array()
        .ok_or_else(|| StorageRefusal::bad_request("body/prefixes must be array"))?;
    if named.is_empty() {
        let message = "body/prefixes must NOT have fewer than 1 items";
        return Err(StorageRefusal::bad_request(message));
    }
    let names = named.iter().enumerate().map(|(number, name)| {
        let problem = || format!("body/prefixes/{number} must be string");
        let name = name.as_str().map(str::to_owned);
        name.ok_or_else(|| StorageRefusal::bad_request(&problem()))
    });
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    if names.len() > NAMES_MAX {
        let message = "Bulk object requests are limited to 1000 objects per request.";
        return Err(StorageRefusal::bad_request(message));
    }
    Ok(names)
}

/// Removes the existing objects that the caller may delete, all of them or none, and returns them.
/// All are of one bucket.
async fn remove_batch(
    front: &SharedFront,
    role: &str,
    claims: &Value,
    objects: Vec<ObjectPath>,
) -> Result<Vec<Value>, StorageRefusal> {
    let storage = &front.storage;
    let mut rows = Vec::new();
    for object in objects {
        if let Some(meta) = storage.disk.meta(&object).await {
            rows.push((object, meta));
        }
    }
    let Some((first, _)) = rows.first() else { return Ok(Vec::new()) };
    let names: Vec<&str> = rows.iter().map(|(object, _)| object.path.as_str()).collect();
    let deleted = storage.database.test_delete(role, claims, &first.bucket, &names).await?;
    let mut removed = Vec::new();
    for (object, meta) in rows {
        if deleted.contains(&object.path) && storage.disk.remove(&object).await {
            removed.push(json!({
                "id": meta.id,
                "name": object.path,
                "bucket_id": object.bucket,
                "version": meta.version,
                "created_at": clock::iso(meta.created_ms),
                "updated_at": clock::iso(meta.updated_ms),
                "metadata": {"size": meta.size, "mimetype": meta.content_type},
            }));
        }
    }
    Ok(removed)
}
