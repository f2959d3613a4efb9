//! Providers that work asynchronously after a submit: a step becomes a task there, and a webhook or
//! a query reports its outcome.

use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::media::Output;
use crate::core::provider::Parsed;
use crate::core::transport::{HttpRequest, HttpResult, TransportError};
use crate::core::webhook::{self, Signature, WebhookAddress};
use serde_json::{Map, Value};

/// Our account at an asynchronous provider. Its methods are pairs of `build_*`, which makes a
/// request, and `parse_*`, which reads the answer.
pub trait Asynchronous {
    /// The provider's name in rows, URLs and logs.
    fn name(&self) -> &'static str;

    /// Completes a stored request. `None`: the stored value is none of our requests, or it needs
    /// the output of the previous step and that is missing.
    fn build_submit(&self, stored: &Value, details: &SubmitDetails<'_>) -> Option<HttpRequest>;
    /// An answer that neither names a task nor proves a refusal is [`SubmitError::Unknown`].
    fn parse_submit(&self, answer: &HttpResult) -> Parsed<Result<Accepted, SubmitError>>;

    fn build_query(&self, task_id: &str) -> HttpRequest;
    fn parse_query(&self, answer: &HttpResult) -> Parsed<TaskAnswer>;

    fn build_cancel(&self, task_id: &str) -> HttpRequest;
    fn parse_cancel(&self, answer: &HttpResult) -> CancelAnswer;

    /// Builds the request for our account's balance. `None`: the provider has no such call.
    fn build_balance(&self) -> Option<HttpRequest> {
        None
    }
    /// The amounts by unit; empty if the answer has none.
    fn parse_balance(&self, _answer: &HttpResult) -> Map<String, Value> {
        Map::new()
    }

    /// Builds the request for the tasks created since that time (RFC 3339), newest first. `cursor`
    /// continues an earlier page. `None`: the provider has no such list.
    fn build_list(&self, _since: &str, _cursor: Option<&str>) -> Option<HttpRequest> {
        None
    }
    /// The webhook address of a queried task. `None`: there is no usable answer, the task has no
    /// webhook, or the provider does not name it.
    fn parse_webhook_url(&self, _answer: &HttpResult) -> Option<String> {
        None
    }
    /// Whether the provider says that a queried task has the webhook of another run than `ours`.
    fn is_of_other_run(&self, answer: &HttpResult, ours: WebhookAddress<'_>) -> bool {
        self.parse_webhook_url(answer).is_some_and(|url| !webhook::names(&url, ours))
    }
    /// `stored` is the request whose task is searched for. `None`: no usable answer.
    fn parse_list(
        &self,
        _answer: &HttpResult,
        _stored: Option<&Value>,
    ) -> Parsed<Option<TaskPage>> {
        Parsed::ok(None)
    }
}

/// Reads the provider's webhooks. The trait is separate from [`Asynchronous`], so that only the
/// function that receives webhooks contains the code.
pub trait WebhookReader {
    /// Whether the provider itself sent the webhook. This adds to the proof of the token in the
    /// address. Fails if the configured secret is malformed.
    fn is_authentic(&self, _: &Signature, _raw: &str, _now_s: u64) -> Result<bool, ApiError> {
        Ok(true)
    }

    /// The task that a webhook names.
    fn task_id(&self, body: &Value) -> Option<String>;
}

/// The parts of a request that are known only at the submit.
#[derive(Debug, Clone, Copy)]
pub struct SubmitDetails<'a> {
    pub webhook_url: &'a str,
    /// The result of the previous step, in our own storage.
    pub previous_output_url: Option<&'a str>,
    /// How long the step may run.
    pub run_ms: u32,
}

/// The provider accepted the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub task_id: String,
    /// The failure that the provider announced together with the task.
    pub early_failure: Option<Failure>,
}

/// The provider did not accept the request, or its answer does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitError {
    /// Final: the provider will never take this request.
    Rejected(Failure),
    /// The provider started nothing; a retry may succeed.
    Transient { retry_after_ms: Option<u32>, capacity: bool, message: String },
    /// The request was sent and has no usable answer: the task may run. Such a step is never
    /// refunded, and it is submitted a second time only after the provider has proved that it has
    /// no task.
    Unknown,
}

impl From<&TransportError> for SubmitError {
    fn from(error: &TransportError) -> Self {
        match error {
            TransportError::NotSent(message) => {
                Self::Transient { retry_after_ms: None, capacity: false, message: message.clone() }
            }
            TransportError::Unknown(_) => Self::Unknown,
        }
    }
}

/// What a provider says about a task when it is queried with our own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskAnswer {
    Running,
    /// The task succeeded. Without an output, its files are not listed yet.
    Done(Vec<Output>),
    /// The task ended without a result, for good.
    Failed(Failure),
    /// The task ended without a result by a transient fault: a retry may succeed.
    Interrupted(Failure),
    /// The provider does not know the task.
    NoSuchTask,
    /// No usable answer.
    NoAnswer,
}

/// Messages of the HTTP clients with which models and apps load our input files. Sources:
/// psf/requests, `Response.raise_for_status` and its adapters; CPython, urllib.error;
/// replicate/cog, `URLPath`.
const INPUT_OUT_OF_REACH: &[&str] = &[
    "error: bad request for url",
    "error: forbidden for url",
    "error: not found for url",
    "server error: ",
    "http error 5",
    "max retries exceeded with url",
    "urlopen error",
    "read timed out",
    "connect timeout",
    "connection timed out",
    "connection aborted",
    "connection reset",
    "failed to download",
];

impl TaskAnswer {
    /// Classifies a task that failed with the provider's own words. Every input existed when it was
    /// ordered, so if a provider could not load one, the fault was temporary.
    pub(super) fn failed(failure: Failure) -> Self {
        let text = failure.text.to_ascii_lowercase();
        let is_passing = failure.code == FailureCode::ProviderFailed
            && INPUT_OUT_OF_REACH.iter().any(|words| text.contains(words));
        if is_passing { Self::Interrupted(failure) } else { Self::Failed(failure) }
    }
}

/// The provider's answer to a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The provider accepted it, or there is nothing left to cancel.
    Accepted,
    /// The cancel call does not know the task, which proves nothing: that of RunningHub knows no
    /// task of an AI app. A query tells whether the task has ended.
    UnknownTask,
    /// The cancel must be sent once more later.
    Refused,
}

/// One task in a provider's own list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTask {
    pub task_id: String,
    /// The address names our job, step and run. It is empty for a task that is certainly not the
    /// one searched for. `None`: the list does not tell, so the task must be queried. Replicate's
    /// documentation lists no webhooks.
    pub webhook_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    pub tasks: Vec<ListedTask>,
    /// The cursor of the next page. `None`: this page is the last.
    pub next: Option<String>,
}
