//! Calls about whole jobs: enqueue, read, cancel.

use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::measure::{Measured, PriceUnit};
use crate::db::step::ClaimedStep;
use serde::Serialize;
use serde_json::{Map, Value};

/// An order of a user. It has no price, because the database knows it.
#[derive(Debug, Clone, Serialize)]
pub struct Enqueue {
    #[serde(rename = "p_user_id")]
    pub user: UserId,
    #[serde(rename = "p_job_id")]
    pub job: JobId,
    #[serde(rename = "p_tool")]
    pub tool: &'static str,
    #[serde(rename = "p_session_id")]
    pub session: Option<String>,
    #[serde(rename = "p_input")]
    pub input: Value,
    #[serde(rename = "p_request_hash")]
    pub request_hash: String,
    /// One complete provider request per step.
    #[serde(rename = "p_steps")]
    pub steps: Vec<Value>,
    /// Whether to claim the first step at once, if a slot is free and nobody waits for it.
    #[serde(rename = "p_claim")]
    pub claim: bool,
}

/// The limits of an order's price.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderTerms {
    /// The highest price to which the user agreed.
    pub max_credits: Option<i64>,
    /// The sizes of the order's files, if they were measured.
    pub measured: Option<Measured>,
    /// Whether the caller can measure the files if the price depends on them, and repeat the order.
    pub can_measure: bool,
}

/// The database's answer to an order.
#[derive(Debug, Clone, PartialEq)]
pub struct EnqueuedJob {
    pub view: JobView,
    /// The price depends on this unit of the files; nothing was written.
    pub unmeasured: Option<PriceUnit>,
    /// The first step, if it was claimed with the order: the caller submits it.
    pub claimed: Option<ClaimedStep>,
}

impl EnqueuedJob {
    /// Whether the caller should submit: its own step, or waiting ones.
    pub fn is_to_submit(&self) -> bool {
        self.claimed.is_some() || self.view.status == State::Queued
    }
}

/// The price of an order, and when its job would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedOrder {
    pub credits: i64,
    /// Null if nobody is signed in, as is `enough`.
    pub balance: Option<i64>,
    pub enough: Option<bool>,
    pub eta_seconds: i32,
    /// The price is the highest possible one, because this unit of the files was not measured.
    pub unmeasured: Option<PriceUnit>,
    /// The lowest possible price. It equals `credits` if nothing is unmeasured.
    pub lowest: i64,
    /// Whether credits wait for the user, which a heal would grant.
    pub waits: bool,
}

/// A job as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    pub job_id: JobId,
    pub status: State,
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
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    pub view: JobView,
    pub table_name: String,
    pub total_steps: i32,
    pub current_step: i32,
    /// The steps of the job, if they run in parallel.
    pub tasks: Option<Vec<TaskView>>,
}

/// A page of a user's jobs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobPage {
    pub jobs: Value,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledJob {
    pub refunded_credits: i64,
    /// The provider whose queue moves up.
    pub provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledInSession {
    pub table_name: String,
    pub job_id: JobId,
    pub refunded_credits: i64,
}

/// The answer to a page that stays or leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCancelTime {
    /// When its waiting jobs will be cancelled, unless the page reports that it stays.
    pub cancel_at: String,
}

/// One step of a job, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// The card's number in its job.
    pub card: Option<Value>,
    pub status: State,
    /// Whether the step waits for its next attempt.
    pub retrying: bool,
    pub output_url: Option<String>,
    pub error_message: Option<String>,
}

/// The outcome of a requeue by an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequeuedJob {
    /// The id of the job itself, or of the new job.
    pub job_id: JobId,
    pub retry_of: Option<JobId>,
    /// The provider whose queue it joined.
    pub provider: String,
}

row! {
    EnqueuedJob { view as .., unmeasured, claimed }
    QuotedOrder { credits, balance, enough, eta_seconds, unmeasured, lowest, waits as ? }
    JobView {
        job_id, status, replayed as ?, credits_charged, credits_refunded, balance, position,
        eta_seconds, task_id, output_url, error_code, error_message,
    }
    JobRow { view as .., table_name, total_steps, current_step, tasks }
    JobPage { jobs, next }
    CancelledJob { refunded_credits, provider }
    CancelledInSession { table_name, job_id, refunded_credits }
    SessionCancelTime { cancel_at }
    TaskView { card, status, retrying, output_url, error_message }
    RequeuedJob { job_id, retry_of, provider }
}

rpc! {
    row job_enqueue_v2(
        order: &Enqueue as ..,
        max_credits: Option<i64> as ?,
        measured: Option<Measured> as ?,
        can_measure: bool,
    ) -> EnqueuedJob;
    row order_quote_v1(
        tool: &str,
        input: &Value,
        steps: usize,
        user_id: Option<UserId> as ?,
        measured: Option<Measured> as ?,
    ) -> QuotedOrder;
    /// Only that user's job, a job of that tool, or a job in that table, if they are given.
    row job_get_v1(
        user_id: Option<UserId> as ?,
        tool: Option<&str> as ?,
        table: Option<&str> as ?,
        job_id: JobId,
    ) -> JobRow;
    /// A job of any tool, in the vocabulary of all tools.
    value job_show_v1(user_id: UserId, job_id: JobId) -> Map<String, Value>;
    row jobs_list_v1(
        user_id: UserId,
        cursor: Option<&str> as ?,
        status: Option<&str> as ?,
        limit: u32,
    ) -> JobPage;
    /// Returns the same as `job_show_v1`.
    value job_cancel_v3(user_id: UserId, job_id: JobId) -> Map<String, Value>;
    row job_cancel_v1(user_id: UserId, table: &str, job_id: JobId) -> CancelledJob;
    row job_cancel_admin_v1(
        actor: UserId,
        table: &str,
        job_id: JobId,
        reason: Option<&str>,
    ) -> CancelledJob;
    rows session_cancel_v1(
        user_id: UserId,
        session_id: &str,
        job_ids: &[JobId],
    ) -> Vec<CancelledInSession>;
    row session_leave_v1(
        user_id: UserId,
        session_id: &str,
        grace_seconds: u32,
    ) -> SessionCancelTime;
    row session_stay_v1(user_id: UserId, session_id: &str) -> SessionCancelTime;
    row job_requeue_v1(
        actor: UserId,
        table: &str,
        job_id: JobId,
        charge: bool,
        new_job_id: JobId,
        reason: Option<&str> as ?,
    ) -> RequeuedJob;
}
