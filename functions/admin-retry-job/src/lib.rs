//! `admin-retry-job`: an admin retries a job of any tool. A stuck job is requeued and keeps its
//! finished steps. A final job becomes a new job, without a charge unless the admin asks for one.
//! The header `Idempotency-Key` is its id: a repeated request makes and charges one job.
//!
//! One transaction checks the role, the state and the credits. The function answers before it
//! starts waiting steps. `many` does the same for all jobs that a filter names, free of charge.

use serde::{Deserialize, Serialize};
use shared::app::bulk::{self, BulkDone, BulkOrder};
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::reply::Success;
use shared::core::transport::Transport as _;
use shared::edge::Call;
use shared::flow::heal::admin_retry;
use shared::flow::invocation::Invocation;
use shared::flow::order::enqueue;
use shared::flow::order::input::admin_text;

shared::function! {
    name: "admin-retry-job",
    ops: {
        POST "" for Admin => retry,
        POST "many" for Admin => retry_many,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdminRetry {
    table: String,
    job_id: JobId,
    charge: Option<bool>,
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminRetried {
    success: Success,
    /// The retried job, or the new one.
    job_id: JobId,
    #[serde(flatten)]
    origin: RetryOrigin,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum RetryOrigin {
    SameJob { retried: bool },
    NewJob { retry_of: JobId },
}

async fn retry(call: &Call, body: AdminRetry) -> Result<AdminRetried, ApiError> {
    let AdminRetry { table, job_id, charge, reason } = body;
    call.log_job(job_id);
    admin_text("reason", reason.as_deref())?;
    let actor = call.user()?;
    let cx = call.cx();
    let new = enqueue::job_id("jobId", None, call.idempotency_key(), cx.transport.random())?;
    let (charge, reason) = (charge.unwrap_or(false), reason.as_deref());
    let requeued = admin_retry::by_admin(&cx, actor, &table, job_id, new, charge, reason).await?;
    let provider = requeued.provider;
    call.background(async move |cx| admin_retry::after_retry(&cx, &provider).await);
    Ok(AdminRetried {
        success: Success,
        job_id: requeued.job_id,
        origin: match requeued.retry_of {
            None => RetryOrigin::SameJob { retried: true },
            Some(retry_of) => RetryOrigin::NewJob { retry_of },
        },
    })
}

async fn retry_many(call: &Call, body: BulkOrder) -> Result<BulkDone, ApiError> {
    bulk::retry(call, body).await
}
