//! `replicate-prediction-checker`: queries Replicate about every open task and settles its step. It
//! needs no webhooks.
//!
//! Cron runs two passes 30 s apart, HTTP one. Missed, doubled and overlapping runs are harmless.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::provider::replicate::NAME;
use shared::edge::{Call, OwnedCx};
use shared::flow::heal::checker::{self, CheckReport};
use shared::flow::invocation::Invocation;

shared::function! {
    name: "replicate-prediction-checker",
    ops: {
        GET | POST "" for Scheduled => check_once,
    },
    cron: by_cron,
}

const PASSES: u32 = 2;
const EVERY_MS: u32 = 30_000;

#[derive(Serialize)]
struct CheckedPredictions {
    message: String,
    #[serde(flatten)]
    report: CheckReport,
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    checker::passes(&cx.cx(), NAME, PASSES, EVERY_MS).await
}

async fn check_once(call: &Call, _: NoInput) -> Result<CheckedPredictions, ApiError> {
    let report = checker::pass(&call.cx(), NAME, 1).await?;
    let message = format!("Checked {} predictions", report.checked);
    Ok(CheckedPredictions { message, report })
}
