//! Settles a submitted step: queries its task with our own key and acts on the answer.
//!
//! A webhook's background, the queue's consumer, the sweep and reconcile use this module. A
//! webhook's body is never trusted: the task that it names is queried, and only an end counts for
//! this step, unless another step owns the task, or the provider says that the task has the webhook
//! of another run (Replicate does, RunningHub says nothing of it). A webhook alone never causes a
//! cancel at the provider: its address proves that the provider knows our step, but not that the
//! named task belongs to this step.

use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::job::decide::{Decision, Event, decide};
use crate::core::job::{Failure, FailureCode, State};
use crate::core::media::{Output, ResultChoice};
use crate::core::provider::{About, Alarm, Asynchronous, TaskAnswer};
use crate::core::transport::{CopyError, Transport};
use crate::core::webhook::WebhookAddress;
use crate::db::DbError;
use crate::db::step::{
    Attempt, CheckAnswer, CheckedOutcome, CompleteOutcome, DoneOutcome, FailOutcome,
    RequeueOutcome, StartedOutcome,
};
use crate::flow::retry::{Tries, is_unavailable, with_retries};
use crate::flow::settle::late_files;
use crate::flow::{Cx, finalise, lease, provider_cancel, store};
use futures_util::future::{LocalBoxFuture, join};
use serde_json::{Value, json};

/// How often a finished copy is recorded while the database refuses it for the moment: a healer
/// waits for no lock, and the next copy is made 90 s later.
const RECORD_TRIES: Tries = Tries { most: 3, pause_ms: 300 };

/// A task to settle.
#[derive(Debug, Clone, Copy)]
pub struct SubmittedTask<'a> {
    pub attempt: Attempt,
    pub user: UserId,
    pub task_id: &'a str,
    pub witness: Witness,
    pub standing: Standing,
}

/// How the task's run stands to its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The step is at work by this run.
    Current,
    /// The step is live, and was requeued since or has a later run. A success still counts.
    Earlier,
    /// The step has ended.
    Closed,
}

/// The source of the claim that the task belongs to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The database: the provider answered the submit with this task.
    Recorded,
    /// The provider's list of our account's tasks.
    Listed,
    /// The sender of a webhook to this run's address.
    Webhook,
}

/// The outcome of settling a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The task has not ended.
    Waiting,
    /// The provider gave no usable answer, so a later sweep queries it.
    NoAnswer,
    /// Completed, with the result in our storage. `last`: the job is completed too. `may_start`: a
    /// waiting step may start now.
    Delivered {
        last: bool,
        may_start: bool,
    },
    /// Failed, because the task ended without a result.
    Failed {
        refunded: i64,
    },
    Requeued,
    /// Nothing is left to do for this step: another worker settled it, the task belongs to another
    /// step, or only a cancel was due.
    Superseded,
}

impl Settled {
    /// Whether the task must be settled later.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::NoAnswer)
    }
}

/// Starts waiting steps when a step frees its slot. It is a trait object, so that a function
/// contains the code of a settle once.
pub type OnSlotFreed<'a> = dyn Fn() -> LocalBoxFuture<'a, Result<(), ApiError>> + 'a;

/// The result of querying a task.
pub enum Queried {
    Settled(Settled),
    /// A webhook named the task of another run. Nothing was changed.
    OfOtherRun,
    /// The step has freed its slot, and its result must be copied. `may_start`: a waiting step may
    /// start now.
    Finished {
        task: FinishedTask,
        may_start: bool,
    },
}

/// Queries `task` and acts on the answer. Calls `on_slot_freed` when the step frees its slot while
/// its result is still being copied.
pub async fn settle<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    task: &SubmittedTask<'_>,
    on_slot_freed: &OnSlotFreed<'_>,
) -> Result<Settled, DbError> {
    let queried = query(cx, account, task).await?;
    go_on(cx, account, queried, on_slot_freed).await
}

/// Does the rest after a query: copies the result, and meanwhile starts waiting steps.
pub async fn go_on<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    queried: Queried,
    on_slot_freed: &OnSlotFreed<'_>,
) -> Result<Settled, DbError> {
    match queried {
        Queried::Settled(settled) => Ok(settled),
        Queried::OfOtherRun => Ok(Settled::Superseded),
        Queried::Finished { task, may_start } => {
            let starting = start_if(cx, may_start, on_slot_freed);
            join(copy(cx, account, &task), starting).await.0
        }
    }
}

/// Starts waiting steps while a result is copied. An error is logged.
pub async fn start_if<T: Transport>(
    cx: &Cx<'_, T>,
    may_start: bool,
    on_slot_freed: &OnSlotFreed<'_>,
) {
    if may_start && let Err(error) = on_slot_freed().await {
        cx.log_error("submit_error", &error, json!({}));
    }
}

/// Queries `task` and acts on the answer, but does not copy a result.
pub async fn query<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    task: &SubmittedTask<'_>,
) -> Result<Queried, DbError> {
    let answer = cx.transport.send(account.build_query(task.task_id)).await;
    let parsed = account.parse_query(&answer);
    cx.alarm(account.name(), task.attempt.job, None, parsed.alarm.as_ref()).await;
    if parsed.value == TaskAnswer::NoAnswer {
        let status = answer.as_ref().map(|response| response.status).ok();
        cx.log(
            "no_answer",
            json!({"job_id": task.attempt.job, "provider": account.name(), "status": status}),
        );
    }
    let Attempt { job, step, run } = task.attempt;
    let ours = WebhookAddress { provider: account.name(), job, step, run };
    if task.witness == Witness::Webhook && account.is_of_other_run(&answer, ours) {
        cx.log("webhook_of_other_run", json!({"job_id": job}));
        return Ok(Queried::OfOtherRun);
    }
    if task.witness != Witness::Recorded
        && let Some(settled) = adopt(cx, account, task, &parsed.value).await?
    {
        return Ok(Queried::Settled(settled));
    }
    let settled = match decide(1, Event::Queried(parsed.value), cx.transport.random()) {
        Decision::Deliver(outputs) => return done(cx, task, &outputs).await,
        Decision::Fail(failure) => fail(cx, task.attempt, &failure).await?,
        Decision::Requeue { capacity, delay_ms, failure } => {
            requeue(cx, task.attempt, capacity, delay_ms, &failure).await?
        }
        Decision::Wait { answered } => {
            let settled = record_no_result(cx, task.attempt, answered).await?;
            if answered && matches!(settled, Settled::Failed { .. }) {
                // The step is past its deadline, and the provider is still working on the task.
                provider_cancel::cancel_task(cx, account, job, step, task.task_id).await;
            }
            settled
        }
        Decision::Record { .. } => Settled::Waiting,
    };
    Ok(Queried::Settled(settled))
}

/// Records that the provider reported no end. Fails the step if its deadline has passed.
/// `answered`: the provider reported that the task runs.
pub async fn record_no_result<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    answered: bool,
) -> Result<Settled, DbError> {
    let answer = if answered { CheckAnswer::Running } else { CheckAnswer::NoAnswer };
    let checked = finalise::check(cx, attempt, answer).await?;
    Ok(match checked.outcome {
        CheckedOutcome::Waiting if answered => Settled::Waiting,
        CheckedOutcome::Waiting => Settled::NoAnswer,
        CheckedOutcome::Failed => Settled::Failed { refunded: checked.refunded },
        CheckedOutcome::Stale => Settled::Superseded,
    })
}

/// Records a task that a webhook or the provider's list names as the task of this step, before
/// anything is done in the step's name. `None`: the caller acts on the answer.
async fn adopt<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    task: &SubmittedTask<'_>,
    answer: &TaskAnswer,
) -> Result<Option<Settled>, DbError> {
    let from_webhook = task.witness == Witness::Webhook;
    match answer {
        // `step_done_v2` adopts or refuses a finished task.
        TaskAnswer::Done(_) => return Ok(None),
        // Nobody else queries the task of an earlier run: the consumer does once more.
        TaskAnswer::NoAnswer | TaskAnswer::Running
            if from_webhook && task.standing == Standing::Earlier =>
        {
            return Ok(Some(Settled::NoAnswer));
        }
        TaskAnswer::NoSuchTask | TaskAnswer::NoAnswer => {
            return record_no_result(cx, task.attempt, false).await.map(Some);
        }
        TaskAnswer::Failed(_) | TaskAnswer::Interrupted(_) | TaskAnswer::Running
            if from_webhook && task.standing != Standing::Current =>
        {
            return Ok(Some(Settled::Superseded));
        }
        // Providers send webhooks at the end. A running task may belong to another step and would
        // be cancelled with this one, so it is not adopted, and a later sweep queries it.
        TaskAnswer::Running if from_webhook => {
            return record_no_result(cx, task.attempt, false).await.map(Some);
        }
        TaskAnswer::Failed(_) | TaskAnswer::Interrupted(_)
            if task.standing != Standing::Current =>
        {
            return Ok(Some(Settled::Superseded));
        }
        TaskAnswer::Failed(_) | TaskAnswer::Interrupted(_) | TaskAnswer::Running => {}
    }
    let Attempt { job, step, .. } = task.attempt;
    match cx.db().step_started_v1(task.attempt, task.task_id).await?.outcome {
        StartedOutcome::Running => Ok(None),
        // The step was just closed and the task has ended, so there is nothing to cancel.
        StartedOutcome::CancelDue if from_webhook => {
            cx.db().step_cancelled_v1(job, step, task.task_id).await?;
            Ok(Some(Settled::Superseded))
        }
        StartedOutcome::CancelDue => {
            provider_cancel::cancel_task(cx, account, job, step, task.task_id).await;
            Ok(Some(Settled::Superseded))
        }
        StartedOutcome::Stale => Ok(Some(Settled::Superseded)),
    }
}

/// Records that the provider has finished, which frees the slot and takes the lease for the copy.
async fn done<T: Transport>(
    cx: &Cx<'_, T>,
    task: &SubmittedTask<'_>,
    outputs: &[Output],
) -> Result<Queried, DbError> {
    let output = json!({"files": outputs});
    let lease_since_ms = cx.transport.now_ms();
    let done = finalise::done(cx, task.attempt, task.task_id, &output).await?;
    match done.outcome {
        DoneOutcome::Copy => {
            let finished = FinishedTask {
                attempt: Attempt { run: done.run, ..task.attempt },
                user: task.user,
                task_id: Some(task.task_id.to_owned()),
                output,
                choice: ResultChoice::stored(done.result.as_ref()),
                done_seconds: 0,
                lease_since_ms,
            };
            return Ok(Queried::Finished { task: finished, may_start: done.may_start > 0 });
        }
        DoneOutcome::Late => cx.log("late_success", json!({"job_id": task.attempt.job})),
        DoneOutcome::Stale => {}
    }
    Ok(Queried::Settled(Settled::Superseded))
}

/// A finished task whose result is not in our storage yet. The caller holds the lease.
pub struct FinishedTask {
    pub attempt: Attempt,
    pub user: UserId,
    pub task_id: Option<String>,
    /// The recorded output: `{"files": [Output]}`.
    pub output: Value,
    pub choice: ResultChoice,
    /// The seconds since the provider finished.
    pub done_seconds: i32,
    /// The clock when the lease was taken, give or take one call: it is read before `done` takes
    /// the lease, and after `steps_due_v1` has taken it.
    pub lease_since_ms: u64,
}

/// Copies the result of a finished step and completes the step.
pub async fn copy<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    finished: &FinishedTask,
) -> Result<Settled, DbError> {
    let attempt = finished.attempt;
    let mut outputs = files_of(&finished.output);
    let saving = async {
        if outputs.is_empty() {
            let (task_id, seconds) = (finished.task_id.as_deref(), finished.done_seconds);
            outputs = late_files::query(cx, account, task_id, seconds).await?;
        }
        store::copy(cx, finished.user, attempt, &outputs, &finished.choice).await
    };
    let lost = || Err(CopyError::Transient("the lease was lost".to_owned()));
    let held = lease::hold(cx, attempt, finished.lease_since_ms, saving);
    match held.await.unwrap_or_else(lost) {
        Ok(url) => {
            let output = json!({"files": outputs});
            let complete = async || finalise::complete(cx, attempt, &output, &url).await;
            let completed = with_retries(cx, RECORD_TRIES, is_unavailable, complete).await?;
            Ok(match completed.outcome {
                CompleteOutcome::Completed => Settled::Delivered {
                    last: completed.job_status == State::Completed,
                    may_start: completed.may_start > 0,
                },
                CompleteOutcome::Late | CompleteOutcome::Stale => Settled::Superseded,
            })
        }
        Err(CopyError::Rejected(text)) => {
            let code = match outputs.is_empty() {
                true => FailureCode::ProviderFailed,
                false => FailureCode::DeliveryFailed,
            };
            fail(cx, attempt, &Failure::new(code, text)).await
        }
        // The lease expires and the next sweep retries the copy, until the job expires.
        Err(error @ (CopyError::Transient(_) | CopyError::Misconfigured(_))) => {
            let (is_alarm, text) = match error {
                CopyError::Misconfigured(text) => (true, text),
                CopyError::Transient(text) | CopyError::Rejected(text) => (false, text),
            };
            let alarm = is_alarm.then(|| Alarm::new(About::Other, text.as_str()));
            cx.alarm(account.name(), attempt.job, None, alarm.as_ref()).await;
            cx.log("copy_deferred", json!({"job_id": attempt.job, "error": text}));
            Ok(Settled::Waiting)
        }
    }
}

fn files_of(output: &Value) -> Vec<Output> {
    let files = output.get("files").cloned().unwrap_or_default();
    serde_json::from_value(files).unwrap_or_default()
}

/// Requeues the step.
pub async fn requeue<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    capacity: bool,
    delay_ms: u32,
    failure: &Failure,
) -> Result<Settled, DbError> {
    let requeued = finalise::requeue(cx, attempt, capacity, delay_ms, failure).await?;
    Ok(match requeued.outcome {
        RequeueOutcome::Queued => Settled::Requeued,
        RequeueOutcome::Failed => Settled::Failed { refunded: requeued.refunded },
        RequeueOutcome::Stale => Settled::Superseded,
    })
}

async fn fail<T: Transport>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    failure: &Failure,
) -> Result<Settled, DbError> {
    let failed = finalise::fail(cx, attempt, failure).await?;
    Ok(match failed.outcome {
        FailOutcome::Failed => Settled::Failed { refunded: failed.refunded },
        FailOutcome::Stale => Settled::Superseded,
    })
}
