//! Asks the provider about a task with our own key and acts on the answer.
//!
//! Used by the webhook consumer, the sweep and reconcile. A webhook's body is never believed: what
//! it names is asked about, and only an end is taken as this step's, unless another step owns the
//! task. On a webhook's word alone nothing is ever cancelled at the provider: its address proves
//! that the provider was told of our step, not that the task it names is that step's.

use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::job::decide::{Decision, Event, decide};
use crate::core::job::{Failure, FailureCode, State};
use crate::core::provider::{Answer, Output, Remote};
use crate::core::transport::{CopyError, Transport};
use crate::db::DbError;
use crate::db::step::{
    Attempt, CheckAnswer, CheckedOutcome, CompleteOutcome, DoneOutcome, FailOutcome,
    RequeueOutcome, StartedOutcome,
};
use crate::flow::{Cx, finalise, lease, provider_cancel, store};
use futures_util::future::join;
use serde_json::{Value, json};

/// What to ask about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub attempt: Attempt,
    pub user: UserId,
    pub task_id: &'a str,
    pub witness: Witness,
    /// The run is the step's present one, and at work.
    pub current: bool,
}

/// Who says that a task is this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The database: we submitted it and were answered.
    Recorded,
    /// The provider's own list, which our key was shown: we submitted it.
    Listed,
    /// Whoever called this run's webhook address.
    Called,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Not over yet.
    Waiting,
    /// No usable answer: asked again later.
    Silent,
    /// Completed with its result in our storage; with the last step, so is the job.
    Delivered { last: bool },
    /// Ended without a result.
    Failed { refunded: i64 },
    /// Back in the queue.
    Requeued,
    /// Somebody else settled it, or it is not this step's task.
    Left,
}

impl Settled {
    /// Whether it is still to be settled.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Silent)
    }
}

/// Asks the provider about `subject` and acts on the answer. Calls `on_slot_freed` once the step
/// gives its slot back while its result is still being copied.
pub async fn confirm<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    subject: &Subject<'_>,
    on_slot_freed: &impl AsyncFn() -> Result<(), ApiError>,
) -> Result<Settled, DbError> {
    let answer = cx.transport.send(remote.build_query(subject.task_id)).await;
    let reading = remote.parse_query(&answer);
    cx.alarm(remote.name(), reading.alarm.as_deref());
    if reading.said == Answer::Silent {
        let status = answer.as_ref().map(|response| response.status).ok();
        cx.log(
            "no_answer",
            json!({"job_id": subject.attempt.job, "provider": remote.name(), "status": status}),
        );
    }
    if subject.witness != Witness::Recorded
        && let Some(settled) = adopt(cx, remote, subject, &reading.said).await?
    {
        return Ok(settled);
    }
    match decide(1, Event::Queried(reading.said), cx.transport.random()) {
        Decision::Deliver(outputs) => deliver(cx, remote, subject, &outputs, on_slot_freed).await,
        Decision::Fail(failure) => fail(cx, subject.attempt, &failure).await,
        Decision::Requeue { capacity, delay_ms, failure } => {
            let requeued =
                finalise::requeue(cx, subject.attempt, capacity, delay_ms, &failure).await?;
            Ok(match requeued.outcome {
                RequeueOutcome::Queued => Settled::Requeued,
                RequeueOutcome::Failed => Settled::Failed { refunded: requeued.refunded },
                RequeueOutcome::Stale => Settled::Left,
            })
        }
        Decision::Wait { answered } => {
            let settled = silent(cx, subject.attempt, answered).await?;
            if answered && matches!(settled, Settled::Failed { .. }) {
                // Past its deadline and still at work there.
                let Attempt { job, step, .. } = subject.attempt;
                provider_cancel::at_provider(cx, remote, job, step, subject.task_id).await;
            }
            Ok(settled)
        }
        Decision::Record { .. } => Ok(Settled::Waiting),
    }
}

/// Nothing ended there: noted, and past the deadline ended here.
pub async fn silent<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    answered: bool,
) -> Result<Settled, DbError> {
    let heard = if answered { CheckAnswer::Running } else { CheckAnswer::NoAnswer };
    let checked = finalise::checked(cx, attempt, heard).await?;
    Ok(match checked.outcome {
        CheckedOutcome::Waiting if answered => Settled::Waiting,
        CheckedOutcome::Waiting => Settled::Silent,
        CheckedOutcome::Failed => Settled::Failed { refunded: checked.refunded },
        CheckedOutcome::Stale => Settled::Left,
    })
}

/// A task that is not recorded becomes the step's before anything is done in its name.
/// `None`: go on with the answer.
async fn adopt<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    subject: &Subject<'_>,
    answer: &Answer,
) -> Result<Option<Settled>, DbError> {
    let called = subject.witness == Witness::Called;
    match answer {
        // A finished task is adopted, or refused, by what records that it is done.
        Answer::Done(_) => return Ok(None),
        Answer::Lost | Answer::Silent => return silent(cx, subject.attempt, false).await.map(Some),
        Answer::Failed(_) | Answer::Interrupted(_) | Answer::Running
            if called && !subject.current =>
        {
            return Ok(Some(Settled::Left));
        }
        // Providers call at the end. What is still at work may be anybody's, and would be cancelled
        // with this step: it is asked about again.
        Answer::Running if called => return silent(cx, subject.attempt, false).await.map(Some),
        Answer::Failed(_) | Answer::Interrupted(_) if !subject.current => {
            return Ok(Some(Settled::Left));
        }
        Answer::Failed(_) | Answer::Interrupted(_) | Answer::Running => {}
    }
    let Attempt { job, step, .. } = subject.attempt;
    match cx.db().step_started_v1(subject.attempt, subject.task_id).await?.outcome {
        StartedOutcome::Running => Ok(None),
        // Closed a moment ago, and the task is over: nothing is owed on a webhook's word.
        StartedOutcome::CancelDue if called => {
            cx.db().step_cancelled_v1(job, step, subject.task_id).await?;
            Ok(Some(Settled::Left))
        }
        StartedOutcome::CancelDue => {
            provider_cancel::at_provider(cx, remote, job, step, subject.task_id).await;
            Ok(Some(Settled::Left))
        }
        StartedOutcome::Stale => Ok(Some(Settled::Left)),
    }
}

async fn deliver<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    subject: &Subject<'_>,
    outputs: &[Output],
    on_slot_freed: &impl AsyncFn() -> Result<(), ApiError>,
) -> Result<Settled, DbError> {
    let output = json!({"files": outputs});
    let done = finalise::done(cx, subject.attempt, subject.task_id, &output).await?;
    match done.outcome {
        DoneOutcome::Copy => {
            let attempt = Attempt { run: done.run, ..subject.attempt };
            // The slot is free from here on, however long copying takes.
            let copying = copy(cx, remote, subject.user, attempt, &output);
            let starting = async {
                if let Err(error) = on_slot_freed().await {
                    cx.log(
                        "dispatch_error",
                        json!({
                            "level": "error",
                            "error": error.to_string(),
                            "detail": error.internal,
                        }),
                    );
                }
            };
            join(copying, starting).await.0
        }
        DoneOutcome::Late => {
            cx.log("late_success", json!({"job_id": subject.attempt.job}));
            Ok(Settled::Left)
        }
        DoneOutcome::Stale => Ok(Settled::Left),
    }
}

/// Copies the recorded output of a finished step and completes it. The caller holds the copy lease.
pub async fn copy<T: Transport>(
    cx: &Cx<'_, T>,
    remote: &Remote<'_>,
    user: UserId,
    attempt: Attempt,
    output: &Value,
) -> Result<Settled, DbError> {
    let outputs: Vec<Output> = output
        .get("files")
        .and_then(|files| serde_json::from_value(files.clone()).ok())
        .unwrap_or_default();
    let saving = store::copy(cx, user, attempt, &outputs, remote.content_types());
    let lost = || Err(CopyError::Transient("the lease was lost".to_owned()));
    match lease::hold(cx, attempt, saving).await.unwrap_or_else(lost) {
        Ok(url) => {
            let completed = finalise::complete(cx, attempt, output, &url).await?;
            Ok(match completed.outcome {
                CompleteOutcome::Completed => {
                    Settled::Delivered { last: completed.job_status == State::Completed }
                }
                CompleteOutcome::Late | CompleteOutcome::Stale => Settled::Left,
            })
        }
        Err(CopyError::Rejected(text)) => {
            fail(cx, attempt, &Failure::new(FailureCode::DeliveryFailed, text)).await
        }
        // The lease runs out and the next sweep copies again, until the job expires.
        Err(CopyError::Transient(text)) => {
            cx.log("copy_deferred", json!({"job_id": attempt.job, "error": text}));
            Ok(Settled::Waiting)
        }
    }
}

async fn fail<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    failure: &Failure,
) -> Result<Settled, DbError> {
    let failed = finalise::fail(cx, attempt, failure).await?;
    Ok(match failed.outcome {
        FailOutcome::Failed => Settled::Failed { refunded: failed.refunded },
        FailOutcome::Stale => Settled::Left,
    })
}
