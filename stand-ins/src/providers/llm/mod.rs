//! Text models as the application uses them: the OpenAI-compatible API (`/v1/chat/completions`) and
//! Anthropic's (`/v1/messages`). They write a real small website of the requested kind, token by
//! token, and refuse what the contract does not name, so that a mistake shows here first. They
//! behave as badly as models in use: they are silent before the first byte (BerriAI/litellm#36992),
//! think first, send `"finish_reason": ""` in each piece (sgl-project/sglang#3912), and send the
//! halves of one character in two events (elizaOS/eliza#30904).
//!
//! | module | for |
//! |---|---|
//! | `request` | reads or refuses a request of each API |
//! | `wording` | the events and errors of each API |
//! | `websites` | the websites |

mod request;
mod websites;
mod wording;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::provider::{Answering, Arrival, Chunks, Concern, ProviderAnswer, StandInProvider};
use super::script::Behaviour;
use super::work_time::{RunningTasks, WorkTime};
use crate::config::StandInConfig;
use request::Asked;

const NAME: &str = "llm";
const LOCAL_KEY: &str = "llm-local-key";
/// The number of an answer's pieces, unless the script says otherwise.
const PIECES: usize = 24;
/// The silence before the first byte of a stream. A script sets longer ones by `delay_ms`.
const SILENCE: Duration = Duration::from_millis(400);
/// How many events are sent before a stream hangs or breaks, unless the script says otherwise.
const BEFORE_FAULT: usize = 8;

/// The two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LlmDialect {
    OpenAi,
    Anthropic,
}

pub(super) struct Llm {
    keys: Vec<String>,
    /// Changes at every reset, which ends the streams that hang.
    resets: watch::Sender<u64>,
    running: RunningTasks,
}

impl Llm {
    pub(super) fn new(config: &StandInConfig, running: RunningTasks) -> Self {
        let keys =
            config.provider_keys.get(NAME).cloned().unwrap_or_else(|| vec![LOCAL_KEY.to_owned()]);
        Self { keys, resets: watch::Sender::new(0), running }
    }

    async fn write(&self, arrival: &Arrival, behaviour: &Behaviour) -> ProviderAnswer {
        if let Some(model) = arrival.route(NAME).strip_prefix("/v1/models/") {
            return self.model(arrival, model);
        }
        let api = match arrival.route(NAME) {
            "/v1/chat/completions" => LlmDialect::OpenAi,
            "/v1/messages" => LlmDialect::Anthropic,
            _ => return ProviderAnswer::text(404, "Not Found".to_owned()),
        };
        let asked = match request::read(api, arrival, &self.keys) {
            Ok(asked) => asked,
            Err(refusal) => return refusal,
        };
        let text = match &behaviour.text {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => websites::write(&asked.system, &asked.user),
        };
        if !asked.stream {
            let end = behaviour.finish_reason.as_deref().unwrap_or(api.whole());
            return ProviderAnswer::json(200, &wording::whole(api, &asked.model, &text, end));
        }
        tokio::time::sleep(SILENCE).await;
        // `work_ms` is spread over the events; the clock only holds a stream that must be finished.
        let spread = Behaviour { work_ms: Some(0), ..behaviour.clone() };
        let time = self.running.begin("", &arrival.rule_text(), &spread, 0);
        self.stream(api, &asked, &text, behaviour, time)
    }

    /// The answer of both APIs to a query about a model. Every model exists.
    fn model(&self, arrival: &Arrival, model: &str) -> ProviderAnswer {
        let is_anthropic = arrival.header("x-api-key").is_some();
        let api = if is_anthropic { LlmDialect::Anthropic } else { LlmDialect::OpenAi };
        match request::known(api, arrival, &self.keys) {
            Ok(()) => ProviderAnswer::json(200, &json!({"id": model, "object": "model"})),
            Err(refusal) => refusal,
        }
    }

    fn stream(
        &self,
        api: LlmDialect,
        asked: &Asked,
        text: &str,
        behaviour: &Behaviour,
        time: WorkTime,
    ) -> ProviderAnswer {
        let end = behaviour.finish_reason.as_deref().unwrap_or(api.whole());
        // An answer that is cut off ends in the middle of the text.
        let text = if matches!(end, "length" | "max_tokens") {
            &text[..text.floor_char_boundary(text.len() / 2)]
        } else {
            text
        };
        let mut events = wording::events(api, &asked.model, &pieces(text), end);
        let breaks = behaviour.hang || behaviour.fail.is_some() || behaviour.stop_after.is_some();
        if breaks {
            events.truncate(behaviour.stop_after.unwrap_or(BEFORE_FAULT));
        }
        if let Some(reason) = &behaviour.fail {
            events.push(wording::error_event(api, behaviour.code, reason));
        }
        let pause =
            Duration::from_millis(behaviour.work_ms.unwrap_or(0) / events.len().max(1) as u64);
        let hang = behaviour.hang.then(|| self.resets.subscribe());
        ProviderAnswer::stream(Chunks { list: events, pause, time, hang })
    }
}

/// A piece of a text in UTF-16, which may begin or end with half a character.
type TextPiece = Vec<u16>;

/// Splits the text into about [`PIECES`] parts, as tokens would arrive. Each character of two
/// halves is cut.
fn pieces(text: &str) -> Vec<TextPiece> {
    let units: TextPiece = text.encode_utf16().collect();
    let size = (units.len() / PIECES).max(1);
    let mut pieces: Vec<TextPiece> = vec![Vec::new()];
    for unit in units {
        let is_second_half = (0xdc00..0xe000).contains(&unit);
        match pieces.last_mut() {
            Some(last) if last.len() < size && !is_second_half => last.push(unit),
            _ => pieces.push(vec![unit]),
        }
    }
    pieces
}

impl LlmDialect {
    /// The API's word for the end of a complete answer.
    fn whole(self) -> &'static str {
        match self {
            Self::OpenAi => "stop",
            Self::Anthropic => "end_turn",
        }
    }
}

impl StandInProvider for Llm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concern(&self, _arrival: &Arrival) -> Concern {
        Concern { is_submit: true, ..Concern::default() }
    }

    fn answer<'a>(&'a self, arrival: &'a Arrival, behaviour: &'a Behaviour) -> Answering<'a> {
        Box::pin(self.write(arrival, behaviour))
    }

    /// The models have no limit for a key.
    fn set_capacity(&self, _limit: usize) {}

    fn reset(&self) {
        self.resets.send_modify(|number| *number += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_are_the_text_and_cut_each_character_of_two_halves() {
        for text in ["", "a", "äöü😀", &"x€".repeat(1000), &"some words 😀".repeat(100)] {
            assert_eq!(String::from_utf16(&pieces(text).concat()).unwrap(), text);
            let half = |piece: &Vec<u16>| String::from_utf16(piece).is_err();
            assert_eq!(pieces(text).iter().any(half), text.contains('😀'), "{text}");
        }
    }
}
