//! Reads a request to a text model and checks it as strictly as the API does.

use serde_json::{Map, Value};

use super::{LlmDialect, wording};
use crate::providers::provider::{Arrival, ProviderAnswer};

/// An accepted request.
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) system: String,
    pub(super) user: String,
    pub(super) stream: bool,
}

const CHAT_FIELDS: &[&str] = &[
    "model",
    "messages",
    "max_completion_tokens",
    "max_tokens",
    "stream",
    "stream_options",
    "response_format",
    "tools",
    "tool_choice",
    "temperature",
];
const MESSAGE_FIELDS: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "tools",
    "tool_choice",
    "output_config",
    "temperature",
    "top_p",
    "top_k",
];
const VERSIONS: &[&str] = &["2023-06-01", "2026-10-21"];

/// Refuses an unknown key.
pub(super) fn known(
    api: LlmDialect,
    arrival: &Arrival,
    keys: &[String],
) -> Result<(), ProviderAnswer> {
    let key = match api {
        LlmDialect::OpenAi => {
            arrival.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
        }
        LlmDialect::Anthropic => arrival.header("x-api-key"),
    };
    if !key.is_some_and(|key| keys.iter().any(|known| known == key)) {
        let word =
            if api == LlmDialect::OpenAi { "invalid_api_key" } else { "authentication_error" };
        return Err(wording::refusal(api, 401, word, "the key is not known"));
    }
    Ok(())
}

/// The request, or the refusal in the API's words.
pub(super) fn read(
    api: LlmDialect,
    arrival: &Arrival,
    keys: &[String],
) -> Result<Asked, ProviderAnswer> {
    if arrival.method != axum::http::Method::POST {
        return Err(wording::refusal(api, 405, "invalid_request_error", "method not allowed"));
    }
    known(api, arrival, keys)?;
    let bad = |text: &str| wording::refusal(api, 400, "invalid_request_error", text);
    let Some(Value::Object(body)) = arrival.json() else {
        return Err(bad("the body is no JSON object"));
    };
    let fields = if api == LlmDialect::OpenAi { CHAT_FIELDS } else { MESSAGE_FIELDS };
    if let Some(unknown) = body.keys().find(|name| !fields.contains(&name.as_str())) {
        return Err(bad(&format!("unknown parameter: {unknown}")));
    }
    let model = body
        .get("model")
        .and_then(Value::as_str)
        .filter(|model| !model.is_empty())
        .ok_or_else(|| bad("model"))?;
    if model.starts_with("retired") {
        let word = if api == LlmDialect::OpenAi { "model_not_found" } else { "not_found_error" };
        return Err(wording::refusal(api, 404, word, "the model does not exist"));
    }
    let problem = match api {
        LlmDialect::OpenAi => chat_problem(&body),
        LlmDialect::Anthropic => message_problem(arrival, &body),
    };
    if let Some(problem) = problem {
        return Err(bad(problem));
    }
    let said = |role: &str| messages(&body, role).join("\n");
    let system = match api {
        LlmDialect::OpenAi => said("system"),
        LlmDialect::Anthropic => {
            body.get("system").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    Ok(Asked { model: model.to_owned(), system, user: said("user"), stream })
}

fn messages<'a>(body: &'a Map<String, Value>, role: &str) -> Vec<&'a str> {
    let all = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    all.filter(|message| message["role"] == role)
        .filter_map(|message| message["content"].as_str())
        .collect()
}

/// What is wrong with the messages: each needs a known role and text, and one must be the user's.
fn messages_problem(body: &Map<String, Value>, roles: &[&str]) -> Option<&'static str> {
    let all = body.get("messages").and_then(Value::as_array)?;
    let good = all.iter().all(|message| {
        let role = message["role"].as_str().is_some_and(|role| roles.contains(&role));
        role && message["content"].as_str().is_some_and(|text| !text.is_empty())
    });
    (!good || messages(body, "user").is_empty()).then_some("messages")
}

fn tokens_problem(body: &Map<String, Value>, name: &str) -> bool {
    body.get(name)
        .is_none_or(|tokens| !tokens.as_u64().is_some_and(|tokens| (1..=128_000).contains(&tokens)))
}

fn chat_problem(body: &Map<String, Value>) -> Option<&'static str> {
    if !body.contains_key("messages") {
        return Some("messages");
    }
    if body.contains_key("max_tokens") || tokens_problem(body, "max_completion_tokens") {
        return Some("max_completion_tokens");
    }
    let format = body.get("response_format").map(|format| &format["json_schema"]);
    let strict = format.is_none_or(|format| {
        format["name"].as_str().is_some_and(|name| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        }) && format["strict"] == true
            && is_strict(&format["schema"])
    });
    if !strict {
        return Some("response_format");
    }
    messages_problem(body, &["system", "developer", "user", "assistant"])
}

fn message_problem(arrival: &Arrival, body: &Map<String, Value>) -> Option<&'static str> {
    let version = arrival.header("anthropic-version").unwrap_or_default();
    if !VERSIONS.contains(&version) {
        return Some("anthropic-version");
    }
    if version == VERSIONS[1]
        && ["temperature", "top_p", "top_k"].iter().any(|name| body.contains_key(*name))
    {
        return Some("sampling parameters are not supported");
    }
    if !body.contains_key("messages") {
        return Some("messages");
    }
    if tokens_problem(body, "max_tokens") {
        return Some("max_tokens");
    }
    let format = body.get("output_config").map(|config| &config["format"]);
    if format.is_some_and(|format| format["type"] != "json_schema" || !is_strict(&format["schema"]))
    {
        return Some("output_config");
    }
    messages_problem(body, &["user", "assistant"])
}

/// Whether every object of the schema requires all its properties and allows no others.
fn is_strict(schema: &Value) -> bool {
    match schema["type"].as_str() {
        Some("object") => {
            let Some(properties) = schema["properties"].as_object() else { return false };
            let required: Vec<&str> = schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            schema["additionalProperties"] == false
                && properties.keys().all(|name| required.contains(&name.as_str()))
                && properties.values().all(is_strict)
        }
        Some("array") => is_strict(&schema["items"]),
        Some(_) => true,
        None => false,
    }
}
