//! One sweep: begin it, close what SQL can close, list the steps to settle, end it.

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

/// What a sweep closed in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableCount {
    pub table_name: String,
    pub cancelled_count: i32,
    pub refunded_credits: i64,
}

/// What SQL alone closed.
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
    /// How many jobs and steps a further sweep would find.
    pub remaining: i32,
    /// No probe has come through the queues for a while: the caller sends one to test them.
    pub ping_queues: bool,
    /// The balances of our accounts have not been queried for a while: the caller queries them.
    pub ask_balances: bool,
}

/// What a step needs from the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Query the provider.
    Query,
    /// Copy the result: the provider finished and the result is not yet in our storage.
    Copy,
    /// Query the task that a webhook named: the submit had no answer.
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
    /// How long ago the provider was done.
    pub done_seconds: Option<i32>,
    /// The earliest time at which the provider may have created the task; the database's clock, as
    /// RFC 3339 text.
    pub sent_since: Option<String>,
    /// How long ago the request was sent.
    pub sent_seconds: Option<i32>,
    /// How many steps run at the provider in all.
    pub open: i32,
}

/// What the last finished sweep stored; `None` where there was none or it could not count. The ages
/// are those of each healer's last sign.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredHealth {
    pub last_sweep_seconds: Option<i32>,
    pub stuck: Option<i32>,
    pub violations: Option<i32>,
    pub edge_seconds: Option<i32>,
    pub sql_seconds: Option<i32>,
    pub queues_seconds: Option<i32>,
    /// What is bad: `[{code, subject, message}]`.
    pub degraded: Value,
    /// We, or Workers that were refused of late, belong to another deployment than the database.
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
    /// Reserves the steps that it returns, so that two sweeps never act on one step. With `all`,
    /// every running step is due, not only those that were not heard of for a while.
    rows steps_due_v1(provider: &str, limit: u32, all: bool) -> Vec<DueStep>;
    row sweep_end_v1(
        sweep_id: i64,
        delivered: i32,
        cleaned: i32,
        refunded_credits: i64,
    ) -> EndedSweep;
    row health_v2() -> StoredHealth;
    /// Records that our deployment was refused: the refusal itself rolled everything back.
    void deployment_alarm_v1();
}
