//! Why a call to Gemini brought no picture: whether to try again, when, how often, and who must be told.

use crate::core::job::{Failure, FailureCode};
use crate::core::provider::CallError;
use crate::core::transport::HttpResponse;
use serde_json::Value;

/// A call without a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub error: CallError,
    /// Full or overloaded: another key may fare better at once.
    pub other_key: bool,
    /// The request itself was refused: perhaps for naming files by URL.
    pub request: bool,
    /// Something only the operator can mend.
    pub alarm: Option<String>,
}

const UNAVAILABLE: &str = "the provider cannot take this work at present";
const FULL: &str = "the provider is full";
const FAULT: &str = "the provider had a passing fault";
const REFUSED: &str = "the content was refused by the provider";
const NO_PICTURE: &str = "the provider made no picture";
/// The tries that an answer without a picture is worth in all: two more, or one where it ran out of length or time.
const WITHOUT_PICTURE_TRIES: u32 = 3;
const CUT_SHORT_TRIES: u32 = 2;

/// Reasons to finish that no repetition changes.
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

impl Fault {
    fn of(error: CallError) -> Self {
        Self { error, other_key: false, request: false, alarm: None }
    }

    pub(super) fn passing(text: &str) -> Self {
        Self::of(CallError::passing(text))
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

    /// Final for the step, and the operator must know.
    fn alarming(status: u16, word: &str) -> Self {
        let alarm = Some(format!("http {status} {word}").trim_end().to_owned());
        Self { alarm, ..Self::rejected(FailureCode::ProviderRejected, UNAVAILABLE) }
    }
}

/// An answer that is good and has no picture in it.
pub(super) fn without_picture(body: &Value) -> Fault {
    let blocked = body.pointer("/promptFeedback/blockReason").and_then(Value::as_str);
    let finished =
        super::candidates(body).find_map(|candidate| candidate.get("finishReason")?.as_str());
    match (blocked, finished) {
        (Some(reason), _) if reason != "OTHER" => {
            Fault::rejected(FailureCode::ContentRefused, REFUSED)
        }
        (_, Some(reason)) if CONTENT.contains(&reason) => {
            Fault::rejected(FailureCode::ContentRefused, REFUSED)
        }
        (_, Some("MAX_TOKENS")) => Fault::at_most(CUT_SHORT_TRIES, NO_PICTURE),
        // Also every reason that is not known yet.
        _ => Fault::at_most(WITHOUT_PICTURE_TRIES, NO_PICTURE),
    }
}

/// An error, by its HTTP status, or by the code in it where a proxy answered 200.
pub(super) fn refused(response: &HttpResponse, body: &Value) -> Fault {
    let error = body.get("error").unwrap_or(&Value::Null);
    let inner = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = if response.status < 300 { inner.unwrap_or(500) } else { response.status };
    let word = error.get("status").and_then(Value::as_str).unwrap_or_default();
    match status {
        400 if has_reason(error, "API_KEY_INVALID") => Fault::alarming(status, "API_KEY_INVALID"),
        400 if word == "FAILED_PRECONDITION" => Fault::alarming(status, word),
        // A used-up account, a key without the right, a model that is gone.
        401..=404 => Fault::alarming(status, word),
        408 => Fault::passing(FAULT),
        429 => full(response, error),
        503 => Fault { other_key: true, ..Fault::passing(FULL) },
        504 => Fault::at_most(CUT_SHORT_TRIES, "the provider ran out of time"),
        500.. => Fault::passing(FAULT),
        _ => Fault { request: true, ..Fault::rejected(FailureCode::ProviderRejected, said(error)) },
    }
}

/// A quota by the day does not come back in time; any other names when it does.
fn full(response: &HttpResponse, error: &Value) -> Fault {
    if quota_ids(error).any(|id| id.to_ascii_lowercase().replace('_', "").contains("perday")) {
        return Fault { other_key: true, ..Fault::alarming(429, "quota of the day") };
    }
    let failure = Failure::new(FailureCode::ProviderFailed, FULL);
    let retry_after_ms = retry_after_ms(response, error);
    Fault {
        other_key: true,
        ..Fault::of(CallError::Transient { failure, retry_after_ms, attempts_max: None })
    }
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

fn has_reason(error: &Value, wanted: &str) -> bool {
    details(error).any(|detail| detail.get("reason").and_then(Value::as_str) == Some(wanted))
}

fn quota_ids(error: &Value) -> impl Iterator<Item = &str> {
    let violations =
        details(error).filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    violations.filter_map(|violation| violation.get("quotaId")?.as_str())
}

/// `RetryInfo`, else the sentence that says it, else the header that a proxy may add.
fn retry_after_ms(response: &HttpResponse, error: &Value) -> Option<u32> {
    let named =
        details(error).find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'));
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let worded = message.split("retry in ").nth(1).map(|rest| rest.trim_end_matches('.'));
    let worded =
        worded.and_then(|rest| rest.split('s').next()).filter(|number| !number.ends_with('m'));
    let seconds = named.or(worded).or_else(|| response.header("retry-after"))?;
    let seconds: f64 =
        seconds.trim().parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to a day's milliseconds"
    )]
    Some((seconds * 1_000.0).ceil() as u32)
}

/// What the provider says is wrong with the request.
fn said(error: &Value) -> String {
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
