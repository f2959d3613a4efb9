//! Deletes files whose retention has ended, and those of erased users, through the Storage API,
//! because SQL would leave their bytes behind.
//!
//! The database decides which files are deleted, [`walk`] how far a pass goes, [`allowance`] for
//! how long, and [`requests`] sends the requests to storage.

mod allowance;
mod requests;
#[cfg(test)]
mod tests;
mod walk;

use crate::core::error::ApiError;
use crate::core::storage::ListedPage;
use crate::core::transport::Transport;
use crate::db::files::{DueFiles, FileKind};
use crate::flow::Cx;
use allowance::Allowance;
use requests::{BucketAccess, ListingFault};
use serde_json::json;
use walk::{BucketWalk, DeletedFiles};

/// The number of pages of a bucket that a pass reads until it finds files to delete.
const PAGES: u32 = 4;

/// Runs one pass until `until_ms`: at most 100 files of each kind, with at most half of the
/// invocation's subrequests. A fault is logged and delays nothing else.
pub async fn clean_up<T: Transport>(cx: &Cx<'_, T>, until_ms: u64) {
    let allowance = Allowance::of(cx.config.subrequest_budget, until_ms);
    if let Err(error) = pass(cx, allowance).await {
        cx.log_error("files_error", &error, json!({}));
    }
}

/// Each kind gets an equal share of the allowance, so that none keeps the others waiting.
async fn pass<T: Transport>(cx: &Cx<'_, T>, mut allowance: Allowance) -> Result<(), ApiError> {
    if !allowance.take(cx.transport.now_ms()) {
        return Ok(());
    }
    let all = cx.db().files_due_v1().await?;
    for (number, due) in all.iter().enumerate() {
        let mut share = allowance.share(all.len() - number, cx.transport.now_ms());
        // This call reports the outcome. It is reserved first, so that it is made in any case.
        if !share.take(cx.transport.now_ms()) {
            return Ok(());
        }
        let before = share.calls();
        let done = delete_kind(cx, due, &mut share).await;
        allowance.spend(1 + before - share.calls());
        let (cursor, error) = (done.cursor.as_deref(), done.error.as_deref());
        let DeletedFiles { deleted, left, .. } = done;
        cx.db().files_deleted_v1(due.kind, deleted, left, due.user_id, cursor, error).await?;
    }
    Ok(())
}

/// Deletes due files of one kind in each of its buckets. An error in one bucket is logged and
/// recorded, and does not keep the pass from the other bucket.
async fn delete_kind<T: Transport>(
    cx: &Cx<'_, T>,
    due: &DueFiles,
    allowance: &mut Allowance,
) -> DeletedFiles {
    let uploads = cx.config.uploads_bucket.as_str();
    let results = cx.config.results_bucket.as_str();
    let buckets: &[(&str, &str)] = match due.kind {
        FileKind::Uploads => &[("uploads", uploads)],
        FileKind::Results => &[("results", results)],
        FileKind::Erased => &[("uploads", uploads), ("results", results)],
    };
    let mut done = DeletedFiles::default();
    for (meant, bucket) in buckets {
        let mut walk = BucketWalk::at(due.cursor.clone());
        let access = BucketAccess { cx, bucket, allowance };
        if let Err(error) = delete_in(access, due, meant, &mut walk).await {
            cx.log_error("files_error", &error, json!({"bucket": bucket}));
            walk.fails(&error);
        }
        done.add(walk);
    }
    done
}

/// Searches for files to delete in one bucket, and deletes the first ones that it finds.
async fn delete_in<T: Transport>(
    mut storage: BucketAccess<'_, '_, T>,
    due: &DueFiles,
    meant: &str,
    walk: &mut BucketWalk,
) -> Result<(), ApiError> {
    let prefix = due.user_id.map_or_else(String::new, |user| format!("{user}/"));
    for _ in 0..PAGES {
        let page = match storage.list(&prefix, walk.cursor()).await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(()),
            Err(ListingFault { error, is_of_cursor }) => {
                if is_of_cursor {
                    walk.begins_anew();
                }
                return Err(error);
            }
        };
        let ListedPage { files, next } = page;
        let Some(chosen) = storage.choose(due, meant, &files).await? else { return Ok(()) };
        let removal = storage.delete(&chosen.names).await;
        if let Some(error) = &removal.error {
            storage.cx.log_error("files_error", error, json!({"bucket": storage.bucket}));
        }
        if !walk.goes_on(&chosen, removal, next) {
            return Ok(());
        }
    }
    Ok(())
}
