//! `replicate-async-status`: shows a try-on to its owner. Clients poll it every few seconds, so it
//! makes one database call and no provider call.

use serde::{Deserialize, Serialize};
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::edge::Call;
use shared::flow::invocation::Invocation;

/// The tool whose jobs this function shows.
const TOOL: &str = "replicate-async-start";

shared::function! {
    name: "replicate-async-status",
    ops: {
        GET "" for User as Read => status,
    },
}

/// The input: the try-on to show.
#[derive(Deserialize)]
struct NamedTryOn {
    task_id: JobId,
}

#[derive(Serialize)]
struct TryOnStatus {
    task_id: JobId,
    status: &'static str,
    current_step: i32,
    total_steps: i32,
    result_url: Option<String>,
    error_message: Option<String>,
    error_code: Option<String>,
    credits_refunded: i64,
}

async fn status(call: &Call, named: NamedTryOn) -> Result<TryOnStatus, ApiError> {
    let task_id = named.task_id;
    call.log_job(task_id);
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(TOOL), None, task_id).await?;
    Ok(TryOnStatus {
        task_id,
        status: row.view.status.processing_word(),
        current_step: row.current_step,
        total_steps: row.total_steps,
        result_url: row.view.output_url,
        error_message: row.view.error_message,
        error_code: row.view.error_code,
        credits_refunded: row.view.credits_refunded,
    })
}
