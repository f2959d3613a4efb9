//! `generate-website`: makes a static website from a prompt. It orders, retries and shows
//! websites. Its queue consumer and its cron make the websites of all kinds, because slots belong
//! to the model and not to a tool.

use serde_json::Value;
use shared::app::website;
use shared::core::error::ApiError;
use shared::core::website::WebsiteKind;
use shared::edge::OwnedCx;

shared::function! {
    name: "generate-website",
    ops: {
        POST "" for UserOrService as Order =>
            async |call, body| website::order_or_retry(call, body, WebsiteKind::Html).await,
        GET "" for User as Read =>
            async |call, body| website::show(call, body, WebsiteKind::Html).await,
    },
    cron: by_cron,
    queue: by_queue,
}

/// How long a run claims new websites. The last one ends within the 15 minutes that the platform
/// grants; cron starts the next run in a minute.
const BY_CRON_MS: u64 = 50_000;
const BY_QUEUE_MS: u64 = 4 * 60 * 1000;

/// The platform starts no second consumer while a long batch runs, so cron starts more runs.
async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    website::make_waiting(&cx.cx(), BY_CRON_MS).await
}

/// Ignores the content of the hint: it says only that there may be work.
async fn by_queue(_hint: Value, cx: OwnedCx) -> Result<(), ApiError> {
    website::make_waiting(&cx.cx(), BY_QUEUE_MS).await
}
