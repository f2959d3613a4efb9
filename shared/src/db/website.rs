//! Websites: what their owner sees of one, and the retries of those whose attempt stopped.
//!
//! Only `flow::finalise` calls those that may end a job.

use super::{Db, DbError};
use crate::core::id::{JobId, Run, UserId};
use crate::core::job::State;
use crate::core::transport::Transport;
use serde::{Deserialize, Serialize};

/// A website as its owner sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Generation {
    pub job_id: JobId,
    pub status: State,
    pub error_message: Option<String>,
    pub retries: i32,
    pub credits_refunded: i64,
    /// Where its files lie, once there are any.
    pub output_url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOutcome {
    Retried,
    /// No attempt was left: failed and refunded instead.
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Retry {
    pub outcome: RetryOutcome,
    pub user_id: UserId,
    pub status: State,
    pub retries: i32,
    pub refunded: i64,
    pub balance: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleAction {
    /// Reserved for the caller, who calls the function.
    Retry,
    Failed,
}

/// A website whose attempt stopped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stale {
    pub job_id: JobId,
    pub tool: String,
    pub run: Run,
    pub retries: i32,
    pub action: StaleAction,
    pub refunded: i64,
    /// How many more there are.
    pub remaining: i32,
}

impl<T: Transport> Db<'_, T> {
    pub async fn generation_get_v1(
        &self,
        user: UserId,
        tool: &str,
        job: JobId,
    ) -> Result<Generation, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_user_id: UserId,
            p_tool: &'a str,
            p_job_id: JobId,
        }
        self.rpc_one("generation_get_v1", &Args { p_user_id: user, p_tool: tool, p_job_id: job })
            .await
    }

    /// `owner`: whose it must be; none: the service asks.
    pub async fn generation_retry_v1(
        &self,
        job: JobId,
        tool: &str,
        owner: Option<UserId>,
    ) -> Result<Retry, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_job_id: JobId,
            p_tool: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            p_user_id: Option<UserId>,
        }
        self.rpc_one("generation_retry_v1", &Args { p_job_id: job, p_tool: tool, p_user_id: owner })
            .await
    }

    pub async fn generations_stale_v1(&self, limit: u32) -> Result<Vec<Stale>, DbError> {
        #[derive(Serialize)]
        struct Args {
            p_limit: u32,
        }
        self.rpc("generations_stale_v1", &Args { p_limit: limit }).await
    }

    pub async fn generation_put_back_v1(&self, job: JobId, run: Run) -> Result<(), DbError> {
        #[derive(Serialize)]
        struct Args {
            p_job_id: JobId,
            p_run: Run,
        }
        #[derive(Deserialize)]
        struct Row {}
        self.rpc::<_, Row>("generation_put_back_v1", &Args { p_job_id: job, p_run: run })
            .await
            .map(|_| ())
    }
}
