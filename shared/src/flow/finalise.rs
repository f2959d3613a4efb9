//! The only caller of the SQL functions by which workers complete, fail, requeue or cancel.
//!
//! Every call that names a step is fenced by the step's run, so it may be repeated after a lost
//! answer: the second call reads as stale and changes nothing. The database decides the refund.

use super::Cx;
use super::retry::once_if_lost;
use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use crate::core::job::Failure;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::admin::ManyJobs;
use crate::db::job::{CancelledInSession, CancelledJob};
use crate::db::step::{
    Attempt, CheckAnswer, CheckedStep, CompletedStep, DoneStep, FailedStep, RequeuedStep,
};
use crate::db::sweep::Swept;
use crate::db::website::{StaleWebsite, WebsiteRetry};
use serde_json::{Map, Value};

/// Records that the provider has finished: frees the slot and takes the lease for the copy.
pub async fn done<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    task_id: &str,
    output: &Value,
) -> Result<DoneStep, DbError> {
    cx.db().step_done_v2(attempt, task_id, output).await
}

/// Completes a step whose result is in our storage; with the last step, the job.
pub async fn complete<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    output: &Value,
    url: &str,
) -> Result<CompletedStep, DbError> {
    once_if_lost(async || cx.db().step_complete_v2(attempt, output, url).await).await
}

/// Fails the step and refunds its credits by the job's rule.
pub async fn fail<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    failure: &Failure,
) -> Result<FailedStep, DbError> {
    let sentence = failure.sentence();
    let code = failure.code.as_str();
    once_if_lost(async || cx.db().step_fail_v1(attempt, code, &sentence).await).await
}

/// Requeues the step. Fails it if no attempt or no time is left.
pub async fn requeue<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    capacity: bool,
    delay_ms: u32,
    failure: &Failure,
) -> Result<RequeuedStep, DbError> {
    let kind = if capacity { "capacity" } else { "transient" };
    let sentence = failure.sentence();
    let code = failure.code.as_str();
    let requeue = async || cx.db().step_requeue_v1(attempt, kind, delay_ms, code, &sentence).await;
    once_if_lost(requeue).await
}

/// Records that the provider reported no end; fails the step if its deadline has passed.
pub async fn check<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    answer: CheckAnswer,
) -> Result<CheckedStep, DbError> {
    cx.db().step_checked_v1(attempt, answer).await
}

/// Cancels a user's own job.
pub async fn cancel_by_user<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    table: &str,
    job: JobId,
) -> Result<CancelledJob, ApiError> {
    Ok(cx.db().job_cancel_v1(user, table, job).await?)
}

/// Cancels a user's own job of any tool, and returns it in the vocabulary of all tools.
pub async fn cancel_of_any_tool<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    job: JobId,
) -> Result<Map<String, Value>, ApiError> {
    Ok(cx.db().job_cancel_v3(user, job).await?)
}

/// Cancels any live job; the database checks the actor's role in the same transaction.
pub async fn cancel_by_admin<T: Transport>(
    cx: &Cx<'_, T>,
    actor: UserId,
    table: &str,
    job: JobId,
    reason: Option<&str>,
) -> Result<CancelledJob, ApiError> {
    Ok(cx.db().job_cancel_admin_v1(actor, table, job, reason).await?)
}

/// Cancels up to `limit` of the jobs that an admin's filter names. It is not repeated after a lost
/// answer, because a replay would not count the jobs that the first call cancelled.
pub async fn cancel_many<T: Transport>(
    cx: &Cx<'_, T>,
    actor: UserId,
    filter: &Map<String, Value>,
    limit: u32,
    reason: &str,
) -> Result<ManyJobs, ApiError> {
    Ok(cx.db().jobs_cancel_many_v1(actor, filter, limit, reason).await?)
}

/// Cancels a session's waiting jobs. It is not repeated after a lost answer, because a replay
/// returns no rows: the answer would name none of the jobs that the first call cancelled.
pub async fn cancel_session<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    session: &str,
    jobs: &[JobId],
) -> Result<Vec<CancelledInSession>, ApiError> {
    Ok(cx.db().session_cancel_v1(user, session, jobs).await?)
}

/// Closes all jobs and steps that SQL can close without querying a provider.
pub async fn sweep<T: Transport>(
    cx: &Cx<'_, T>,
    sweep_id: i64,
    limit: u32,
) -> Result<Swept, ApiError> {
    Ok(cx.db().jobs_sweep_v1(sweep_id, limit).await?)
}

/// Does the same for one user's own jobs, and grants the user the pending credits.
pub async fn heal<T: Transport>(cx: &Cx<'_, T>, user: UserId) -> Result<(), ApiError> {
    Ok(cx.db().user_heal_v1(user).await?)
}

/// Starts a new attempt of a website whose attempt stopped. Fails the job if no attempt or no time
/// is left. It is not repeated after a lost answer, because the first call may already have used
/// the attempt.
pub async fn retry_website<T: Transport>(
    cx: &Cx<'_, T>,
    job: JobId,
    tool: &str,
    owner: Option<UserId>,
) -> Result<WebsiteRetry, ApiError> {
    Ok(cx.db().generation_retry_v1(job, tool, owner).await?)
}

/// Takes websites whose attempt stopped: reserves each for a retry, or fails it.
pub async fn take_stale_websites<T: Transport>(
    cx: &Cx<'_, T>,
    limit: u32,
) -> Result<Vec<StaleWebsite>, ApiError> {
    Ok(cx.db().generations_stale_v1(limit).await?)
}
