//! `cleanup-stale-generations`: calls the function of each website whose attempt stopped, for at
//! most two retries. After those it fails the website and refunds it. It makes no website itself.
//! Then it deletes files past their retention (here, because `cleanup-stale-jobs` is already the
//! largest of the scheduled functions).
//!
//! Missed, doubled and overlapping runs are harmless.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::reply::Success;
use shared::core::transport::FunctionCalls;
use shared::edge::{Call, OwnedCx};
use shared::flow::Cx;
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

/// The websites of one run; each takes three subrequests. They may use at most half of the
/// subrequest budget, because the files use the other half.
const LIMIT: u32 = 100;
const CALLS_PER_WEBSITE: u32 = 3;
/// Cron starts the next run after a minute.
const CRON_MS: u64 = 50_000;
/// The platform ends a request 30 s after its caller has left.
const HTTP_MS: u64 = 25_000;

#[derive(Serialize)]
struct CleanedWebsites {
    success: Success,
    #[serde(flatten)]
    report: CleanupReport,
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    clean_both(&cx.cx(), CRON_MS).await.map(drop)
}

async fn clean_up(call: &Call, _: NoInput) -> Result<CleanedWebsites, ApiError> {
    let report = clean_both(&call.cx(), HTTP_MS).await?;
    Ok(CleanedWebsites { success: Success, report })
}

/// The files get the rest of `ms`, even if the websites failed.
async fn clean_both<T: FunctionCalls>(cx: &Cx<'_, T>, ms: u64) -> Result<CleanupReport, ApiError> {
    let until_ms = cx.transport.now_ms() + ms;
    let half = cx.config.subrequest_budget.map_or(u32::MAX, |budget| budget / 2);
    let limit = (half / CALLS_PER_WEBSITE).clamp(1, LIMIT);
    let websites = website_retry::clean_up(cx, limit).await;
    files::clean_up(cx, until_ms).await;
    websites
}
