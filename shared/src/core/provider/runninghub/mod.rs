//! RunningHub: submit and query by its v2 API, cancel by the legacy path.
//!
//! Its webhooks are unsigned, so a webhook's body is never trusted: it only names the task to
//! query. Ids have 19 digits, more than a float can hold: they are read exactly and kept as text.

pub mod apps;
pub mod codes;

use super::{
    About, Accepted, Alarm, Asynchronous, CancelAnswer, Parsed, SubmitDetails, SubmitError,
    TaskAnswer, WebhookReader,
};
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::json;
use crate::core::media::Output;
use crate::core::transport::{HttpRequest, HttpResponse, HttpResult, decimal};
use codes::Act;
use serde_json::{Map, Value, json};

/// The provider's name in rows and URLs.
pub const NAME: &str = "runninghub";

/// Shorter than the claim's own time limit, so that an answer is recorded before the claim lapses.
const SUBMIT_MS: u32 = 20_000;
const QUERY_MS: u32 = 10_000;

/// Our account at RunningHub.
#[derive(Debug, Clone, Copy)]
pub struct RunningHubAccount<'a> {
    base_url: &'a str,
    api_key: &'a str,
}

impl<'a> RunningHubAccount<'a> {
    pub fn from_config(config: &'a Config) -> Result<Self, ApiError> {
        Ok(Self { base_url: config.runninghub_base_url()?, api_key: config.runninghub_api_key()? })
    }

    fn post(&self, path: &str, body: &Value, timeout_ms: u32) -> HttpRequest {
        HttpRequest {
            method: "POST",
            url: format!("{}{path}", self.base_url.trim_end_matches('/')),
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {}", self.api_key)),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: Some(body.to_string()),
            timeout_ms,
        }
    }
}

impl Asynchronous for RunningHubAccount<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn build_submit(&self, stored: &Value, details: &SubmitDetails<'_>) -> Option<HttpRequest> {
        let path = stored.get("path")?.as_str().filter(|path| path.starts_with("/openapi/"))?;
        let mut body = stored.get("body")?.as_object()?.clone();
        body.insert("webhookUrl".to_owned(), details.webhook_url.into());
        Some(self.post(path, &Value::Object(body), SUBMIT_MS))
    }

    fn parse_submit(&self, answer: &HttpResult) -> Parsed<Result<Accepted, SubmitError>> {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return Parsed::ok(Err(error.into())),
        };
        let body = response.json();
        if let Some(code) = error_code(&body) {
            return refusal(&code, &body, response);
        }
        if response.is_success() { Parsed::ok(accepted(&body)) } else { http_refusal(response) }
    }

    fn build_query(&self, task_id: &str) -> HttpRequest {
        self.post("/openapi/v2/query", &json!({"taskId": task_id}), QUERY_MS)
    }

    fn parse_query(&self, answer: &HttpResult) -> Parsed<TaskAnswer> {
        let Ok(response) = answer else {
            return Parsed::ok(TaskAnswer::NoAnswer);
        };
        let body = response.json();
        let task = task_object(&body);
        let names_a_task = task.get("taskId").and_then(super::task_id).is_some();
        if let Some(code) = error_code(&body).or_else(|| error_code(task)) {
            return if names_a_task || code == "805" {
                Parsed::ok(ended(&code, task))
            } else {
                query_refused(&code)
            };
        }
        if !response.is_success() {
            return Parsed { value: TaskAnswer::NoAnswer, alarm: http_alarm(response) };
        }
        Parsed::ok(progress(&body, task))
    }

    fn build_cancel(&self, task_id: &str) -> HttpRequest {
        let body = json!({"apiKey": self.api_key, "taskId": task_id});
        self.post("/task/openapi/cancel", &body, QUERY_MS)
    }

    fn parse_cancel(&self, answer: &HttpResult) -> CancelAnswer {
        let Ok(response) = answer else {
            return CancelAnswer::Refused;
        };
        let is_accepted = match error_code(&response.json()) {
            None => response.is_success() && !response.is_page(),
            Some(code) => match codes::find(&code).map(|row| row.act) {
                Some(Act::Capacity | Act::Retry { .. } | Act::Alarm) => false,
                Some(Act::NoSuchTask) => return CancelAnswer::UnknownTask,
                _ => response.status < 500,
            },
        };
        if is_accepted { CancelAnswer::Accepted } else { CancelAnswer::Refused }
    }

    /// This is the only path that spells the key in lower case.
    fn build_balance(&self) -> Option<HttpRequest> {
        let body = json!({"apikey": self.api_key});
        Some(self.post("/uc/openapi/accountStatus", &body, QUERY_MS))
    }

    /// The amounts are numbers or texts. Some kinds of account have no money, or no coins.
    fn parse_balance(&self, answer: &HttpResult) -> Map<String, Value> {
        let body = answer.as_ref().map(HttpResponse::json).unwrap_or_default();
        let data = body.get("data").unwrap_or(&Value::Null);
        let currency = data.get("currency").and_then(Value::as_str).unwrap_or("money");
        // The entries are inserted one by one, because a collected map would add another sort
        // function to the wasm.
        let mut balance = Map::new();
        for (unit, amount) in [("coins", "remainCoins"), (currency, "remainMoney")] {
            if let Some(amount) = amount_of(data, amount) {
                balance.insert(unit.to_owned(), json!(amount));
            }
        }
        balance
    }
}

impl WebhookReader for RunningHubAccount<'_> {
    /// `eventData` is an object, or the object as JSON text.
    fn task_id(&self, body: &Value) -> Option<String> {
        let inner = match body.get("eventData") {
            Some(Value::String(text)) => json::lenient(text).unwrap_or(Value::Null),
            Some(data) => data.clone(),
            None => Value::Null,
        };
        body.get("taskId")
            .and_then(super::task_id)
            .or_else(|| task_object(&inner).get("taskId").and_then(super::task_id))
    }
}

/// A number, or a text with a number.
fn amount_of(data: &Value, name: &str) -> Option<f64> {
    match data.get(name)? {
        Value::String(text) => decimal(text),
        other => other.as_f64(),
    }
}

fn accepted(body: &Value) -> Result<Accepted, SubmitError> {
    let task = task_object(body);
    let task_id = task.get("taskId").and_then(super::task_id).ok_or(SubmitError::Unknown)?;
    Ok(Accepted { task_id, early_failure: node_errors(task) })
}

/// The early failure in `promptTips`, which is JSON text: node errors there announce a failure even
/// though the code is 0.
fn node_errors(task: &Value) -> Option<Failure> {
    let tips = json::lenient(task.get("promptTips")?.as_str()?)?;
    let errors = tips.get("node_errors")?;
    let any = match errors {
        Value::Object(nodes) => !nodes.is_empty(),
        Value::Array(nodes) => !nodes.is_empty(),
        _ => false,
    };
    any.then(|| {
        Failure::new(FailureCode::ProviderRejected, "the provider's workflow refused the input")
    })
}

fn refusal(
    code: &str,
    body: &Value,
    response: &HttpResponse,
) -> Parsed<Result<Accepted, SubmitError>> {
    let Some(row) = codes::find(code) else {
        if response.status >= 500 {
            return http_refusal(response);
        }
        let failure = Failure::new(
            FailureCode::ProviderRejected,
            with_detail("the provider refused the request", body),
        );
        return Parsed {
            value: Err(SubmitError::Rejected(failure)),
            alarm: Some(Alarm::new(About::Other, format!("unlisted code {code}"))),
        };
    };
    let error = match row.act {
        Act::Capacity => transient(response.retry_after_ms(), true, row.text),
        Act::Retry { after_ms } => {
            transient(response.retry_after_ms().or(after_ms), false, row.text)
        }
        // The code tells that a task runs, but not which one.
        Act::Working => SubmitError::Unknown,
        Act::Reject => {
            SubmitError::Rejected(Failure::new(row.failure_code(), with_detail(row.text, body)))
        }
        Act::Refuse | Act::Alarm | Act::NoSuchTask => {
            SubmitError::Rejected(Failure::new(row.failure_code(), row.text))
        }
    };
    Parsed { value: Err(error), alarm: alarm_of(row) }
}

fn http_refusal(response: &HttpResponse) -> Parsed<Result<Accepted, SubmitError>> {
    let status = response.status;
    let error = match status {
        421 | 429 => transient(response.retry_after_ms(), true, "the provider is full"),
        // A proxy gave up waiting: the provider may have accepted the request.
        504 | 520..=524 => SubmitError::Unknown,
        408 | 425 | 500.. => {
            transient(response.retry_after_ms(), false, "the provider had a passing fault")
        }
        // A firewall's page is not the provider's answer to this request.
        _ if response.is_page() => transient(None, false, "the provider could not be reached"),
        _ => SubmitError::Rejected(Failure::new(
            FailureCode::ProviderRejected,
            "the provider refused the request",
        )),
    };
    Parsed { value: Err(error), alarm: http_alarm(response) }
}

/// The alarm for a status whose cause only the operator can correct, or that did not come from the
/// provider. A page comes from a firewall or a proxy, so it is about the place.
fn http_alarm(response: &HttpResponse) -> Option<Alarm> {
    let status = response.status;
    let about = match status {
        408 | 421 | 425 | 429 => return None,
        300..=499 if response.is_page() => About::Place,
        // The path names the app.
        404 => About::App,
        300..=399 | 401..=403 => About::Account,
        _ => return None,
    };
    let page = if about == About::Place { " without JSON" } else { "" };
    Some(Alarm::new(about, format!("http {status}{page}")))
}

fn transient(retry_after_ms: Option<u32>, capacity: bool, message: &str) -> SubmitError {
    SubmitError::Transient { retry_after_ms, capacity, message: message.to_owned() }
}

/// A task with an error code has ended, whatever its status is.
fn ended(code: &str, task: &Value) -> TaskAnswer {
    let Some(row) = codes::find(code) else {
        return TaskAnswer::failed(Failure::new(FailureCode::ProviderFailed, reason(task)));
    };
    match row.act {
        Act::Working => TaskAnswer::Running,
        Act::NoSuchTask => TaskAnswer::NoSuchTask,
        Act::Refuse => TaskAnswer::Failed(Failure::new(FailureCode::ContentRefused, row.text)),
        Act::Capacity | Act::Retry { .. } => {
            TaskAnswer::Interrupted(Failure::new(FailureCode::ProviderFailed, row.text))
        }
        Act::Reject | Act::Alarm => {
            TaskAnswer::failed(Failure::new(FailureCode::ProviderFailed, reason(task)))
        }
    }
}

/// The error code belongs to the query and not to the task: only "no such task" and "running" tell
/// something about the task.
fn query_refused(code: &str) -> Parsed<TaskAnswer> {
    let row = codes::find(code);
    let value = match row.map(|row| row.act) {
        Some(Act::Working) => TaskAnswer::Running,
        Some(Act::NoSuchTask) => TaskAnswer::NoSuchTask,
        _ => TaskAnswer::NoAnswer,
    };
    Parsed { value, alarm: row.and_then(alarm_of) }
}

fn progress(body: &Value, task: &Value) -> TaskAnswer {
    if let Some(list) = body.get("data").filter(|data| data.is_array()) {
        return done(list);
    }
    let status = task.get("status").or_else(|| task.get("taskStatus")).or_else(|| body.get("data"));
    match status.and_then(Value::as_str) {
        Some("SUCCESS") => done(task.get("results").unwrap_or(&Value::Null)),
        Some("FAILED") => {
            TaskAnswer::failed(Failure::new(FailureCode::ProviderFailed, reason(task)))
        }
        Some("CANCEL" | "CANCELED" | "CANCELLED") => TaskAnswer::Failed(Failure::new(
            FailureCode::ProviderFailed,
            "the task was cancelled at the provider",
        )),
        // Unknown statuses count as running; our own deadline limits them.
        Some(_) => TaskAnswer::Running,
        None => TaskAnswer::NoAnswer,
    }
}

/// Both result shapes: `{url, outputType}` and the legacy `{fileUrl, fileType}`.
fn done(results: &Value) -> TaskAnswer {
    let outputs: Vec<Output> = results
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|result| {
            let url = result.get("url").or_else(|| result.get("fileUrl"))?.as_str()?;
            let kind = result.get("outputType").or_else(|| result.get("fileType"));
            Some(Output {
                url: url.to_owned(),
                kind: kind.and_then(Value::as_str).unwrap_or("").to_owned(),
                node: result.get("nodeId").and_then(super::task_id),
            })
        })
        .collect();
    TaskAnswer::Done(outputs)
}

/// The task is the body itself (v2) or its `data` (legacy).
fn task_object(body: &Value) -> &Value {
    match body.get("data") {
        Some(data @ Value::Object(_)) if body.get("taskId").is_none() => data,
        _ => body,
    }
}

/// The error code: a value other than 0 under one of the names that RunningHub's errors use.
fn error_code(body: &Value) -> Option<String> {
    ["errorCode", "code"].iter().find_map(|name| match body.get(name)? {
        Value::String(text) => {
            Some(text.trim().to_owned()).filter(|code| !code.is_empty() && code != "0")
        }
        Value::Number(number) => Some(number.to_string()).filter(|code| code != "0"),
        _ => None,
    })
}

/// The provider's message about a failed task, without its stack trace.
fn reason(task: &Value) -> String {
    let failed = task.get("failedReason");
    ["exception_message", "exceptionMessage"]
        .iter()
        .find_map(|name| failed?.get(name)?.as_str())
        .or_else(|| task.get("errorMessage")?.as_str())
        .or_else(|| failed?.as_str())
        .filter(|text| !text.trim().is_empty())
        .unwrap_or("the provider could not finish the task")
        .to_owned()
}

fn with_detail(text: &str, body: &Value) -> String {
    let detail =
        ["errorMessage", "msg", "message"].iter().find_map(|name| body.get(name)?.as_str());
    match detail.map(str::trim).filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{text} ({detail})"),
        None => text.to_owned(),
    }
}

fn alarm_of(row: &codes::Code) -> Option<Alarm> {
    (row.act == Act::Alarm).then(|| Alarm::new(row.about, format!("{} {}", row.number, row.name)))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
