//! What `run` takes, and the provider request it becomes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::error::ApiError;
use shared::provider::runninghub::apps::{Field, stored_request};

/// The body as it comes; unknown fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body {
    pub(crate) job_id: Option<String>,
    pub(crate) session_id: Option<String>,
    image_url: String,
    resolution: Option<u32>,
    detail_denoise: Option<f64>,
    prompt: Option<String>,
    version: Option<Version>,
    category: Option<String>,
    framing_mode: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Version {
    Standard,
    Pro,
}

/// A checked input: what makes two orders the same, and what the job keeps.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Input {
    pub(crate) image_url: String,
    resolution: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail_denoise: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framing_mode: Option<String>,
}

const RESOLUTION: u32 = 2_048;
const PROMPT_MAX: usize = 2_000;
const WORD_MAX: usize = 200;

impl Input {
    pub(crate) fn check(body: &Body) -> Result<Self, ApiError> {
        let resolution = body.resolution.unwrap_or(RESOLUTION);
        if !(512..=8_192).contains(&resolution) {
            return Err(ApiError::bad_field("resolution", "must be from 512 to 8192"));
        }
        if body.detail_denoise.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(ApiError::bad_field("detailDenoise", "must be from 0 to 1"));
        }
        at_most("sessionId", body.session_id.as_ref(), WORD_MAX)?;
        Ok(Self {
            image_url: body.image_url.clone(),
            resolution,
            detail_denoise: body.detail_denoise,
            prompt: at_most("prompt", body.prompt.as_ref(), PROMPT_MAX)?,
            version: body.version.unwrap_or(Version::Standard),
            category: at_most("category", body.category.as_ref(), WORD_MAX)?,
            framing_mode: at_most("framingMode", body.framing_mode.as_ref(), WORD_MAX)?,
        })
    }

    /// The nodes are those of our documented app; `RUNNINGHUB_APPS` names others, and nodes for
    /// what an app may or may not take.
    pub(crate) fn provider_request(&self, apps: &Value, tool: &str, urls: &[String]) -> Result<Value, ApiError> {
        let variant = match self.version {
            Version::Standard => "standard",
            Version::Pro => "pro",
        };
        let texts = [
            ("image", urls.first().cloned(), Some(("1", "image"))),
            ("resolution", Some(self.resolution.to_string()), Some(("2", "value"))),
            ("detailDenoise", self.detail_denoise.map(|share| share.to_string()), Some(("3", "value"))),
            ("prompt", self.prompt.clone(), Some(("4", "text"))),
            ("category", self.category.clone(), None),
            ("framingMode", self.framing_mode.clone(), None),
        ];
        let fields: Vec<Field> =
            texts.into_iter().filter_map(|(name, value, node)| Some(Field { name, value: value?, node })).collect();
        stored_request(apps, tool, variant, &fields).ok_or_else(|| ApiError::misconfigured("RUNNINGHUB_APPS"))
    }
}

fn at_most(field: &str, text: Option<&String>, chars: usize) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.chars().count() > chars => {
            Err(ApiError::bad_field(field, &format!("must have at most {chars} characters")))
        }
        text => Ok(text.cloned()),
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
