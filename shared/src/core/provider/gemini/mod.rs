//! Gemini's image generation: one call that answers with the image.
//!
//! Gemini keeps no state, so a call may be retried; each success is billed. [`fault`] classifies an
//! answer without an image. The operator chooses the model; this code names none.

pub mod fault;

use super::CallError;
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::job::{Failure, FailureCode};
use crate::core::media::{MediaKind, MediaType};
use crate::core::transport::{FileInMemory, HttpRequest, HttpResult};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fault::{GeminiFault, candidates};
use serde_json::{Value, json};

/// The provider's name in rows.
pub const NAME: &str = "gemini";

/// A card takes 10 to 40 s. After this time no answer is expected any more.
const CALL_MS: u32 = 120_000;
/// The limit for all product images inside one request: several calls hold theirs at once, as
/// base64 and in several copies, in the 128 MB of an isolate.
pub const INLINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Our account at Gemini, with the operator's model.
#[derive(Debug, Clone, Copy)]
pub struct GeminiAccount<'a> {
    pub base_url: &'a str,
    pub model: &'a str,
    pub key: &'a str,
    pub other_key: Option<&'a str>,
}

impl<'a> GeminiAccount<'a> {
    pub fn from_config(config: &'a Config) -> Result<Self, ApiError> {
        Ok(Self {
            base_url: config.gemini_base_url()?,
            model: config.gemini_model()?,
            key: config.gemini_api_key()?,
            other_key: config.gemini_api_key_2.as_deref(),
        })
    }

    pub fn build_call(&self, key: &str, body: &str) -> HttpRequest {
        HttpRequest {
            method: "POST",
            url: format!("{}/v1beta/models/{}:generateContent", self.base_url, self.model),
            headers: vec![
                ("x-goog-api-key".to_owned(), key.to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: Some(body.to_owned()),
            timeout_ms: CALL_MS,
        }
    }
}

/// The aspect ratios that each image model accepts.
const RATIOS: [&str; 10] =
    ["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"];
/// The aspect ratios that one model accepts in addition.
const NARROW_RATIOS: [&str; 4] = ["1:4", "4:1", "1:8", "8:1"];

/// The aspect ratios that the model accepts. It refuses all others for good.
pub fn ratios(model: &str) -> impl Iterator<Item = &'static str> {
    let narrow = &NARROW_RATIOS[..];
    let added = if model.starts_with("gemini-3.1-flash-image") { narrow } else { &[] };
    RATIOS.iter().chain(added).copied()
}

/// The stored request of a card's step: the product images by URL, then the prompt.
pub fn stored_request(image_urls: &[String], prompt: &str, aspect_ratio: &str) -> Value {
    let mut parts: Vec<Value> = image_urls.iter().map(|url| by_url(url)).collect();
    parts.push(json!({"text": prompt}));
    json!({"body": {
        "contents": [{"role": "user", "parts": parts}],
        "generationConfig": {"responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": aspect_ratio}},
    }})
}

fn by_url(url: &str) -> Value {
    // This is only a hint: Gemini reads the file itself.
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let mime_type = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        _ => "image/png",
    };
    json!({"fileData": {"mimeType": mime_type, "fileUri": url}})
}

/// The file URLs in a request.
pub fn urls_in(body: &Value) -> Vec<String> {
    let uri = |part: &Value| Some(part.pointer("/fileData/fileUri")?.as_str()?.to_owned());
    parts_of(body.pointer("/contents/0")).filter_map(uri).collect()
}

/// The request with its files embedded, for a model that opens no URLs. `files` are in the order of
/// [`urls_in`].
pub fn inlined(body: &Value, files: &[FileInMemory]) -> Value {
    let (mut body, mut files) = (body.clone(), files.iter());
    let parts = body.pointer_mut("/contents/0/parts").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter(|part| part.get("fileData").is_some()) {
        if let Some(file) = files.next() {
            *part = json!({"inlineData": {"mimeType": file.content_type,
                "data": STANDARD.encode(&file.bytes)}});
        }
    }
    body
}

/// A generated image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardImage {
    pub content_type: &'static str,
    pub extension: &'static str,
    pub bytes: Vec<u8>,
}

/// Parses the answer to a call.
pub fn parse_call(answer: &HttpResult) -> Result<CardImage, GeminiFault> {
    let Ok(response) = answer else {
        return Err(GeminiFault::transient("the provider did not answer"));
    };
    let body = response.json();
    // Some proxies wrap an answer in a list of one.
    let body = body.get(0).unwrap_or(&body);
    if !response.is_success() || body.get("error").is_some() {
        return Err(fault::refused(response, body));
    }
    match candidates(body).find_map(image_of) {
        Some(image) => Ok(image),
        None => Err(fault::without_image(body)),
    }
}

fn parts_of(content: Option<&Value>) -> impl Iterator<Item = &Value> {
    content.and_then(|content| content.get("parts")?.as_array()).into_iter().flatten()
}

/// The first image that is not part of the model's thoughts.
fn image_of(candidate: &Value) -> Option<CardImage> {
    let finished = parts_of(candidate.get("content"))
        .filter(|part| part.get("thought") != Some(&Value::Bool(true)));
    finished
        .filter_map(|part| part.get("inlineData").or_else(|| part.get("inline_data")))
        .find_map(decoded)
}

/// Decodes an image. Its first bytes decide the type, whatever type the answer names.
fn decoded(data: &Value) -> Option<CardImage> {
    let bytes = STANDARD.decode(data.get("data")?.as_str()?).ok()?;
    let found = MediaType::of_bytes(&bytes).filter(|found| found.kind == MediaKind::Image)?;
    let (content_type, extension) = (found.content_type, found.extension);
    Some(CardImage { content_type, extension, bytes })
}

/// The final failure for a stored request or product image that cannot be sent.
pub fn unusable(text: &str) -> CallError {
    CallError::Rejected(Failure::new(FailureCode::ProviderRejected, text))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
