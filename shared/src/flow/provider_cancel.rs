//! Tells a provider to stop working for a job that is over here. Best effort: what is not told
//! now stays owed in the database and is told by a sweep.

use super::Cx;
use crate::core::error::ApiError;
use crate::core::id::{JobId, Step};
use crate::core::job::State;
use crate::core::provider::Remote;
use crate::core::transport::Transport;
use crate::db::DbError;
use serde_json::json;

/// Cancels one task and strikes the debt.
pub async fn at_provider<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    job: JobId,
    step: Step,
    task_id: &str,
) {
    let answer = cx.transport.send(remote.build_cancel(task_id)).await;
    let struck = match remote.parse_cancel(&answer) {
        true => cx.db().step_cancelled_v1(job, step, task_id).await.map_err(ApiError::from),
        false => Err(ApiError::upstream("the provider did not take the cancel")),
    };
    if let Err(error) = struck {
        cx.log(
            "cancel_still_owed",
            json!({"job_id": job, "provider": remote.name(), "detail": error.internal}),
        );
    }
}

/// Cancels what the provider still works on for a job that has just been cancelled.
pub async fn job<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    job: JobId,
) -> Result<(), DbError> {
    let steps = cx.db().job_get_v1(None, None, job).await?.total_steps;
    for number in 1..=steps {
        let Some(step) = cx.db().step_get_v1(job, Step(number)).await? else {
            continue;
        };
        if step.status != State::Cancelled || step.done {
            continue;
        }
        if let Some(task_id) = &step.task_id {
            at_provider(cx, remote, job, Step(number), task_id).await;
        }
    }
    Ok(())
}
