//! What an error of a text model's API means for the attempt, whichever API and gateway worded it.
//!
//! The same call again is safe: these APIs keep no state, so a lost answer is a passing fault here.

use crate::core::job::{Failure, FailureCode};
use crate::core::provider::{CallError, Reading};
use crate::core::transport::HttpResponse;
use serde_json::Value;

const UNAVAILABLE: &str = "the text model cannot take this work at present";
const BUSY: &str = "the text model is busy";
const FAULT: &str = "the text model had a passing fault";
const REFUSED: &str = "the content was refused by the text model";
const TOO_LONG: &str = "the prompt is too long for the text model";
const NOT_TAKEN: &str = "the text model did not take the request";

/// Asked to go slower without being told for how long.
const SLOWER_MS: u32 = 20_000;

/// Codes of an account that is used up, whatever status they come with.
const USED_UP: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "enforced_spend_limit_reached",
    "payment_required",
    "billing_error",
];
const CONTENT: &[&str] =
    &["content_policy_violation", "content_filter", "moderation_blocked", "content_policy"];
const LENGTH: &[&str] =
    &["context_length_exceeded", "string_above_max_length", "request_too_large"];
const SLOWER: &[&str] = &["slow_down", "ramp_limit_exceeded"];
/// Words for faults that pass, where no status says so.
const PASSING: &[&str] = &[
    "rate_limit_error",
    "rate_limit_exceeded",
    "overloaded_error",
    "server_is_overloaded",
    "server_error",
    "api_error",
    "timeout_error",
    "conflict",
];
/// Words for faults that do not, where no status says so.
const LASTING: &[&str] = &[
    "invalid_request_error",
    "authentication_error",
    "invalid_api_key",
    "permission_error",
    "not_found_error",
    "model_not_found",
];

/// One error, reduced to what decides its class.
#[derive(Debug, Default)]
struct Fault {
    status: Option<u16>,
    /// Every word that may name it: type, code, and the codes inside its details.
    words: Vec<String>,
    flagged: bool,
    delay_ms: Option<u32>,
    should_retry: Option<bool>,
}

/// The refusal of a request: any answer that is not a success.
pub(super) fn of_response(response: &HttpResponse) -> Reading<CallError> {
    let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    let mut fault =
        Fault { status: Some(response.status), ..Fault::read(body.get("error").unwrap_or(&body)) };
    fault.delay_ms = delay_ms(response).or(fault.delay_ms);
    fault.should_retry = response.header("x-should-retry").and_then(|text| text.parse().ok());
    fault.judge()
}

/// An error object that came after the API had answered 200.
pub(super) fn of_object(error: &Value) -> Reading<CallError> {
    Fault::read(error).judge()
}

/// The model itself declined.
pub(super) fn refusal() -> CallError {
    CallError::Rejected(Failure::new(FailureCode::ContentRefused, REFUSED))
}

/// An answer that is of no use; another attempt may give a better one.
pub(super) fn useless(why: &str) -> CallError {
    CallError::passing(why)
}

impl Fault {
    fn read(error: &Value) -> Self {
        let metadata = error.get("metadata").unwrap_or(&Value::Null);
        let details = error.get("details").unwrap_or(&Value::Null);
        let named = [
            error.get("type"),
            error.get("code"),
            details.get("error_code"),
            metadata.get("error_type"),
            metadata.get("provider_code"),
        ];
        let words = named
            .into_iter()
            .flatten()
            .filter_map(|word| word.as_str().map(str::to_ascii_lowercase))
            .collect();
        // Some gateways put the HTTP status where others have a word.
        let status =
            error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let flagged = metadata.get("reasons").is_some() || metadata.get("flagged_input").is_some();
        let named_s = error
            .get("retry_after")
            .or_else(|| metadata.get("retry_after"))
            .and_then(Value::as_f64);
        Self { status, words, flagged, delay_ms: named_s.and_then(millis), should_retry: None }
    }

    fn is(&self, list: &[&str]) -> bool {
        self.words.iter().any(|word| list.contains(&word.as_str()))
    }

    fn judge(self) -> Reading<CallError> {
        let rejected = |code, text: &str| CallError::Rejected(Failure::new(code, text));
        if self.is(CONTENT) || self.flagged {
            return Reading::quiet(rejected(FailureCode::ContentRefused, REFUSED));
        }
        if self.is(LENGTH) || self.status == Some(413) {
            return Reading::quiet(rejected(FailureCode::ProviderRejected, TOO_LONG));
        }
        if !self.is(USED_UP) && self.passes() {
            let slower = if self.is(SLOWER) { Some(SLOWER_MS) } else { None };
            let text = if matches!(self.status, Some(429 | 503 | 529)) { BUSY } else { FAULT };
            return Reading::quiet(CallError::Transient {
                failure: Failure::new(FailureCode::ProviderFailed, text),
                retry_after_ms: self.delay_ms.or(slower),
                attempts_max: None,
            });
        }
        let at_fault = matches!(self.status, Some(400 | 422)) && !self.is(USED_UP);
        let said =
            rejected(FailureCode::ProviderRejected, if at_fault { NOT_TAKEN } else { UNAVAILABLE });
        Reading { said, alarm: Some(self.name()) }
    }

    fn passes(&self) -> bool {
        match (self.should_retry, self.status) {
            (Some(should), _) => should,
            (None, Some(408 | 409 | 425 | 429 | 500..)) => true,
            // A budget for what is in flight comes back; an empty account does not name a time.
            (None, Some(402)) => self.delay_ms.is_some(),
            (None, Some(_)) => false,
            (None, None) => self.is(PASSING) || self.is(SLOWER) || !self.is(LASTING),
        }
    }

    /// For the operator: what it was, in the API's own words.
    fn name(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let words: Vec<String> = status.into_iter().chain(self.words.iter().cloned()).collect();
        words.join(" ").chars().take(120).collect()
    }
}

/// Milliseconds, else seconds; a date is not read.
fn delay_ms(response: &HttpResponse) -> Option<u32> {
    let number =
        |name: &str| response.header(name).and_then(|text| text.trim().parse::<f64>().ok());
    number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))
        .and_then(millis)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within a day"
)]
fn millis(seconds: f64) -> Option<u32> {
    (0.0..=86_400.0).contains(&seconds).then_some((seconds * 1000.0) as u32)
}
