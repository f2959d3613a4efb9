//! Claims, submits and records: starts the waiting steps of an asynchronous provider, for all
//! tools.
//!
//! `sent_at` is written before the request leaves. From then on, this module requeues the step only
//! if the request was provably not sent, or if the answer proves a refusal. Without an answer it
//! leaves the step as it is. `settle::lost` requeues such a step only if the provider's list proves
//! that the request never arrived.

use crate::core::error::ApiError;
use crate::core::job::decide::{Decision, Event, decide};
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::{self, Asynchronous, SubmitDetails, SubmitError};
use crate::core::transport::Transport;
use crate::core::webhook;
use crate::db::step::{Attempt, ClaimedStep, RequeueOutcome, SentStep, StartedOutcome};
use crate::db::{DbError, step::FailOutcome};
use crate::flow::join::join_all;
use crate::flow::retry::{Tries, is_database_away, is_unavailable, with_retries};
use crate::flow::settle::task::{self, Standing, SubmittedTask, Witness};
use crate::flow::{Cx, finalise, provider_cancel};
use futures_util::future::LocalBoxFuture;
use serde_json::json;

/// The steps of a round, which are claimed and submitted in parallel. The platform allows six open
/// connections.
const ROUND: u32 = 5;
/// No round begins after this time. A submit may take 20 s, and the platform ends background work
/// after 30 s, so a later round could be ended while it awaits an answer.
const BUDGET_MS: u64 = 6_000;
const RECORD_TRIES: Tries = Tries { most: 3, pause_ms: 300 };

/// The outcome of a claimed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitOutcome {
    Started {
        task_id: String,
        webhook_waiting: bool,
    },
    Requeued,
    Failed,
    /// The request was sent and has no usable answer.
    Unknown,
    /// Another worker closed or took the step, or the database did not answer: the step no longer
    /// belongs to us.
    Superseded,
}

impl SubmitOutcome {
    fn frees_a_slot(&self) -> bool {
        matches!(self, Self::Requeued | Self::Failed | Self::Superseded)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Requeued => "requeued",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Superseded => "superseded",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedStep {
    pub attempt: Attempt,
    pub tool: String,
    pub outcome: SubmitOutcome,
}

/// The progress of a round, for a caller that waits for one job.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A round begins with these steps.
    Claimed(&'a [ClaimedStep]),
    /// The outcome of one of the steps is recorded.
    Submitted(&'a SubmittedStep),
}

/// Submits waiting steps until none may start or the budget is used up.
pub async fn submit_waiting<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
) -> Result<Vec<SubmittedStep>, ApiError> {
    submit_waiting_within(cx, provider, None, BUDGET_MS, &|_| {}).await
}

/// Submits the step that was claimed with its order, or else waiting steps. An error is logged,
/// because the caller cannot act on it.
pub async fn submit_waiting_logged<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    claimed: Option<ClaimedStep>,
    report: &dyn Fn(Progress<'_>),
) {
    if let Err(error) = submit_waiting_within(cx, provider, claimed, BUDGET_MS, report).await {
        cx.log_error("submit_error", &error, json!({"provider": provider}));
    }
}

/// Returns the callback of [`crate::flow::settle`] for a freed slot: it submits the provider's
/// waiting steps.
pub fn starter<'a, T: Transport>(
    cx: &'a Cx<'_, T>,
    provider: &'a str,
) -> impl Fn() -> LocalBoxFuture<'a, Result<(), ApiError>> {
    move || Box::pin(async move { submit_waiting(cx, provider).await.map(drop) })
}

/// Does the same for a caller that must answer soon: no round begins after `budget_ms`. The first
/// round submits `claimed`, if there is such a step. `report` is a trait object, so that a function
/// contains this code once.
pub async fn submit_waiting_within<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    mut claimed: Option<ClaimedStep>,
    budget_ms: u64,
    report: &dyn Fn(Progress<'_>),
) -> Result<Vec<SubmittedStep>, ApiError> {
    let context = SubmitContext::new(cx, provider)?;
    let began = cx.transport.now_ms();
    let mut all = Vec::new();
    loop {
        let claimed = match claimed.take() {
            Some(step) => vec![step],
            None => cx.db().step_claim_v1(provider, ROUND).await?,
        };
        report(Progress::Claimed(&claimed));
        let submits = claimed.iter().map(async |step| {
            let submitted = submit_step(cx, &context, step).await;
            report(Progress::Submitted(&submitted));
            submitted
        });
        let round = join_all(submits).await;
        let has_settled = settle_early(cx, &*context.account, &claimed, &round).await;
        // A round of fewer steps has emptied the queue. Another one follows only if it freed a slot
        // or advanced a try-on.
        let is_full = round.len() >= ROUND as usize;
        let may_go_on =
            is_full || has_settled || round.iter().any(|step| step.outcome.frees_a_slot());
        all.extend(round);
        if !may_go_on || cx.transport.now_ms().saturating_sub(began) > budget_ms {
            return Ok(all);
        }
    }
}

/// Whether an order may claim its step. A step that this function cannot submit waits unclaimed.
pub fn can_submit<T: Transport>(cx: &Cx<'_, T>, provider: &str) -> bool {
    SubmitContext::new(cx, provider).is_ok()
}

/// Everything that a submit needs, checked before anything is claimed.
struct SubmitContext<'a> {
    account: Box<dyn Asynchronous + 'a>,
    functions_url: &'a str,
    webhook_secret: &'a str,
}

impl<'a> SubmitContext<'a> {
    fn new<T: Transport>(cx: &Cx<'a, T>, provider: &str) -> Result<Self, ApiError> {
        Ok(Self {
            account: provider::asynchronous(provider, cx.config)?,
            functions_url: cx.config.functions_url()?,
            webhook_secret: cx.config.webhook_secret()?,
        })
    }

    fn webhook_url(&self, attempt: Attempt) -> Option<String> {
        let Attempt { job, step, run } = attempt;
        let address = webhook::WebhookAddress { provider: self.account.name(), job, step, run };
        webhook::url(self.functions_url, self.webhook_secret, address)
    }
}

async fn submit_step<T: Transport>(
    cx: &Cx<'_, T>,
    context: &SubmitContext<'_>,
    step: &ClaimedStep,
) -> SubmittedStep {
    let job = step.attempt.job;
    let outcome = send(cx, context, step).await.unwrap_or_else(|error| {
        cx.log_error("submit_error", &ApiError::from(error), json!({"job_id": job}));
        SubmitOutcome::Superseded
    });
    cx.log("submit", json!({"job_id": job, "tool": step.tool, "outcome": outcome.word()}));
    SubmittedStep { attempt: step.attempt, tool: step.tool.clone(), outcome }
}

async fn send<T: Transport>(
    cx: &Cx<'_, T>,
    context: &SubmitContext<'_>,
    step: &ClaimedStep,
) -> Result<SubmitOutcome, DbError> {
    let request = context.webhook_url(step.attempt).and_then(|webhook_url| {
        let previous_output_url = step.previous_output_url.as_deref();
        let details =
            SubmitDetails { webhook_url: &webhook_url, previous_output_url, run_ms: step.run_ms };
        context.account.build_submit(&step.input, &details)
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
        Ok(SentStep { applied: false }) => return Ok(SubmitOutcome::Superseded),
        // `sent_at` may be written although the request did not leave, so the step is requeued at
        // once.
        Err(error) => return not_sent(cx, step, error).await,
    }
    let parsed = context.account.parse_submit(&cx.transport.send(request).await);
    let refused = Some(step.tool.as_str());
    cx.alarm(context.account.name(), step.attempt.job, refused, parsed.alarm.as_ref()).await;
    let is_unknown = parsed.value == Err(SubmitError::Unknown);
    match decide(step.attempts + 1, Event::Submitted(parsed.value), cx.transport.random()) {
        Decision::Record { task_id, early_failure } => {
            record(cx, context, step, task_id, early_failure).await
        }
        Decision::Fail(failure) => fail(cx, step.attempt, &failure).await,
        Decision::Requeue { capacity, delay_ms, failure } => {
            requeue(cx, step.attempt, capacity, delay_ms, &failure).await
        }
        Decision::Wait { .. } | Decision::Deliver(_) if is_unknown => Ok(SubmitOutcome::Unknown),
        Decision::Wait { .. } | Decision::Deliver(_) => Ok(SubmitOutcome::Superseded),
    }
}

async fn not_sent<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    error: DbError,
) -> Result<SubmitOutcome, DbError> {
    if !matches!(error, DbError::Unknown(_)) {
        return Err(error);
    }
    let failure = Failure::new(FailureCode::ProviderFailed, "the request could not be submitted");
    requeue(cx, step.attempt, false, 0, &failure).await
}

/// Records the task of an accepted step. Tries several times, because without the task's id the
/// step would wait for its webhook or its deadline.
async fn record<T: Transport>(
    cx: &Cx<'_, T>,
    context: &SubmitContext<'_>,
    step: &ClaimedStep,
    task_id: String,
    early_failure: Option<Failure>,
) -> Result<SubmitOutcome, DbError> {
    let record = async || cx.db().step_started_v1(step.attempt, &task_id).await;
    let started = with_retries(cx, RECORD_TRIES, is_database_away, record).await?;
    match (started.outcome, early_failure) {
        (StartedOutcome::Running, Some(failure)) => fail(cx, step.attempt, &failure).await,
        (StartedOutcome::Running, None) => {
            Ok(SubmitOutcome::Started { task_id, webhook_waiting: started.webhook_waiting })
        }
        (StartedOutcome::CancelDue, _) => {
            let Attempt { job, step, .. } = step.attempt;
            provider_cancel::cancel_task(cx, &*context.account, job, step, &task_id).await;
            Ok(SubmitOutcome::Superseded)
        }
        (StartedOutcome::Stale, _) => Ok(SubmitOutcome::Superseded),
    }
}

async fn fail<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    failure: &Failure,
) -> Result<SubmitOutcome, DbError> {
    let fail = async || finalise::fail(cx, attempt, failure).await;
    let failed = with_retries(cx, RECORD_TRIES, is_unavailable, fail).await?;
    Ok(match failed.outcome {
        FailOutcome::Failed => SubmitOutcome::Failed,
        FailOutcome::Stale => SubmitOutcome::Superseded,
    })
}

async fn requeue<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    capacity: bool,
    delay_ms: u32,
    failure: &Failure,
) -> Result<SubmitOutcome, DbError> {
    let requeue = async || finalise::requeue(cx, attempt, capacity, delay_ms, failure).await;
    let requeued = with_retries(cx, RECORD_TRIES, is_unavailable, requeue).await?;
    Ok(match requeued.outcome {
        RequeueOutcome::Queued => SubmitOutcome::Requeued,
        RequeueOutcome::Failed => SubmitOutcome::Failed,
        RequeueOutcome::Stale => SubmitOutcome::Superseded,
    })
}

/// Settles the tasks whose webhook came before they were recorded. Returns whether at least one of
/// their steps was settled, so that its slot may be free.
async fn settle_early<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    claimed: &[ClaimedStep],
    round: &[SubmittedStep],
) -> bool {
    let mut has_settled = false;
    for (step, submitted) in claimed.iter().zip(round) {
        let SubmitOutcome::Started { task_id, webhook_waiting: true } = &submitted.outcome else {
            continue;
        };
        let task = SubmittedTask {
            attempt: step.attempt,
            user: step.user_id,
            task_id,
            witness: Witness::Recorded,
            standing: Standing::Current,
        };
        match task::settle(cx, account, &task, &starter(cx, account.name())).await {
            Ok(settled) => has_settled |= !settled.is_open(),
            Err(error) => {
                let detail = json!({"job_id": step.attempt.job});
                cx.log_error("settle_error", &ApiError::from(error), detail);
            }
        }
    }
    has_settled
}
