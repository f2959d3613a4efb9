//! `cleanup-stale-generations`: finds websites whose attempt stopped and calls their function for a
//! retry, at most twice; after that it fails and refunds them. It makes no website itself.
//!
//! Missed, doubled and overlapping runs are harmless.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::reply::Success;
use shared::edge::{Call, OwnedCx};
use shared::flow::heal::website_retry::{self, CleanupReport};
use shared::flow::invocation::Invocation;

shared::function! {
    name: "cleanup-stale-generations",
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
    ops: {
        GET | POST "" for Scheduled => clean_up,
    },
    cron: by_cron,
}

/// How many websites one run handles, with three subrequests each.
const LIMIT: u32 = 100;

#[derive(Serialize)]
struct CleanedWebsites {
    success: Success,
    #[serde(flatten)]
    report: CleanupReport,
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    website_retry::clean_up(&cx.cx(), LIMIT).await.map(drop)
}

async fn clean_up(call: Call, _: NoInput) -> Result<CleanedWebsites, ApiError> {
    let report = website_retry::clean_up(&call.cx(), LIMIT).await?;
    Ok(CleanedWebsites { success: Success, report })
}
