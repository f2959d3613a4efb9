//! Retries by an admin: a stuck job is requeued, a final one becomes a new job.

use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use crate::core::transport::Transport;
use crate::db::job::RequeuedJob;
use crate::flow::Cx;
use crate::flow::retry::once_if_lost;
use crate::flow::submit::wake;
use serde_json::json;

/// Requeues the job in one transaction, which is repeated once after a lost answer. The same `new`
/// id then names the job that the first call made, and a job that the first call requeued is no
/// longer stuck.
pub async fn by_admin<T: Transport>(
    cx: &Cx<'_, T>,
    actor: UserId,
    table: &str,
    job: JobId,
    new: JobId,
    charge: bool,
    reason: Option<&str>,
) -> Result<RequeuedJob, ApiError> {
    let requeue = async || cx.db().job_requeue_v1(actor, table, job, charge, new, reason).await;
    Ok(once_if_lost(requeue).await?)
}

/// Starts waiting steps after the answer.
pub async fn after_retry<T: Transport>(cx: &Cx<'_, T>, provider: &str) {
    if let Err(error) = wake::start_waiting(cx, provider).await {
        cx.log_error("after_retry_error", &error, json!({"provider": provider}));
    }
}
