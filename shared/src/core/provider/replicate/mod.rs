//! Replicate: create, get, cancel and list predictions.
//!
//! A create has no idempotency key, so only an answer that proves a refusal lets it be sent again;
//! after any other fault the list of predictions, whose webhook addresses name our run, decides.
//! Answers are sparse and statuses open: a word that is not known is work that goes on.

mod errors;
pub mod signature;
pub mod try_on;

use super::{Accepted, Answer, Handover, Listed, Output, Page, ProviderError, Reading};
use crate::core::job::{Failure, FailureCode};
use crate::core::transport::{HttpRequest, HttpResponse, TransportError};
use serde_json::{Value, json};

/// The provider's name in rows and URLs.
pub const NAME: &str = "replicate";

/// Shorter than the claim's own time-out, so that an answer is recorded before the claim lapses.
const SUBMIT_MS: u32 = 20_000;
const ASK_MS: u32 = 8_000;
/// The shortest time after which a prediction may be told to stop.
const CANCEL_AFTER_S_MIN: u32 = 5;

/// What a prediction may make.
pub const CONTENT_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp"];

/// Where and as whom we speak to Replicate.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    pub base_url: &'a str,
    pub api_token: &'a str,
    /// `None`: its webhooks are proved by their address alone.
    pub webhook_secret: Option<&'a str>,
}

impl Account<'_> {
    /// Completes a stored request. `None`: what is stored is not a request of ours, or the picture
    /// it goes on with is not there.
    pub fn build_submit(&self, stored: &Value, handover: &Handover<'_>) -> Option<HttpRequest> {
        let version = stored.get("version")?.as_str().filter(|version| !version.is_empty())?;
        let mut input = stored.get("input")?.as_object()?.clone();
        if let Some(field) = stored.get("previous_output_as").and_then(Value::as_str) {
            input.insert(field.to_owned(), handover.previous_output_url?.into());
        }
        let body = json!({
            "version": version,
            "input": input,
            "webhook": handover.webhook_url,
            "webhook_events_filter": ["completed"],
        });
        let seconds = handover.run_ms.div_ceil(1_000).max(CANCEL_AFTER_S_MIN);
        let mut request = self.request("POST", "/predictions", SUBMIT_MS);
        request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        request.headers.push(("cancel-after".to_owned(), format!("{seconds}s")));
        request.body = Some(body.to_string());
        Some(request)
    }

    pub fn build_query(&self, task_id: &str) -> HttpRequest {
        self.request("GET", &format!("/predictions/{task_id}"), ASK_MS)
    }

    pub fn build_cancel(&self, task_id: &str) -> HttpRequest {
        self.request("POST", &format!("/predictions/{task_id}/cancel"), ASK_MS)
    }

    /// What was created since then, newest first; `cursor` goes on with an earlier page.
    pub fn build_list(&self, since: &str, cursor: Option<&str>) -> HttpRequest {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("created_after", since);
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        self.request("GET", &format!("/predictions?{}", query.finish()), ASK_MS)
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

/// Reads the answer to a create.
pub fn parse_submit(
    answer: &Result<HttpResponse, TransportError>,
) -> Reading<Result<Accepted, ProviderError>> {
    let response = match answer {
        Ok(response) => response,
        Err(TransportError::NotSent(message)) => {
            let said = ProviderError::Transient {
                retry_after_ms: None,
                capacity: false,
                message: message.clone(),
            };
            return Reading::quiet(Err(said));
        }
        Err(TransportError::Unknown(_)) => return Reading::quiet(Err(ProviderError::Unknown)),
    };
    if !is_good(response) {
        return errors::refusal(response);
    }
    let prediction = body_of(response);
    let Some(task_id) = id_of(&prediction) else {
        return Reading::quiet(Err(ProviderError::Unknown));
    };
    let doomed = match progress(&prediction) {
        Answer::Failed(failure) => Some(failure),
        _ => None,
    };
    Reading::quiet(Ok(Accepted { task_id, doomed }))
}

/// Reads a prediction that was asked for.
pub fn parse_query(answer: &Result<HttpResponse, TransportError>) -> Reading<Answer> {
    match answer {
        Ok(response) if is_good(response) => Reading::quiet(progress(&body_of(response))),
        // Also a 404: it may be too new to be found, so only its time ends it.
        Ok(response) => Reading { said: Answer::Silent, alarm: errors::alarm(response) },
        Err(_) => Reading::quiet(Answer::Silent),
    }
}

fn progress(prediction: &Value) -> Answer {
    let failed = |text: &str| Answer::Failed(Failure::new(FailureCode::ProviderFailed, text));
    match prediction.get("status").and_then(Value::as_str) {
        Some("succeeded") => result(prediction),
        Some("failed") => Answer::Failed(errors::reason(prediction)),
        Some("canceled") => failed("the prediction was cancelled at the provider"),
        Some("aborted") => failed("the provider stopped the prediction before it ran"),
        // `starting`, `processing`, or a word that is not known yet: bounded by our own deadline.
        Some(_) => Answer::Running,
        None => Answer::Silent,
    }
}

fn result(prediction: &Value) -> Answer {
    let mut outputs = Vec::new();
    collect(prediction.get("output").unwrap_or(&Value::Null), &mut outputs);
    if !outputs.is_empty() {
        return Answer::Done(outputs);
    }
    let removed = prediction.get("data_removed").and_then(Value::as_bool) == Some(true);
    Answer::Failed(match removed {
        true => Failure::new(
            FailureCode::DeliveryFailed,
            "the provider removed the result before it was copied",
        ),
        false => Failure::new(FailureCode::ProviderFailed, "the prediction ended without a result"),
    })
}

/// A model's output is one URL, a list of them, or an object with some in it.
fn collect(output: &Value, outputs: &mut Vec<Output>) {
    match output {
        Value::String(text) if text.starts_with("https://") || text.starts_with("http://") => {
            outputs.push(Output { url: text.clone(), kind: String::new() });
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, outputs)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, outputs)),
        _ => {}
    }
}

/// Whether a cancel needs no repeat: it was taken, or there is nothing left to cancel.
pub fn parse_cancel(answer: &Result<HttpResponse, TransportError>) -> bool {
    let Ok(response) = answer else { return false };
    is_good(response)
        || (matches!(response.status, 400..=499)
            && !matches!(response.status, 401..=403 | 408 | 429))
}

/// Reads a page of the list. `None`: no usable answer.
pub fn parse_list(answer: &Result<HttpResponse, TransportError>) -> Reading<Option<Page>> {
    let Ok(response) = answer else { return Reading::quiet(None) };
    if !is_good(response) {
        return Reading { said: None, alarm: errors::alarm(response) };
    }
    let body = body_of(response);
    let Some(results) = body.get("results").and_then(Value::as_array) else {
        return Reading::quiet(None);
    };
    let tasks = results
        .iter()
        .filter_map(|prediction| {
            let webhook_url = prediction.get("webhook")?.as_str()?.to_owned();
            Some(Listed { task_id: id_of(prediction)?, webhook_url })
        })
        .collect();
    let next = match body.get("next").and_then(Value::as_str) {
        None => None,
        // A further page that cannot be asked for leaves the list unread.
        Some(next) => match cursor_of(next) {
            None => return Reading::quiet(None),
            cursor => cursor,
        },
    };
    Reading::quiet(Some(Page { tasks, next }))
}

/// Only the cursor of the link to the next page is used: our token goes to no address that an
/// answer names.
fn cursor_of(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "cursor")
        .map(|(_, value)| value.into())
}

/// The prediction that a webhook is about.
pub fn webhook_task_id(body: &Value) -> Option<String> {
    id_of(body)
}

fn is_good(response: &HttpResponse) -> bool {
    (200..=299).contains(&response.status)
}

fn body_of(response: &HttpResponse) -> Value {
    serde_json::from_str(&response.body).unwrap_or(Value::Null)
}

/// An id that cannot leave its place in a path.
fn id_of(prediction: &Value) -> Option<String> {
    let id = prediction.get("id")?.as_str()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (plain && (1..=128).contains(&id.len())).then(|| id.to_owned())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
