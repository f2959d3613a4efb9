//! Gemini's `generateContent` for pictures. It checks the request strictly and really draws a card:
//! of the requested shape, with the prompt's words and colours and the product image. It keeps
//! nothing between calls.
//!
//! | module | for |
//! |---|---|
//! | `request` | reads or refuses a request |
//! | `draw` | the picture |

mod draw;
mod request;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::ProviderTools;
use super::provider::{Answering, Arrival, Concern, ProviderAnswer, StandInProvider};
use super::script::Behaviour;
use super::work_time::RunningTasks;
use crate::client::Client;
use crate::config::StandInConfig;
use request::{GeminiRefusal, Wanted};

const NAME: &str = "gemini";
const LOCAL_KEYS: [&str; 2] = ["gemini-local-key", "gemini-local-key-2"];
/// It is short, because every test waits for it.
const WORK_MS: u64 = 150;
const FETCH_LIMIT: Duration = Duration::from_secs(20);
const IMAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Drawing needs a processor, so more cards at once would only wait for one.
static AT_WORK: Semaphore = Semaphore::const_new(2);

pub(super) struct Gemini {
    keys: Vec<String>,
    client: Client,
    running: RunningTasks,
}

impl Gemini {
    pub(super) fn new(config: &StandInConfig, tools: ProviderTools) -> Self {
        let usual = || LOCAL_KEYS.map(str::to_owned).to_vec();
        let keys = config.provider_keys.get(NAME).cloned().unwrap_or_else(usual);
        Self { keys, client: tools.client, running: tools.running }
    }

    async fn generate(&self, arrival: &Arrival, behaviour: &Behaviour) -> ProviderAnswer {
        let model = arrival.route(NAME).strip_prefix("/v1beta/models/");
        if let (Some(model), &axum::http::Method::GET) = (model, &arrival.method) {
            return match request::known(arrival, model, &self.keys) {
                Ok(()) => ProviderAnswer::json(200, &json!({"name": format!("models/{model}")})),
                Err(refusal) => refused(&refusal),
            };
        }
        let wanted = match request::read(arrival, arrival.route(NAME), &self.keys) {
            Ok(wanted) => wanted,
            Err(refusal) => return refused(&refusal),
        };
        if behaviour.hang {
            // The call hangs until the caller disconnects.
            std::future::pending::<()>().await;
        }
        let images = match self.images(&wanted).await {
            Ok(images) => images,
            Err(refusal) => return refused(&refusal),
        };
        let mut time = self.running.begin("", &arrival.rule_text(), behaviour, WORK_MS);
        time.queued().await;
        time.worked().await;
        if let Some(reason) = &behaviour.fail {
            return refused(&GeminiRefusal {
                status: 500,
                word: "INTERNAL",
                message: reason.clone(),
                details: json!([]),
            });
        }
        if let Some(reason) = &behaviour.finish_reason {
            return without_picture(reason);
        }
        let _place = AT_WORK.acquire().await;
        let (prompt, ratio) = (wanted.prompt, wanted.ratio);
        let drawn = tokio::task::spawn_blocking(move || draw::card(&prompt, ratio, &images)).await;
        match drawn {
            Ok(Ok(picture)) => with_picture(&picture, wanted.with_text),
            _ => refused(&GeminiRefusal::internal()),
        }
    }

    /// The pictures in the request and at its addresses, as the model sees them.
    async fn images(&self, wanted: &Wanted) -> Result<Vec<Vec<u8>>, GeminiRefusal> {
        let mut images = wanted.inline.clone();
        for url in &wanted.urls {
            let fetched = self.client.download(url, IMAGE_BYTES_MAX, FETCH_LIMIT).await;
            let bytes = fetched.map_err(|_| {
                GeminiRefusal::invalid("Cannot fetch content from the provided URL.")
            })?;
            images.push(bytes);
        }
        match images.iter().all(|bytes| image::guess_format(bytes).is_ok()) {
            true => Ok(images),
            false => Err(GeminiRefusal::invalid("Unable to process input image.")),
        }
    }
}

fn refused(refusal: &GeminiRefusal) -> ProviderAnswer {
    let GeminiRefusal { status, word, message, details } = refusal;
    let mut error = json!({"code": status, "message": message, "status": word});
    if details.as_array().is_some_and(|details| !details.is_empty()) {
        error["details"] = details.clone();
    }
    ProviderAnswer::json(*status, &json!({"error": error}))
}

/// The parts of an answer: first an interim picture that is marked as a thought, then words if the
/// request asked for them, then the picture: a JPEG that is called a PNG
/// (googleapis/python-genai#1824).
fn with_picture(picture: &[u8], with_text: bool) -> ProviderAnswer {
    let inline = json!({"mimeType": "image/png", "data": STANDARD.encode(picture)});
    let mut parts = vec![
        json!({"thought": true, "inlineData": {"mimeType": "image/png", "data": "dGhvdWdodA=="}}),
    ];
    if with_text {
        parts.push(json!({"text": "Here is your card."}));
    }
    parts.push(json!({"inlineData": inline}));
    answered(&json!([{
        "content": {"role": "model", "parts": parts},
        "finishReason": "STOP",
        "index": 0,
    }]))
}

fn answered(candidates: &Value) -> ProviderAnswer {
    let usage =
        json!({"promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300});
    ProviderAnswer::json(
        200,
        &json!({
            "candidates": candidates,
            "usageMetadata": usage,
            "responseId": crate::clock::random_hex(),
        }),
    )
}

/// The answer without a picture. A blocked prompt has no candidates at all; any other reason ends a
/// candidate.
fn without_picture(reason: &str) -> ProviderAnswer {
    if let Some(blocked) = reason.strip_prefix("blocked:") {
        return ProviderAnswer::json(200, &json!({"promptFeedback": {"blockReason": blocked}}));
    }
    answered(&json!([{
        "content": {"role": "model", "parts": [{"text": "I could not."}]},
        "finishReason": reason,
        "index": 0,
    }]))
}

impl StandInProvider for Gemini {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Every call but a query about a model is work of its own.
    fn concern(&self, arrival: &Arrival) -> Concern {
        let is_submit = arrival.method == axum::http::Method::POST;
        Concern { is_submit, ..Concern::default() }
    }

    fn answer<'a>(&'a self, arrival: &'a Arrival, behaviour: &'a Behaviour) -> Answering<'a> {
        Box::pin(self.generate(arrival, behaviour))
    }

    /// Its limits are per minute, and a test scripts them as answers.
    fn set_capacity(&self, _limit: usize) {}

    fn reset(&self) {}
}
