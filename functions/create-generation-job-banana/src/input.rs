//! The input of an order of product cards.

use serde::{Deserialize, Serialize};
use shared::core::error::ApiError;
use shared::core::file_url::FileUrl;
use shared::core::id::JobId;
use shared::core::provider::gemini;

/// The unchecked body; unknown fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardsBody {
    pub(crate) job_id: Option<JobId>,
    pub(crate) session_id: Option<String>,
    pub(crate) max_credits: Option<u64>,
    product_name: String,
    category: Option<String>,
    description: Option<String>,
    pub(crate) product_images: Option<Vec<ProductImage>>,
    selected_cards: Vec<u8>,
    aspect_ratio: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProductImage {
    #[serde(default)]
    pub(crate) url: FileUrl,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

/// A checked input. The job keeps it; two orders with equal inputs are the same order.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardsInput {
    pub(crate) product_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) product_images: Vec<ProductImage>,
    pub(crate) selected_cards: Vec<u8>,
    pub(crate) aspect_ratio: String,
}

const WORD_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 2_000;
const IMAGES_MAX: usize = 5;
const CARD_MAX: u8 = 6;
const RATIO: &str = "3:4";

impl CardsInput {
    /// Checks the limits of the fields, for cards made by this model. The files are checked
    /// elsewhere. An error answers 400 and names the field.
    pub(crate) fn check(body: &CardsBody, model: &str) -> Result<Self, ApiError> {
        let bad = |field: &str, problem: &str| Err(ApiError::bad_field(field, problem));
        if body.product_name.trim().is_empty() {
            return bad("productName", "must not be empty");
        }
        for (field, text, chars) in [
            ("productName", Some(&body.product_name), WORD_MAX),
            ("category", body.category.as_ref(), WORD_MAX),
            ("description", body.description.as_ref(), DESCRIPTION_MAX),
            ("sessionId", body.session_id.as_ref(), WORD_MAX),
        ] {
            if text.is_some_and(|text| text.chars().count() > chars) {
                return bad(field, &format!("must have at most {chars} characters"));
            }
        }
        let is_number = |images: &Vec<ProductImage>| (1..=IMAGES_MAX).contains(&images.len());
        if !body.product_images.as_ref().is_none_or(is_number) {
            return bad("productImages", "must name 1 to 5 pictures");
        }
        let product_images = body.product_images.clone().unwrap_or_default();
        if product_images
            .iter()
            .any(|image| image.kind.as_ref().is_some_and(|kind| kind.chars().count() > WORD_MAX))
        {
            return bad("productImages", "has a type that is too long");
        }
        let mut distinct = body.selected_cards.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.is_empty()
            || distinct.len() < body.selected_cards.len()
            || distinct.last() > Some(&CARD_MAX)
        {
            return bad(
                "selectedCards",
                "must name at least one card, each from 0 to 6 and none twice",
            );
        }
        let aspect_ratio = body.aspect_ratio.clone().unwrap_or_else(|| RATIO.to_owned());
        if !gemini::ratios(model).any(|ratio| ratio == aspect_ratio) {
            let ratios = gemini::ratios(model).collect::<Vec<_>>().join(", ");
            return bad("aspectRatio", &format!("must be one of {ratios}"));
        }
        Ok(Self {
            product_name: body.product_name.trim().to_owned(),
            category: body.category.clone(),
            description: body.description.clone(),
            product_images,
            selected_cards: body.selected_cards.clone(),
            aspect_ratio,
        })
    }

    /// The pictures as `(field, URL)`.
    pub(crate) fn files(&self) -> Vec<(String, &str)> {
        let images = self.product_images.iter();
        images.map(|image| ("productImages".to_owned(), &*image.url)).collect()
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
