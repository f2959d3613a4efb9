//! Words the answers of each API: events of a stream, whole answers, errors.

use serde_json::{Value, json};

use super::LlmDialect;
use crate::providers::provider::ProviderAnswer;

/// The events of an answer in these pieces.
pub(super) fn events(api: LlmDialect, model: &str, pieces: &[&str], end: &str) -> Vec<String> {
    match api {
        LlmDialect::OpenAi => {
            let chunk = |delta: Value, finish: Option<&str>| {
                data(&json!({
                    "id": "chatcmpl-local",
                    "object": "chat.completion.chunk",
                    "created": 1,
                    "model": model,
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
                }))
            };
            let mut events = vec![
                ": PROCESSING\n\n".to_owned(),
                chunk(json!({"role": "assistant", "content": ""}), None),
            ];
            events.extend(pieces.iter().map(|piece| chunk(json!({ "content": piece }), None)));
            if end == "refusal" {
                events.push(chunk(json!({"refusal": "I cannot help with that."}), None));
            }
            events.push(chunk(json!({}), Some(if end == "refusal" { "stop" } else { end })));
            events.push("data: [DONE]\n\n".to_owned());
            events
        }
        LlmDialect::Anthropic => {
            let message = json!({
                "id": "msg_local",
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [],
                "stop_reason": null,
            });
            let mut events = vec![
                event("message_start", json!({ "message": message })),
                event(
                    "content_block_start",
                    json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
                event("ping", json!({})),
            ];
            let delta = |piece: &&str| {
                event(
                    "content_block_delta",
                    json!({"index": 0, "delta": {"type": "text_delta", "text": piece}}),
                )
            };
            events.extend(pieces.iter().map(delta));
            events.push(event("content_block_stop", json!({"index": 0})));
            events.push(event(
                "message_delta",
                json!({
                    "delta": {"stop_reason": end, "stop_sequence": null},
                    "usage": {"output_tokens": 9},
                }),
            ));
            events.push(event("message_stop", json!({})));
            events
        }
    }
}

/// An answer in one piece.
pub(super) fn whole(api: LlmDialect, model: &str, text: &str, end: &str) -> Value {
    match api {
        LlmDialect::OpenAi => json!({
            "id": "chatcmpl-local", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "finish_reason": end,
            }],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }),
        LlmDialect::Anthropic => json!({
            "id": "msg_local", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}], "stop_reason": end, "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }),
    }
}

/// An error after the stream has begun. A gateway puts a number where OpenAI has a word.
pub(super) fn error_event(api: LlmDialect, code: Option<i64>, reason: &str) -> String {
    match api {
        LlmDialect::OpenAi => {
            let code = code.map_or_else(|| json!("server_error"), |code| json!(code));
            data(&json!({
                "id": "chatcmpl-local", "object": "chat.completion.chunk",
                "error": {"code": code, "message": reason},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }))
        }
        LlmDialect::Anthropic => {
            let kind = match code {
                Some(400) => "invalid_request_error",
                Some(402) => "billing_error",
                Some(429) => "rate_limit_error",
                Some(529) => "overloaded_error",
                _ => "api_error",
            };
            event("error", json!({"error": {"type": kind, "message": reason}}))
        }
    }
}

/// A refusal before anything was written.
pub(super) fn refusal(api: LlmDialect, status: u16, word: &str, text: &str) -> ProviderAnswer {
    let body = match api {
        LlmDialect::OpenAi => {
            let kind = "invalid_request_error";
            json!({"error": {"message": text, "type": kind, "param": null, "code": word}})
        }
        LlmDialect::Anthropic => {
            let error = json!({"type": word, "message": text});
            json!({"type": "error", "error": error, "request_id": "req_local"})
        }
    };
    ProviderAnswer::json(status, &body)
}

fn data(event: &Value) -> String {
    format!("data: {event}\n\n")
}

fn event(kind: &str, more: Value) -> String {
    let mut body = json!({ "type": kind });
    if let (Some(fields), Value::Object(more)) = (body.as_object_mut(), more) {
        fields.extend(more);
    }
    format!("event: {kind}\ndata: {body}\n\n")
}
