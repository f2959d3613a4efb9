//! The calls of one sweep: begin it, end what SQL can end, list the steps to settle, finish it.

use super::step::Attempt;
use crate::core::id::UserId;
use serde::Serialize;
use serde_json::Value;

/// What started a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepSource {
    Cron,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunSweep {
    pub sweep_id: i64,
}

/// The jobs that a sweep ended in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableCount {
    pub table_name: String,
    pub cancelled_count: i32,
    pub refunded_credits: i64,
}

/// The jobs and steps that SQL alone closed or requeued.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    pub cleaned: i32,
    pub refunded_credits: i64,
    pub requeued: i32,
    pub remaining: i32,
    pub tables: Vec<TableCount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSweep {
    /// The number of jobs and steps that a further sweep would find.
    pub remaining: i32,
    /// Whether no probe has come through the queues for a while. The caller then sends one.
    pub ping_queues: bool,
    /// Whether our accounts' balances were not queried for a while. The caller then queries them.
    pub ask_balances: bool,
}

/// The work that a step needs from the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Query the provider.
    Query,
    /// Copy the result: the provider has finished, and the result is not in our storage yet.
    Copy,
    /// Query the task that a webhook named, because the submit had no answer.
    Inbox,
    /// Pay the cancel debt.
    Cancel,
}

/// A step that a sweep reserved.
#[derive(Debug, Clone, PartialEq)]
pub struct DueStep {
    pub attempt: Attempt,
    pub tool: String,
    pub user_id: UserId,
    pub due: Due,
    pub task_id: Option<String>,
    pub output: Option<Value>,
    /// The step's stored request.
    pub input: Option<Value>,
    /// The seconds since the provider finished.
    pub done_seconds: Option<i32>,
    /// The earliest time at which the provider may have created the task, as RFC 3339 text by the
    /// database's clock.
    pub sent_since: Option<String>,
    /// The seconds since the request was sent.
    pub sent_seconds: Option<i32>,
    /// The number of all steps that run at the provider.
    pub open: i32,
}

/// What the last finished sweep stored; `None` if there was none, or if it could not count. The
/// ages are those of each healer's last sign of life.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredHealth {
    pub last_sweep_seconds: Option<i32>,
    pub stuck: Option<i32>,
    pub violations: Option<i32>,
    pub edge_seconds: Option<i32>,
    pub sql_seconds: Option<i32>,
    pub queues_seconds: Option<i32>,
    /// What is degraded: `[{code, subject, message}]`.
    pub degraded: Value,
    /// Whether the database belongs to another deployment than we, or than Workers that were
    /// recently refused.
    pub wrong_deployment: bool,
}

words! {
    Due { Query "query", Copy "copy", Inbox "inbox", Cancel "cancel" }
}

row! {
    BegunSweep { sweep_id }
    TableCount { table_name, cancelled_count, refunded_credits }
    Swept { cleaned, refunded_credits, requeued, remaining, tables }
    EndedSweep { remaining, ping_queues, ask_balances }
    DueStep {
        attempt as .., tool, user_id, due, task_id, output, input, done_seconds, sent_since,
        sent_seconds, open,
    }
    StoredHealth {
        last_sweep_seconds, stuck, violations, edge_seconds, sql_seconds, queues_seconds, degraded,
        wrong_deployment,
    }
}

rpc! {
    row sweep_begin_v1(source: SweepSource) -> BegunSweep;
    row jobs_sweep_v1(sweep_id: i64, limit: u32) -> Swept;
    /// Reserves the returned steps, so that two sweeps never act on one step. With `all`, every
    /// running step is due, not only those without news for a while.
    rows steps_due_v1(provider: &str, limit: u32, all: bool) -> Vec<DueStep>;
    row sweep_end_v1(
        sweep_id: i64,
        delivered: i32,
        cleaned: i32,
        refunded_credits: i64,
    ) -> EndedSweep;
    row health_v2() -> StoredHealth;
    /// Records that our deployment was refused. The refusal itself has rolled everything back.
    void deployment_alarm_v1();
}
