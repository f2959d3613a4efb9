//! What providers say, in one vocabulary: one file or folder per provider, each a set of pairs
//! `build_*` (our request) and `parse_*` (their answer).
//!
//! No I/O and no clock. Nothing here changes a job: `job::decide` says what an answer means.

pub mod runninghub;

use crate::config::Config;
use crate::error::ApiError;
use crate::job::Failure;
use crate::transport::{HttpRequest, HttpResponse, TransportError};
use serde_json::Value;

/// The provider took the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub task_id: String,
    /// The provider took it and said at once that it will fail.
    pub doomed: Option<Failure>,
}

/// The provider did not take the work, or did not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// Final: the same request will never be taken.
    Rejected(Failure),
    /// Nothing was started; worth another try.
    Transient { retry_after_ms: Option<u32>, capacity: bool, message: String },
    /// Sent, and no usable answer: it may run. Never refunded, never submitted again blindly.
    Unknown,
}

/// What a provider says about a task when asked with our own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Running,
    Done(Vec<Output>),
    /// Over, without a result, for good.
    Failed(Failure),
    /// Over, without a result, by a passing fault: a new attempt may succeed.
    Interrupted(Failure),
    /// The provider does not know such a task.
    Lost,
    /// No usable answer.
    Silent,
}

/// One file of a result, at the provider's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Output {
    pub url: String,
    /// The provider's word for its type, often a file extension; may be empty.
    pub kind: String,
}

/// A parsed answer, and the code behind it where only the operator can mend the cause
/// (a dead key, an empty account, a missing app).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    pub said: T,
    pub alarm: Option<String>,
}

impl<T> Reading<T> {
    pub fn quiet(said: T) -> Self {
        Self { said, alarm: None }
    }
}

/// The providers that work on their own after a submit, so that sweeps ask them.
pub const ASYNCHRONOUS: &[&str] = &[runninghub::NAME];

/// A provider we can speak to, with our account there.
#[derive(Debug, Clone, Copy)]
pub enum Remote<'a> {
    RunningHub(runninghub::Account<'a>),
}

impl<'a> Remote<'a> {
    /// Fails before anything is claimed or charged where the account is not configured.
    pub fn of(name: &str, config: &'a Config) -> Result<Self, ApiError> {
        match name {
            runninghub::NAME => Ok(Self::RunningHub(runninghub::Account {
                base_url: config.runninghub_base_url()?,
                api_key: config.runninghub_api_key()?,
            })),
            _ => Err(ApiError::internal(format!("no such provider: {name}"))),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::RunningHub(_) => runninghub::NAME,
        }
    }

    pub fn build_submit(&self, stored: &Value, webhook_url: &str) -> Option<HttpRequest> {
        match self {
            Self::RunningHub(account) => account.build_submit(stored, webhook_url),
        }
    }

    pub fn parse_submit(
        &self,
        answer: &Result<HttpResponse, TransportError>,
    ) -> Reading<Result<Accepted, ProviderError>> {
        match self {
            Self::RunningHub(_) => runninghub::parse_submit(answer),
        }
    }

    pub fn build_query(&self, task_id: &str) -> HttpRequest {
        match self {
            Self::RunningHub(account) => account.build_query(task_id),
        }
    }

    pub fn parse_query(&self, answer: &Result<HttpResponse, TransportError>) -> Reading<Answer> {
        match self {
            Self::RunningHub(_) => runninghub::parse_query(answer),
        }
    }

    pub fn build_cancel(&self, task_id: &str) -> HttpRequest {
        match self {
            Self::RunningHub(account) => account.build_cancel(task_id),
        }
    }

    pub fn parse_cancel(&self, answer: &Result<HttpResponse, TransportError>) -> bool {
        match self {
            Self::RunningHub(_) => runninghub::parse_cancel(answer),
        }
    }

    /// The task that a webhook of this provider is about.
    pub fn webhook_task_id(&self, body: &Value) -> Option<String> {
        match self {
            Self::RunningHub(_) => runninghub::webhook_task_id(body),
        }
    }

    /// What its results may be.
    pub fn content_types(&self) -> &'static [&'static str] {
        match self {
            Self::RunningHub(_) => runninghub::CONTENT_TYPES,
        }
    }
}
