//! Assembles a streamed answer from its events. It also reads the answer of a server that does not
//! stream, which is the same object in one piece.

use super::sse::Events;
use super::{LlmApi, faults};
use crate::core::json;
use crate::core::provider::{CallError, Parsed};
use serde_json::Value;

/// This is more than the largest website that we accept, with every character escaped.
const STREAM_BYTES_MAX: usize = 40 * 1024 * 1024;
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

const CUT_OFF: &str = "the answer was cut off at its longest allowed length";
const EARLY: &str = "the answer ended early";
const UNREADABLE: &str = "the answer could not be read";
const TOO_LARGE: &str = "the answer was too large";
const OTHER_END: &str = "the text model ended without an answer";

/// The text that the model wrote, or the reason why there is none.
pub type LlmAnswer = Parsed<Result<String, CallError>>;

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Complete,
    CutOff,
    Refused,
    Error,
    Other,
}

/// Reads one answer while it arrives.
pub struct LlmReader {
    api: LlmApi,
    events: Events,
    /// All bytes so far, as long as they look like one JSON object and not like events.
    object: Option<Vec<u8>>,
    /// The number of bytes at the beginning of `object` that are known to be white space.
    blank: usize,
    taken: usize,
    read: ReadAnswer,
}

#[derive(Debug, Default)]
struct ReadAnswer {
    text: String,
    stop: Option<StopReason>,
    error: Option<Parsed<CallError>>,
    is_over: bool,
}

impl LlmReader {
    pub fn new(api: LlmApi) -> Self {
        Self {
            api,
            events: Events::default(),
            object: Some(Vec::new()),
            blank: 0,
            taken: 0,
            read: ReadAnswer::default(),
        }
    }

    /// Reads the next bytes. `false`: no later bytes can change the answer.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.taken += bytes.len();
        if self.taken > STREAM_BYTES_MAX || self.read.text.len() > TEXT_BYTES_MAX {
            self.read.fail(TOO_LARGE);
            return false;
        }
        let api = self.api;
        match &mut self.object {
            Some(whole) => {
                whole.extend_from_slice(bytes);
                let is_object = is_object(whole.get(self.blank..).unwrap_or_default());
                if is_object.is_none() {
                    self.blank = whole.len();
                }
                if is_object == Some(false) {
                    let begun = self.object.take().unwrap_or_default();
                    self.events.feed(&begun, |data| self.read.event(api, data));
                }
            }
            None => self.events.feed(bytes, |data| self.read.event(api, data)),
        }
        !self.read.is_over
    }

    /// The answer, after the stream ended or `feed` returned `false`.
    pub fn finish(mut self) -> LlmAnswer {
        let api = self.api;
        match self.object.take() {
            Some(whole) if is_object(&whole) == Some(true) => self.read.object(api, &whole),
            _ => self.events.finish(|data| self.read.event(api, data)),
        }
        self.read.answer()
    }
}

/// Whether this is the beginning of an object; `None` while all bytes are white space.
fn is_object(bytes: &[u8]) -> Option<bool> {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).map(|first| *first == b'{')
}

impl ReadAnswer {
    fn fail(&mut self, why: &str) {
        self.error.get_or_insert_with(|| Parsed::ok(faults::useless(why)));
        self.is_over = true;
    }

    fn event(&mut self, api: LlmApi, data: &str) {
        if self.is_over {
            return;
        }
        if data.trim() == "[DONE]" {
            self.is_over = true;
            return;
        }
        match json::lenient_part(data) {
            Some(event) if is_error(&event) => {
                self.error = Some(faults::of_object(event.get("error").unwrap_or(&event)));
                self.is_over = true;
            }
            Some(event) => match api {
                LlmApi::OpenAi => self.choice(&event, "delta"),
                LlmApi::Anthropic => self.message_event(&event),
            },
            None => self.fail(UNREADABLE),
        }
    }

    /// Reads an answer in one piece.
    fn object(&mut self, api: LlmApi, whole: &[u8]) {
        match json::lenient_part(&String::from_utf8_lossy(whole)) {
            Some(body) if is_error(&body) => {
                self.error = Some(faults::of_object(body.get("error").unwrap_or(&body)));
            }
            Some(body) => match api {
                LlmApi::OpenAi => self.choice(&body, "message"),
                LlmApi::Anthropic => {
                    self.add(body.get("content"));
                    self.stopped(body.get("stop_reason"));
                }
            },
            None => self.fail(UNREADABLE),
        }
    }

    fn choice(&mut self, event: &Value, part: &str) {
        let Some(choice) = event.pointer("/choices/0") else { return };
        let part = choice.get(part).unwrap_or(&Value::Null);
        self.add(part.get("content"));
        if part.get("refusal").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
            self.stop = Some(StopReason::Refused);
        }
        self.stopped(choice.get("finish_reason"));
    }

    fn message_event(&mut self, event: &Value) {
        match event.get("type").and_then(Value::as_str) {
            Some("content_block_start") => self.add(event.pointer("/content_block/text")),
            Some("content_block_delta") => self.add(event.pointer("/delta/text")),
            Some("message_delta") => self.stopped(event.pointer("/delta/stop_reason")),
            Some("message_stop") => self.is_over = true,
            _ => {}
        }
    }

    /// Servers that copy one API use words of the other, in any case. Some send an empty word with
    /// every piece, which has no meaning.
    fn stopped(&mut self, reason: Option<&Value>) {
        let Some(reason) = reason.and_then(Value::as_str) else { return };
        let end = match reason.to_ascii_lowercase().as_str() {
            "" | "null" => return,
            "stop" | "end_turn" | "stop_sequence" | "eos" | "eos_token" => StopReason::Complete,
            "length" | "max_tokens" | "model_length" | "model_context_window_exceeded" => {
                StopReason::CutOff
            }
            "content_filter" | "refusal" | "safety" => StopReason::Refused,
            "error" => StopReason::Error,
            _ => StopReason::Other,
        };
        self.stop.get_or_insert(end);
    }

    /// Adds a text, or the texts of content parts. A part without a text holds the model's
    /// thoughts.
    fn add(&mut self, content: Option<&Value>) {
        match content {
            Some(Value::String(text)) => self.text.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.add(part.get("text"))),
            _ => {}
        }
    }

    fn answer(self) -> LlmAnswer {
        if let Some(Parsed { value, alarm }) = self.error {
            return Parsed { value: Err(value), alarm };
        }
        Parsed::ok(match self.stop {
            Some(StopReason::Complete) => Ok(json::joined(&self.text)),
            Some(StopReason::CutOff) => Err(faults::useless(CUT_OFF)),
            Some(StopReason::Refused) => Err(faults::refusal()),
            Some(StopReason::Error | StopReason::Other) => Err(faults::useless(OTHER_END)),
            None => Err(faults::useless(EARLY)),
        })
    }
}

/// Both APIs name an error in the object itself, whatever else it holds.
fn is_error(object: &Value) -> bool {
    object.get("error").is_some_and(|error| !error.is_null())
        || object
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind == "error" || kind == "payment_required")
}
