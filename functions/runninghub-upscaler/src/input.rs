//! The input of `run`, its limits, and the nodes that take it.

use serde::{Deserialize, Serialize};
use shared::core::error::ApiError;
use shared::core::file_url::FileUrl;
use shared::core::json::number_text;
use shared::core::provider::runninghub::apps::{self, Field, STANDARD};
use shared::flow::order::input::at_most;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpscalerInput {
    #[serde(default)]
    image_url: FileUrl,
    resolution: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail_denoise: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    version: Option<UpscalerVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framing_mode: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UpscalerVersion {
    Standard,
    Pro,
}

const RESOLUTION: u32 = 2_048;
const PROMPT_MAX: usize = 2_000;
const WORD_MAX: usize = 200;

impl apps::ToolInput for UpscalerInput {
    const TOOL: &'static str = "runninghub-upscaler";

    fn checked(mut self) -> Result<Self, ApiError> {
        if !(512..=8_192).contains(self.resolution.get_or_insert(RESOLUTION)) {
            return Err(ApiError::bad_field("resolution", "must be from 512 to 8192"));
        }
        if self.detail_denoise.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(ApiError::bad_field("detailDenoise", "must be from 0 to 1"));
        }
        at_most("prompt", self.prompt.as_deref(), PROMPT_MAX)?;
        at_most("category", self.category.as_deref(), WORD_MAX)?;
        at_most("framingMode", self.framing_mode.as_deref(), WORD_MAX)?;
        self.version.get_or_insert(UpscalerVersion::Standard);
        Ok(self)
    }

    fn variant(&self) -> &'static str {
        match self.version {
            Some(UpscalerVersion::Pro) => "pro",
            _ => STANDARD,
        }
    }

    /// The default nodes are those of our documented app. Not every app takes the last two fields.
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::file("imageUrl", &self.image_url, ("1", "image"))];
        fields.extend(
            self.resolution.map(|side| Field::value("resolution", side, Some(("2", "value")))),
        );
        fields.extend(
            self.detail_denoise.map(|share| {
                Field::value("detailDenoise", number_text(share), Some(("3", "value")))
            }),
        );
        fields.extend(
            self.prompt.as_ref().map(|text| Field::value("prompt", text, Some(("4", "text")))),
        );
        fields.extend(self.category.as_ref().map(|word| Field::value("category", word, None)));
        fields
            .extend(self.framing_mode.as_ref().map(|word| Field::value("framingMode", word, None)));
        fields
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
