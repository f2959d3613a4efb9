//! Websites: the owner's view of one, and the retries of those whose attempt stopped.
//!
//! Only `flow::finalise` calls the functions that may end a job.

use crate::core::id::{JobId, Run, UserId};
use crate::core::job::State;

/// A website as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct WebsiteView {
    pub job_id: JobId,
    pub status: State,
    pub error_message: Option<String>,
    pub retries: i32,
    pub credits_refunded: i64,
    /// The URL of the stored files, when there are any.
    pub output_url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebsiteRetryOutcome {
    Retried,
    /// There was no attempt or no time left: the website failed and was refunded.
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebsiteRetry {
    pub outcome: WebsiteRetryOutcome,
    pub user_id: UserId,
    pub status: State,
    pub retries: i32,
    pub refunded: i64,
    pub balance: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleAction {
    /// The website is reserved for the caller, who calls the website's function.
    Retry,
    Failed,
}

/// A website whose attempt stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleWebsite {
    pub job_id: JobId,
    pub tool: String,
    pub run: Run,
    pub retries: i32,
    pub action: StaleAction,
    pub refunded: i64,
    /// The number of further stale websites.
    pub remaining: i32,
}

words! {
    WebsiteRetryOutcome { Retried "retried", Closed "closed" }
    StaleAction { Retry "retry", Failed "failed" }
}

row! {
    WebsiteView { job_id, status, error_message, retries, credits_refunded, output_url }
    WebsiteRetry { outcome, user_id, status, retries, refunded, balance }
    StaleWebsite { job_id, tool, run, retries, action, refunded, remaining }
}

rpc! {
    row generation_get_v1(user_id: UserId, tool: &str, job_id: JobId) -> WebsiteView;
    /// `user_id` is the required owner. `None` for a call by the service: the row names its user.
    row generation_retry_v1(
        job_id: JobId,
        tool: &str,
        user_id: Option<UserId> as ?,
    ) -> WebsiteRetry;
    rows generations_stale_v1(limit: u32) -> Vec<StaleWebsite>;
    /// Returns a reservation that `generations_stale_v1` made.
    void generation_put_back_v1(job_id: JobId, run: Run);
}
