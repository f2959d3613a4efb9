//! The wording of a question: which optional parts its request has. Models accept different parts,
//! so a refused request is sent in another wording, and never in the same one a second time.
//!
//! Facts: OpenAI's reasoning models take only `max_completion_tokens`, many servers that copy the
//! API only `max_tokens` (api-docs.deepseek.com, docs.mistral.ai, docs.vllm.ai); DeepSeek answers
//! 400 "This response_format type is unavailable now" to `json_schema` (BerriAI/litellm#31466);
//! `max_tokens` above a model's limit is 400 at Anthropic and DeepSeek.

use super::api::LlmApi;
use super::faults::LlmFault;
use crate::core::transport::HttpResponse;

/// A lower limit would cut off every website.
pub(super) const TOKENS_MIN: u32 = 4_000;
/// The statuses of a refused wording. OpenRouter answers 404 if no server accepts a parameter.
const STATUSES: &[u16] = &[400, 404, 405, 415, 422, 501];

const FORM_WORDS: &[&str] =
    &["response_format", "json_schema", "json_object", "output_config", "schema", "structured"];
const TOKEN_WORDS: &[&str] = &["max_completion_tokens", "max_tokens", "max tokens", "output token"];
const UNKNOWN_WORDS: &[&str] =
    &["unsupported", "not supported", "unrecognized", "unknown", "not permitted", "extra"];

/// The way in which the form of the answer is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerForm {
    /// Only in the prompt.
    Prompt,
    /// As any JSON object.
    Json,
    /// By our JSON schema.
    Schema,
}

/// The optional parts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    pub api: LlmApi,
    pub form: AnswerForm,
    /// `None`: the model's own limit.
    pub tokens_max: Option<u32>,
    /// Whether the limit has the name `max_tokens`, as Anthropic's has.
    pub is_max_tokens: bool,
    pub streams: bool,
}

impl Wording {
    pub fn new(api: LlmApi, tokens_max: u32) -> Self {
        Self {
            api,
            form: AnswerForm::Schema,
            tokens_max: Some(tokens_max),
            is_max_tokens: api == LlmApi::Anthropic,
            streams: true,
        }
    }

    /// Another wording after the refusal of this one. `None`: the refusal has another reason, or
    /// nothing is left to omit.
    pub fn after(self, refused: &HttpResponse) -> Option<Self> {
        if !STATUSES.contains(&refused.status) || LlmFault::of_response(refused).is_certain() {
            return None;
        }
        let text = refused.body.to_ascii_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if names(FORM_WORDS) {
            return self.in_a_looser_form();
        }
        if names(TOKEN_WORDS) {
            return if names(UNKNOWN_WORDS) { self.renamed() } else { self.with_fewer_tokens() };
        }
        if text.contains("stream") && self.streams {
            return Some(Self { streams: false, ..self });
        }
        // The refusal names none of our parts, so one part after the other is omitted.
        let plain = Self { form: AnswerForm::Prompt, ..self };
        if plain != self { Some(plain) } else { self.renamed() }
    }

    fn in_a_looser_form(self) -> Option<Self> {
        let form = match self.form {
            AnswerForm::Schema if self.api == LlmApi::OpenAi => AnswerForm::Json,
            AnswerForm::Schema | AnswerForm::Json => AnswerForm::Prompt,
            AnswerForm::Prompt => return None,
        };
        Some(Self { form, ..self })
    }

    /// Gives the limit its other name, then omits it. Anthropic requires it under its only name.
    fn renamed(self) -> Option<Self> {
        match self.api {
            LlmApi::Anthropic => None,
            LlmApi::OpenAi if !self.is_max_tokens => Some(Self { is_max_tokens: true, ..self }),
            LlmApi::OpenAi => self.tokens_max.map(|_| Self { tokens_max: None, ..self }),
        }
    }

    fn with_fewer_tokens(self) -> Option<Self> {
        let half = self.tokens_max? / 2;
        (half >= TOKENS_MIN).then_some(Self { tokens_max: Some(half), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerForm, Wording};
    use crate::core::provider::llm::LlmApi;
    use crate::core::transport::HttpResponse;

    fn refused(status: u16, message: &str) -> HttpResponse {
        let body = serde_json::json!({"error": {"type": "invalid_request_error", "code": null,
            "message": message}});
        HttpResponse { status, headers: Vec::new(), body: body.to_string() }
    }

    const FORM: &str = "This response_format type is unavailable now";
    const RENAME: &str = "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens'.";
    const FEWER: &str = "max_tokens: 32000 > 8192, which is the maximum allowed number of output \
                         tokens";

    #[test]
    fn a_named_part_is_left_out_or_made_smaller() {
        let first = Wording::new(LlmApi::OpenAi, 32_000);
        let json = first.after(&refused(400, FORM)).unwrap();
        assert_eq!(json, Wording { form: AnswerForm::Json, ..first });
        let prompt = json.after(&refused(422, FORM)).unwrap();
        assert_eq!(prompt, Wording { form: AnswerForm::Prompt, ..first });
        assert_eq!(prompt.after(&refused(400, FORM)), None);
        assert!(first.after(&refused(400, RENAME)).unwrap().is_max_tokens);
        assert_eq!(first.after(&refused(400, FEWER)).unwrap().tokens_max, Some(16_000));
        assert!(!first.after(&refused(400, "stream is not available")).unwrap().streams);
        let claude = Wording::new(LlmApi::Anthropic, 32_000);
        assert_eq!(claude.after(&refused(400, FEWER)).unwrap().tokens_max, Some(16_000));
        let plain = claude.after(&refused(400, "output_config: Extra inputs are not permitted"));
        assert_eq!(plain.unwrap().form, AnswerForm::Prompt);
    }

    /// Whatever the server answers, each request differs from all before it, and their number is
    /// limited.
    #[test]
    fn no_request_is_sent_twice_and_there_are_few() {
        for api in [LlmApi::OpenAi, LlmApi::Anthropic] {
            for message in [FORM, RENAME, FEWER, "stream", "no", "unknown max_tokens schema"] {
                let mut sent = vec![Wording::new(api, 200_000)];
                while let Some(next) = sent.last().unwrap().after(&refused(400, message)) {
                    assert!(!sent.contains(&next), "{api:?} {message}");
                    sent.push(next);
                }
                assert!(sent.len() <= 7, "{api:?} {message}: {}", sent.len());
            }
        }
    }

    #[test]
    fn a_refusal_about_something_else_is_final() {
        let first = Wording::new(LlmApi::OpenAi, 32_000);
        for status in [401, 402, 403, 408, 413, 429, 500, 503] {
            assert_eq!(first.after(&refused(status, FORM)), None, "{status}");
        }
        for code in ["context_length_exceeded", "content_filter", "insufficient_quota"] {
            let body = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"max_tokens\"}}}}");
            let response = HttpResponse { status: 400, headers: Vec::new(), body };
            assert_eq!(first.after(&response), None, "{code}");
        }
    }
}
