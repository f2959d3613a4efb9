//! What providers say, in one vocabulary: one file or folder per provider, each a set of pairs
//! `build_*` (our request) and `parse_*` (their answer).
//!
//! No I/O and no clock. Nothing here changes a job: `job::decide` says what an answer means.

pub mod gemini;
pub mod llm;
pub mod replicate;
pub mod runninghub;

use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::transport::{HttpRequest, HttpResponse, TransportError};
use crate::core::webhook::Signature;
use serde_json::Value;

/// What a stored request lacks until it is handed over.
#[derive(Debug, Clone, Copy)]
pub struct Handover<'a> {
    pub webhook_url: &'a str,
    /// What the step before made, in our own storage.
    pub previous_output_url: Option<&'a str>,
    /// How long the step may work.
    pub run_ms: u32,
}

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

/// Why a synchronous call brought nothing. Such a provider keeps no state: calling again is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Final: the same call will never succeed.
    Rejected(Failure),
    /// Worth another try, but no more than `attempts_max` in all, where this cause is worth fewer than the tool allows.
    Transient { failure: Failure, retry_after_ms: Option<u32>, attempts_max: Option<u32> },
}

impl CallError {
    /// A passing fault of which nothing more is known.
    pub fn passing(text: impl Into<String>) -> Self {
        let failure = Failure::new(FailureCode::ProviderFailed, text);
        Self::Transient { failure, retry_after_ms: None, attempts_max: None }
    }
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

/// One task in a provider's own list of what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub task_id: String,
    /// Names our job, step and run.
    pub webhook_url: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub tasks: Vec<Listed>,
    /// `None`: the list ends here.
    pub next: Option<String>,
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
pub const ASYNCHRONOUS: &[&str] = &[runninghub::NAME, replicate::NAME];
/// The providers that answer with the result, while a worker waits.
pub const SYNCHRONOUS: &[&str] = &[gemini::NAME, llm::NAME];

/// A provider we can speak to, with our account there.
#[derive(Debug, Clone, Copy)]
pub enum Remote<'a> {
    RunningHub(runninghub::Account<'a>),
    Replicate(replicate::Account<'a>),
}

impl<'a> Remote<'a> {
    /// Fails before anything is claimed or charged where the account is not configured.
    pub fn of(name: &str, config: &'a Config) -> Result<Self, ApiError> {
        match name {
            runninghub::NAME => Ok(Self::RunningHub(runninghub::Account {
                base_url: config.runninghub_base_url()?,
                api_key: config.runninghub_api_key()?,
            })),
            replicate::NAME => Ok(Self::Replicate(replicate::Account {
                base_url: config.replicate_base_url()?,
                api_token: config.replicate_api_token()?,
                webhook_secret: config.replicate_webhook_secret.as_deref(),
            })),
            _ => Err(ApiError::internal(format!("no such provider: {name}"))),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::RunningHub(_) => runninghub::NAME,
            Self::Replicate(_) => replicate::NAME,
        }
    }

    pub fn build_submit(&self, stored: &Value, handover: &Handover<'_>) -> Option<HttpRequest> {
        match self {
            Self::RunningHub(account) => account.build_submit(stored, handover.webhook_url),
            Self::Replicate(account) => account.build_submit(stored, handover),
        }
    }

    pub fn parse_submit(
        &self,
        answer: &Result<HttpResponse, TransportError>,
    ) -> Reading<Result<Accepted, ProviderError>> {
        match self {
            Self::RunningHub(_) => runninghub::parse_submit(answer),
            Self::Replicate(_) => replicate::parse_submit(answer),
        }
    }

    pub fn build_query(&self, task_id: &str) -> HttpRequest {
        match self {
            Self::RunningHub(account) => account.build_query(task_id),
            Self::Replicate(account) => account.build_query(task_id),
        }
    }

    pub fn parse_query(&self, answer: &Result<HttpResponse, TransportError>) -> Reading<Answer> {
        match self {
            Self::RunningHub(_) => runninghub::parse_query(answer),
            Self::Replicate(_) => replicate::parse_query(answer),
        }
    }

    pub fn build_cancel(&self, task_id: &str) -> HttpRequest {
        match self {
            Self::RunningHub(account) => account.build_cancel(task_id),
            Self::Replicate(account) => account.build_cancel(task_id),
        }
    }

    pub fn parse_cancel(&self, answer: &Result<HttpResponse, TransportError>) -> bool {
        match self {
            Self::RunningHub(_) => runninghub::parse_cancel(answer),
            Self::Replicate(_) => replicate::parse_cancel(answer),
        }
    }

    /// Asks for the tasks it took since then. `None`: the provider has no such list.
    pub fn build_list(&self, since: &str, cursor: Option<&str>) -> Option<HttpRequest> {
        match self {
            Self::RunningHub(_) => None,
            Self::Replicate(account) => Some(account.build_list(since, cursor)),
        }
    }

    /// `None`: no usable answer.
    pub fn parse_list(
        &self,
        answer: &Result<HttpResponse, TransportError>,
    ) -> Reading<Option<Page>> {
        match self {
            Self::RunningHub(_) => Reading::quiet(None),
            Self::Replicate(_) => replicate::parse_list(answer),
        }
    }

    /// Whether a webhook is the provider's own, beside what its address proves. Fails where the
    /// secret is not one.
    pub fn is_authentic(
        &self,
        signature: &Signature,
        raw: &str,
        now_s: u64,
    ) -> Result<bool, ApiError> {
        match self {
            Self::Replicate(replicate::Account { webhook_secret: Some(secret), .. }) => {
                let verified = replicate::signature::verify(secret, signature, raw, now_s);
                verified.ok_or_else(|| ApiError::misconfigured("REPLICATE_WEBHOOK_SECRET"))
            }
            Self::RunningHub(_) | Self::Replicate(_) => Ok(true),
        }
    }

    /// The task that a webhook of this provider is about.
    pub fn webhook_task_id(&self, body: &Value) -> Option<String> {
        match self {
            Self::RunningHub(_) => runninghub::webhook_task_id(body),
            Self::Replicate(_) => replicate::webhook_task_id(body),
        }
    }

    /// What its results may be.
    pub fn content_types(&self) -> &'static [&'static str] {
        match self {
            Self::RunningHub(_) => runninghub::CONTENT_TYPES,
            Self::Replicate(_) => replicate::CONTENT_TYPES,
        }
    }
}
