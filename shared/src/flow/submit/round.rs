//! Claim, hand over, record: starts what may start at a provider, whichever tool it belongs to.
//!
//! `sent_at` is written before the request leaves. From then on only an answer that proves a
//! refusal puts a step back; without an answer it stays as it is and is never submitted again.

use crate::core::error::ApiError;
use crate::core::job::decide::{Decision, Event, decide};
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::{Handover, ProviderError, Remote};
use crate::core::transport::Transport;
use crate::core::webhook;
use crate::db::step::{Attempt, ClaimedStep, RequeueOutcome, SentStep, StartedOutcome};
use crate::db::{DbError, step::FailOutcome};
use crate::flow::settle::task as confirm;
use crate::flow::{Cx, finalise, provider_cancel};
use futures_util::future::{LocalBoxFuture, join_all};
use serde_json::json;
use std::cell::RefCell;

/// Claimed and submitted side by side; the platform allows six open connections.
const ROUND: u32 = 5;
/// A submit may take 20 s and work behind an answer is cut off after 30 s, so that a round begun
/// later than this could be cut off with its answer on the way.
const BUDGET_MS: u64 = 6_000;
const RECORD_TRIES: u32 = 3;
const RECORD_PAUSE_MS: u32 = 300;

/// What became of a claimed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Started {
        task_id: String,
        webhook_waiting: bool,
    },
    Requeued,
    Failed,
    /// Handed over, and no answer.
    Unknown,
    /// Somebody else closed or took it, or the database did not answer: not ours any more.
    Left,
}

impl Outcome {
    fn frees_a_slot(&self) -> bool {
        matches!(self, Self::Requeued | Self::Failed | Self::Left)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatched {
    pub attempt: Attempt,
    pub tool: String,
    pub outcome: Outcome,
}

/// What a caller that waits for one job is shown, as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A round begins with these.
    Claimed(&'a [ClaimedStep]),
    /// What became of one of them is recorded.
    Handed(&'a Dispatched),
}

/// Starts what may start until nothing is left or the budget is used.
pub async fn dispatch<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    seen: impl FnMut(Seen<'_>),
) -> Result<Vec<Dispatched>, ApiError> {
    dispatch_within(cx, provider, BUDGET_MS, seen).await
}

/// The same where nobody waits for what comes of it.
pub async fn dispatch_logged<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    seen: impl FnMut(Seen<'_>),
) {
    if let Err(error) = dispatch(cx, provider, seen).await {
        cx.log(
            "dispatch_error",
            json!({"level": "error", "error": error.to_string(), "detail": error.internal}),
        );
    }
}

/// The same for a caller that must answer soon: no round begins after that time.
pub async fn dispatch_within<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    budget_ms: u64,
    seen: impl FnMut(Seen<'_>),
) -> Result<Vec<Dispatched>, ApiError> {
    let hands = Hands::of(cx, provider)?;
    let began = cx.transport.now_ms();
    let seen = RefCell::new(seen);
    let show = |what: Seen<'_>| (seen.borrow_mut())(what);
    let mut all = Vec::new();
    loop {
        let claimed = cx.db().step_claim_v1(provider, ROUND).await?;
        show(Seen::Claimed(&claimed));
        let handed = claimed.iter().map(async |step| {
            let dispatched = hand_over(cx, &hands, step).await;
            show(Seen::Handed(&dispatched));
            dispatched
        });
        let round = join_all(handed).await;
        let has_settled = confirm_early(cx, &hands.remote, &claimed, &round).await;
        // A round that was not full took all there was; only a slot that it gave back, or a chain that moved on, lets in more.
        let is_full = round.len() >= ROUND as usize;
        let may_go_on = is_full
            || has_settled
            || round.iter().any(|dispatched| dispatched.outcome.frees_a_slot());
        all.extend(round);
        if !may_go_on || cx.transport.now_ms().saturating_sub(began) > budget_ms {
            return Ok(all);
        }
    }
}

/// Everything a submit needs, found before anything is claimed.
struct Hands<'a> {
    remote: Remote<'a>,
    functions_url: &'a str,
    webhook_secret: &'a str,
}

impl<'a> Hands<'a> {
    fn of<T: Transport>(cx: &Cx<'a, T>, provider: &str) -> Result<Self, ApiError> {
        Ok(Self {
            remote: Remote::of(provider, cx.config)?,
            functions_url: cx.config.functions_url()?,
            webhook_secret: cx.config.webhook_secret()?,
        })
    }

    fn webhook_url(&self, attempt: Attempt) -> Option<String> {
        let Attempt { job, step, run } = attempt;
        let address = webhook::WebhookAddress { provider: self.remote.name(), job, step, run };
        webhook::url(self.functions_url, self.webhook_secret, address)
    }
}

async fn hand_over<T: Transport>(
    cx: &Cx<'_, T>,
    hands: &Hands<'_>,
    step: &ClaimedStep,
) -> Dispatched {
    let outcome = match submit(cx, hands, step).await {
        Ok(outcome) => outcome,
        Err(error) => {
            cx.log(
                "dispatch_error",
                json!({"job_id": step.attempt.job, "error": ApiError::from(error).internal}),
            );
            Outcome::Left
        }
    };
    cx.log(
        "dispatched",
        json!({"job_id": step.attempt.job, "tool": step.tool, "outcome": word(&outcome)}),
    );
    Dispatched { attempt: step.attempt, tool: step.tool.clone(), outcome }
}

async fn submit<T: Transport>(
    cx: &Cx<'_, T>,
    hands: &Hands<'_>,
    step: &ClaimedStep,
) -> Result<Outcome, DbError> {
    let request = hands.webhook_url(step.attempt).and_then(|webhook_url| {
        let previous_output_url = step.previous_output_url.as_deref();
        let handover =
            Handover { webhook_url: &webhook_url, previous_output_url, run_ms: step.run_ms };
        hands.remote.build_submit(&step.input, &handover)
    });
    let Some(request) = request else {
        let failure = Failure::new(
            FailureCode::ProviderRejected,
            "the job holds no request for its provider",
        );
        return fail(cx, step.attempt, &failure).await;
    };
    match cx.db().step_sent_v1(step.attempt).await {
        Ok(SentStep { applied: true }) => {}
        Ok(SentStep { applied: false }) => return Ok(Outcome::Left),
        // It may be written that the request left, and it did not: put it back rather than wait.
        Err(error) => return not_sent(cx, step, error).await,
    }
    let reading = hands.remote.parse_submit(&cx.transport.send(request).await);
    cx.alarm(hands.remote.name(), reading.alarm.as_deref());
    let lost = reading.said == Err(ProviderError::Unknown);
    match decide(step.attempts + 1, Event::Submitted(reading.said), cx.transport.random()) {
        Decision::Record { task_id, doomed } => record(cx, hands, step, task_id, doomed).await,
        Decision::Fail(failure) => fail(cx, step.attempt, &failure).await,
        Decision::Requeue { capacity, delay_ms, failure } => {
            requeue(cx, step.attempt, capacity, delay_ms, &failure).await
        }
        Decision::Wait { .. } | Decision::Deliver(_) if lost => Ok(Outcome::Unknown),
        Decision::Wait { .. } | Decision::Deliver(_) => Ok(Outcome::Left),
    }
}

async fn not_sent<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    error: DbError,
) -> Result<Outcome, DbError> {
    if !matches!(error, DbError::Unknown(_)) {
        return Err(error);
    }
    let failure = Failure::new(FailureCode::ProviderFailed, "the request could not be handed over");
    requeue(cx, step.attempt, false, 0, &failure).await
}

/// The provider has it. Losing this id would mean waiting for webhook or deadline, so it is worth
/// a few tries.
async fn record<T: Transport>(
    cx: &Cx<'_, T>,
    hands: &Hands<'_>,
    step: &ClaimedStep,
    task_id: String,
    doomed: Option<Failure>,
) -> Result<Outcome, DbError> {
    let mut tries = 1;
    let started = loop {
        match cx.db().step_started_v1(step.attempt, &task_id).await {
            Err(DbError::Unknown(_) | DbError::Unavailable(_)) if tries < RECORD_TRIES => {
                tries += 1;
                cx.transport.sleep(RECORD_PAUSE_MS).await;
            }
            answer => break answer?,
        }
    };
    match (started.outcome, doomed) {
        (StartedOutcome::Running, Some(failure)) => fail(cx, step.attempt, &failure).await,
        (StartedOutcome::Running, None) => {
            Ok(Outcome::Started { task_id, webhook_waiting: started.webhook_waiting })
        }
        (StartedOutcome::CancelDue, _) => {
            let Attempt { job, step, .. } = step.attempt;
            provider_cancel::at_provider(cx, &hands.remote, job, step, &task_id).await;
            Ok(Outcome::Left)
        }
        (StartedOutcome::Stale, _) => Ok(Outcome::Left),
    }
}

async fn fail<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    failure: &Failure,
) -> Result<Outcome, DbError> {
    let failed = finalise::fail(cx, attempt, failure).await?;
    Ok(if failed.outcome == FailOutcome::Failed { Outcome::Failed } else { Outcome::Left })
}

async fn requeue<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    capacity: bool,
    delay_ms: u32,
    failure: &Failure,
) -> Result<Outcome, DbError> {
    Ok(match finalise::requeue(cx, attempt, capacity, delay_ms, failure).await?.outcome {
        RequeueOutcome::Queued => Outcome::Requeued,
        RequeueOutcome::Failed => Outcome::Failed,
        RequeueOutcome::Stale => Outcome::Left,
    })
}

/// Starts what waits. Boxed, because what starts may be settled at once, which starts more.
fn boxed<'a, T: Transport>(
    cx: &'a Cx<'_, T>,
    provider: &'a str,
) -> LocalBoxFuture<'a, Result<(), ApiError>> {
    Box::pin(async move { dispatch(cx, provider, |_| {}).await.map(|_| ()) })
}

/// A webhook that came before we knew the task: the task can be asked about now. Tells whether that settled anything.
async fn confirm_early<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    claimed: &[ClaimedStep],
    round: &[Dispatched],
) -> bool {
    let mut has_settled = false;
    for (step, dispatched) in claimed.iter().zip(round) {
        let Outcome::Started { task_id, webhook_waiting: true } = &dispatched.outcome else {
            continue;
        };
        let witness = confirm::Witness::Recorded;
        let subject = confirm::Subject {
            attempt: step.attempt,
            user: step.user_id,
            task_id,
            witness,
            current: true,
        };
        match confirm::confirm(cx, remote, &subject, &|| boxed(cx, remote.name())).await {
            Ok(settled) => has_settled |= !settled.is_open(),
            Err(error) => {
                cx.log(
                    "confirm_error",
                    json!({"job_id": step.attempt.job, "error": ApiError::from(error).internal}),
                );
            }
        }
    }
    has_settled
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Started { .. } => "started",
        Outcome::Requeued => "requeued",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
        Outcome::Left => "left",
    }
}
