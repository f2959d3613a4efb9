//! Text models: the OpenAI-compatible and the Anthropic API, streamed. `LLM_KIND` chooses.
//!
//! Both are asked for structured output. An answer is read as it arrives and counts only once the
//! API has said that it is whole; what it must contain is not known here.

mod answer;
mod faults;
mod sse;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Reader};

use super::{CallError, Reading};
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::transport::{HttpRequest, HttpResponse, TransportError};
use serde_json::{Value, json};

pub const NAME: &str = "llm";

/// The longest answer asked for; a site that needs more is cut off, which fails the attempt.
const TOKENS_MAX: u32 = 32_000;
const ANTHROPIC_VERSION: &str = "2026-10-21";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    OpenAi,
    Anthropic,
}

impl Api {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "anthropic" => Some(Self::Anthropic),
            _ => None,
        }
    }
}

/// Our account at the model's API.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    pub api: Api,
    /// With the API's version, without a slash at its end.
    pub base_url: &'a str,
    pub api_key: &'a str,
    pub model: &'a str,
}

/// What is asked: the rules, the order, and the form that the answer must have.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub system: &'a str,
    pub user: &'a str,
    pub form: &'a Value,
    /// The form's name; letters and underscores.
    pub form_name: &'a str,
}

impl<'a> Account<'a> {
    pub fn from_config(config: &'a Config) -> Result<Self, ApiError> {
        let api = Api::parse(config.llm_kind()?);
        Ok(Self {
            api: api.ok_or_else(|| ApiError::misconfigured("LLM_KIND"))?,
            base_url: config.llm_base_url()?,
            api_key: config.llm_api_key()?,
            model: config.llm_model()?,
        })
    }

    /// `timeout_ms` bounds the wait for the head of the answer.
    pub fn build(&self, question: &Question<'_>, timeout_ms: u32) -> HttpRequest {
        let (path, body) = match self.api {
            Api::OpenAi => ("chat/completions", self.chat(question)),
            Api::Anthropic => ("messages", self.message(question)),
        };
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        match self.api {
            Api::OpenAi => {
                headers.push(("authorization".to_owned(), format!("Bearer {}", self.api_key)))
            }
            Api::Anthropic => headers.extend([
                ("x-api-key".to_owned(), self.api_key.to_owned()),
                ("anthropic-version".to_owned(), ANTHROPIC_VERSION.to_owned()),
            ]),
        }
        let url = format!("{}/{path}", self.base_url);
        HttpRequest { method: "POST", url, headers, body: Some(body.to_string()), timeout_ms }
    }

    fn chat(&self, question: &Question<'_>) -> Value {
        json!({
            "model": self.model,
            "stream": true,
            "max_completion_tokens": TOKENS_MAX,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": question.form_name, "strict": true, "schema": question.form},
            },
        })
    }

    fn message(&self, question: &Question<'_>) -> Value {
        json!({
            "model": self.model,
            "stream": true,
            "max_tokens": TOKENS_MAX,
            "system": question.system,
            "messages": [{"role": "user", "content": question.user}],
            "output_config": {"format": {"type": "json_schema", "schema": question.form}},
        })
    }
}

/// An answer that is not a success.
pub fn parse_refusal(response: &HttpResponse) -> Reading<CallError> {
    faults::of_response(response)
}

/// No answer, or none to its end: nothing is kept there, so asking again is safe.
pub fn parse_loss(error: &TransportError) -> CallError {
    faults::useless(match error {
        TransportError::NotSent(_) => "the text model could not be reached",
        TransportError::Unknown(_) => "the text model's answer was lost",
    })
}

/// A whole answer whose content is of no use; another attempt may give a better one.
pub fn useless(why: &str) -> CallError {
    faults::useless(why)
}
