//! What workers may do to a step: the typed calls of the `step_*` functions.
//!
//! Only `flow::finalise` calls those that end a step.

use super::{Db, DbError};
use crate::core::id::{JobId, Run, Step, UserId};
use crate::core::job::State;
use crate::core::transport::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One attempt of one step; every write names it, and a stale one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(rename(serialize = "p_job_id", deserialize = "job_id"))]
    pub job: JobId,
    #[serde(rename(serialize = "p_step"))]
    pub step: Step,
    #[serde(rename(serialize = "p_run"))]
    pub run: Run,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claimed {
    #[serde(flatten)]
    pub attempt: Attempt,
    pub tool: String,
    pub user_id: UserId,
    pub attempts: u32,
    /// The complete provider request but for webhook URL and key.
    pub input: Value,
    /// What the step before made.
    pub previous_output_url: Option<String>,
    /// How long the step may work from now.
    pub run_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartedOutcome {
    Running,
    /// Closed meanwhile: the provider must be told to stop.
    CancelDue,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Started {
    pub outcome: StartedOutcome,
    /// The webhook came before we knew the task: it can be confirmed now.
    pub webhook_waiting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueOutcome {
    Queued,
    Failed,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Requeued {
    pub outcome: RequeueOutcome,
    pub refunded: i64,
}

/// What a heartbeat did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Beat {
    /// `false`: the lease is lost.
    pub applied: bool,
    /// What is left of it.
    pub lease_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoneOutcome {
    Copy,
    Late,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Done {
    pub outcome: DoneOutcome,
    /// The run to copy and complete with.
    pub run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompleteOutcome {
    Completed,
    Late,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Completed {
    pub outcome: CompleteOutcome,
    /// The job's state now: completed with its last step.
    pub job_status: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailOutcome {
    Failed,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Failed {
    pub outcome: FailOutcome,
    pub refunded: i64,
}

/// What asking the provider gave, where nothing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Running,
    NoAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedOutcome {
    Waiting,
    Failed,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Checked {
    pub outcome: CheckedOutcome,
    pub refunded: i64,
}

/// A snapshot of one step.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StepRow {
    #[serde(flatten)]
    pub attempt: Attempt,
    pub tool: String,
    pub provider: String,
    pub user_id: UserId,
    pub status: State,
    pub task_id: Option<String>,
    /// The provider finished; the result may not be in our storage yet.
    pub done: bool,
    pub sent: bool,
}

/// What waits at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    /// All queued steps, also those that wait for their retry.
    pub waiting: u32,
    /// How many of them a claim would take now.
    pub may_start: u32,
}

#[derive(Serialize)]
struct TaskArgs<'a> {
    #[serde(flatten)]
    attempt: Attempt,
    p_task_id: &'a str,
}

#[derive(Serialize)]
struct OutputArgs<'a> {
    #[serde(flatten)]
    attempt: Attempt,
    p_output: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_task_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_output_url: Option<&'a str>,
}

#[derive(Serialize)]
struct FailureArgs<'a> {
    #[serde(flatten)]
    attempt: Attempt,
    p_error_code: &'a str,
    p_error_message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_delay_ms: Option<u32>,
}

#[derive(Deserialize)]
struct Applied {
    applied: bool,
}

impl<T: Transport> Db<'_, T> {
    pub async fn step_claim_v1(&self, provider: &str, limit: u32) -> Result<Vec<Claimed>, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_provider: &'a str,
            p_limit: u32,
        }
        self.rpc("step_claim_v1", &Args { p_provider: provider, p_limit: limit }).await
    }

    pub async fn steps_waiting_v1(&self, provider: &str) -> Result<Waiting, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_provider: &'a str,
        }
        self.rpc_one("steps_waiting_v1", &Args { p_provider: provider }).await
    }

    pub async fn step_sent_v1(&self, attempt: Attempt) -> Result<bool, DbError> {
        let row: Applied = self.rpc_one("step_sent_v1", &attempt).await?;
        Ok(row.applied)
    }

    pub async fn step_started_v1(
        &self,
        attempt: Attempt,
        task_id: &str,
    ) -> Result<Started, DbError> {
        self.rpc_one("step_started_v1", &TaskArgs { attempt, p_task_id: task_id }).await
    }

    pub async fn step_requeue_v1(
        &self,
        attempt: Attempt,
        kind: &str,
        delay_ms: u32,
        code: &str,
        message: &str,
    ) -> Result<Requeued, DbError> {
        let args = FailureArgs {
            attempt,
            p_error_code: code,
            p_error_message: message,
            p_kind: Some(kind),
            p_delay_ms: Some(delay_ms),
        };
        self.rpc_one("step_requeue_v1", &args).await
    }

    pub async fn step_heartbeat_v1(&self, attempt: Attempt) -> Result<Beat, DbError> {
        self.rpc_one("step_heartbeat_v1", &attempt).await
    }

    pub async fn step_done_v1(
        &self,
        attempt: Attempt,
        task_id: &str,
        output: &Value,
    ) -> Result<Done, DbError> {
        let args =
            OutputArgs { attempt, p_output: output, p_task_id: Some(task_id), p_output_url: None };
        self.rpc_one("step_done_v1", &args).await
    }

    pub async fn step_complete_v1(
        &self,
        attempt: Attempt,
        output: &Value,
        url: &str,
    ) -> Result<Completed, DbError> {
        let args =
            OutputArgs { attempt, p_output: output, p_task_id: None, p_output_url: Some(url) };
        self.rpc_one("step_complete_v1", &args).await
    }

    pub async fn step_fail_v1(
        &self,
        attempt: Attempt,
        code: &str,
        message: &str,
    ) -> Result<Failed, DbError> {
        let args = FailureArgs {
            attempt,
            p_error_code: code,
            p_error_message: message,
            p_kind: None,
            p_delay_ms: None,
        };
        self.rpc_one("step_fail_v1", &args).await
    }

    pub async fn step_checked_v1(
        &self,
        attempt: Attempt,
        heard: Heard,
    ) -> Result<Checked, DbError> {
        #[derive(Serialize)]
        struct Args {
            #[serde(flatten)]
            attempt: Attempt,
            p_answer: Heard,
        }
        self.rpc_one("step_checked_v1", &Args { attempt, p_answer: heard }).await
    }

    pub async fn step_cancelled_v1(
        &self,
        job: JobId,
        step: Step,
        task_id: &str,
    ) -> Result<(), DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_job_id: JobId,
            p_step: Step,
            p_task_id: &'a str,
        }
        #[derive(Deserialize)]
        struct Row {}
        let args = Args { p_job_id: job, p_step: step, p_task_id: task_id };
        self.rpc::<_, Row>("step_cancelled_v1", &args).await.map(|_| ())
    }

    /// `None`: there is no such step.
    pub async fn step_get_v1(&self, job: JobId, step: Step) -> Result<Option<StepRow>, DbError> {
        #[derive(Serialize)]
        struct Args {
            p_job_id: JobId,
            p_step: Step,
        }
        let rows = self.rpc("step_get_v1", &Args { p_job_id: job, p_step: step }).await?;
        Ok(rows.into_iter().next())
    }
}
