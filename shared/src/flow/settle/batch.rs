//! Settles the steps that the database reports as due, several in parallel.

use super::lost;
use super::task::{
    self, FinishedTask, OnSlotFreed, Queried, Settled, Standing, SubmittedTask, Witness,
};
use crate::core::error::ApiError;
use crate::core::media::ResultChoice;
use crate::core::provider::Asynchronous;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::step::Attempt;
use crate::db::sweep::{Due, DueStep};
use crate::flow::{Cx, provider_cancel};
use futures_util::stream::{self, StreamExt};
use serde_json::json;

/// Settles `due` steps, `parallel` at once, until `is_late`; steps that are left then have no
/// outcome. A fault is logged and stops no other step.
pub async fn settle_all<'s, T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    due: &'s [DueStep],
    parallel: usize,
    is_late: impl Fn() -> bool,
    on_slot_freed: &OnSlotFreed<'_>,
) -> Vec<(&'s DueStep, Option<Settled>)> {
    let since_ms = cx.transport.now_ms();
    let settled = stream::iter(due).map(async |step| {
        if is_late() {
            return (step, None);
        }
        let settled = settle(cx, account, step, since_ms, on_slot_freed).await;
        let settled = settled.unwrap_or_else(|error| {
            let detail = json!({"job_id": step.attempt.job});
            cx.log_error("settle_error", &ApiError::from(error), detail);
            Settled::Superseded
        });
        (step, Some(settled))
    });
    settled.buffer_unordered(parallel).collect().await
}

async fn settle<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    step: &DueStep,
    since_ms: u64,
    on_slot_freed: &OnSlotFreed<'_>,
) -> Result<Settled, DbError> {
    let witness = if step.due == Due::Inbox { Witness::Webhook } else { Witness::Recorded };
    match (step.due, &step.task_id, &step.output) {
        (Due::Copy, _, Some(output)) => {
            let finished = FinishedTask {
                attempt: step.attempt,
                user: step.user_id,
                task_id: step.task_id.clone(),
                output: output.clone(),
                choice: ResultChoice::stored(
                    step.input.as_ref().and_then(|input| input.get("result")),
                ),
                done_seconds: step.done_seconds.unwrap_or_default(),
                lease_since_ms: since_ms,
            };
            task::copy(cx, account, &finished).await
        }
        (Due::Cancel, Some(task_id), _) => {
            let Attempt { job, step, .. } = step.attempt;
            provider_cancel::cancel_task(cx, account, job, step, task_id).await;
            Ok(Settled::Superseded)
        }
        (Due::Query | Due::Inbox, Some(task_id), _) => {
            let task = SubmittedTask {
                attempt: step.attempt,
                user: step.user_id,
                task_id,
                witness,
                standing: Standing::Current,
            };
            match task::query(cx, account, &task).await? {
                Queried::OfOtherRun => {
                    lost::find_and_settle(cx, account, step, on_slot_freed).await
                }
                queried => task::go_on(cx, account, queried, on_slot_freed).await,
            }
        }
        (Due::Query | Due::Inbox, None, _) => {
            lost::find_and_settle(cx, account, step, on_slot_freed).await
        }
        (Due::Copy, _, None) | (Due::Cancel, None, _) => Ok(Settled::Superseded),
    }
}
