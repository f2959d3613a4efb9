//! The typed calls of the `step_*` functions, by which workers change steps.
//!
//! Only `flow::finalise` calls the functions that end a step.

use crate::core::id::{JobId, Run, Step, UserId};
use crate::core::job::State;
use serde::Serialize;
use serde_json::Value;

/// One attempt of one step. Every write names it; a write of an older run changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attempt {
    #[serde(rename(serialize = "p_job_id"))]
    pub job: JobId,
    #[serde(rename(serialize = "p_step"))]
    pub step: Step,
    #[serde(rename(serialize = "p_run"))]
    pub run: Run,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedStep {
    pub attempt: Attempt,
    pub tool: String,
    pub user_id: UserId,
    pub attempts: u32,
    /// The complete provider request, except for webhook URL and key.
    pub input: Value,
    /// The result of the previous step, in our storage.
    pub previous_output_url: Option<String>,
    /// How long the step may run from now.
    pub run_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentStep {
    /// `false`: the step no longer belongs to this run.
    pub applied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartedOutcome {
    Running,
    /// The step was closed in the meantime: the provider must be told to cancel the task.
    CancelDue,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedStep {
    pub outcome: StartedOutcome,
    /// The webhook came before the task was recorded, so the task can be settled now.
    pub webhook_waiting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequeueOutcome {
    Queued,
    Failed,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequeuedStep {
    pub outcome: RequeueOutcome,
    pub refunded: i64,
}

/// The effect of a heartbeat on the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// `false`: the lease was lost.
    pub applied: bool,
    /// The time that is left of the lease.
    pub lease_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoneOutcome {
    Copy,
    Late,
    Stale,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneStep {
    pub outcome: DoneOutcome,
    /// The run that now holds the lease to copy and complete.
    pub run: Run,
    /// The `ResultChoice` of the step's stored request: which file is the result.
    pub result: Option<Value>,
    /// The number of waiting steps that a claim would take now.
    pub may_start: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompleteOutcome {
    Completed,
    Late,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedStep {
    pub outcome: CompleteOutcome,
    /// The job's state now; `completed` if this was its last step.
    pub job_status: State,
    /// The number of waiting steps that a claim would take now.
    pub may_start: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOutcome {
    Failed,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedStep {
    pub outcome: FailOutcome,
    pub refunded: i64,
}

/// The provider's answer about a step that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckAnswer {
    Running,
    NoAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedOutcome {
    Waiting,
    Failed,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedStep {
    pub outcome: CheckedOutcome,
    pub refunded: i64,
}

/// A snapshot of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    pub attempt: Attempt,
    pub tool: String,
    pub provider: String,
    pub user_id: UserId,
    pub status: State,
    pub task_id: Option<String>,
    /// The provider has finished; the result may not be in our storage yet.
    pub done: bool,
    pub sent: bool,
}

/// The queued steps of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingSteps {
    /// The number of queued steps, including those whose retry is not due yet.
    pub waiting: u32,
    /// The number of them that a claim would take now.
    pub may_start: u32,
}

words! {
    StartedOutcome { Running "running", CancelDue "cancel_due", Stale "stale" }
    RequeueOutcome { Queued "queued", Failed "failed", Stale "stale" }
    DoneOutcome { Copy "copy", Late "late", Stale "stale" }
    CompleteOutcome { Completed "completed", Late "late", Stale "stale" }
    FailOutcome { Failed "failed", Stale "stale" }
    CheckedOutcome { Waiting "waiting", Failed "failed", Stale "stale" }
}

row! {
    Attempt { job as "job_id", step, run }
    ClaimedStep { attempt as .., tool, user_id, attempts, input, previous_output_url, run_ms }
    SentStep { applied }
    StartedStep { outcome, webhook_waiting }
    RequeuedStep { outcome, refunded }
    Heartbeat { applied, lease_ms }
    DoneStep { outcome, run, result, may_start }
    CompletedStep { outcome, job_status, may_start }
    FailedStep { outcome, refunded }
    CheckedStep { outcome, refunded }
    StepRow { attempt as .., tool, provider, user_id, status, task_id, done, sent }
    WaitingSteps { waiting, may_start }
}

rpc! {
    rows step_claim_v1(provider: &str, limit: u32) -> Vec<ClaimedStep>;
    row steps_waiting_v1(provider: &str) -> WaitingSteps;
    row step_sent_v1(attempt: Attempt as ..) -> SentStep;
    row step_started_v1(attempt: Attempt as .., task_id: &str) -> StartedStep;
    /// `kind` is `capacity` or `transient`.
    row step_requeue_v1(
        attempt: Attempt as ..,
        kind: &str,
        delay_ms: u32,
        error_code: &str,
        error_message: &str,
    ) -> RequeuedStep;
    row step_heartbeat_v1(attempt: Attempt as ..) -> Heartbeat;
    row step_done_v2(attempt: Attempt as .., task_id: &str, output: &Value) -> DoneStep;
    row step_complete_v2(
        attempt: Attempt as ..,
        output: &Value,
        output_url: &str,
    ) -> CompletedStep;
    row step_fail_v1(
        attempt: Attempt as ..,
        error_code: &str,
        error_message: &str,
    ) -> FailedStep;
    row step_checked_v1(attempt: Attempt as .., answer: CheckAnswer) -> CheckedStep;
    /// Clears the cancel debt of this task.
    void step_cancelled_v1(job_id: JobId, step: Step, task_id: &str);
    /// `None`: the step does not exist.
    maybe_row step_get_v1(job_id: JobId, step: Step) -> Option<StepRow>;
    rows steps_get_v1(job_id: JobId) -> Vec<StepRow>;
}
