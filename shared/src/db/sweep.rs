//! One run of a healer: begin, close what SQL can close, what is left to ask a provider, end.

use super::step::Attempt;
use super::{Db, DbError};
use crate::core::id::UserId;
use crate::core::transport::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What started the healer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Cron,
    Http,
}

/// What was closed in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    pub table_name: String,
    pub cancelled_count: i32,
    pub refunded_credits: i64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Swept {
    pub cleaned: i32,
    pub refunded_credits: i64,
    pub requeued: i32,
    pub remaining: i32,
    pub tables: Vec<TableCount>,
}

/// Why a step wants attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Ask the provider.
    Query,
    /// Finished there, not yet in our storage.
    Copy,
    /// Sent without an answer; a webhook named a task.
    Inbox,
    /// The provider is owed a cancel.
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DueStep {
    #[serde(flatten)]
    pub attempt: Attempt,
    pub tool: String,
    pub user_id: UserId,
    pub due: Due,
    pub task_id: Option<String>,
    pub output: Option<Value>,
    pub inbox: Option<Value>,
    /// Since when the provider may have created the step's task; the database's clock, as text.
    pub sent_since: Option<String>,
    /// How long ago it was sent.
    pub sent_seconds: Option<i32>,
    /// How many steps are running at the provider in all.
    pub open: i32,
}

impl<T: Transport> Db<'_, T> {
    pub async fn sweep_begin_v1(&self, source: Source) -> Result<i64, DbError> {
        #[derive(Serialize)]
        struct Args {
            p_source: Source,
        }
        #[derive(Deserialize)]
        struct Row {
            sweep_id: i64,
        }
        let row: Row = self.rpc_one("sweep_begin_v1", &Args { p_source: source }).await?;
        Ok(row.sweep_id)
    }

    pub async fn jobs_sweep_v1(&self, sweep_id: i64, limit: u32) -> Result<Swept, DbError> {
        #[derive(Serialize)]
        struct Args {
            p_sweep_id: i64,
            p_limit: u32,
        }
        self.rpc_one("jobs_sweep_v1", &Args { p_sweep_id: sweep_id, p_limit: limit }).await
    }

    /// Reserves what it returns, so that two sweeps never act on one step. `all`: every running step
    /// is due, not only one that nobody has heard of for a while.
    pub async fn steps_due_v1(
        &self,
        provider: &str,
        limit: u32,
        all: bool,
    ) -> Result<Vec<DueStep>, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_provider: &'a str,
            p_limit: u32,
            p_all: bool,
        }
        self.rpc("steps_due_v1", &Args { p_provider: provider, p_limit: limit, p_all: all }).await
    }

    /// What is due and left over now.
    pub async fn sweep_end_v1(
        &self,
        sweep_id: i64,
        delivered: i32,
        cleaned: i32,
        refunded_credits: i64,
    ) -> Result<i32, DbError> {
        #[derive(Serialize)]
        struct Args {
            p_sweep_id: i64,
            p_delivered: i32,
            p_cleaned: i32,
            p_refunded_credits: i64,
        }
        #[derive(Deserialize)]
        struct Row {
            remaining: i32,
        }
        let args = Args {
            p_sweep_id: sweep_id,
            p_delivered: delivered,
            p_cleaned: cleaned,
            p_refunded_credits: refunded_credits,
        };
        let row: Row = self.rpc_one("sweep_end_v1", &args).await?;
        Ok(row.remaining)
    }
}
