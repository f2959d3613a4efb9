//! An admin's requeue: a stuck job starts over, a final one becomes a new job.

use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::job::RequeuedJob;
use crate::flow::Cx;
use crate::flow::submit::wake;
use serde_json::json;

/// One transaction; repeated once after a lost answer. The repetition meets what the first call did: the same new id is
/// that call's job, and a job that was requeued is live and well.
pub async fn by_admin<T: Transport>(
    cx: &Cx<'_, T>,
    actor: UserId,
    table: &str,
    job: JobId,
    charge: bool,
) -> Result<RequeuedJob, ApiError> {
    let new = JobId::from_random(cx.transport.random());
    match cx.db().job_requeue_v1(actor, table, job, charge, new).await {
        Err(DbError::Unknown(_)) => {
            Ok(cx.db().job_requeue_v1(actor, table, job, charge, new).await?)
        }
        answer => Ok(answer?),
    }
}

/// What follows the answer: what may start, starts.
pub async fn follow_up<T: Transport>(cx: &Cx<'_, T>, provider: &str) {
    if let Err(error) = wake::start_next(cx, provider).await {
        cx.log(
            "follow_up_fault",
            json!({"level": "error", "error": error.to_string(), "detail": error.internal}),
        );
    }
}
