//! The calls of admins: find users, grant credits, change settings, act on many jobs.

use crate::core::id::UserId;
use serde::Serialize;
use serde_json::{Map, Value};

/// A job that was named but not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedJob {
    pub job_id: String,
    pub code: String,
}

/// The outcome for the jobs that a filter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyJobs {
    /// The number of all jobs that the filter names, whatever the limit is.
    pub matched: i32,
    pub done: i32,
    pub refused: Vec<RefusedJob>,
    pub refunded_credits: i64,
    /// The providers whose queues move up.
    pub providers: Vec<String>,
}

/// The users and jobs that match a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundUsers {
    pub users: Value,
    pub jobs: Value,
}

/// One user: account, jobs, ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownUser {
    #[serde(rename(serialize = "user"))]
    pub account: Value,
    pub jobs: Value,
    pub ledger: Value,
    pub debts: Value,
    pub purchases: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GivenCredits {
    pub balance: i64,
    pub replayed: bool,
}

/// The number of rows that an erased user had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErasedUser {
    pub jobs: i64,
    pub files: i64,
    pub entries: i64,
}

/// A tool or a provider as the page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownSettings {
    pub settings: Value,
}

/// A rule of a tool's prices.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownRule {
    pub rule: Value,
}

/// A row of the log of what admins did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoggedAct {
    pub id: i64,
    pub at: String,
    pub actor: Option<UserId>,
    pub act: String,
    pub subject: Option<String>,
    pub from: Value,
    pub to: Value,
    pub reason: Option<String>,
}

row! {
    RefusedJob { job_id as "jobId", code }
    ManyJobs { matched, done, refused, refunded_credits as ?, providers }
    FoundUsers { users, jobs }
    ShownUser { account, jobs, ledger, debts, purchases }
    GivenCredits { balance, replayed }
    ErasedUser { jobs, files, entries }
    ShownSettings { settings }
    ShownRule { rule }
    LoggedAct { id, at, actor, act, subject, from, to, reason }
}

rpc! {
    row jobs_cancel_many_v1(
        actor: UserId,
        filter: &Map<String, Value>,
        limit: u32,
        reason: &str,
    ) -> ManyJobs;
    row jobs_requeue_many_v1(
        actor: UserId,
        filter: &Map<String, Value>,
        limit: u32,
        reason: &str,
    ) -> ManyJobs;
    row users_find_v1(actor: UserId, query: &str) -> FoundUsers;
    row user_show_v1(actor: UserId, user_id: UserId) -> ShownUser;
    row credit_grant_admin_v1(
        actor: UserId,
        user_id: UserId,
        amount: i64,
        reason: &str,
        idempotency_key: &str,
    ) -> GivenCredits;
    row user_erase_v1(actor: UserId, user_id: UserId, reason: &str) -> ErasedUser;
    rows tools_change_v1(
        actor: UserId,
        change: Option<&Value> as ?,
        reason: Option<&str> as ?,
    ) -> Vec<ShownSettings>;
    rows providers_change_v1(
        actor: UserId,
        change: Option<&Value> as ?,
        reason: Option<&str> as ?,
    ) -> Vec<ShownSettings>;
    rows prices_change_v1(
        actor: UserId,
        change: Option<&Value> as ?,
        reason: Option<&str> as ?,
    ) -> Vec<ShownRule>;
    rows admin_log_read_v1(
        actor: UserId,
        before: Option<i64> as ?,
        subject: Option<&str> as ?,
        act: Option<&str> as ?,
        limit: u32,
    ) -> Vec<LoggedAct>;
}
