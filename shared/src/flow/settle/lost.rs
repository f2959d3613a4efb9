//! Searches the provider's own list for the task of a submit without an answer, before anything is
//! submitted twice. If the provider has no such list, only a webhook or the deadline settles the
//! step.

use super::task::{self, OnSlotFreed, Settled, Standing, SubmittedTask, Witness};
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::{Asynchronous, ListedTask};
use crate::core::transport::{HttpResponse, Transport};
use crate::core::webhook;
use crate::db::DbError;
use crate::db::sweep::DueStep;
use crate::flow::Cx;
use serde_json::json;

/// A longer list is not read to its end and proves nothing.
const PAGES_MAX: u32 = 5;
/// The number of listed tasks with our input that are queried, because the list does not name their
/// webhooks. If there are more, the list proves nothing.
const QUERIES_MAX: u32 = 10;
/// From this time after the submit on, a list without the task proves that the request never
/// arrived.
const PROOF_AFTER_S: i32 = 60;

enum Search {
    Found(String),
    /// The list is complete since the submit and does not have the task.
    ProvenAbsent,
    /// The provider does not tell.
    Inconclusive,
}

/// Settles the task if the provider's list has it. Requeues the step if the list proves that the
/// provider never accepted the request.
pub async fn find_and_settle<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    step: &DueStep,
    on_slot_freed: &OnSlotFreed<'_>,
) -> Result<Settled, DbError> {
    let detail = json!({"job_id": step.attempt.job, "provider": account.name()});
    match search(cx, account, step).await {
        Search::Found(task_id) => {
            cx.log("lost_task_found", detail);
            let task = SubmittedTask {
                attempt: step.attempt,
                user: step.user_id,
                task_id: &task_id,
                witness: Witness::Listed,
                standing: Standing::Current,
            };
            task::settle(cx, account, &task, on_slot_freed).await
        }
        Search::ProvenAbsent if step.sent_seconds.is_some_and(|age| age >= PROOF_AFTER_S) => {
            cx.log("submit_never_arrived", detail);
            let failure =
                Failure::new(FailureCode::ProviderFailed, "the provider never took the request");
            task::requeue(cx, step.attempt, false, 0, &failure).await
        }
        Search::ProvenAbsent | Search::Inconclusive => {
            task::record_no_result(cx, step.attempt, false).await
        }
    }
}

async fn search<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    step: &DueStep,
) -> Search {
    let Some(since) = &step.sent_since else { return Search::Inconclusive };
    let ours = webhook::WebhookAddress {
        provider: account.name(),
        job: step.attempt.job,
        step: step.attempt.step,
        run: step.attempt.run,
    };
    let mut cursor = None;
    let mut queries_left = QUERIES_MAX;
    for _ in 0..PAGES_MAX {
        let Some(request) = account.build_list(since, cursor.as_deref()) else {
            return Search::Inconclusive;
        };
        let answer = cx.transport.send(request).await;
        let parsed = account.parse_list(&answer, step.input.as_ref());
        cx.alarm(account.name(), step.attempt.job, None, parsed.alarm.as_ref()).await;
        let Some(page) = parsed.value else { return Search::Inconclusive };
        for ListedTask { task_id, webhook_url } in page.tasks {
            let webhook_url = match webhook_url {
                Some(url) => Some(url),
                None if queries_left == 0 => return Search::Inconclusive,
                None => {
                    queries_left -= 1;
                    let answer = cx.transport.send(account.build_query(&task_id)).await;
                    if !answer.as_ref().is_ok_and(HttpResponse::is_success) {
                        return Search::Inconclusive;
                    }
                    account.parse_webhook_url(&answer)
                }
            };
            if webhook_url.is_some_and(|url| webhook::names(&url, ours)) {
                return Search::Found(task_id);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Search::ProvenAbsent;
        }
    }
    Search::Inconclusive
}
