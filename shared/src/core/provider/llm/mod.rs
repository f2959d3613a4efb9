//! Text models: the OpenAI-compatible API and the Anthropic API, streamed. `LLM_KIND` chooses.
//!
//! We ask both for structured output. An answer is read while it arrives, and counts only after the
//! API has marked it as complete. This module does not know what the answer must contain.

mod answer;
mod api;
mod faults;
mod sse;
#[cfg(test)]
mod tests;
mod wording;

pub use answer::{LlmAnswer, LlmReader};
pub use api::LlmApi;
pub use faults::{parse_refusal, useless};
pub use wording::{AnswerForm, Wording};

use super::CallError;
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::transport::{HttpRequest, TransportError};
use serde_json::{Map, Value, json};

pub const NAME: &str = "llm";

const ANTHROPIC_VERSION: &str = "2026-10-21";

/// Our account at the text model's API.
#[derive(Clone, Copy)]
pub struct LlmAccount<'a> {
    pub api: LlmApi,
    /// Includes the API's version; has no trailing slash.
    pub base_url: &'a str,
    pub api_key: &'a str,
    pub model: &'a str,
}

/// The question to the model: the rules, the order, and the JSON schema of the answer.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub system: &'a str,
    pub user: &'a str,
    pub form: &'a Value,
    /// The name of the schema, in letters and underscores.
    pub form_name: &'a str,
}

impl<'a> LlmAccount<'a> {
    pub fn from_config(config: &'a Config) -> Result<Self, ApiError> {
        let api = LlmApi::parse(config.llm_kind()?);
        Ok(Self {
            api: api.ok_or_else(|| ApiError::misconfigured("LLM_KIND"))?,
            base_url: config.llm_base_url()?,
            api_key: config.llm_api_key()?,
            model: config.llm_model()?,
        })
    }

    /// `timeout_ms` limits the wait until the answer begins.
    pub fn build(&self, question: &Question<'_>, wording: Wording, timeout_ms: u32) -> HttpRequest {
        let (path, body) = match self.api {
            LlmApi::OpenAi => ("chat/completions", self.chat(question, wording)),
            LlmApi::Anthropic => ("messages", self.message(question, wording)),
        };
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        match self.api {
            LlmApi::OpenAi => {
                headers.push(("authorization".to_owned(), format!("Bearer {}", self.api_key)))
            }
            LlmApi::Anthropic => headers.extend([
                ("x-api-key".to_owned(), self.api_key.to_owned()),
                ("anthropic-version".to_owned(), ANTHROPIC_VERSION.to_owned()),
            ]),
        }
        let url = format!("{}/{path}", self.base_url);
        HttpRequest { method: "POST", url, headers, body: Some(body.to_string()), timeout_ms }
    }

    fn chat(&self, question: &Question<'_>, wording: Wording) -> Value {
        let mut body = Map::new();
        body.insert("model".to_owned(), self.model.into());
        body.insert("stream".to_owned(), wording.streams.into());
        let messages = json!([
            {"role": "system", "content": question.system},
            {"role": "user", "content": question.user},
        ]);
        body.insert("messages".to_owned(), messages);
        if let Some(tokens) = wording.tokens_max {
            let name = if wording.is_max_tokens { "max_tokens" } else { "max_completion_tokens" };
            body.insert(name.to_owned(), tokens.into());
        }
        let form = match wording.form {
            AnswerForm::Schema => Some(json!({
                "type": "json_schema",
                "json_schema": {"name": question.form_name, "strict": true,
                    "schema": question.form},
            })),
            AnswerForm::Json => Some(json!({"type": "json_object"})),
            AnswerForm::Prompt => None,
        };
        body.extend(form.map(|form| ("response_format".to_owned(), form)));
        Value::Object(body)
    }

    /// This API requires a limit of tokens.
    fn message(&self, question: &Question<'_>, wording: Wording) -> Value {
        let body = json!({
            "model": self.model,
            "stream": wording.streams,
            "max_tokens": wording.tokens_max.unwrap_or(wording::TOKENS_MIN),
            "system": question.system,
            "messages": [{"role": "user", "content": question.user}],
        });
        let Value::Object(mut body) = body else { return body };
        if wording.form == AnswerForm::Schema {
            let form = json!({"format": {"type": "json_schema", "schema": question.form}});
            body.insert("output_config".to_owned(), form);
        }
        Value::Object(body)
    }
}

/// The error of an answer that did not arrive, or arrived incompletely. The API keeps no state, so
/// a retry is safe.
pub fn parse_lost(error: &TransportError) -> CallError {
    useless(match error {
        TransportError::NotSent(_) => "the text model could not be reached",
        TransportError::Unknown(_) => "the text model's answer was lost",
    })
}
