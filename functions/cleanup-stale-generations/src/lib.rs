//! `cleanup-stale-generations`: calls the function of each website whose attempt stopped, for at
//! most two retries. After those it fails the website and refunds it. It makes no website itself.
//! Then it deletes files that are kept no longer (here, because `cleanup-stale-jobs` has no room in
//! its 300 KB).
//!
//! Missed, doubled and overlapping runs are harmless.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::reply::Success;
use shared::edge::{Call, OwnedCx};
use shared::flow::heal::files;
use shared::flow::heal::website_retry::{self, CleanupReport};
use shared::flow::invocation::Invocation;

shared::function! {
    name: "cleanup-stale-generations",
    ops: {
        GET | POST "" for Scheduled => clean_up,
    },
    cron: by_cron,
}

/// The largest number of websites of one run. Each takes three subrequests.
const LIMIT: u32 = 100;

#[derive(Serialize)]
struct CleanedWebsites {
    success: Success,
    #[serde(flatten)]
    report: CleanupReport,
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    let cleaned = website_retry::clean_up(&cx.cx(), LIMIT).await;
    files::clean_up(&cx.cx()).await;
    cleaned.map(drop)
}

async fn clean_up(call: &Call, _: NoInput) -> Result<CleanedWebsites, ApiError> {
    let report = website_retry::clean_up(&call.cx(), LIMIT).await?;
    files::clean_up(&call.cx()).await;
    Ok(CleanedWebsites { success: Success, report })
}
