//! Classifies an error of a text model's API for the attempt, whichever API or gateway sent it.
//!
//! A retry is safe: these APIs keep no state, so a lost answer is a transient fault.
//!
//! The lists below sort words by their subject: `USED_UP` and `ACCOUNT` (with 401 to 404) are about
//! the account, `PLACE` (with any page) about the place, `CONTENT` about the content, `LENGTH`
//! (with 413) about the input, `SLOWER` (with 429) about load, `TRANSIENT` (with 408 and 5xx) about
//! time. A fault of the model counts as the account's, because one setting names the model for all
//! tools. Sources: platform.openai.com/docs/guides/error-codes, docs.claude.com/en/api/errors,
//! openrouter.ai/docs/api-reference/errors.

use crate::core::job::{Failure, FailureCode};
use crate::core::provider::{About, Alarm, CallError, Parsed};
use crate::core::transport::{HttpResponse, delay_ms};
use serde_json::Value;

const UNAVAILABLE: &str = "the text model cannot take this work at present";
const BUSY: &str = "the text model is busy";
const FAULT: &str = "the text model had a passing fault";
const REFUSED: &str = "the content was refused by the text model";
const TOO_LONG: &str = "the prompt is too long for the text model";
const NOT_TAKEN: &str = "the text model did not take the request";

/// The delay if the API asks us to slow down and names no time.
const SLOWER_MS: u32 = 20_000;

/// Codes of an empty account, whatever status they come with.
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
/// Words for a fault of the key, the account or the model, which does not depend on the request.
const ACCOUNT: &[&str] = &[
    "authentication_error",
    "invalid_api_key",
    "permission_error",
    "not_found_error",
    "model_not_found",
];
/// Words for a refusal of the place from which the request came; the next attempt may leave from
/// another one. Sources: help.openai.com names the first, Anthropic answers `forbidden` from such a
/// place.
const PLACE: &[&str] =
    &["unsupported_country_region_territory", "unsupported_country", "forbidden"];
/// Words for transient faults, for errors without a status.
const TRANSIENT: &[&str] = &[
    "rate_limit_error",
    "rate_limit_exceeded",
    "overloaded_error",
    "server_is_overloaded",
    "server_error",
    "api_error",
    "timeout_error",
    "conflict",
];

/// The parts of an error by which it is classified.
#[derive(Debug, Default)]
pub(super) struct LlmFault {
    status: Option<u16>,
    /// All words that may name the fault: type, code, and the codes inside its details.
    words: Vec<String>,
    flagged: bool,
    /// The answer is a page of a firewall or a proxy, and not the provider's.
    is_page: bool,
    delay_ms: Option<u32>,
    should_retry: Option<bool>,
}

/// Classifies an answer that is not a success.
pub fn parse_refusal(response: &HttpResponse) -> Parsed<CallError> {
    LlmFault::of_response(response).classify()
}

/// Classifies an error object that arrived after the API had answered 200.
pub(super) fn of_object(error: &Value) -> Parsed<CallError> {
    LlmFault::read(error).classify()
}

/// The error if the model declined to answer.
pub(super) fn refusal() -> CallError {
    CallError::Rejected(Failure::new(FailureCode::ContentRefused, REFUSED))
}

/// The error of an unusable answer; a retry may give a better one.
pub fn useless(why: &str) -> CallError {
    CallError::transient(why)
}

impl LlmFault {
    pub(super) fn of_response(response: &HttpResponse) -> Self {
        let body = response.json();
        let mut fault = Self {
            status: Some(response.status),
            is_page: response.is_page(),
            ..Self::read(body.get("error").unwrap_or(&body))
        };
        fault.delay_ms = response.retry_after_ms().or(fault.delay_ms);
        fault.should_retry = response.header("x-should-retry").and_then(|text| text.parse().ok());
        fault
    }

    /// Whether the request would be refused in any wording: because of its content, its length, the
    /// account, the key or the model, or by a transient fault.
    pub(super) fn is_certain(&self) -> bool {
        let named = [CONTENT, LENGTH, USED_UP, ACCOUNT];
        named.iter().any(|list| self.is(list)) || self.flagged || self.is_transient()
    }

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
        // Some gateways put the HTTP status where others put a word.
        let status =
            error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let flagged = metadata.get("reasons").is_some() || metadata.get("flagged_input").is_some();
        let named_s = error
            .get("retry_after")
            .or_else(|| metadata.get("retry_after"))
            .and_then(Value::as_f64);
        Self {
            status,
            words,
            flagged,
            delay_ms: named_s.and_then(delay_ms),
            is_page: false,
            should_retry: None,
        }
    }

    fn is(&self, list: &[&str]) -> bool {
        self.words.iter().any(|word| list.contains(&word.as_str()))
    }

    fn classify(self) -> Parsed<CallError> {
        let rejected = |code, text: &str| CallError::Rejected(Failure::new(code, text));
        if self.is(CONTENT) || self.flagged {
            return Parsed::ok(rejected(FailureCode::ContentRefused, REFUSED));
        }
        if self.is(LENGTH) || self.status == Some(413) {
            return Parsed::ok(rejected(FailureCode::ProviderRejected, TOO_LONG));
        }
        if self.is(PLACE) || self.is_page && !self.is_transient() {
            let failure = Failure::new(FailureCode::ProviderFailed, UNAVAILABLE);
            let value =
                CallError::Transient { failure, retry_after_ms: self.delay_ms, attempts_max: None };
            return Parsed { value, alarm: Some(Alarm::new(About::Place, self.name())) };
        }
        if !self.is(USED_UP) && self.is_transient() {
            let slower = if self.is(SLOWER) { Some(SLOWER_MS) } else { None };
            let text = if matches!(self.status, Some(429 | 503 | 529)) { BUSY } else { FAULT };
            return Parsed::ok(CallError::Transient {
                failure: Failure::new(FailureCode::ProviderFailed, text),
                retry_after_ms: self.delay_ms.or(slower),
                attempts_max: None,
            });
        }
        let at_fault = matches!(self.status, Some(400 | 422)) && !self.is(USED_UP);
        let value =
            rejected(FailureCode::ProviderRejected, if at_fault { NOT_TAKEN } else { UNAVAILABLE });
        Parsed { value, alarm: Some(Alarm::new(self.about(), self.name())) }
    }

    /// The subject of a final fault. If the API refused the request itself, the cause may be this
    /// user's input.
    fn about(&self) -> About {
        match self.status {
            _ if self.is(USED_UP) || self.is(ACCOUNT) => About::Account,
            Some(401..=404) => About::Account,
            Some(500..) => About::Time,
            _ => About::Input,
        }
    }

    fn is_transient(&self) -> bool {
        match (self.should_retry, self.status) {
            (Some(should), _) => should,
            (None, Some(408 | 409 | 425 | 429 | 500..)) => true,
            // A budget for concurrent requests recovers, and the answer names a delay; an empty
            // account does not recover.
            (None, Some(402)) => self.delay_ms.is_some(),
            (None, Some(_)) => false,
            (None, None) => {
                self.is(TRANSIENT)
                    || self.is(SLOWER)
                    || !(self.is(ACCOUNT) || self.is(&["invalid_request_error"]))
            }
        }
    }

    /// The words of the fault from the API, for the operator.
    fn name(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let page = self.is_page.then(|| "without JSON".to_owned());
        let words = status.into_iter().chain(page).chain(self.words.iter().cloned());
        let words: Vec<String> = words.collect();
        words.join(" ").chars().take(120).collect()
    }
}
