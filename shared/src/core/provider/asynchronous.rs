//! Providers that work on their own after a submit: a step becomes a task there, and a webhook or a
//! query says what became of it.

use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::media::Output;
use crate::core::provider::Parsed;
use crate::core::transport::{HttpRequest, HttpResult, TransportError};
use crate::core::webhook::Signature;
use serde_json::{Map, Value};

/// Our account at an asynchronous provider: pairs of `build_*` (our request) and `parse_*` (its
/// answer).
pub trait Asynchronous {
    /// The provider's name in rows, URLs and logs.
    fn name(&self) -> &'static str;

    /// Completes a stored request. `None`: the stored value is no request of ours, or the previous
    /// step's output that it needs is missing.
    fn build_submit(&self, stored: &Value, details: &SubmitDetails<'_>) -> Option<HttpRequest>;
    /// An answer that neither names a task nor proves a refusal is [`SubmitError::Unknown`].
    fn parse_submit(&self, answer: &HttpResult) -> Parsed<Result<Accepted, SubmitError>>;

    fn build_query(&self, task_id: &str) -> HttpRequest;
    fn parse_query(&self, answer: &HttpResult) -> Parsed<TaskAnswer>;

    fn build_cancel(&self, task_id: &str) -> HttpRequest;
    fn parse_cancel(&self, answer: &HttpResult) -> CancelAnswer;

    /// Asks what is left on our account. `None`: the provider has no such call.
    fn build_balance(&self) -> Option<HttpRequest> {
        None
    }
    /// An amount by unit; none where the answer tells none.
    fn parse_balance(&self, _answer: &HttpResult) -> Map<String, Value> {
        Map::new()
    }

    /// Asks for the tasks that the provider created since that time (RFC 3339), newest first;
    /// `cursor` continues an earlier page. `None`: the provider has no such list.
    fn build_list(&self, _since: &str, _cursor: Option<&str>) -> Option<HttpRequest> {
        None
    }
    /// The webhook address of a queried task, for a list that names none. `None`: no usable answer,
    /// or the task has none.
    fn parse_webhook_url(&self, _answer: &HttpResult) -> Option<String> {
        None
    }
    /// `stored` is the request that is looked for. `None`: no usable answer.
    fn parse_list(
        &self,
        _answer: &HttpResult,
        _stored: Option<&Value>,
    ) -> Parsed<Option<TaskPage>> {
        Parsed::ok(None)
    }
}

/// How the same account reads the provider's webhooks. Apart from [`Asynchronous`], so that only
/// the function that receives webhooks carries the code.
pub trait WebhookReader {
    /// Whether a webhook is the provider's own, beyond what the token in its address proves. Fails
    /// if the configured secret is malformed.
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

/// The provider took the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub task_id: String,
    /// The failure that the provider announced together with the task.
    pub early_failure: Option<Failure>,
}

/// The provider did not take the work, or its answer does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitError {
    /// Final: the provider will never take this request.
    Rejected(Failure),
    /// The provider started nothing; a retry may succeed.
    Transient { retry_after_ms: Option<u32>, capacity: bool, message: String },
    /// The request was sent and has no usable answer: the task may run. Such a step is never
    /// refunded, and never submitted a second time before the provider proved that it has no task.
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
    /// The task ended well. Without an output its files are yet to be listed.
    Done(Vec<Output>),
    /// The task ended without a result, for good.
    Failed(Failure),
    /// The task ended without a result by a transient fault: a retry may succeed.
    Interrupted(Failure),
    /// The provider knows no such task.
    NoSuchTask,
    /// No usable answer.
    NoAnswer,
}

/// Words of the HTTP clients that models and apps load our input files with. Sources: psf/requests,
/// `Response.raise_for_status` and its adapters; CPython, urllib.error; replicate/cog, `URLPath`.
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
    /// A task that failed with the provider's own words. Every input was found when it was ordered,
    /// so a provider that could not load one met a fault of the moment.
    pub(super) fn failed(failure: Failure) -> Self {
        let text = failure.text.to_ascii_lowercase();
        let is_passing = failure.code == FailureCode::ProviderFailed
            && INPUT_OUT_OF_REACH.iter().any(|words| text.contains(words));
        if is_passing { Self::Interrupted(failure) } else { Self::Failed(failure) }
    }
}

/// What a provider says to a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It was accepted, or nothing is left to cancel.
    Accepted,
    /// The provider does not know the task by its cancel, which proves nothing: RunningHub's knows
    /// no task of an AI app. A query says whether the task has ended.
    UnknownTask,
    /// The cancel is to be sent once more later.
    Refused,
}

/// One task in a provider's own list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTask {
    pub task_id: String,
    /// Names our job, step and run; empty for a task that is certainly not the one looked for.
    /// `None`: the list does not say, so the task must be queried. Replicate's documentation lists
    /// no webhooks.
    pub webhook_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    pub tasks: Vec<ListedTask>,
    /// The cursor of the next page. `None`: this page is the last.
    pub next: Option<String>,
}
