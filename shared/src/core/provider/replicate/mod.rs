//! Replicate: create, get, cancel and list predictions, which are our tasks.
//!
//! A create has no idempotency key, so it is sent a second time only after an answer that proves a
//! refusal. After any other fault the list of predictions decides. The list has inputs but no
//! webhooks, so a prediction with our input is queried: its webhook's address names our run. Fields
//! are often missing in answers, and unknown statuses count as running.

mod errors;
pub mod try_on;

use super::{
    Accepted, Asynchronous, CancelAnswer, ListedTask, Parsed, SubmitDetails, SubmitError,
    TaskAnswer, TaskPage, WebhookReader,
};
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::media::Output;
use crate::core::standard_webhooks;
use crate::core::transport::{HttpRequest, HttpResult};
use crate::core::webhook::Signature;
use serde_json::{Value, json};

/// The provider's name in rows and URLs.
pub const NAME: &str = "replicate";

/// Shorter than the claim's own time limit, so that an answer is recorded before the claim lapses.
const SUBMIT_MS: u32 = 20_000;
const QUERY_MS: u32 = 8_000;
/// The shortest `Cancel-After` that Replicate accepts.
const CANCEL_AFTER_S_MIN: u32 = 5;

/// Our account at Replicate.
#[derive(Debug, Clone, Copy)]
pub struct ReplicateAccount<'a> {
    base_url: &'a str,
    api_token: &'a str,
    /// `None`: only the token in its address proves a webhook.
    webhook_secret: Option<&'a str>,
}

impl<'a> ReplicateAccount<'a> {
    pub fn from_config(config: &'a Config) -> Result<Self, ApiError> {
        Ok(Self {
            base_url: config.replicate_base_url()?,
            api_token: config.replicate_api_token()?,
            webhook_secret: config.replicate_webhook_secret.as_deref(),
        })
    }

    fn request(&self, method: &'static str, path: &str, timeout_ms: u32) -> HttpRequest {
        HttpRequest {
            method,
            url: format!("{}{path}", self.base_url.trim_end_matches('/')),
            headers: vec![("authorization".to_owned(), format!("Bearer {}", self.api_token))],
            body: None,
            timeout_ms,
        }
    }
}

impl Asynchronous for ReplicateAccount<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn build_submit(&self, stored: &Value, details: &SubmitDetails<'_>) -> Option<HttpRequest> {
        let version = stored.get("version")?.as_str().filter(|version| !version.is_empty())?;
        let mut input = stored.get("input")?.as_object()?.clone();
        if let Some(field) = stored.get("previous_output_as").and_then(Value::as_str) {
            input.insert(field.to_owned(), details.previous_output_url?.into());
        }
        let body = json!({
            "version": version,
            "input": input,
            "webhook": details.webhook_url,
            "webhook_events_filter": ["completed"],
        });
        let seconds = details.run_ms.div_ceil(1_000).max(CANCEL_AFTER_S_MIN);
        let mut request = self.request("POST", "/predictions", SUBMIT_MS);
        request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        request.headers.push(("cancel-after".to_owned(), format!("{seconds}s")));
        request.body = Some(body.to_string());
        Some(request)
    }

    fn parse_submit(&self, answer: &HttpResult) -> Parsed<Result<Accepted, SubmitError>> {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return Parsed::ok(Err(error.into())),
        };
        if !response.is_success() {
            return errors::refusal(response);
        }
        let prediction = response.json();
        let Some(task_id) = id_of(&prediction) else {
            return Parsed::ok(Err(SubmitError::Unknown));
        };
        let early_failure = match progress(&prediction) {
            TaskAnswer::Failed(failure) => Some(failure),
            _ => None,
        };
        Parsed::ok(Ok(Accepted { task_id, early_failure }))
    }

    fn build_query(&self, task_id: &str) -> HttpRequest {
        self.request("GET", &format!("/predictions/{task_id}"), QUERY_MS)
    }

    fn parse_query(&self, answer: &HttpResult) -> Parsed<TaskAnswer> {
        match answer {
            Ok(response) if response.is_success() => Parsed::ok(progress(&response.json())),
            // This includes 404: Replicate may not find a very new prediction yet. The deadline
            // ends the step.
            Ok(response) => Parsed { value: TaskAnswer::NoAnswer, alarm: errors::alarm(response) },
            Err(_) => Parsed::ok(TaskAnswer::NoAnswer),
        }
    }

    fn build_cancel(&self, task_id: &str) -> HttpRequest {
        self.request("POST", &format!("/predictions/{task_id}/cancel"), QUERY_MS)
    }

    fn parse_cancel(&self, answer: &HttpResult) -> CancelAnswer {
        let Ok(response) = answer else { return CancelAnswer::Refused };
        let is_accepted = response.is_success()
            || (matches!(response.status, 400..=499)
                && !response.is_page()
                && !matches!(response.status, 401..=403 | 408 | 429));
        if is_accepted { CancelAnswer::Accepted } else { CancelAnswer::Refused }
    }

    fn build_list(&self, since: &str, cursor: Option<&str>) -> Option<HttpRequest> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("created_after", since);
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        Some(self.request("GET", &format!("/predictions?{}", query.finish()), QUERY_MS))
    }

    fn parse_webhook_url(&self, answer: &HttpResult) -> Option<String> {
        let response = answer.as_ref().ok().filter(|response| response.is_success())?;
        Some(response.json().get("webhook")?.as_str()?.to_owned())
    }

    fn parse_list(&self, answer: &HttpResult, stored: Option<&Value>) -> Parsed<Option<TaskPage>> {
        let Ok(response) = answer else { return Parsed::ok(None) };
        if !response.is_success() {
            return Parsed { value: None, alarm: errors::alarm(response) };
        }
        let body = response.json();
        let Some(results) = body.get("results").and_then(Value::as_array) else {
            return Parsed::ok(None);
        };
        let task_of = |prediction: &Value| {
            let webhook_url = match prediction.get("webhook") {
                // Null means that the task has no webhook, so it is not ours.
                Some(webhook) => Some(webhook.as_str().unwrap_or_default().to_owned()),
                None => stored.is_some_and(|ours| is_other(ours, prediction)).then(String::new),
            };
            Some(ListedTask { task_id: id_of(prediction)?, webhook_url })
        };
        let tasks = results.iter().filter_map(task_of).collect();
        let next = match body.get("next").and_then(Value::as_str) {
            None => None,
            // Without a readable cursor the next page cannot be requested, so the list proves
            // nothing.
            Some(next) => match cursor_of(next) {
                None => return Parsed::ok(None),
                cursor => cursor,
            },
        };
        Parsed::ok(Some(TaskPage { tasks, next }))
    }
}

impl WebhookReader for ReplicateAccount<'_> {
    fn is_authentic(&self, signature: &Signature, raw: &str, now_s: u64) -> Result<bool, ApiError> {
        let Some(secret) = self.webhook_secret else { return Ok(true) };
        let verified = standard_webhooks::verify(secret, signature, raw, now_s);
        verified.ok_or_else(|| ApiError::misconfigured("REPLICATE_WEBHOOK_SECRET"))
    }

    fn task_id(&self, body: &Value) -> Option<String> {
        id_of(body)
    }
}

fn progress(prediction: &Value) -> TaskAnswer {
    let failed = |text: &str| TaskAnswer::Failed(Failure::new(FailureCode::ProviderFailed, text));
    match prediction.get("status").and_then(Value::as_str) {
        Some("succeeded") => result(prediction),
        Some("failed") => errors::ended(prediction),
        Some("canceled") => failed("the prediction was cancelled at the provider"),
        Some("aborted") => failed("the provider stopped the prediction before it ran"),
        // `starting`, `processing` or an unknown status: our own deadline limits them.
        Some(_) => TaskAnswer::Running,
        None => TaskAnswer::NoAnswer,
    }
}

fn result(prediction: &Value) -> TaskAnswer {
    let output = prediction.get("output").unwrap_or(&Value::Null);
    let mut outputs = Vec::new();
    collect(output, &mut outputs);
    let is_empty = match output {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if outputs.is_empty() && !is_empty {
        let text = "the prediction ended without a file";
        return TaskAnswer::Failed(Failure::new(FailureCode::ProviderFailed, text));
    }
    let removed = prediction.get("data_removed").and_then(Value::as_bool) == Some(true);
    if outputs.is_empty() && removed {
        return TaskAnswer::Failed(Failure::new(
            FailureCode::DeliveryFailed,
            "the provider removed the result before it was copied",
        ));
    }
    TaskAnswer::Done(outputs)
}

/// Collects the URLs in a model's output: one URL, a list of them, or an object that contains some.
fn collect(output: &Value, outputs: &mut Vec<Output>) {
    match output {
        Value::String(text) if text.starts_with("https://") || text.starts_with("http://") => {
            outputs.push(Output { url: text.clone(), kind: String::new(), node: None });
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, outputs)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, outputs)),
        _ => {}
    }
}

/// Whether a listed prediction has another input than the stored request. Only URLs of files are
/// compared: they are unique to an upload, and the provider adds no defaults to them.
fn is_other(stored: &Value, prediction: &Value) -> bool {
    let ours = stored.get("input").and_then(Value::as_object);
    let listed = prediction.get("input").and_then(Value::as_object);
    let (Some(ours), Some(listed)) = (ours, listed) else { return false };
    let is_url = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("http"));
    // Replicate removes the input of an old prediction.
    !listed.is_empty()
        && ours.iter().any(|(name, value)| is_url(value) && listed.get(name) != Some(value))
}

/// The cursor in the link to the next page. The link itself is not used, because our token must not
/// be sent to an address from an answer.
fn cursor_of(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "cursor")
        .map(|(_, value)| value.into())
}

fn id_of(prediction: &Value) -> Option<String> {
    super::task_id(prediction.get("id").filter(|id| id.is_string())?)
}

#[cfg(test)]
mod list_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
