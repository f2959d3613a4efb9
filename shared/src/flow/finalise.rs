//! The only caller of the functions that finish, fail or cancel a job.
//!
//! Every call is fenced by its run, so it may be repeated after a lost answer; a second success
//! reads as stale and changes nothing. What is refunded is decided in the database.

use super::Cx;
use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use crate::core::job::Failure;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::job::{CancelledInSession, CancelledJob};
use crate::db::step::{
    Attempt, CheckAnswer, CheckedStep, CompletedStep, DoneStep, FailedStep, RequeuedStep,
};
use crate::db::sweep::Swept;
use crate::db::website::{StaleWebsite, WebsiteRetry};
use serde_json::Value;

/// Repeats a fenced call once where its answer was lost.
macro_rules! repeat_if_lost {
    ($call:expr) => {
        match $call.await {
            Err(DbError::Unknown(_)) => $call.await,
            answer => answer,
        }
    };
}

/// The provider finished: frees the slot and takes the lease for copying.
pub async fn done<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    task_id: &str,
    output: &Value,
) -> Result<DoneStep, DbError> {
    cx.db().step_done_v1(attempt, task_id, output).await
}

/// The result lies in our storage.
pub async fn complete<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    output: &Value,
    url: &str,
) -> Result<CompletedStep, DbError> {
    repeat_if_lost!(cx.db().step_complete_v1(attempt, output, url))
}

/// The step is given up; its credits go back by the job's rule.
pub async fn fail<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    failure: &Failure,
) -> Result<FailedStep, DbError> {
    let sentence = failure.sentence();
    repeat_if_lost!(cx.db().step_fail_v1(attempt, failure.code.as_str(), &sentence))
}

/// Back into the queue, or given up where attempts or time are used up.
pub async fn requeue<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    capacity: bool,
    delay_ms: u32,
    failure: &Failure,
) -> Result<RequeuedStep, DbError> {
    let kind = if capacity { "capacity" } else { "transient" };
    let sentence = failure.sentence();
    repeat_if_lost!(cx.db().step_requeue_v1(
        attempt,
        kind,
        delay_ms,
        failure.code.as_str(),
        &sentence
    ))
}

/// Nothing ended at the provider; past the deadline this ends the step.
pub async fn checked<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    heard: CheckAnswer,
) -> Result<CheckedStep, DbError> {
    cx.db().step_checked_v1(attempt, heard).await
}

/// A user's own job.
pub async fn cancel_by_user<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    table: &str,
    job: JobId,
) -> Result<CancelledJob, ApiError> {
    Ok(cx.db().job_cancel_v1(user, table, job).await?)
}

/// Any live job; the database checks the role in the same transaction.
pub async fn cancel_by_admin<T: Transport>(
    cx: &Cx<'_, T>,
    actor: UserId,
    table: &str,
    job: JobId,
    reason: Option<&str>,
) -> Result<CancelledJob, ApiError> {
    Ok(cx.db().job_cancel_admin_v1(actor, table, job, reason).await?)
}

/// A session's waiting jobs. Replays give no rows, so a lost answer is not repeated: the caller's
/// next call would otherwise report nothing for what the first one returned.
pub async fn cancel_session<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    session: &str,
    jobs: &[JobId],
) -> Result<Vec<CancelledInSession>, ApiError> {
    Ok(cx.db().session_cancel_v1(user, session, jobs).await?)
}

/// Everything SQL can close without asking a provider.
pub async fn sweep<T: Transport>(
    cx: &Cx<'_, T>,
    sweep_id: i64,
    limit: u32,
) -> Result<Swept, ApiError> {
    Ok(cx.db().jobs_sweep_v1(sweep_id, limit).await?)
}

/// The same for one user's own jobs.
pub async fn heal<T: Transport>(cx: &Cx<'_, T>, user: UserId) -> Result<(), ApiError> {
    Ok(cx.db().user_heal_v1(user).await?)
}

/// Another attempt of a website whose attempt stopped; given up where none is left. A lost answer is not repeated: the
/// second call would read as one too many.
pub async fn retry_generation<T: Transport>(
    cx: &Cx<'_, T>,
    job: JobId,
    tool: &str,
    owner: Option<UserId>,
) -> Result<WebsiteRetry, ApiError> {
    Ok(cx.db().generation_retry_v1(job, tool, owner).await?)
}

/// Websites whose attempt stopped: reserved for a retry, or given up.
pub async fn stale_generations<T: Transport>(
    cx: &Cx<'_, T>,
    limit: u32,
) -> Result<Vec<StaleWebsite>, ApiError> {
    Ok(cx.db().generations_stale_v1(limit).await?)
}
