//! Classifies a call to Gemini without an image: whether, when and how often to retry, and whether
//! the operator must act.

use crate::core::job::{Failure, FailureCode};
use crate::core::provider::{About, Alarm, CallError};
use crate::core::transport::{HttpResponse, decimal, delay_ms};
use serde_json::Value;

/// A call without an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeminiFault {
    pub error: CallError,
    /// This key has used up its quota or is overloaded: the other key may work at once.
    pub try_other_key: bool,
    /// Gemini refused the request itself, perhaps because it names files by URL.
    pub is_request_refused: bool,
    pub alarm: Option<Alarm>,
}

const UNAVAILABLE: &str = "the provider cannot take this work at present";
const FULL: &str = "the provider is full";
const FAULT: &str = "the provider had a passing fault";
const REFUSED: &str = "the content was refused by the provider";
const NO_IMAGE: &str = "the provider made no picture";
/// The maximal number of attempts for a cause: an answer without an image, and an answer that was
/// cut short by length or time.
const WITHOUT_IMAGE_TRIES: u32 = 3;
const CUT_SHORT_TRIES: u32 = 2;

/// Finish reasons that a retry cannot change.
const CONTENT: [&str; 8] = [
    "SAFETY",
    "PROHIBITED_CONTENT",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "RECITATION",
    "IMAGE_RECITATION",
];

impl GeminiFault {
    fn of(error: CallError) -> Self {
        Self { error, try_other_key: false, is_request_refused: false, alarm: None }
    }

    pub(super) fn transient(text: &str) -> Self {
        Self::of(CallError::transient(text))
    }

    fn rejected(code: FailureCode, text: impl Into<String>) -> Self {
        Self::of(CallError::Rejected(Failure::new(code, text)))
    }

    fn at_most(attempts_max: u32, text: &str) -> Self {
        let failure = Failure::new(FailureCode::ProviderFailed, text);
        Self::of(CallError::Transient {
            failure,
            retry_after_ms: None,
            attempts_max: Some(attempts_max),
        })
    }

    /// A final fault of the step, with an alarm for the operator.
    fn alarming(about: About, status: u16, word: &str) -> Self {
        let alarm = Some(Alarm::new(about, format!("http {status} {word}").trim_end()));
        Self { alarm, ..Self::rejected(FailureCode::ProviderRejected, UNAVAILABLE) }
    }

    /// A transient fault, with an alarm for the operator.
    fn of_place(status: u16, word: &str) -> Self {
        let alarm = Some(Alarm::new(About::Place, format!("http {status} {word}")));
        Self { alarm, ..Self::transient(UNAVAILABLE) }
    }
}

/// The fault of a successful answer without an image.
pub(super) fn without_image(body: &Value) -> GeminiFault {
    let blocked = body.pointer("/promptFeedback/blockReason").and_then(Value::as_str);
    let finished = candidates(body).find_map(|candidate| candidate.get("finishReason")?.as_str());
    match (blocked, finished) {
        (Some(reason), _) if reason != "OTHER" => {
            GeminiFault::rejected(FailureCode::ContentRefused, REFUSED)
        }
        (_, Some(reason)) if CONTENT.contains(&reason) => {
            GeminiFault::rejected(FailureCode::ContentRefused, REFUSED)
        }
        (_, Some("MAX_TOKENS")) => GeminiFault::at_most(CUT_SHORT_TRIES, NO_IMAGE),
        // Unknown reasons are treated in the same way.
        _ => GeminiFault::at_most(WITHOUT_IMAGE_TRIES, NO_IMAGE),
    }
}

/// Classifies an error by its HTTP status, or by the code inside it if a proxy answered 200. A
/// fault of the account, the model (`App`) or the place is an alarm. The others are about load
/// (429, 503), time (408, other 5xx) or the input. Source:
/// ai.google.dev/gemini-api/docs/troubleshooting, the table of status codes.
pub(super) fn refused(response: &HttpResponse, body: &Value) -> GeminiFault {
    let error = body.get("error").unwrap_or(&Value::Null);
    let inner = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = if response.status < 300 { inner.unwrap_or(500) } else { response.status };
    let word = error.get("status").and_then(Value::as_str).unwrap_or_default();
    match status {
        400 if has_reason(error, "API_KEY_INVALID") => {
            GeminiFault::alarming(About::Account, status, "API_KEY_INVALID")
        }
        // Gemini refuses the place from which the call came; the next call may leave from another
        // one. Source: google-gemini/deprecated-generative-ai-js#151.
        400 | 403 if is_about_place(error) => GeminiFault::of_place(status, "location"),
        // The account has no billing.
        400 if word == "FAILED_PRECONDITION" => GeminiFault::alarming(About::Account, status, word),
        // A firewall's page is not the provider's answer to this request.
        400..=499 if response.is_page() && !matches!(status, 408 | 429) => {
            GeminiFault::of_place(status, "without JSON")
        }
        // The account is empty, or the key has no permission.
        401..=403 => GeminiFault::alarming(About::Account, status, word),
        // The model was retired.
        404 => GeminiFault::alarming(About::App, status, word),
        408 => GeminiFault::transient(FAULT),
        429 => full(response, error),
        503 => GeminiFault { try_other_key: true, ..GeminiFault::transient(FULL) },
        504 => GeminiFault::at_most(CUT_SHORT_TRIES, "the provider ran out of time"),
        500.. => GeminiFault::transient(FAULT),
        _ => GeminiFault {
            is_request_refused: true,
            ..GeminiFault::rejected(FailureCode::ProviderRejected, refusal_text(error))
        },
    }
}

/// Classifies a 429. A daily quota does not recover before the deadline, so it is final; any other
/// 429 is transient.
fn full(response: &HttpResponse, error: &Value) -> GeminiFault {
    if quota_ids(error).any(|id| id.to_ascii_lowercase().replace('_', "").contains("perday")) {
        return GeminiFault {
            try_other_key: true,
            ..GeminiFault::alarming(About::Account, 429, "quota of the day")
        };
    }
    let failure = Failure::new(FailureCode::ProviderFailed, FULL);
    let retry_after_ms = retry_after_ms(response, error);
    GeminiFault {
        try_other_key: true,
        ..GeminiFault::of(CallError::Transient { failure, retry_after_ms, attempts_max: None })
    }
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

fn has_reason(error: &Value, wanted: &str) -> bool {
    details(error).any(|detail| detail.get("reason").and_then(Value::as_str) == Some(wanted))
}

fn is_about_place(error: &Value) -> bool {
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let message = message.to_ascii_lowercase();
    ["location is not supported", "region is not supported", "not available in your"]
        .iter()
        .any(|words| message.contains(words))
}

fn quota_ids(error: &Value) -> impl Iterator<Item = &str> {
    let violations =
        details(error).filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    violations.filter_map(|violation| violation.get("quotaId")?.as_str())
}

/// The delay in `RetryInfo`, else in the message, else in the headers that a proxy may have added.
fn retry_after_ms(response: &HttpResponse, error: &Value) -> Option<u32> {
    let named =
        details(error).find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'));
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let worded = message.split("retry in ").nth(1).map(|rest| rest.trim_end_matches('.'));
    let worded =
        worded.and_then(|rest| rest.split('s').next()).filter(|number| !number.ends_with('m'));
    match named.or(worded) {
        Some(seconds) => decimal(seconds).and_then(delay_ms),
        None => response.retry_after_ms(),
    }
}

/// The provider's message about a refused request.
fn refusal_text(error: &Value) -> String {
    match error
        .get("message")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        Some(text) => format!("the provider refused the request ({})", text.trim_end_matches('.')),
        None => "the provider refused the request".to_owned(),
    }
}

pub(super) fn candidates(body: &Value) -> impl Iterator<Item = &Value> {
    body.get("candidates").and_then(Value::as_array).into_iter().flatten()
}
