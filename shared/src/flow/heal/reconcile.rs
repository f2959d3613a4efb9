//! Settles one job at once by querying its provider, without waiting for a webhook or a sweep.

use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::job::State;
use crate::core::provider;
use crate::core::transport::Transport;
use crate::db::step::StepRow;
use crate::flow::Cx;
use crate::flow::settle::task::{self, Settled, Standing, SubmittedTask, Witness};
use crate::flow::submit::round::starter;
use crate::flow::submit::wake;

/// The state of a job after a reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconciledJob {
    /// Whether the job is final now.
    pub resolved: bool,
    pub status: State,
    pub reason: Option<&'static str>,
}

/// Settles every step of the job that has a task at the provider.
pub async fn reconcile<T: Transport>(
    cx: &Cx<'_, T>,
    table: &str,
    job: JobId,
) -> Result<ReconciledJob, ApiError> {
    let row = cx.db().job_get_v1(None, None, Some(table), job).await?;
    if row.view.status.is_final() {
        return Ok(ReconciledJob {
            resolved: true,
            status: row.view.status,
            reason: Some("already_final"),
        });
    }
    let mut reason = "not_sent_yet";
    let mut freed = None;
    for step in cx.db().steps_get_v1(job).await? {
        if step.status.is_final() || !step.sent {
            continue;
        }
        let settled = settle(cx, &step).await?;
        reason = if step.task_id.is_none() { "unknown_task" } else { "still_running" };
        if settled.is_some_and(|settled| !settled.is_open()) {
            freed = Some(step.provider);
        }
    }
    if let Some(provider) = freed {
        wake::start_waiting(cx, &provider).await?;
    }
    let status = cx.db().job_get_v1(None, None, None, job).await?.view.status;
    let resolved = status.is_final();
    Ok(ReconciledJob { resolved, status, reason: (!resolved).then_some(reason) })
}

/// `None`: the step has no task, or its result is being copied.
async fn settle<T: Transport>(cx: &Cx<'_, T>, step: &StepRow) -> Result<Option<Settled>, ApiError> {
    let Some(task_id) = step.task_id.as_deref().filter(|_| !step.done) else {
        return Ok(None);
    };
    let account = provider::asynchronous(&step.provider, cx.config)?;
    let task = SubmittedTask {
        attempt: step.attempt,
        user: step.user_id,
        task_id,
        witness: Witness::Recorded,
        standing: Standing::Current,
    };
    let start = starter(cx, &step.provider);
    Ok(Some(task::settle(cx, &*account, &task, &start).await?))
}
