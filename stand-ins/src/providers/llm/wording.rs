//! Writes the answers of each API: the events of a stream, complete answers, errors.

use serde_json::{Value, json};

use super::{LlmDialect, TextPiece};
use crate::providers::provider::ProviderAnswer;

const THOUGHT: &str = "The page wants a heading first: {";

/// The events of an answer with these pieces, after a thought.
pub(super) fn events(api: LlmDialect, model: &str, pieces: &[TextPiece], end: &str) -> Vec<String> {
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
                chunk(json!({"role": "assistant", "content": ""}), Some("")),
                chunk(json!({"content": null, "reasoning_content": THOUGHT}), Some("")),
            ];
            let content = chunk(json!({ "content": PIECE }), Some(""));
            events.extend(pieces.iter().map(|piece| with_piece(&content, piece)));
            if end == "refusal" {
                events.push(chunk(json!({"refusal": "I cannot help with that."}), Some("")));
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
                event("ping", json!({})),
            ];
            events.extend(thinking());
            events.push(event(
                "content_block_start",
                json!({"index": 1, "content_block": {"type": "text", "text": ""}}),
            ));
            let text = event(
                "content_block_delta",
                json!({"index": 1, "delta": {"type": "text_delta", "text": PIECE}}),
            );
            events.extend(pieces.iter().map(|piece| with_piece(&text, piece)));
            events.push(event("content_block_stop", json!({"index": 1})));
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

/// The events of a block of Anthropic's that is a thought.
fn thinking() -> [String; 3] {
    let block = json!({"type": "thinking", "thinking": ""});
    let delta = json!({"type": "thinking_delta", "thinking": THOUGHT});
    [
        event("content_block_start", json!({"index": 0, "content_block": block})),
        event("content_block_delta", json!({"index": 0, "delta": delta})),
        event("content_block_stop", json!({"index": 0})),
    ]
}

/// The placeholder in an event for a piece of the text.
const PIECE: &str = "the piece";

/// The event with this piece in place of the placeholder. A lone half of a character is written as
/// its escape.
fn with_piece(event: &str, piece: &[u16]) -> String {
    let quoted = |character: char| Value::from(character.to_string()).to_string();
    let shown: String = char::decode_utf16(piece.iter().copied())
        .map(|unit| match unit {
            Ok(character) => {
                let quoted = quoted(character);
                quoted[1..quoted.len() - 1].to_owned()
            }
            Err(half) => format!("\\u{:04x}", half.unpaired_surrogate()),
        })
        .collect();
    event.replace(PIECE, &shown)
}

/// A complete answer that is not streamed.
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

/// An error after the stream has begun. A gateway sends a number where OpenAI sends a word.
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

/// A refusal before anything was sent.
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
