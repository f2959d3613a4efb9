//! `process-generation-tasks-banana`: makes the waiting product cards. Its queue wakes it at once,
//! its cron finds cards whose hint was lost, and the service may call it.
//!
//! The claim records `started_at` before anything else happens, so that a later crash is visible.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::provider::gemini;
use shared::core::reply::Success;
use shared::edge::{Call, OwnedCx};
use shared::flow::attempt::card;
use shared::flow::attempt::pool::{Bounds, PoolReport, run_all};
use shared::flow::invocation::Invocation;

shared::function! {
    name: "process-generation-tasks-banana",
    ops: {
        GET | POST "" for Scheduled => by_http,
    },
    cron: by_cron,
    queue: by_queue,
}

/// Five provider calls and one connection for heartbeats: the platform allows six.
const LANES: usize = 5;
/// How long an invocation claims new cards. An HTTP caller waits for its end, cron starts the next
/// one in a minute, and a queue consumer may take 15 minutes.
const BY_HTTP_MS: u64 = 20_000;
const BY_CRON_MS: u64 = 50_000;
const BY_QUEUE_MS: u64 = 600_000;

/// The caller may name a job for the log; the fair order decides which cards are made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MakeCards {
    job_id: Option<JobId>,
}

#[derive(Serialize)]
struct MadeCards {
    success: Success,
    #[serde(flatten)]
    report: PoolReport,
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    make_waiting(&cx, BY_CRON_MS).await.map(drop)
}

async fn by_queue(_hint: Value, cx: OwnedCx) -> Result<(), ApiError> {
    make_waiting(&cx, BY_QUEUE_MS).await.map(drop)
}

async fn by_http(call: &Call, body: MakeCards) -> Result<MadeCards, ApiError> {
    if let Some(job) = body.job_id {
        call.log_job(job);
    }
    let report = make_waiting(&call.cx, BY_HTTP_MS).await?;
    Ok(MadeCards { success: Success, report })
}

async fn make_waiting(owned: &OwnedCx, claim_for_ms: u64) -> Result<PoolReport, ApiError> {
    let cx = owned.cx();
    let account = gemini::GeminiAccount::from_config(cx.config)?;
    let bounds = Bounds { parallel: LANES, claim_for_ms };
    run_all(&cx, gemini::NAME, bounds, async |step| card::make(&cx, &account, step).await).await
}
