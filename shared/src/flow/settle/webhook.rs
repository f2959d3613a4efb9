//! A provider's call: recorded at once, acted on later.
//!
//! Recording changes no job. The queue message is a hint that may be lost, doubled or late; the
//! sweep finds the same work in the database.

use super::task::{Settled, Subject, Witness, confirm};
use crate::core::digest::sha256_hex;
use crate::core::error::ApiError;
use crate::core::id::{JobId, Run, Step};
use crate::core::job::State;
use crate::core::provider::Remote;
use crate::core::transport::Transport;
use crate::core::webhook::Signature;
use crate::db::step::{Attempt, StepRow};
use crate::db::webhook::ReceivedWebhook;
use crate::flow::Cx;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The queue binding.
const QUEUE: &str = "HINTS";

/// Work that a webhook announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    pub inbox: i64,
    pub provider: String,
    pub job: JobId,
    pub step: Step,
    pub run: Run,
    pub task_id: Option<String>,
}

/// Keeps an authentic call and sends the hint. A repeated call sends it again: the first hint may
/// be what was lost. A call whose address is ours and whose signature is not is refused.
pub async fn record<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    attempt: Attempt,
    signature: &Signature,
    raw: &str,
) -> Result<(), ApiError> {
    let remote = Remote::of(provider, cx.config)?;
    if !remote.is_authentic(signature, raw, cx.transport.now_ms() / 1_000)? {
        return Err(ApiError::unauthorized());
    }
    let body: Value = serde_json::from_str(raw).unwrap_or(Value::Null);
    let task_id = remote.webhook_task_id(&body);
    let Attempt { job, step, run } = attempt;
    // Per address: a body that was also sent to another step's address is another call. A signed one
    // keeps its id over all deliveries.
    let call = if signature.id.is_empty() { raw } else { &signature.id };
    let dedup_key = sha256_hex(format!("{job}/{step}/{run}/{call}").as_bytes());
    let received = ReceivedWebhook {
        provider,
        attempt,
        task_id: task_id.as_deref(),
        dedup_key: &dedup_key,
        body: &body,
    };
    let recorded = cx.db().webhook_record_v1(&received).await?;
    let hint =
        Hint { inbox: recorded.inbox_id, provider: provider.to_owned(), job, step, run, task_id };
    let message =
        serde_json::to_string(&hint).map_err(|error| ApiError::internal(error.to_string()))?;
    if let Err(error) = cx.transport.notify(QUEUE, &message, 0).await {
        cx.log("hint_lost", json!({"job_id": job, "error": error.to_string()}));
    }
    Ok(())
}

/// Acts on a hint: confirms with the provider, delivers, starts what may start.
pub async fn consume<T: Transport>(
    cx: &Cx<'_, T>,
    hint: &Hint,
    start_waiting: &impl AsyncFn() -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let remote = Remote::of(&hint.provider, cx.config)?;
    let Some(step) = cx.db().step_get_v1(hint.job, hint.step).await? else {
        cx.log("hint_without_step", json!({"job_id": hint.job}));
        return Ok(cx.db().webhook_applied_v1(hint.inbox).await?);
    };
    let settled = match subject(hint, &step) {
        Some(subject) => confirm(cx, &remote, &subject, start_waiting).await?,
        None => Settled::Left,
    };
    cx.log(
        "webhook",
        json!({"job_id": hint.job, "run": hint.run, "settled": format!("{settled:?}")}),
    );
    if !settled.is_open() {
        cx.db().webhook_applied_v1(hint.inbox).await?;
        start_waiting().await?;
    }
    Ok(())
}

/// What to ask about: the task we recorded for that run, else the one the webhook names. A closed
/// step is asked about too, so that a late success is kept on record.
fn subject<'a>(hint: &'a Hint, step: &'a StepRow) -> Option<Subject<'a>> {
    let current = hint.run == step.attempt.run;
    let recorded = step.task_id.as_deref().filter(|_| current);
    if step.done && step.status.is_final() {
        return None;
    }
    Some(Subject {
        attempt: Attempt { run: hint.run, ..step.attempt },
        user: step.user_id,
        task_id: recorded.or(hint.task_id.as_deref())?,
        witness: if recorded.is_some() { Witness::Recorded } else { Witness::Called },
        current: current && matches!(step.status, State::Starting | State::Running),
    })
}
