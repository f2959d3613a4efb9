//! Whole jobs: enqueue, read, cancel.

use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::measure::{Measured, PriceUnit};
use crate::db::step::ClaimedStep;
use serde::Serialize;
use serde_json::{Map, Value};

/// An order of a user. The price is not in it: the database has it.
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
    /// Claims the first step at once if a slot is free and nobody waits for it.
    #[serde(rename = "p_claim")]
    pub claim: bool,
}

/// What an order may cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderTerms {
    /// The most that the user agreed to.
    pub max_credits: Option<i64>,
    /// What its files hold, once it was measured.
    pub measured: Option<Measured>,
    /// The caller measures the files where the price needs it, and repeats the order.
    pub can_measure: bool,
}

/// An order as the database took it.
#[derive(Debug, Clone, PartialEq)]
pub struct EnqueuedJob {
    pub view: JobView,
    /// Nothing was written: the price is by this unit of the files.
    pub unmeasured: Option<PriceUnit>,
    /// The first step, if it was claimed with the order: the caller submits it.
    pub claimed: Option<ClaimedStep>,
}

impl EnqueuedJob {
    /// Whether the caller shall submit: its own step, or whatever waits.
    pub fn is_to_submit(&self) -> bool {
        self.claimed.is_some() || self.view.status == State::Queued
    }
}

/// What an order would cost, and when its job would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedOrder {
    pub credits: i64,
    /// Null for nobody, as `enough` is.
    pub balance: Option<i64>,
    pub enough: Option<bool>,
    pub eta_seconds: i32,
    /// The price is the largest, because this unit of the files was not measured.
    pub unmeasured: Option<PriceUnit>,
    /// The price with the smallest files; `credits`, where nothing is unmeasured.
    pub lowest: i64,
    /// Credits wait for the user, which a heal gives.
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
    /// Its steps, where they run in parallel.
    pub tasks: Option<Vec<TaskView>>,
}

/// A page of a user's jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobPage {
    pub jobs: Value,
    /// What asks for the page after it; `None` on the last one.
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

/// What a session's page said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCancelTime {
    /// When its waiting jobs are cancelled, unless the page says that it stays.
    pub cancel_at: String,
}

/// One step of a job, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// The card's number in its job.
    pub card: Option<Value>,
    pub status: State,
    /// It waits for its next attempt.
    pub retrying: bool,
    pub output_url: Option<String>,
    pub error_message: Option<String>,
}

/// What an admin's requeue made of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequeuedJob {
    /// The job itself, or the new one.
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
    /// Only that user's job, a job of that tool, or a job in that table, where they are given.
    row job_get_v1(
        user_id: Option<UserId> as ?,
        tool: Option<&str> as ?,
        table: Option<&str> as ?,
        job_id: JobId,
    ) -> JobRow;
    /// The job of any tool in the vocabulary of all tools.
    value job_show_v1(user_id: UserId, job_id: JobId) -> Map<String, Value>;
    row jobs_list_v1(
        user_id: UserId,
        cursor: Option<&str> as ?,
        status: Option<&str> as ?,
        limit: u32,
    ) -> JobPage;
    /// Returns what `job_show_v1` does.
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
