//! Finds a task whose submit had no answer in the provider's own list, before anything is submitted
//! twice. Where the provider has no such list, only webhook and clock can settle the step.

use super::task::{self, Settled, Subject, Witness};
use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::Remote;
use crate::core::transport::Transport;
use crate::core::webhook::{self, WebhookAddress};
use crate::db::DbError;
use crate::db::step::RequeueOutcome;
use crate::db::sweep::DueStep;
use crate::flow::{Cx, finalise};
use serde_json::json;

/// A list longer than this is not read to its end, and proves nothing.
const PAGES_MAX: u32 = 5;
/// A list that lacks the task proves something once whatever was under way has arrived and is shown.
const SETTLED_S: i32 = 60;

enum Found {
    Task(String),
    /// The whole list since the submit lacks it.
    Nowhere,
    /// The provider does not say.
    Unsaid,
}

/// Adopts the task if the provider has it; submits again only what it provably never took.
pub async fn find<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    step: &DueStep,
    on_slot_freed: &impl AsyncFn() -> Result<(), ApiError>,
) -> Result<Settled, DbError> {
    match search(cx, remote, step).await {
        Found::Task(task_id) => {
            cx.log(
                "lost_task_found",
                json!({"job_id": step.attempt.job, "provider": remote.name()}),
            );
            let witness = Witness::Listed;
            let subject = Subject {
                attempt: step.attempt,
                user: step.user_id,
                task_id: &task_id,
                witness,
                current: true,
            };
            task::confirm(cx, remote, &subject, on_slot_freed).await
        }
        Found::Nowhere if step.sent_seconds.is_some_and(|seconds| seconds >= SETTLED_S) => {
            cx.log(
                "submit_never_arrived",
                json!({"job_id": step.attempt.job, "provider": remote.name()}),
            );
            let failure =
                Failure::new(FailureCode::ProviderFailed, "the provider never took the request");
            let requeued = finalise::requeue(cx, step.attempt, false, 0, &failure).await?;
            Ok(match requeued.outcome {
                RequeueOutcome::Queued => Settled::Requeued,
                RequeueOutcome::Failed => Settled::Failed { refunded: requeued.refunded },
                RequeueOutcome::Stale => Settled::Left,
            })
        }
        Found::Nowhere | Found::Unsaid => task::silent(cx, step.attempt, false).await,
    }
}

async fn search<T: Transport>(cx: &Cx<'_, T>, remote: &Remote<'_>, step: &DueStep) -> Found {
    let Some(since) = &step.sent_since else { return Found::Unsaid };
    let ours = WebhookAddress {
        provider: remote.name(),
        job: step.attempt.job,
        step: step.attempt.step,
        run: step.attempt.run,
    };
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let Some(request) = remote.build_list(since, cursor.as_deref()) else {
            return Found::Unsaid;
        };
        let reading = remote.parse_list(&cx.transport.send(request).await);
        cx.alarm(remote.name(), reading.alarm.as_deref());
        let Some(page) = reading.said else { return Found::Unsaid };
        if let Some(task) =
            page.tasks.into_iter().find(|task| webhook::names(&task.webhook_url, ours))
        {
            return Found::Task(task.task_id);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Found::Nowhere;
        }
    }
    Found::Unsaid
}
