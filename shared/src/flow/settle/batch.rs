//! Settles the steps that the database names as due, several at once.

use super::lost;
use super::task::{self, Settled, Subject, Witness};
use crate::core::error::ApiError;
use crate::core::provider::Remote;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::sweep::{Due, DueStep};
use crate::flow::{Cx, provider_cancel};
use futures_util::stream::{self, StreamExt};
use serde_json::json;

/// Settles steps side by side, until it is `late`: those that are left over have no outcome. A
/// fault is logged and stops none of the others.
pub async fn settle_all<'s, T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    due: &'s [DueStep],
    side_by_side: usize,
    late: impl Fn() -> bool,
    on_slot_freed: &impl AsyncFn() -> Result<(), ApiError>,
) -> Vec<(&'s DueStep, Option<Settled>)> {
    let settled = stream::iter(due).map(async |step| {
        if late() {
            return (step, None);
        }
        match settle(cx, remote, step, on_slot_freed).await {
            Ok(settled) => (step, Some(settled)),
            Err(error) => {
                let error = ApiError::from(error);
                cx.log("step_fault", json!({"level": "error", "job_id": step.attempt.job, "error": error.to_string(), "detail": error.internal}));
                (step, Some(Settled::Left))
            }
        }
    });
    settled.buffer_unordered(side_by_side).collect().await
}

async fn settle<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    step: &DueStep,
    on_slot_freed: &impl AsyncFn() -> Result<(), ApiError>,
) -> Result<Settled, DbError> {
    let witness = if step.due == Due::Inbox { Witness::Called } else { Witness::Recorded };
    match (step.due, &step.task_id, &step.output) {
        (Due::Copy, _, Some(output)) => {
            task::copy(cx, remote, step.user_id, step.attempt, output).await
        }
        (Due::Cancel, Some(task_id), _) => {
            provider_cancel::at_provider(cx, remote, step.attempt.job, step.attempt.step, task_id)
                .await;
            Ok(Settled::Left)
        }
        (Due::Query | Due::Inbox, Some(task_id), _) => {
            let subject = Subject {
                attempt: step.attempt,
                user: step.user_id,
                task_id,
                witness,
                current: true,
            };
            task::confirm(cx, remote, &subject, on_slot_freed).await
        }
        (Due::Query | Due::Inbox, None, _) => lost::find(cx, remote, step, on_slot_freed).await,
        (Due::Copy, _, None) | (Due::Cancel, None, _) => Ok(Settled::Left),
    }
}
