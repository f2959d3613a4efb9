//! Deletes files that are kept no longer, and those of users who were erased, through the Storage
//! API: SQL would leave the bytes behind.
//!
//! Source of the API: supabase/storage, src/http/routes/object/listObjectsV2.ts and
//! deleteObjects.ts. The database decides which files go; this module lists and deletes.

use crate::core::address::UPLOADS;
use crate::core::transport::{HttpRequest, Transport};
use crate::core::{error::ApiError, storage};
use crate::db::files::{DueFiles, FileKind};
use crate::flow::Cx;
use serde_json::{Value, json};

/// Files on a page of a listing.
const PAGE: u32 = 500;
/// Pages that a pass looks at in one bucket until it finds files to delete. With them a pass makes
/// at most 50 subrequests.
const PAGES: u32 = 4;
const TIMEOUT_MS: u32 = 10_000;

/// What a pass did for one kind.
#[derive(Default)]
struct DeletedFiles {
    deleted: u32,
    /// How many are to be deleted still, as far as they were listed.
    left: u32,
    cursor: Option<String>,
    error: Option<String>,
}

/// One pass: at most 100 files of each kind. A fault is logged, and delays nothing else.
pub async fn clean_up<T: Transport>(cx: &Cx<'_, T>) {
    if let Err(error) = pass(cx).await {
        cx.log_error("files_error", &error, json!({}));
    }
}

/// A fault of storage is recorded too, and ends the pass for that kind only.
async fn pass<T: Transport>(cx: &Cx<'_, T>) -> Result<(), ApiError> {
    for due in cx.db().files_due_v1().await? {
        let mut done = DeletedFiles::default();
        let results = cx.config.results_bucket.as_str();
        let buckets: &[(&str, &str)] = match due.kind {
            FileKind::Uploads => &[("uploads", UPLOADS)],
            FileKind::Results => &[("results", results)],
            FileKind::Erased => &[("uploads", UPLOADS), ("results", results)],
        };
        for (meant, bucket) in buckets {
            if let Err(error) = delete_in(cx, &due, meant, bucket, &mut done).await {
                cx.log_error("files_error", &error, json!({"bucket": bucket}));
                done.error = error.internal.or(Some(error.message));
            }
        }
        let (cursor, error) = (done.cursor.as_deref(), done.error.as_deref());
        let DeletedFiles { deleted, left, .. } = done;
        cx.db().files_deleted_v1(due.kind, deleted, left, due.user_id, cursor, error).await?;
    }
    Ok(())
}

/// Looks for files to delete in one bucket, and deletes the first that it finds. A listing that
/// fails begins the walk anew: storage may know the cursor no longer.
async fn delete_in<T: Transport>(
    cx: &Cx<'_, T>,
    due: &DueFiles,
    meant: &str,
    bucket: &str,
    done: &mut DeletedFiles,
) -> Result<(), ApiError> {
    let prefix = due.user_id.map_or_else(String::new, |user| format!("{user}/"));
    let mut cursor = due.cursor.clone();
    for _ in 0..PAGES {
        let mut listing = json!({"prefix": prefix, "limit": PAGE, "with_delimiter": false});
        if let (Some(listing), Some(cursor)) = (listing.as_object_mut(), &cursor) {
            listing.insert("cursor".to_owned(), cursor.as_str().into());
        }
        let page = ask(cx, "POST", &format!("list-v2/{bucket}"), &listing).await?;
        let objects = page.get("objects").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let known = |object: &Value| {
            let (name, at) = (object.get("name"), object.get("created_at"));
            json!({"name": name, "created_at": at})
        };
        let objects = objects.iter().map(known).collect();
        let chosen =
            cx.db().files_choose_v1(due.kind, meant, due.user_id, &Value::Array(objects)).await?;
        let next = page.get("nextCursor").and_then(Value::as_str);
        let next = next.filter(|_| page.get("hasNext") == Some(&Value::Bool(true)));
        if !chosen.names.is_empty() {
            let removed = ask(cx, "DELETE", bucket, &json!({"prefixes": chosen.names})).await;
            if let Err(error) = removed {
                // A file that cannot be deleted keeps none behind this page.
                done.cursor = next.map(str::to_owned);
                return Err(error);
            }
        }
        let deleted = u32::try_from(chosen.names.len()).unwrap_or(chosen.due);
        done.deleted += deleted;
        done.left += chosen.due.saturating_sub(deleted);
        if deleted < chosen.due {
            // The rest of this page is the next pass's.
            break;
        }
        cursor = next.map(str::to_owned);
        if deleted > 0 || cursor.is_none() {
            break;
        }
    }
    match due.kind {
        // What was not listed counts as one.
        FileKind::Erased => done.left += u32::from(cursor.is_some()),
        FileKind::Uploads | FileKind::Results => done.cursor = cursor,
    }
    Ok(())
}

/// Asks storage with our own key; the answer's JSON.
async fn ask<T: Transport>(
    cx: &Cx<'_, T>,
    method: &'static str,
    path: &str,
    body: &Value,
) -> Result<Value, ApiError> {
    let mut headers = cx.config.service_headers()?;
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    let request = HttpRequest {
        method,
        url: format!("{}/storage/v1/object/{path}", cx.config.supabase_url()?),
        headers,
        body: Some(body.to_string()),
        timeout_ms: TIMEOUT_MS,
    };
    let answer = cx.transport.send(request).await;
    let answer = answer.map_err(|error| ApiError::upstream(format!("storage: {error}")))?;
    if !answer.is_success() {
        let status = storage::status(answer.status, &answer.body);
        return Err(ApiError::upstream(format!("storage answered {status} to {method} {path}")));
    }
    Ok(answer.json())
}
