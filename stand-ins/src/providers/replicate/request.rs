//! Reads a request for a prediction and checks it strictly: the body's keys, the form of the
//! version, the model's input, the headers. It stores nothing.

use axum::http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::providers::provider::{Arrival, ProviderAnswer};

/// A request that fulfils the contract.
#[derive(Clone, Debug)]
pub(super) struct PredictionRequest {
    pub(super) version: String,
    pub(super) input: Input,
    /// The input as it was sent.
    pub(super) raw_input: Value,
    pub(super) webhook: Option<String>,
    pub(super) events: Vec<String>,
    pub(super) cancel_after_s: Option<u64>,
    /// `Prefer: wait`, in seconds.
    pub(super) wait: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictionBody {
    version: String,
    input: Value,
    webhook: Option<String>,
    webhook_events_filter: Option<Vec<String>>,
    #[serde(rename = "stream")]
    _stream: Option<bool>,
}

/// The input of the try-on model.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Input {
    pub(super) human_img: String,
    pub(super) garm_img: String,
    pub(super) category: String,
    #[serde(rename = "garment_des")]
    _garment_des: String,
}

pub(super) fn read(arrival: &Arrival) -> Result<PredictionRequest, ProviderAnswer> {
    let invalid =
        |detail: String| ProviderAnswer::problem(422, &json!({"detail": detail, "status": 422}));
    if arrival.header("content-type") != Some("application/json") {
        return Err(ProviderAnswer::problem(400, &json!({"detail": "Unsupported media type"})));
    }
    let body: PredictionBody =
        serde_json::from_slice(&arrival.bytes).map_err(|error| invalid(format!("- {error}\n")))?;
    if !is_version(&body.version) {
        let title = "Invalid version or not permitted";
        let detail = "The specified version does not exist \
            (or perhaps you don't have permission to use it?)";
        return Err(ProviderAnswer::problem(
            422,
            &json!({"title": title, "detail": detail, "status": 422}),
        ));
    }
    let raw = body.input.clone();
    let input: Input = serde_json::from_value(body.input)
        .map_err(|error| invalid(format!("- input: {error}\n")))?;
    for name in ["human_img", "garm_img"] {
        if !raw[name].as_str().is_some_and(is_fetchable) {
            return Err(invalid(format!("- input.{name}: Does not match format 'uri'\n")));
        }
    }
    if !["upper_body", "lower_body", "dresses"].contains(&input.category.as_str()) {
        return Err(invalid(
            "- input.category must be one of: \"upper_body\", \"lower_body\", \"dresses\"\n".into(),
        ));
    }
    if body.webhook.as_deref().is_some_and(|url| !is_fetchable(url)) {
        return Err(invalid("- webhook: Must be a valid HTTPS URL\n".into()));
    }
    let events =
        body.webhook_events_filter.unwrap_or_else(|| vec!["output".into(), "completed".into()]);
    if events
        .iter()
        .any(|event| !["start", "output", "logs", "completed"].contains(&event.as_str()))
    {
        return Err(invalid("- webhook_events_filter: unknown event\n".into()));
    }
    let cancel_after_s = match arrival.header("cancel-after").map(duration) {
        None => None,
        Some(Some(seconds)) if seconds >= 5 => Some(seconds),
        Some(_) => {
            return Err(invalid(
                "- Cancel-After: must be a duration of at least 5 seconds\n".into(),
            ));
        }
    };
    let wait = match arrival.header("prefer") {
        None => None,
        Some("wait") => Some(60),
        Some(text) => match text.strip_prefix("wait=").and_then(|seconds| seconds.parse().ok()) {
            Some(seconds @ 1..=60) => Some(seconds),
            _ => return Err(invalid("- Prefer: must be wait or wait=n\n".into())),
        },
    };
    Ok(PredictionRequest {
        version: body.version,
        input,
        raw_input: raw,
        webhook: body.webhook,
        events,
        cancel_after_s,
        wait,
    })
}

/// Whether the text is 64 hexadecimal digits, an official model's name, or both.
fn is_version(text: &str) -> bool {
    let is_id = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_model = |name: &str| {
        let mut parts = name.split('/');
        let plain =
            |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && !part.contains(':'));
        plain(parts.next()) && plain(parts.next()) && parts.next().is_none()
    };
    match text.split_once(':') {
        Some((model, id)) => is_model(model) && is_id(id),
        None => is_id(text) || is_model(text),
    }
}

/// Parses a duration into seconds: `30`, `30s`, `5m`, `1h30m45s`.
fn duration(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut total, mut number) = (0, String::new());
    for letter in text.chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total += number.parse::<u64>().ok()? * unit;
        number.clear();
    }
    (number.is_empty() && total > 0).then_some(total)
}

/// Whether the URL is `https`, or `http` to this machine.
fn is_fetchable(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, is_version};

    #[test]
    fn versions_and_durations_have_their_forms() {
        let id = "0513734a452173b8173e907e3a59d19a36266e55b48528559432bd21c7d7e985";
        assert!(is_version(id) && is_version("o/n") && is_version(&format!("o/n:{id}")));
        assert!(
            !is_version("o/n:1") && !is_version("x") && !is_version("") && !is_version("a/b/c")
        );
        assert_eq!(
            ["30", "30s", "5m", "1h30m45s"].map(duration),
            [Some(30), Some(30), Some(300), Some(5_445)]
        );
        assert_eq!(["", "x", "5d", "5m3"].map(duration), [None; 4]);
    }
}
