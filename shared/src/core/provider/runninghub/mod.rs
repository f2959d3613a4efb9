//! RunningHub: submit and query by its v2 API, cancel by the legacy path.
//!
//! Its webhooks are unsigned, so a webhook's body is never believed: it only says which task to
//! ask about. Ids have 19 digits, more than a float holds: they are read exactly and kept as text.

pub mod apps;
pub mod codes;

use super::{Accepted, Answer, Output, ProviderError, Reading};
use crate::core::job::{Failure, FailureCode};
use crate::core::transport::{HttpRequest, HttpResponse, TransportError};
use codes::Act;
use serde_json::{Value, json};

/// The provider's name in rows and URLs.
pub const NAME: &str = "runninghub";

/// Shorter than the claim's own time-out, so that an answer is recorded before the claim lapses.
const SUBMIT_MS: u32 = 20_000;
const ASK_MS: u32 = 10_000;

/// What may come back for a RunningHub task.
pub const CONTENT_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp", "video/mp4"];

/// Where and as whom we speak to RunningHub.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    pub base_url: &'a str,
    pub api_key: &'a str,
}

impl Account<'_> {
    /// Completes a stored request. `None`: what is stored is not a request of ours.
    pub fn build_submit(&self, stored: &Value, webhook_url: &str) -> Option<HttpRequest> {
        let path = stored.get("path")?.as_str().filter(|path| path.starts_with("/openapi/"))?;
        let mut body = stored.get("body")?.as_object()?.clone();
        body.insert("webhookUrl".to_owned(), webhook_url.into());
        Some(self.post(path, &Value::Object(body), SUBMIT_MS))
    }

    pub fn build_query(&self, task_id: &str) -> HttpRequest {
        self.post("/openapi/v2/query", &json!({"taskId": task_id}), ASK_MS)
    }

    pub fn build_cancel(&self, task_id: &str) -> HttpRequest {
        let body = json!({"apiKey": self.api_key, "taskId": task_id});
        self.post("/task/openapi/cancel", &body, ASK_MS)
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

/// Reads the answer to a submit. Anything that neither names a task nor proves a refusal is
/// `Unknown`: the task may run.
pub fn parse_submit(
    answer: &Result<HttpResponse, TransportError>,
) -> Reading<Result<Accepted, ProviderError>> {
    let response = match answer {
        Ok(response) => response,
        Err(TransportError::NotSent(message)) => {
            return Reading::quiet(Err(transient(None, false, message)));
        }
        Err(TransportError::Unknown(_)) => return Reading::quiet(Err(ProviderError::Unknown)),
    };
    let body: Value = serde_json::from_str(&response.body).unwrap_or(Value::Null);
    if let Some(code) = error_code(&body) {
        return refusal(&code, &body, response);
    }
    match response.status {
        200..=299 => Reading::quiet(accepted(&body)),
        status => http_refusal(status, response),
    }
}

fn accepted(body: &Value) -> Result<Accepted, ProviderError> {
    let task = task_object(body);
    let task_id = task.get("taskId").and_then(id_text).ok_or(ProviderError::Unknown)?;
    Ok(Accepted { task_id, doomed: node_errors(task) })
}

/// `promptTips` is JSON inside a string; node errors in it announce a failure in spite of code 0.
fn node_errors(task: &Value) -> Option<Failure> {
    let tips: Value = serde_json::from_str(task.get("promptTips")?.as_str()?).ok()?;
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
) -> Reading<Result<Accepted, ProviderError>> {
    let Some(row) = codes::find(code) else {
        if response.status >= 500 {
            return http_refusal(response.status, response);
        }
        let failure = Failure::new(
            FailureCode::ProviderRejected,
            with_detail("the provider refused the request", body),
        );
        return Reading {
            said: Err(ProviderError::Rejected(failure)),
            alarm: Some(format!("unlisted code {code}")),
        };
    };
    let said = match row.act {
        Act::Capacity => transient(retry_after_ms(response), true, row.text),
        Act::Retry { after_ms } => {
            transient(retry_after_ms(response).or(after_ms), false, row.text)
        }
        // It says that a task works, and not which.
        Act::Working => ProviderError::Unknown,
        Act::Reject => {
            ProviderError::Rejected(Failure::new(row.failure_code(), with_detail(row.text, body)))
        }
        Act::Refuse | Act::Alarm | Act::Lost => {
            ProviderError::Rejected(Failure::new(row.failure_code(), row.text))
        }
    };
    Reading { said: Err(said), alarm: alarm_of(row) }
}

fn http_refusal(status: u16, response: &HttpResponse) -> Reading<Result<Accepted, ProviderError>> {
    let said = match status {
        421 | 429 => transient(retry_after_ms(response), true, "the provider is full"),
        // A gateway gave up waiting: the provider may well have taken it.
        504 | 520..=524 => ProviderError::Unknown,
        408 | 425 | 500.. => {
            transient(retry_after_ms(response), false, "the provider had a passing fault")
        }
        _ => ProviderError::Rejected(Failure::new(
            FailureCode::ProviderRejected,
            "the provider refused the request",
        )),
    };
    let alarm = matches!(status, 300..=399 | 401..=404).then(|| format!("http {status}"));
    Reading { said: Err(said), alarm }
}

fn transient(retry_after_ms: Option<u32>, capacity: bool, message: &str) -> ProviderError {
    ProviderError::Transient { retry_after_ms, capacity, message: message.to_owned() }
}

/// Reads the answer to a query.
pub fn parse_query(answer: &Result<HttpResponse, TransportError>) -> Reading<Answer> {
    let Ok(response) = answer else {
        return Reading::quiet(Answer::Silent);
    };
    let body: Value = serde_json::from_str(&response.body).unwrap_or(Value::Null);
    let task = task_object(&body);
    let about_a_task = task.get("taskId").and_then(id_text).is_some();
    if let Some(code) = error_code(&body).or_else(|| error_code(task)) {
        return if about_a_task || code == "805" {
            Reading::quiet(ended(&code, task))
        } else {
            query_refused(&code)
        };
    }
    if !(200..=299).contains(&response.status) {
        let alarm =
            matches!(response.status, 401 | 403).then(|| format!("http {}", response.status));
        return Reading { said: Answer::Silent, alarm };
    }
    Reading::quiet(progress(&body, task))
}

/// The task itself is over with an error code, whatever its status says.
fn ended(code: &str, task: &Value) -> Answer {
    let Some(row) = codes::find(code) else {
        return Answer::Failed(Failure::new(FailureCode::ProviderFailed, reason(task)));
    };
    match row.act {
        Act::Working => Answer::Running,
        Act::Lost => Answer::Lost,
        Act::Refuse => Answer::Failed(Failure::new(FailureCode::ContentRefused, row.text)),
        Act::Capacity | Act::Retry { .. } => {
            Answer::Interrupted(Failure::new(FailureCode::ProviderFailed, row.text))
        }
        Act::Reject | Act::Alarm => {
            Answer::Failed(Failure::new(FailureCode::ProviderFailed, reason(task)))
        }
    }
}

/// The query, not the task, met an error: only "no such task" says anything about the task.
fn query_refused(code: &str) -> Reading<Answer> {
    let row = codes::find(code);
    let said = match row.map(|row| row.act) {
        Some(Act::Working) => Answer::Running,
        Some(Act::Lost) => Answer::Lost,
        _ => Answer::Silent,
    };
    Reading { said, alarm: row.and_then(alarm_of) }
}

fn progress(body: &Value, task: &Value) -> Answer {
    if let Some(list) = body.get("data").filter(|data| data.is_array()) {
        return done(list);
    }
    let status = task.get("status").or_else(|| task.get("taskStatus")).or_else(|| body.get("data"));
    match status.and_then(Value::as_str) {
        Some("SUCCESS") => done(task.get("results").unwrap_or(&Value::Null)),
        Some("FAILED") => Answer::Failed(Failure::new(FailureCode::ProviderFailed, reason(task))),
        Some("CANCEL" | "CANCELED" | "CANCELLED") => Answer::Failed(Failure::new(
            FailureCode::ProviderFailed,
            "the task was cancelled at the provider",
        )),
        // A word that is not known yet is bounded by our own deadline.
        Some(_) => Answer::Running,
        None => Answer::Silent,
    }
}

/// Both result shapes: `{url, outputType}` and the legacy `{fileUrl, fileType}`.
fn done(results: &Value) -> Answer {
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
            })
        })
        .collect();
    if outputs.is_empty() {
        return Answer::Failed(Failure::new(
            FailureCode::ProviderFailed,
            "the task ended without a result",
        ));
    }
    Answer::Done(outputs)
}

/// Whether a cancel needs no repeat: it was taken, or there is nothing left to cancel.
pub fn parse_cancel(answer: &Result<HttpResponse, TransportError>) -> bool {
    let Ok(response) = answer else {
        return false;
    };
    let body: Value = serde_json::from_str(&response.body).unwrap_or(Value::Null);
    match error_code(&body) {
        None => (200..=299).contains(&response.status),
        Some(code) => match codes::find(&code).map(|row| row.act) {
            Some(Act::Capacity | Act::Retry { .. } | Act::Alarm) => false,
            _ => response.status < 500,
        },
    }
}

/// The task that a webhook is about. `eventData` is an object, or the same as JSON text.
pub fn webhook_task_id(body: &Value) -> Option<String> {
    let inner = match body.get("eventData") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(data) => data.clone(),
        None => Value::Null,
    };
    body.get("taskId")
        .and_then(id_text)
        .or_else(|| task_object(&inner).get("taskId").and_then(id_text))
}

/// The task lies at the top (v2) or under `data` (legacy).
fn task_object(body: &Value) -> &Value {
    match body.get("data") {
        Some(data @ Value::Object(_)) if body.get("taskId").is_none() => data,
        _ => body,
    }
}

/// A non-zero code under any of the names that error shapes use.
fn error_code(body: &Value) -> Option<String> {
    ["errorCode", "code"].iter().find_map(|name| match body.get(name)? {
        Value::String(text) => {
            Some(text.trim().to_owned()).filter(|code| !code.is_empty() && code != "0")
        }
        Value::Number(number) => Some(number.to_string()).filter(|code| code != "0"),
        _ => None,
    })
}

/// An id as text, from text or from an integer; nothing that could leave a URL path.
fn id_text(id: &Value) -> Option<String> {
    let text = match id {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    let plain =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (plain && text != "0" && (1..=128).contains(&text.len())).then_some(text)
}

/// What the provider says of a failed task, without its stack.
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

fn alarm_of(row: &codes::Code) -> Option<String> {
    (row.act == Act::Alarm).then(|| format!("{} {}", row.number, row.name))
}

/// `Retry-After` in seconds; the date form is not used by this provider.
fn retry_after_ms(response: &HttpResponse) -> Option<u32> {
    let seconds: u32 = response.header("retry-after")?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
