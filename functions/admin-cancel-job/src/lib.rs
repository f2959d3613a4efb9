//! `admin-cancel-job`: an admin cancels a live job of any tool, and its owner is refunded.
//!
//! One transaction checks the role, ends the job and refunds its credits. The function answers
//! before it cancels the provider's task and starts waiting steps; a sweep does both if that is
//! lost. `many` does the same for all jobs that a filter names.

use serde::{Deserialize, Serialize};
use shared::app::bulk::{self, BulkDone, BulkOrder};
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::reply::Success;
use shared::edge::Call;
use shared::flow::finalise;
use shared::flow::invocation::Invocation;
use shared::flow::order::input::admin_text;
use shared::flow::submit::wake;

shared::function! {
    name: "admin-cancel-job",
    ops: {
        POST "" for Admin => cancel,
        POST "many" for Admin => cancel_many,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdminCancel {
    table: String,
    job_id: JobId,
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminCancelled {
    success: Success,
    table: String,
    job_id: JobId,
    status: &'static str,
    refunded_credits: i64,
    message: String,
}

async fn cancel(call: &Call, body: AdminCancel) -> Result<AdminCancelled, ApiError> {
    let AdminCancel { table, job_id, reason } = body;
    call.log_job(job_id);
    admin_text("reason", reason.as_deref())?;
    let cancelled =
        finalise::cancel_by_admin(&call.cx(), call.user()?, &table, job_id, reason.as_deref())
            .await?;
    let refunded_credits = cancelled.refunded_credits;
    call.background(async move |cx| {
        wake::after_cancel(&cx, &cancelled.provider, Some(job_id)).await;
    });
    Ok(AdminCancelled {
        success: Success,
        table,
        job_id,
        status: "cancelled",
        refunded_credits,
        message: format!("Job cancelled and {refunded_credits} credits refunded"),
    })
}

async fn cancel_many(call: &Call, body: BulkOrder) -> Result<BulkDone, ApiError> {
    bulk::cancel(call, body).await
}
