//! Classifies Replicate's refusals: what each HTTP status means for a create, whether it is an
//! alarm for the operator, and how long to wait.

use super::super::{About, Accepted, Alarm, Parsed, SubmitError, TaskAnswer};
use crate::core::job::{Failure, FailureCode};
use crate::core::transport::{HttpResponse, decimal, delay_ms};
use serde_json::Value;

const TEXT_MAX: usize = 300;
/// Longer delays are cut to this one.
const DELAY_MS_MAX: u32 = 3_600_000;

/// Parses an unsuccessful answer to a create.
pub(super) fn refusal(response: &HttpResponse) -> Parsed<Result<Accepted, SubmitError>> {
    let rejected =
        |text: &str| SubmitError::Rejected(Failure::new(FailureCode::ProviderRejected, text));
    let alarm = alarm(response).or_else(|| no_such_version(response));
    let error = match response.status {
        429 => SubmitError::Transient {
            retry_after_ms: retry_after_ms(response),
            capacity: true,
            message: "the provider limits how often it may be asked".to_owned(),
        },
        // The task may have been created before the fault.
        408 | 500.. => SubmitError::Unknown,
        // A firewall's page is not the provider's answer to this request.
        _ if response.is_page() => SubmitError::Transient {
            retry_after_ms: retry_after_ms(response),
            capacity: false,
            message: "the provider could not be reached".to_owned(),
        },
        _ if alarm.is_some() => rejected("the provider refused the request"),
        _ => rejected(&match detail(response) {
            Some(detail) => format!("the provider refused the input ({detail})"),
            None => "the provider refused the input".to_owned(),
        }),
    };
    Parsed { value: Err(error), alarm }
}

/// The alarm for a model or version that does not exist, or that an account without a payment
/// method may not use.
fn no_such_version(response: &HttpResponse) -> Option<Alarm> {
    let invalid =
        response.status == 422 && title(response).to_ascii_lowercase().contains("version");
    (response.status == 404 || invalid).then(|| Alarm::new(About::App, named(response)))
}

/// The subject of each status, except for those of `no_such_version`. A create that is refused with
/// any other status is about the input. Source: replicate.com/docs/reference/http, and the
/// reactions of Replicate's own clients to a status.
fn about(response: &HttpResponse) -> About {
    match response.status {
        429 => About::Load,
        408 | 425 | 500.. => About::Time,
        // A firewall's page is not the provider's answer to this request.
        400..=499 if response.is_page() => About::Place,
        // The token, money or permission; or the address in our setting is outdated.
        301..=308 | 401..=403 => About::Account,
        _ => About::Input,
    }
}

/// The alarm for a cause that only the operator can correct: place, address, token, money,
/// permission.
pub(super) fn alarm(response: &HttpResponse) -> Option<Alarm> {
    let about = about(response);
    matches!(about, About::Place | About::Account).then(|| Alarm::new(about, named(response)))
}

fn named(response: &HttpResponse) -> String {
    shortened(format!("http {} {}", response.status, title(response)).trim_end())
}

fn title(response: &HttpResponse) -> String {
    response.json().get("title").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Words of faults in Replicate's own infrastructure, after which the same prediction may succeed.
/// Source: replicate.com/docs/reference/error-codes, and failed predictions in public reports.
const INTERRUPTED: &[&str] = &[
    "please retry",
    "please try again",
    "try again later",
    "interrupted",
    "director: unexpected error",
    "unexpected error handling prediction",
    "e1000",
    "e1001",
    "e4875",
    "e6716",
    "e8367",
    "e8765",
    "e9243",
    "e9825",
    "e9828",
];

/// Classifies a failed task by the model's own words.
pub(super) fn ended(prediction: &Value) -> TaskAnswer {
    let failure = reason(prediction);
    let lower = failure.text.to_ascii_lowercase();
    let is_interrupted = failure.code == FailureCode::ProviderFailed
        && INTERRUPTED.iter().any(|words| lower.contains(words));
    if is_interrupted { TaskAnswer::Interrupted(failure) } else { TaskAnswer::failed(failure) }
}

fn reason(prediction: &Value) -> Failure {
    let text = prediction.get("error").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    if lower.contains("nsfw") || lower.contains("flagged as sensitive") {
        return Failure::new(
            FailureCode::ContentRefused,
            "the provider refused the picture's content",
        );
    }
    let text = if text.is_empty() { "the model could not finish" } else { text };
    Failure::new(FailureCode::ProviderFailed, shortened(text))
}

fn detail(response: &HttpResponse) -> Option<String> {
    let body = response.json();
    let text = ["detail", "title"].iter().find_map(|name| body.get(name)?.as_str())?.trim();
    (!text.is_empty()).then(|| shortened(text))
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// The delay in the answer: header `retry-after`, body field `retry_after`, header
/// `ratelimit-reset`, or the words of `detail`, in this order.
fn retry_after_ms(response: &HttpResponse) -> Option<u32> {
    let body = response.json();
    let field = || match body.get("retry_after")? {
        Value::String(text) => seconds(text),
        number => number.as_f64(),
    };
    let reset = || response.header("ratelimit-reset").and_then(seconds);
    let words = || last_number(body.get("detail")?.as_str()?);
    let named = || field().or_else(reset).or_else(words).and_then(delay_ms);
    response.retry_after_ms().or_else(named).map(|ms| ms.min(DELAY_MS_MAX))
}

fn seconds(text: &str) -> Option<f64> {
    decimal(text.trim().trim_end_matches('s'))
}

/// The last number of "… resets in ~30s." and of the older "… in 30 seconds."
fn last_number(text: &str) -> Option<f64> {
    decimal(text.split(|letter: char| !letter.is_ascii_digit()).rfind(|digits| !digits.is_empty())?)
}
