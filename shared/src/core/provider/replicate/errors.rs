//! Replicate's refusals: what each HTTP status says of a create, whom it concerns, how long to wait.

use super::super::{Accepted, ProviderError, Reading};
use super::body_of;
use crate::core::job::{Failure, FailureCode};
use crate::core::transport::HttpResponse;
use serde_json::Value;

const TEXT_MAX: usize = 300;

/// A create that was answered, and not with a prediction.
pub(super) fn refusal(response: &HttpResponse) -> Reading<Result<Accepted, ProviderError>> {
    let rejected =
        |text: &str| ProviderError::Rejected(Failure::new(FailureCode::ProviderRejected, text));
    let alarm = alarm(response).or_else(|| no_such_version(response));
    let said = match response.status {
        429 => ProviderError::Transient {
            retry_after_ms: retry_after_ms(response),
            capacity: true,
            message: "the provider limits how often it may be asked".to_owned(),
        },
        // It may have been created before the fault.
        408 | 500.. => ProviderError::Unknown,
        _ if alarm.is_some() => rejected("the provider refused the request"),
        _ => rejected(&match detail(response) {
            Some(detail) => format!("the provider refused the input ({detail})"),
            None => "the provider refused the input".to_owned(),
        }),
    };
    Reading { said: Err(said), alarm }
}

/// A model or version that is not there, or that an account without means of payment may not use.
fn no_such_version(response: &HttpResponse) -> Option<String> {
    let invalid =
        response.status == 422 && title(response).to_ascii_lowercase().contains("version");
    (response.status == 404 || invalid).then(|| named(response))
}

/// What only the operator can mend: address, token, money, permission.
pub(super) fn alarm(response: &HttpResponse) -> Option<String> {
    matches!(response.status, 301..=308 | 401..=403).then(|| named(response))
}

fn named(response: &HttpResponse) -> String {
    shortened(format!("http {} {}", response.status, title(response)).trim_end())
}

fn title(response: &HttpResponse) -> String {
    body_of(response).get("title").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Why a prediction failed, in the model's words.
pub(super) fn reason(prediction: &Value) -> Failure {
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
    let body = body_of(response);
    let text = ["detail", "title"].iter().find_map(|name| body.get(name)?.as_str())?.trim();
    (!text.is_empty()).then(|| shortened(text))
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// The delay that the answer names, by whichever of its ways comes first.
fn retry_after_ms(response: &HttpResponse) -> Option<u32> {
    let body = body_of(response);
    let header = |name: &str| response.header(name).and_then(seconds);
    let field = || match body.get("retry_after")? {
        Value::String(text) => seconds(text),
        number => number.as_f64(),
    };
    let words = || last_number(body.get("detail")?.as_str()?);
    let found = header("retry-after")
        .or_else(field)
        .or_else(|| header("ratelimit-reset"))
        .or_else(words)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to an hour"
    )]
    let ms = (found.clamp(0.0, 3_600.0) * 1_000.0).ceil() as u32;
    Some(ms)
}

fn seconds(text: &str) -> Option<f64> {
    text.trim().trim_end_matches('s').parse().ok().filter(|seconds: &f64| seconds.is_finite())
}

/// "… resets in ~30s." and the older "… in 30 seconds." both end with it.
fn last_number(text: &str) -> Option<f64> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .rfind(|digits| !digits.is_empty())?
        .parse()
        .ok()
}
