//! `generate-website`: orders, retries and shows static websites made from a prompt. Its queue
//! consumer and its cron start the making of websites of all kinds, because slots belong to the
//! model and not to a tool.

use serde_json::{Value, json};
use shared::app::website;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::website::WebsiteKind;
use shared::edge::OwnedCx;
use shared::flow::attempt::placed;
use shared::flow::invocation::Invocation;

shared::function! {
    name: "generate-website",
    ops: {
        POST "" for UserOrService as Order =>
            async |call, body| website::order_or_retry(call, body, WebsiteKind::Html).await,
        GET "" for User as Read =>
            async |call, body| website::show(call, body, WebsiteKind::Html).await,
        GET "settings-of-placed-run" for Service =>
            async |call, _: NoInput| placed::settings(&call.cx()).await,
    },
    quote: async |call, body| website::quote(call, body, WebsiteKind::Html).await,
    order: async |call, body| website::order(call, body, WebsiteKind::Html).await,
    cron: by_cron,
    queue: by_queue,
}

/// A run claims new websites for so long. The last of them ends within the 15 minutes that the
/// platform grants; cron starts the next run after a minute.
const BY_CRON_MS: u64 = 50_000;
const BY_QUEUE_MS: u64 = 3 * 60 * 1000;

/// The platform starts no second consumer during a long batch, so cron starts more runs.
async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    make_waiting(&cx, BY_CRON_MS).await
}

/// Ignores the content of the hint: it says only that there may be work.
async fn by_queue(_hint: Value, cx: OwnedCx) -> Result<(), ApiError> {
    make_waiting(&cx, BY_QUEUE_MS).await
}

async fn make_waiting(owned: &OwnedCx, claim_for_ms: u64) -> Result<(), ApiError> {
    let cx = owned.cx();
    let report = placed::run(&cx, "websites", claim_for_ms).await?;
    cx.log("websites", json!({"report": report}));
    Ok(())
}
