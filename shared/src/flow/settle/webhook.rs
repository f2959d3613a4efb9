//! Records a provider's webhook at once, and settles the step that it is about later.
//!
//! Recording changes no job. The queue message is a hint that may be lost, doubled or late; the
//! sweep finds the same work in the database.

use super::task::{OnSlotFreed, Settled, SubmittedTask, Witness, settle};
use crate::core::digest::sha256_hex;
use crate::core::error::ApiError;
use crate::core::id::{JobId, Run, Step};
use crate::core::job::State;
use crate::core::json;
use crate::core::provider;
use crate::core::transport::Transport;
use crate::core::webhook::Signature;
use crate::db::step::{Attempt, StepRow};
use crate::db::webhook::ReceivedWebhook;
use crate::flow::Cx;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The queue binding of the webhook consumer.
const QUEUE: &str = "HINTS";

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
    /// The step when the webhook was recorded, a [`StepRow`]. Its run fences every later write.
    pub row: Option<Value>,
}

/// Records an authentic webhook and sends the hint. A repeated webhook sends a second hint, because
/// the first one may be lost. Refuses a webhook whose signature is wrong, even at a valid address.
pub async fn record<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    attempt: Attempt,
    signature: &Signature,
    raw: &str,
) -> Result<(), ApiError> {
    let reader = provider::webhook_reader(provider, cx.config)?;
    if !reader.is_authentic(signature, raw, cx.transport.now_ms() / 1_000)? {
        return Err(ApiError::unauthorized());
    }
    let body = json::lenient(raw).unwrap_or(Value::Null);
    let task_id = reader.task_id(&body);
    let Attempt { job, step, run } = attempt;
    // The key includes the address: the same body at another step's address is another webhook. A
    // signed webhook keeps its id over all deliveries.
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
    let hint = WebhookHint {
        inbox: recorded.inbox_id,
        provider: provider.to_owned(),
        job,
        step,
        run,
        task_id,
        row: recorded.step,
    };
    let message =
        serde_json::to_string(&hint).map_err(|error| ApiError::internal(error.to_string()))?;
    if let Err(error) = cx.transport.notify(QUEUE, &message, 0).await {
        cx.log("hint_lost", json!({"job_id": job, "error": error.to_string()}));
    }
    Ok(())
}

/// Acts on a hint: settles the task, then starts waiting steps.
pub async fn consume<T: Transport>(
    cx: &Cx<'_, T>,
    hint: &WebhookHint,
    start_waiting: &OnSlotFreed<'_>,
) -> Result<(), ApiError> {
    let account = provider::asynchronous(&hint.provider, cx.config)?;
    // A hint of an older version has no row.
    let step = match hint.row.clone().and_then(|row| serde_json::from_value(row).ok()) {
        Some(row) => Some(row),
        None => cx.db().step_get_v1(hint.job, hint.step).await?,
    };
    let Some(step) = step else {
        cx.log("hint_without_step", json!({"job_id": hint.job}));
        return Ok(cx.db().webhook_applied_v1(hint.inbox).await?);
    };
    let settled = match task_of(hint, &step) {
        Some(task) => settle(cx, &*account, &task, start_waiting).await?,
        None => Settled::Superseded,
    };
    cx.log(
        "webhook",
        json!({"job_id": hint.job, "run": hint.run, "settled": format!("{settled:?}")}),
    );
    match settled {
        Settled::Waiting | Settled::NoAnswer => Ok(()),
        // The step's completion marked the webhook as applied.
        Settled::Delivered { may_start: false, .. } => Ok(()),
        Settled::Delivered { may_start: true, .. } => start_waiting().await,
        Settled::Failed { .. } | Settled::Requeued | Settled::Superseded => {
            cx.db().webhook_applied_v1(hint.inbox).await?;
            start_waiting().await
        }
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
        is_current: is_current && matches!(step.status, State::Starting | State::Running),
    })
}
