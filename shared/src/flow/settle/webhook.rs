//! Records a provider's webhook, and settles its step in the background of the same request: the
//! step's slot is freed and filled at once, however many results are being copied.
//!
//! Recording changes no job. The background must end soon, so work that fails or takes long goes to
//! the queue's consumer. A queue message is a hint that may be lost, doubled or late. The sweep
//! finds the same work in the database, and so does the checker of a provider that signs its
//! webhooks.

use super::task::{
    FinishedTask, OnSlotFreed, Queried, Settled, Standing, SubmittedTask, Witness, copy, go_on,
    query, start_if,
};
use crate::core::digest::sha256_hex;
use crate::core::error::ApiError;
use crate::core::id::{JobId, Run, Step, UserId};
use crate::core::job::State;
use crate::core::json;
use crate::core::media::{MediaKind, ResultChoice};
use crate::core::provider::{self, Asynchronous};
use crate::core::transport::Transport;
use crate::core::webhook::Signature;
use crate::db::DbError;
use crate::db::step::{Attempt, StepRow};
use crate::db::webhook::ReceivedWebhook;
use crate::flow::Cx;
use futures_util::future::{Either, join, select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::pin::pin;

/// The binding of the queue of the webhook consumer.
const QUEUE: &str = "HINTS";
/// After this time the background does not begin to start waiting steps. Before it, a start may
/// begin rounds of submits for 6 s more, a submit may take 20 s, and the platform ends the
/// background after 30 s.
const START_MS: u64 = 2_000;
/// A copy that is not finished after this time is left to the consumer.
const COPY_MS: u64 = 25_000;
/// The delay before the consumer retries, once, what failed in the background.
const REPEAT_S: u32 = 10;

/// The queue message about a recorded webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookHint {
    pub inbox: i64,
    pub provider: String,
    pub job: JobId,
    pub step: Step,
    pub run: Run,
    pub task_id: Option<String>,
    /// The step at the time when the webhook was recorded, a [`StepRow`]. Its run fences every
    /// later write.
    pub row: Option<Value>,
    /// The step has ended at the provider, and only its result must be copied.
    pub copy: Option<UnfinishedCopy>,
}

/// A result whose copy is left to the consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnfinishedCopy {
    run: Run,
    user: UserId,
    task_id: Option<String>,
    output: Value,
    choice: ResultChoice,
    lease_since_ms: u64,
    may_start: bool,
}

/// Records an authentic webhook. Refuses one with a wrong signature, even at a valid address.
pub async fn record<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    attempt: Attempt,
    signature: &Signature,
    raw: &str,
) -> Result<WebhookHint, ApiError> {
    let reader = provider::webhook_reader(provider, cx.config)?;
    if !reader.is_authentic(signature, raw, cx.transport.now_ms() / 1_000)? {
        return Err(ApiError::unauthorized());
    }
    let body = json::lenient(raw).unwrap_or(Value::Null);
    let task_id = reader.task_id(&body);
    let Attempt { job, step, run } = attempt;
    // The key includes the address, because the same body at another step's address is another
    // webhook. A signed webhook keeps its id in all deliveries.
    let id = if signature.id.is_empty() { raw } else { &signature.id };
    let dedup_key = sha256_hex(format!("{job}/{step}/{run}/{id}").as_bytes());
    let received = ReceivedWebhook {
        provider,
        attempt,
        task_id: task_id.as_deref(),
        dedup_key: &dedup_key,
        body: &body,
    };
    let recorded = cx.db().webhook_record_v2(&received).await?;
    Ok(WebhookHint {
        inbox: recorded.inbox_id,
        provider: provider.to_owned(),
        job,
        step,
        run,
        task_id,
        row: recorded.step,
        copy: None,
    })
}

/// Settles the step after its webhook was answered, then starts waiting steps. Leaves work to the
/// consumer that fails or would outlast the background.
pub async fn settle_in_background<T: Transport>(
    cx: &Cx<'_, T>,
    mut hint: WebhookHint,
    start_waiting: &OnSlotFreed<'_>,
) {
    let left = settle_soon(cx, &mut hint, start_waiting).await.unwrap_or_else(|error| {
        cx.log_error("settle_error", &error, json!({"job_id": hint.job}));
        Some(REPEAT_S)
    });
    if let Some(delay_s) = left {
        leave(cx, &hint, delay_s).await;
    }
}

/// Leaves the remaining work to the queue's consumer.
async fn leave<T: Transport>(cx: &Cx<'_, T>, hint: &WebhookHint, delay_s: u32) {
    let message = serde_json::to_string(hint).unwrap_or_default();
    if let Err(error) = cx.transport.notify(QUEUE, &message, delay_s).await {
        cx.log("hint_lost", json!({"job_id": hint.job, "error": error.to_string()}));
    }
}

/// Returns the delay after which the consumer must continue; `None`: nothing is left.
async fn settle_soon<T: Transport>(
    cx: &Cx<'_, T>,
    hint: &mut WebhookHint,
    start_waiting: &OnSlotFreed<'_>,
) -> Result<Option<u32>, ApiError> {
    let began_ms = cx.transport.now_ms();
    let age_ms = || cx.transport.now_ms().saturating_sub(began_ms);
    let account = provider::asynchronous(&hint.provider, cx.config)?;
    let settled = match query_task(cx, &*account, hint).await? {
        Queried::Settled(settled) if settled.is_open() => return Ok(Some(REPEAT_S)),
        Queried::Settled(settled) => settled,
        Queried::OfOtherRun => Settled::Superseded,
        Queried::Finished { task, may_start } => {
            let (is_late, left_ms) = (age_ms() > START_MS, COPY_MS.saturating_sub(age_ms()));
            hint.copy = Some(UnfinishedCopy::of(&task, may_start && is_late));
            if is_late {
                return Ok(Some(0));
            }
            let copying = copy_or_leave(cx, &*account, &task, hint, left_ms);
            let (copied, ()) = join(copying, start_if(cx, may_start, start_waiting)).await;
            let Some(settled) = copied else { return Ok(None) };
            settled
        }
    };
    if conclude(cx, hint, settled).await? {
        if age_ms() > START_MS {
            return Ok(Some(0));
        }
        start_waiting().await?;
    }
    Ok(None)
}

/// Copies a result. `None`: the copy failed or takes longer. It is then left to the consumer at
/// once, so that no submit beside it delays the message.
async fn copy_or_leave<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    task: &FinishedTask,
    hint: &WebhookHint,
    limit_ms: u64,
) -> Option<Settled> {
    let delay_s = match copy_within(cx, account, task, limit_ms).await {
        Ok(None) => 0,
        Ok(Some(Settled::Waiting)) => REPEAT_S,
        Ok(settled) => return settled,
        Err(error) => {
            cx.log_error("settle_error", &error.into(), json!({"job_id": hint.job}));
            REPEAT_S
        }
    };
    leave(cx, hint, delay_s).await;
    None
}

/// Copies a result within that time. `None`: it takes longer, as that of a video may.
async fn copy_within<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    task: &FinishedTask,
    limit_ms: u64,
) -> Result<Option<Settled>, DbError> {
    if task.choice.kind == Some(MediaKind::Video) {
        return Ok(None);
    }
    let limit = cx.transport.sleep(u32::try_from(limit_ms).unwrap_or_default());
    match select(pin!(copy(cx, account, task)), pin!(limit)).await {
        Either::Left((settled, _)) => settled.map(Some),
        Either::Right(_) => Ok(None),
    }
}

/// Acts on a hint: settles the task, then starts waiting steps.
pub async fn consume<T: Transport>(
    cx: &Cx<'_, T>,
    hint: &WebhookHint,
    start_waiting: &OnSlotFreed<'_>,
) -> Result<(), ApiError> {
    let account = provider::asynchronous(&hint.provider, cx.config)?;
    let queried = match &hint.copy {
        Some(left) => left.queried(cx, hint).await?,
        None => query_task(cx, &*account, hint).await?,
    };
    let settled = go_on(cx, &*account, queried, start_waiting).await?;
    if conclude(cx, hint, settled).await? { start_waiting().await } else { Ok(()) }
}

/// Queries the hint's task. A hint of an older version has no row.
async fn query_task<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    hint: &WebhookHint,
) -> Result<Queried, ApiError> {
    let step = match hint.row.clone().and_then(|row| serde_json::from_value(row).ok()) {
        Some(row) => Some(row),
        None => cx.db().step_get_v1(hint.job, hint.step).await?,
    };
    match step.as_ref().and_then(|step| task_of(hint, step)) {
        Some(task) => Ok(query(cx, account, &task).await?),
        None => Ok(Queried::Settled(Settled::Superseded)),
    }
}

/// Marks the webhook as applied, unless the completion of the step has done so. Returns whether
/// waiting steps may start.
async fn conclude<T: Transport>(
    cx: &Cx<'_, T>,
    hint: &WebhookHint,
    settled: Settled,
) -> Result<bool, ApiError> {
    cx.log(
        "webhook",
        json!({"job_id": hint.job, "run": hint.run, "settled": format!("{settled:?}")}),
    );
    match settled {
        Settled::Waiting | Settled::NoAnswer => Ok(false),
        Settled::Delivered { may_start, .. } => Ok(may_start),
        Settled::Failed { .. } | Settled::Requeued | Settled::Superseded => {
            cx.db().webhook_applied_v1(hint.inbox).await?;
            Ok(true)
        }
    }
}

impl UnfinishedCopy {
    fn of(task: &FinishedTask, may_start: bool) -> Self {
        Self {
            run: task.attempt.run,
            user: task.user,
            task_id: task.task_id.clone(),
            output: task.output.clone(),
            choice: task.choice.clone(),
            lease_since_ms: task.lease_since_ms,
            may_start,
        }
    }

    /// A message may come twice, or after a copy whose answer was lost, so a step that no longer
    /// needs a copy is left alone.
    async fn queried<T: Transport>(
        &self,
        cx: &Cx<'_, T>,
        hint: &WebhookHint,
    ) -> Result<Queried, DbError> {
        let step = cx.db().step_get_v1(hint.job, hint.step).await?;
        let is_wanted =
            |step: &StepRow| step.attempt.run == self.run && step.done && !step.status.is_final();
        if !step.as_ref().is_some_and(is_wanted) {
            return Ok(Queried::Settled(Settled::Superseded));
        }
        let task = FinishedTask {
            attempt: Attempt { job: hint.job, step: hint.step, run: self.run },
            user: self.user,
            task_id: self.task_id.clone(),
            output: self.output.clone(),
            choice: self.choice.clone(),
            done_seconds: 0,
            lease_since_ms: self.lease_since_ms,
        };
        Ok(Queried::Finished { task, may_start: self.may_start })
    }
}

/// The task that is recorded for the hint's run, else the one that the webhook names. The task of a
/// closed step is queried too, so that a late success is recorded.
fn task_of<'a>(hint: &'a WebhookHint, step: &'a StepRow) -> Option<SubmittedTask<'a>> {
    let is_current = hint.run == step.attempt.run;
    let recorded = step.task_id.as_deref().filter(|_| is_current);
    if step.done && step.status.is_final() {
        return None;
    }
    Some(SubmittedTask {
        attempt: Attempt { run: hint.run, ..step.attempt },
        user: step.user_id,
        task_id: recorded.or(hint.task_id.as_deref())?,
        witness: if recorded.is_some() { Witness::Recorded } else { Witness::Webhook },
        standing: match step.status {
            State::Starting | State::Running if is_current => Standing::Current,
            status if status.is_final() => Standing::Closed,
            _ => Standing::Earlier,
        },
    })
}
