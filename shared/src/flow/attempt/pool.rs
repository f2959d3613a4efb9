//! Attempts at a synchronous provider's steps: claims, keeps the lease, records the outcome.
//!
//! The claim writes `started_at` before anything else happens. While the call runs, heartbeats
//! renew its lease. A worker that cannot renew the lease in time drops its call; the database
//! refuses the result of an attempt that lost its lease. This module knows no provider: the call is
//! an argument, and stores its own result.

use crate::core::error::ApiError;
use crate::core::job::decide::{Decision, Event, decide};
use crate::core::provider::CallError;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::step::{Attempt, ClaimedStep, CompleteOutcome, FailOutcome, RequeueOutcome};
use crate::flow::retry::{Tries, is_database_away, with_retries};
use crate::flow::submit::wake;
use crate::flow::{Cx, finalise, lease};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The interval at which a worker with a free slot polls for newly queued steps.
const POLL_MS: u32 = 2_000;
/// An end that is not recorded is made and paid for a second time, so recording it outlasts a
/// restart of the database of almost a minute.
const RECORD_TRIES: Tries = Tries { most: 20, pause_ms: 3_000 };
/// The subrequests of one attempt in the worst case.
const CALLS_PER_STEP: u32 = 16;
const SUBREQUESTS: u32 = 900;

/// A result in our storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Produced {
    pub output: Value,
    pub url: String,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    Completed,
    Failed,
    Requeued {
        delay_ms: u32,
    },
    /// Another worker closed or took the step, or the database did not answer: the step no longer
    /// belongs to us.
    Superseded,
}

/// The limits of one call of [`run_all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The number of parallel calls.
    pub parallel: usize,
    /// No step is claimed after this time.
    pub claim_for_ms: u64,
}

/// What one call of [`run_all`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReport {
    pub processed: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub retrying: u32,
    pub remaining: u32,
}

/// Claims and attempts a provider's steps until none may start or the bounds are reached; `call`
/// does the work of one step. A free slot is filled at once.
pub async fn run_all<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    bounds: Bounds,
    call: impl AsyncFn(&ClaimedStep) -> Result<Produced, CallError>,
) -> Result<PoolReport, ApiError> {
    let until_ms = cx.transport.now_ms() + bounds.claim_for_ms;
    let mut left =
        (cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / CALLS_PER_STEP).max(1) as usize;
    let (mut busy, mut claiming, mut freed, mut polling) = (0, false, false, false);
    let (mut report, call) = (PoolReport::default(), &call);
    let mut events: FuturesUnordered<LocalBoxFuture<'_, PoolEvent>> = FuturesUnordered::new();
    events.push(Box::pin(async { PoolEvent::PollTick }));
    while let Some(event) = events.next().await {
        let mut may_claim = true;
        match event {
            PoolEvent::Claimed { asked, since_ms, claimed } => {
                claiming = false;
                let claimed = tolerate_claim_error(cx, claimed, busy)?;
                let queue_drained = claimed.len() < asked;
                // A claim of fewer steps has emptied the queue, unless a slot was freed since.
                may_claim = !queue_drained || freed;
                busy += claimed.len();
                left = left.saturating_sub(claimed.len());
                for step in claimed {
                    events.push(Box::pin(async move {
                        PoolEvent::Ended(attempt(cx, &step, since_ms, call(&step)).await)
                    }));
                }
                if queue_drained && !polling && busy > 0 {
                    polling = true;
                    events.push(Box::pin(async {
                        cx.transport.sleep(POLL_MS).await;
                        PoolEvent::PollTick
                    }));
                }
            }
            PoolEvent::Ended(outcome) => {
                busy -= 1;
                freed = true;
                report.count(outcome);
                if let AttemptOutcome::Requeued { delay_ms } = outcome {
                    wake::send_hint(cx, provider, delay_ms).await;
                }
            }
            PoolEvent::PollTick => polling = false,
        }
        let asked = left.min(bounds.parallel.saturating_sub(busy));
        if may_claim && !claiming && asked > 0 && cx.transport.now_ms() < until_ms {
            (claiming, freed) = (true, false);
            events.push(Box::pin(claim(cx, provider, asked)));
        }
        if busy == 0 && !claiming {
            break;
        }
    }
    report.remaining = remaining_work(cx, provider).await?;
    Ok(report)
}

/// The events for which [`run_all`] waits.
enum PoolEvent {
    Claimed { asked: usize, since_ms: u64, claimed: Result<Vec<ClaimedStep>, DbError> },
    Ended(AttemptOutcome),
    PollTick,
}

async fn claim<T: Transport>(cx: &Cx<'_, T>, provider: &str, asked: usize) -> PoolEvent {
    // The time is read before the claim. The lease begins later, so it never ends before we expect.
    let since_ms = cx.transport.now_ms();
    let limit = u32::try_from(asked).unwrap_or(u32::MAX);
    PoolEvent::Claimed { asked, since_ms, claimed: cx.db().step_claim_v1(provider, limit).await }
}

/// Treats a failed claim as an empty one while calls are running, so that they are not dropped.
fn tolerate_claim_error<T: Transport>(
    cx: &Cx<'_, T>,
    claimed: Result<Vec<ClaimedStep>, DbError>,
    busy: usize,
) -> Result<Vec<ClaimedStep>, ApiError> {
    claimed.map_err(ApiError::from).or_else(|error| {
        cx.log_error("claim_error", &error, json!({}));
        if busy == 0 { Err(error) } else { Ok(Vec::new()) }
    })
}

/// The number of waiting steps. If one of them could start, the bounds were reached first, so a
/// hint is sent.
async fn remaining_work<T: Transport>(cx: &Cx<'_, T>, provider: &str) -> Result<u32, ApiError> {
    let waiting = cx.db().steps_waiting_v1(provider).await?;
    if waiting.may_start > 0 {
        wake::send_hint(cx, provider, 0).await;
    }
    Ok(waiting.waiting)
}

/// Attempts one claimed step: keeps its lease while `call` works, and records the outcome.
/// `since_ms` is a time before the claim.
pub async fn attempt<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    since_ms: u64,
    call: impl Future<Output = Result<Produced, CallError>>,
) -> AttemptOutcome {
    // The call was dropped. If the lease is lost, the database refuses this error.
    let too_long = || Err(CallError::transient("the provider took too long"));
    let answer = lease::hold(cx, step.attempt, since_ms, call).await.unwrap_or_else(too_long);
    let outcome = end(cx, step, answer).await.unwrap_or_else(|error| {
        let detail = json!({"job_id": step.attempt.job});
        cx.log_error("attempt_error", &ApiError::from(error), detail);
        AttemptOutcome::Superseded
    });
    let Attempt { job, step: number, run } = step.attempt;
    let detail = json!({
        "job_id": job,
        "step": number,
        "run": run,
        "tool": step.tool,
        "attempts": step.attempts,
        "outcome": outcome.word(),
    });
    cx.log("attempt", detail);
    outcome
}

async fn end<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    answer: Result<Produced, CallError>,
) -> Result<AttemptOutcome, DbError> {
    let error = match answer {
        Ok(produced) => return complete(cx, step.attempt, &produced).await,
        Err(error) => error,
    };
    match decide(step.attempts, Event::Called(error), cx.transport.random()) {
        Decision::Fail(failure) => {
            let fail = async || finalise::fail(cx, step.attempt, &failure).await;
            let failed = with_retries(cx, RECORD_TRIES, is_database_away, fail).await?;
            Ok(match failed.outcome {
                FailOutcome::Failed => AttemptOutcome::Failed,
                FailOutcome::Stale => AttemptOutcome::Superseded,
            })
        }
        Decision::Requeue { capacity, delay_ms, failure } => {
            let requeue =
                async || finalise::requeue(cx, step.attempt, capacity, delay_ms, &failure).await;
            let requeued = with_retries(cx, RECORD_TRIES, is_database_away, requeue).await?;
            Ok(match requeued.outcome {
                RequeueOutcome::Queued => AttemptOutcome::Requeued { delay_ms },
                RequeueOutcome::Failed => AttemptOutcome::Failed,
                RequeueOutcome::Stale => AttemptOutcome::Superseded,
            })
        }
        Decision::Record { .. } | Decision::Deliver(_) | Decision::Wait { .. } => {
            Ok(AttemptOutcome::Superseded)
        }
    }
}

/// Completes a step whose result is stored. Tries several times, because without this record the
/// result would be made and paid for a second time.
async fn complete<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    produced: &Produced,
) -> Result<AttemptOutcome, DbError> {
    let complete = async || finalise::complete(cx, attempt, &produced.output, &produced.url).await;
    let completed = with_retries(cx, RECORD_TRIES, is_database_away, complete).await?;
    Ok(match completed.outcome {
        CompleteOutcome::Completed => AttemptOutcome::Completed,
        CompleteOutcome::Late | CompleteOutcome::Stale => AttemptOutcome::Superseded,
    })
}

impl AttemptOutcome {
    fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Requeued { .. } => "requeued",
            Self::Superseded => "superseded",
        }
    }
}

impl PoolReport {
    fn count(&mut self, outcome: AttemptOutcome) {
        self.processed += 1;
        match outcome {
            AttemptOutcome::Completed => self.succeeded += 1,
            AttemptOutcome::Failed => self.failed += 1,
            AttemptOutcome::Requeued { .. } => self.retrying += 1,
            AttemptOutcome::Superseded => {}
        }
    }
}
