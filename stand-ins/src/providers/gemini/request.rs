//! Reads a request to Gemini and checks it strictly: key, model, every field. It neither fetches
//! nor draws.

use axum::http::{Method, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::provider::Arrival;

const MODELS: [&str; 4] = [
    "gemini-nano-banana-2.1",
    "gemini-3.1-flash-image",
    "gemini-3.1-flash-lite-image",
    "gemini-3-pro-image",
];
const RATIOS: [&str; 14] = [
    "1:1", "1:4", "4:1", "1:8", "8:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9",
    "21:9",
];

/// A request that fulfils the contract.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) prompt: String,
    pub(super) ratio: (u32, u32),
    pub(super) with_text: bool,
    pub(super) urls: Vec<String>,
    pub(super) inline: Vec<Vec<u8>>,
}

/// An error as Google words it.
#[derive(Debug)]
pub(super) struct GeminiRefusal {
    pub(super) status: u16,
    pub(super) word: &'static str,
    pub(super) message: String,
    pub(super) details: Value,
}

impl GeminiRefusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, word: "INVALID_ARGUMENT", message: message.into(), details: json!([]) }
    }

    pub(super) fn internal() -> Self {
        let message = "An internal error has occurred.".to_owned();
        Self { status: 500, word: "INTERNAL", message, details: json!([]) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GeminiBody {
    contents: Vec<GeminiContent>,
    generation_config: GenerationConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GeminiContent {
    role: String,
    parts: Vec<GeminiPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GeminiPart {
    text: Option<String>,
    inline_data: Option<InlineData>,
    file_data: Option<FileData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InlineData {
    mime_type: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileData {
    mime_type: Option<String>,
    file_uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenerationConfig {
    response_modalities: Vec<String>,
    image_config: Option<ImageConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImageConfig {
    aspect_ratio: Option<String>,
    image_size: Option<String>,
}

fn not_found(message: String) -> GeminiRefusal {
    GeminiRefusal { status: 404, word: "NOT_FOUND", message, details: json!([]) }
}

/// Refuses an unknown key or an unknown model.
pub(super) fn known(arrival: &Arrival, model: &str, keys: &[String]) -> Result<(), GeminiRefusal> {
    if !arrival.header("x-goog-api-key").is_some_and(|key| keys.iter().any(|known| known == key)) {
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        });
        let message = "API key not valid. Please pass a valid API key.";
        return Err(GeminiRefusal { details: json!([info]), ..GeminiRefusal::invalid(message) });
    }
    if !MODELS.contains(&model) {
        return Err(not_found(format!("models/{model} is not found for API version v1beta.")));
    }
    Ok(())
}

pub(super) fn read(
    arrival: &Arrival,
    route: &str,
    keys: &[String],
) -> Result<Wanted, GeminiRefusal> {
    let model = route
        .strip_prefix("/v1beta/models/")
        .and_then(|rest| rest.strip_suffix(":generateContent"));
    let (Some(model), &Method::POST) = (model, &arrival.method) else {
        return Err(not_found("Requested entity was not found.".to_owned()));
    };
    known(arrival, model, keys)?;
    let body: GeminiBody = serde_json::from_slice(&arrival.bytes).map_err(|error| {
        GeminiRefusal::invalid(format!("Invalid JSON payload received. {error}"))
    })?;
    let mut wanted = configured(&body.generation_config)?;
    let [content] = body.contents.as_slice() else {
        return Err(GeminiRefusal::invalid("Please use one content."));
    };
    if content.role != "user" || content.parts.is_empty() {
        return Err(GeminiRefusal::invalid("Please use a valid role and at least one part."));
    }
    for part in &content.parts {
        add(&mut wanted, part)?;
    }
    if wanted.prompt.trim().is_empty() {
        return Err(GeminiRefusal::invalid("Please say what to draw."));
    }
    Ok(wanted)
}

fn configured(config: &GenerationConfig) -> Result<Wanted, GeminiRefusal> {
    let modalities: Vec<&str> = config.response_modalities.iter().map(String::as_str).collect();
    if modalities != ["IMAGE"] && modalities != ["TEXT", "IMAGE"] {
        return Err(GeminiRefusal::invalid(
            "The requested combination of response modalities is not supported.",
        ));
    }
    let image = config.image_config.as_ref();
    let ratio = image.and_then(|image| image.aspect_ratio.as_deref()).unwrap_or("1:1");
    if !RATIOS.contains(&ratio) {
        return Err(GeminiRefusal::invalid("aspect_ratio must be one of the supported values"));
    }
    if image
        .and_then(|image| image.image_size.as_deref())
        .is_some_and(|size| !["1K", "2K", "4K"].contains(&size))
    {
        return Err(GeminiRefusal::invalid("image_size must be one of 1K, 2K, 4K"));
    }
    let (wide, high) = ratio.split_once(':').unwrap_or_default();
    let ratio = (wide.parse().unwrap_or(1), high.parse().unwrap_or(1));
    Ok(Wanted { ratio, with_text: modalities.len() == 2, ..Wanted::default() })
}

fn add(wanted: &mut Wanted, part: &GeminiPart) -> Result<(), GeminiRefusal> {
    match part {
        GeminiPart { text: Some(text), inline_data: None, file_data: None } => {
            wanted.prompt.push_str(text)
        }
        GeminiPart { text: None, inline_data: Some(data), file_data: None }
            if data.mime_type.starts_with("image/") =>
        {
            let bytes = STANDARD.decode(&data.data);
            wanted
                .inline
                .push(bytes.map_err(|_| GeminiRefusal::invalid("Base64 decoding failed."))?);
        }
        GeminiPart { text: None, inline_data: None, file_data: Some(file) }
            if is_fetchable(&file.file_uri) =>
        {
            if file.mime_type.as_deref().is_some_and(|kind| !kind.starts_with("image/")) {
                return Err(GeminiRefusal::invalid("Unsupported MIME type."));
            }
            wanted.urls.push(file.file_uri.clone());
        }
        _ => {
            return Err(GeminiRefusal::invalid(
                "A part must have exactly one field of data that can be read.",
            ));
        }
    }
    Ok(())
}

/// Whether the URL is `https`, or `http` to this machine.
fn is_fetchable(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    match uri.scheme_str() {
        Some("https") => uri.host().is_some(),
        Some("http") => matches!(uri.host(), Some("127.0.0.1" | "localhost")),
        _ => false,
    }
}
