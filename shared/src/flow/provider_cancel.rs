//! Tells a provider to cancel the tasks of a job that has ended here. If a cancel fails, it stays a
//! debt in the database, which a sweep pays.

use super::Cx;
use crate::core::error::ApiError;
use crate::core::id::{JobId, Step};
use crate::core::job::State;
use crate::core::provider::{Asynchronous, CancelAnswer, TaskAnswer};
use crate::core::transport::Transport;
use crate::db::DbError;
use serde_json::json;

/// Cancels one task and clears its cancel debt.
pub async fn cancel_task<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &dyn Asynchronous,
    job: JobId,
    step: Step,
    task_id: &str,
) {
    let answer = cx.transport.send(provider.build_cancel(task_id)).await;
    let is_over = match provider.parse_cancel(&answer) {
        CancelAnswer::Accepted => true,
        CancelAnswer::UnknownTask => has_ended(cx, provider, task_id).await,
        CancelAnswer::Refused => false,
    };
    let struck = match is_over {
        true => cx.db().step_cancelled_v1(job, step, task_id).await.map_err(ApiError::from),
        false => Err(ApiError::upstream("the provider did not accept the cancel")),
    };
    if let Err(error) = struck {
        cx.log(
            "cancel_debt_kept",
            json!({"job_id": job, "provider": provider.name(), "detail": error.internal}),
        );
    }
}

/// Whether the task has ended, by a query to the provider.
async fn has_ended<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &dyn Asynchronous,
    task_id: &str,
) -> bool {
    let answer = cx.transport.send(provider.build_query(task_id)).await;
    !matches!(provider.parse_query(&answer).value, TaskAnswer::Running | TaskAnswer::NoAnswer)
}

/// Cancels the tasks of a job that has just been cancelled here.
pub async fn cancel_tasks_of<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &dyn Asynchronous,
    job: JobId,
) -> Result<(), DbError> {
    for step in cx.db().steps_get_v1(job).await? {
        if step.status != State::Cancelled || step.done {
            continue;
        }
        if let Some(task_id) = &step.task_id {
            cancel_task(cx, provider, job, step.attempt.step, task_id).await;
        }
    }
    Ok(())
}
