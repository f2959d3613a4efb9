//! One attempt at a synchronous provider: claimed, held, ended.
//!
//! The claim has written `started_at` before anything else happens. While the call runs, heartbeats
//! renew its lease; a worker that cannot renew it in time drops its own call, and what an attempt
//! whose lease is lost still brings is refused by the database. It knows no provider: the call is an
//! argument that also stores its own result.

use crate::core::error::ApiError;
use crate::core::job::decide::{Decision, Event, decide};
use crate::core::provider::CallError;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::step::{Attempt, ClaimedStep, CompleteOutcome, FailOutcome, RequeueOutcome};
use crate::flow::submit::wake;
use crate::flow::{Cx, finalise, lease};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};

/// A worker with a free hand looks this often for what others put into the queue.
const LOOK_MS: u32 = 2_000;
const RECORD_TRIES: u32 = 3;
const RECORD_PAUSE_MS: u32 = 1_000;
/// Subrequests of one attempt in the worst case.
const CALLS_PER_STEP: u32 = 16;
const SUBREQUESTS: u32 = 900;

/// A result that lies in our storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Produced {
    pub output: Value,
    pub url: String,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Completed,
    Failed,
    Requeued {
        delay_ms: u32,
    },
    /// Somebody else closed or took it, or the database did not answer: not ours any more.
    Left,
}

/// How much one run may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Calls side by side. The platform allows six open connections, and heartbeats need one.
    pub lanes: usize,
    /// Nothing is claimed after this.
    pub claim_for_ms: u64,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub processed: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub retrying: u32,
    pub remaining: u32,
}

/// Claims and runs what may start at a provider until nothing is left or the bounds are met; each
/// step is handed to `call`. A slot that becomes free is filled at once.
pub async fn run_all<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    bounds: Bounds,
    call: impl AsyncFn(&ClaimedStep) -> Result<Produced, CallError>,
) -> Result<Report, ApiError> {
    let until_ms = cx.transport.now_ms() + bounds.claim_for_ms;
    let mut left =
        (cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / CALLS_PER_STEP).max(1) as usize;
    let (mut busy, mut claiming, mut freed, mut looking) = (0, false, false, false);
    let (mut report, call) = (Report::default(), &call);
    let mut happenings: FuturesUnordered<LocalBoxFuture<'_, Happened>> = FuturesUnordered::new();
    happenings.push(Box::pin(async { Happened::Looked }));
    while let Some(happened) = happenings.next().await {
        let mut may_claim = true;
        match happened {
            Happened::Claimed { asked, since_ms, claimed } => {
                claiming = false;
                let claimed = or_nothing(cx, claimed, busy)?;
                let is_less = claimed.len() < asked;
                // Less than asked for is all there was, unless a slot became free since.
                may_claim = !is_less || freed;
                busy += claimed.len();
                left = left.saturating_sub(claimed.len());
                for step in claimed {
                    happenings.push(Box::pin(async move {
                        Happened::Ended(attempt(cx, &step, since_ms, call(&step)).await)
                    }));
                }
                if is_less && !looking && busy > 0 {
                    looking = true;
                    happenings.push(Box::pin(async {
                        cx.transport.sleep(LOOK_MS).await;
                        Happened::Looked
                    }));
                }
            }
            Happened::Ended(outcome) => {
                busy -= 1;
                freed = true;
                report.count(outcome);
                if let Outcome::Requeued { delay_ms } = outcome {
                    wake::send(cx, provider, delay_ms).await;
                }
            }
            Happened::Looked => looking = false,
        }
        let asked = left.min(bounds.lanes.saturating_sub(busy));
        if may_claim && !claiming && asked > 0 && cx.transport.now_ms() < until_ms {
            (claiming, freed) = (true, false);
            happenings.push(Box::pin(claim(cx, provider, asked)));
        }
        if busy == 0 && !claiming {
            break;
        }
    }
    report.remaining = what_is_left(cx, provider).await?;
    Ok(report)
}

/// What a run waits for.
enum Happened {
    Claimed { asked: usize, since_ms: u64, claimed: Result<Vec<ClaimedStep>, DbError> },
    Ended(Outcome),
    Looked,
}

async fn claim<T: Transport>(cx: &Cx<'_, T>, provider: &str, asked: usize) -> Happened {
    // The lease began after this moment, so counting from it is on the safe side.
    let since_ms = cx.transport.now_ms();
    let limit = u32::try_from(asked).unwrap_or(u32::MAX);
    Happened::Claimed { asked, since_ms, claimed: cx.db().step_claim_v1(provider, limit).await }
}

/// What is already at work is not dropped because the database cannot be asked for more.
fn or_nothing<T: Transport>(
    cx: &Cx<'_, T>,
    claimed: Result<Vec<ClaimedStep>, DbError>,
    busy: usize,
) -> Result<Vec<ClaimedStep>, ApiError> {
    claimed.map_err(ApiError::from).or_else(|error| {
        cx.log("claim_fault", json!({"error": error.to_string(), "detail": error.internal}));
        if busy == 0 { Err(error) } else { Ok(Vec::new()) }
    })
}

/// How many steps wait. What could start and was not, because the bounds were met, gets a hint.
async fn what_is_left<T: Transport>(cx: &Cx<'_, T>, provider: &str) -> Result<u32, ApiError> {
    let waiting = cx.db().steps_waiting_v1(provider).await?;
    if waiting.may_start > 0 {
        wake::send(cx, provider, 0).await;
    }
    Ok(waiting.waiting)
}

/// Runs one claimed step: holds its lease while `call` works, and records what came of it.
/// `since_ms` is a moment before the claim.
pub async fn attempt<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    since_ms: u64,
    call: impl Future<Output = Result<Produced, CallError>>,
) -> Outcome {
    // Past its time, or the lease is lost: then this is refused.
    let given_up = || Err(CallError::passing("the provider took too long"));
    let answer = lease::hold_since(cx, step.attempt, since_ms, call).await.unwrap_or_else(given_up);
    let outcome = end(cx, step, answer).await.unwrap_or_else(|error| {
        cx.log(
            "attempt_fault",
            json!({"job_id": step.attempt.job, "error": ApiError::from(error).internal}),
        );
        Outcome::Left
    });
    let Attempt { job, step: number, run } = step.attempt;
    let word = outcome.word();
    cx.log("attempt", json!({"job_id": job, "step": number, "run": run, "tool": step.tool, "attempts": step.attempts, "outcome": word}));
    outcome
}

async fn end<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    answer: Result<Produced, CallError>,
) -> Result<Outcome, DbError> {
    let error = match answer {
        Ok(produced) => return complete(cx, step.attempt, &produced).await,
        Err(error) => error,
    };
    match decide(step.attempts, Event::Called(error), cx.transport.random()) {
        Decision::Fail(failure) => {
            let failed = finalise::fail(cx, step.attempt, &failure).await?;
            Ok(if failed.outcome == FailOutcome::Failed { Outcome::Failed } else { Outcome::Left })
        }
        Decision::Requeue { capacity, delay_ms, failure } => {
            let requeued =
                finalise::requeue(cx, step.attempt, capacity, delay_ms, &failure).await?;
            Ok(match requeued.outcome {
                RequeueOutcome::Queued => Outcome::Requeued { delay_ms },
                RequeueOutcome::Failed => Outcome::Failed,
                RequeueOutcome::Stale => Outcome::Left,
            })
        }
        Decision::Record { .. } | Decision::Deliver(_) | Decision::Wait { .. } => Ok(Outcome::Left),
    }
}

/// The result is stored; losing the record of it would mean making it again, so it is worth a few tries.
async fn complete<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    produced: &Produced,
) -> Result<Outcome, DbError> {
    let mut tries = 1;
    loop {
        let completed = finalise::complete(cx, attempt, &produced.output, &produced.url).await;
        match completed.map(|completed| completed.outcome) {
            Ok(CompleteOutcome::Completed) => return Ok(Outcome::Completed),
            Ok(CompleteOutcome::Late | CompleteOutcome::Stale) => return Ok(Outcome::Left),
            Err(DbError::Unknown(_) | DbError::Unavailable(_)) if tries < RECORD_TRIES => {
                tries += 1;
                cx.transport.sleep(RECORD_PAUSE_MS).await;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Requeued { .. } => "requeued",
            Self::Left => "left",
        }
    }
}

impl Report {
    fn count(&mut self, outcome: Outcome) {
        self.processed += 1;
        match outcome {
            Outcome::Completed => self.succeeded += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Requeued { .. } => self.retrying += 1,
            Outcome::Left => {}
        }
    }
}
