//! Whole jobs: enqueue, read, cancel.

use super::{Db, DbError};
use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::transport::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a user orders. The price is not in it: the database has it.
#[derive(Debug, Clone, Serialize)]
pub struct Enqueue {
    pub p_user_id: UserId,
    pub p_job_id: JobId,
    pub p_tool: &'static str,
    pub p_session_id: Option<String>,
    pub p_input: Value,
    pub p_request_hash: String,
    /// The complete provider request of each step.
    pub p_steps: Vec<Value>,
}

/// A job as its owner sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobView {
    pub job_id: JobId,
    pub status: State,
    #[serde(default)]
    pub replayed: bool,
    pub credits_charged: i64,
    pub credits_refunded: i64,
    pub balance: i64,
    pub position: Option<i32>,
    pub eta_seconds: Option<i32>,
    pub task_id: Option<String>,
    pub output_url: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
}

/// A job as service functions see it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobRow {
    #[serde(flatten)]
    pub view: JobView,
    pub table_name: String,
    pub total_steps: i32,
    pub current_step: i32,
    /// Its steps, where they run side by side.
    pub tasks: Option<Vec<TaskView>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CancelledJob {
    pub refunded_credits: i64,
    /// Whose queue moves up.
    pub provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CancelledInSession {
    pub table_name: String,
    pub job_id: JobId,
    pub refunded_credits: i64,
}

/// One step of a job, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskView {
    /// Which card of its job this is.
    pub card: Option<Value>,
    pub status: State,
    /// It waits for another try.
    pub retrying: bool,
    pub output_url: Option<String>,
    pub error_message: Option<String>,
}

/// What an admin's requeue made of a job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Requeue {
    /// The job itself, or the new one.
    pub job_id: JobId,
    pub retry_of: Option<JobId>,
    /// Whose queue it joined.
    pub provider: String,
}

impl<T: Transport> Db<'_, T> {
    pub async fn job_enqueue_v1(&self, order: &Enqueue) -> Result<JobView, DbError> {
        self.rpc_one("job_enqueue_v1", order).await
    }

    /// `user`: only that user's job. `tool`: only a job of that tool.
    pub async fn job_get_v1(
        &self,
        user: Option<UserId>,
        tool: Option<&str>,
        job: JobId,
    ) -> Result<JobRow, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_job_id: JobId,
            #[serde(skip_serializing_if = "Option::is_none")]
            p_user_id: Option<UserId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            p_tool: Option<&'a str>,
        }
        self.rpc_one("job_get_v1", &Args { p_job_id: job, p_user_id: user, p_tool: tool }).await
    }

    pub async fn job_cancel_v1(
        &self,
        user: UserId,
        table: &str,
        job: JobId,
    ) -> Result<CancelledJob, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_user_id: UserId,
            p_table: &'a str,
            p_job_id: JobId,
        }
        self.rpc_one("job_cancel_v1", &Args { p_user_id: user, p_table: table, p_job_id: job })
            .await
    }

    pub async fn job_cancel_admin_v1(
        &self,
        actor: UserId,
        table: &str,
        job: JobId,
        reason: Option<&str>,
    ) -> Result<CancelledJob, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_actor: UserId,
            p_table: &'a str,
            p_job_id: JobId,
            p_reason: Option<&'a str>,
        }
        let args = Args { p_actor: actor, p_table: table, p_job_id: job, p_reason: reason };
        self.rpc_one("job_cancel_admin_v1", &args).await
    }

    pub async fn session_cancel_v1(
        &self,
        user: UserId,
        session: &str,
        jobs: &[JobId],
    ) -> Result<Vec<CancelledInSession>, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_user_id: UserId,
            p_session_id: &'a str,
            p_job_ids: &'a [JobId],
        }
        self.rpc(
            "session_cancel_v1",
            &Args { p_user_id: user, p_session_id: session, p_job_ids: jobs },
        )
        .await
    }

    pub async fn job_requeue_v1(
        &self,
        actor: UserId,
        table: &str,
        job: JobId,
        charge: bool,
        new: JobId,
    ) -> Result<Requeue, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_actor: UserId,
            p_table: &'a str,
            p_job_id: JobId,
            p_charge: bool,
            p_new_job_id: JobId,
        }
        let args = Args {
            p_actor: actor,
            p_table: table,
            p_job_id: job,
            p_charge: charge,
            p_new_job_id: new,
        };
        self.rpc_one("job_requeue_v1", &args).await
    }
}
