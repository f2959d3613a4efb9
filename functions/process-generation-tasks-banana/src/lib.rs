//! `process-generation-tasks-banana`: calls `placed-run` to make the waiting product cards. Its
//! queue starts it at once, its cron finds cards whose hint was lost, and the service may call it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::reply::Success;
use shared::edge::{Call, OwnedCx};
use shared::flow::attempt::placed;
use shared::flow::attempt::pool::PoolReport;
use shared::flow::invocation::Invocation;

shared::function! {
    name: "process-generation-tasks-banana",
    ops: {
        GET | POST "" for Scheduled => by_http,
    },
    cron: by_cron,
    queue: by_queue,
}

/// An invocation claims new cards for so long. Cron starts the next one after a minute, and a
/// queue's consumer may take 15 minutes. An HTTP caller may leave at any moment: this invocation
/// then lives for 30 s, and the run for 30 s more, which is enough for the card that was claimed
/// last.
const BY_HTTP_MS: u64 = 10_000;
const BY_CRON_MS: u64 = 50_000;
const BY_QUEUE_MS: u64 = 4 * 60 * 1000;

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
    placed::run(&owned.cx(), "cards", claim_for_ms).await
}
