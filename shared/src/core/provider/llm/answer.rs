//! A streamed answer, put together from its events. A server that does not stream is understood too:
//! the same object comes in one piece.

use super::sse::Events;
use super::{Api, faults};
use crate::core::provider::{CallError, Reading};
use serde_json::Value;

/// More than any site we take, with every character of it escaped.
const STREAM_BYTES_MAX: usize = 40 * 1024 * 1024;
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

const CUT_OFF: &str = "the answer was cut off at its longest allowed length";
const EARLY: &str = "the answer ended early";
const UNREADABLE: &str = "the answer could not be read";
const TOO_LARGE: &str = "the answer was too large";
const OTHER_END: &str = "the text model ended without an answer";

/// What the model wrote, or why there is nothing.
pub type Answer = Reading<Result<String, CallError>>;

/// Why the model stopped, as far as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    CutOff,
    Refused,
    Error,
    Other,
}

/// Reads one answer.
pub struct Reader {
    api: Api,
    events: Events,
    /// Everything, while it looks like one JSON object instead of events.
    whole: Option<Vec<u8>>,
    /// So much of it is known to be white space.
    blank: usize,
    taken: usize,
    said: Said,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    end: Option<End>,
    error: Option<Reading<CallError>>,
    over: bool,
}

impl Reader {
    pub fn new(api: Api) -> Self {
        Self {
            api,
            events: Events::default(),
            whole: Some(Vec::new()),
            blank: 0,
            taken: 0,
            said: Said::default(),
        }
    }

    /// Takes what has arrived. False: nothing that follows can matter.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.taken += bytes.len();
        if self.taken > STREAM_BYTES_MAX || self.said.text.len() > TEXT_BYTES_MAX {
            self.said.fail(TOO_LARGE);
            return false;
        }
        let api = self.api;
        match &mut self.whole {
            Some(whole) => {
                whole.extend_from_slice(bytes);
                let is_object = is_object(whole.get(self.blank..).unwrap_or_default());
                if is_object.is_none() {
                    self.blank = whole.len();
                }
                if is_object == Some(false) {
                    let begun = self.whole.take().unwrap_or_default();
                    self.events.feed(&begun, |data| self.said.event(api, data));
                }
            }
            None => self.events.feed(bytes, |data| self.said.event(api, data)),
        }
        !self.said.over
    }

    /// What came of it, once the stream has ended or enough was read.
    pub fn finish(mut self) -> Answer {
        let api = self.api;
        match self.whole.take() {
            Some(whole) if is_object(&whole) == Some(true) => self.said.object(api, &whole),
            _ => self.events.finish(|data| self.said.event(api, data)),
        }
        self.said.answer()
    }
}

/// Is this the beginning of an object? Unknown while only white space has come.
fn is_object(bytes: &[u8]) -> Option<bool> {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).map(|first| *first == b'{')
}

impl Said {
    fn fail(&mut self, why: &str) {
        self.error.get_or_insert_with(|| Reading::quiet(faults::useless(why)));
        self.over = true;
    }

    fn event(&mut self, api: Api, data: &str) {
        if self.over {
            return;
        }
        if data.trim() == "[DONE]" {
            self.over = true;
            return;
        }
        match serde_json::from_str::<Value>(data) {
            Ok(event) if is_error(&event) => {
                self.error = Some(faults::of_object(event.get("error").unwrap_or(&event)));
                self.over = true;
            }
            Ok(event) => match api {
                Api::OpenAi => self.choice(&event, "delta"),
                Api::Anthropic => self.message_event(&event),
            },
            Err(_) => self.fail(UNREADABLE),
        }
    }

    /// An answer in one piece.
    fn object(&mut self, api: Api, whole: &[u8]) {
        match serde_json::from_slice::<Value>(whole) {
            Ok(body) if is_error(&body) => {
                self.error = Some(faults::of_object(body.get("error").unwrap_or(&body)));
            }
            Ok(body) => match api {
                Api::OpenAi => self.choice(&body, "message"),
                Api::Anthropic => {
                    let parts = body.get("content").and_then(Value::as_array).into_iter().flatten();
                    parts.for_each(|part| self.add(part.get("text")));
                    self.stop(body.get("stop_reason"));
                }
            },
            Err(_) => self.fail(UNREADABLE),
        }
    }

    fn choice(&mut self, event: &Value, part: &str) {
        let Some(choice) = event.pointer("/choices/0") else { return };
        let part = choice.get(part).unwrap_or(&Value::Null);
        self.add(part.get("content"));
        if part.get("refusal").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
            self.end = Some(End::Refused);
        }
        let end = match choice.get("finish_reason").and_then(Value::as_str) {
            None => return,
            Some("stop") => End::Whole,
            Some("length") => End::CutOff,
            Some("content_filter") => End::Refused,
            Some("error") => End::Error,
            Some(_) => End::Other,
        };
        self.end.get_or_insert(end);
    }

    fn message_event(&mut self, event: &Value) {
        match event.get("type").and_then(Value::as_str) {
            Some("content_block_delta") => self.add(event.pointer("/delta/text")),
            Some("message_delta") => self.stop(event.pointer("/delta/stop_reason")),
            Some("message_stop") => self.over = true,
            _ => {}
        }
    }

    fn stop(&mut self, reason: Option<&Value>) {
        let end = match reason.and_then(Value::as_str) {
            None => return,
            Some("end_turn" | "stop_sequence") => End::Whole,
            Some("max_tokens" | "model_context_window_exceeded") => End::CutOff,
            Some("refusal") => End::Refused,
            Some(_) => End::Other,
        };
        self.end.get_or_insert(end);
    }

    fn add(&mut self, text: Option<&Value>) {
        if let Some(text) = text.and_then(Value::as_str) {
            self.text.push_str(text);
        }
    }

    fn answer(self) -> Answer {
        if let Some(Reading { said, alarm }) = self.error {
            return Reading { said: Err(said), alarm };
        }
        Reading::quiet(match self.end {
            Some(End::Whole) => Ok(self.text),
            Some(End::CutOff) => Err(faults::useless(CUT_OFF)),
            Some(End::Refused) => Err(faults::refusal()),
            Some(End::Error | End::Other) => Err(faults::useless(OTHER_END)),
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
