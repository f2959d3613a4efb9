//! `generate-website`: makes a static website from a prompt. It orders, retries and shows websites.
//! Its queue consumer makes the websites of all kinds, because slots belong to the model and not to
//! a tool.

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
    queue: make_waiting,
}

/// Ignores the content of the hint: it says only that there may be work.
async fn make_waiting(_hint: Value, cx: OwnedCx) -> Result<(), ApiError> {
    website::make_waiting(&cx.cx()).await
}
