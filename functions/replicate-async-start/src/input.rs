//! The input of an order of a try-on, and the provider requests that it becomes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::core::error::ApiError;
use shared::core::file_url::FileUrl;
use shared::core::id::JobId;
use shared::core::provider::replicate::try_on::{CATEGORIES, Garment, stored_requests};
use shared::flow::order::input::at_most;

/// The unchecked body; unknown fields are ignored.
#[derive(Deserialize)]
pub(crate) struct TryOnBody {
    /// In other tools' orders, the JSON names of these three fields are in camel case.
    #[serde(alias = "jobId")]
    pub(crate) job_id: Option<JobId>,
    #[serde(alias = "sessionId")]
    pub(crate) session_id: Option<String>,
    #[serde(alias = "maxCredits")]
    pub(crate) max_credits: Option<u64>,
    #[serde(default)]
    person_image: FileUrl,
    garments: Vec<WornGarment>,
    prompt_hints: Option<PromptHints>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WornGarment {
    #[serde(default)]
    image: FileUrl,
    category: String,
}

/// Descriptions of the garments: one text for all of them, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum PromptHints {
    All(String),
    Each(Vec<String>),
}

impl PromptHints {
    fn of(&self, number: usize) -> Option<&str> {
        match self {
            Self::All(text) => Some(text),
            Self::Each(texts) => texts.get(number).map(String::as_str),
        }
    }
}

/// A checked input. The job keeps it; two orders with equal inputs are the same order.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct TryOnInput {
    person_image: FileUrl,
    garments: Vec<WornGarment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_hints: Option<PromptHints>,
}

const GARMENTS_MAX: usize = 5;
const HINT_MAX: usize = 2_000;
const SESSION_MAX: usize = 200;

impl TryOnInput {
    /// Checks the limits of the fields. The files are checked elsewhere. An error answers 400 and
    /// names the field.
    pub(crate) fn check(body: &TryOnBody) -> Result<Self, ApiError> {
        if !(1..=GARMENTS_MAX).contains(&body.garments.len()) {
            return Err(ApiError::bad_field("garments", "must have 1 to 5 entries"));
        }
        for (number, garment) in body.garments.iter().enumerate() {
            if !CATEGORIES.contains(&garment.category.as_str()) {
                let field = format!("garments[{number}].category");
                return Err(ApiError::bad_field(
                    &field,
                    &format!("must be one of {}", CATEGORIES.join(", ")),
                ));
            }
        }
        if let Some(PromptHints::Each(texts)) = &body.prompt_hints
            && texts.len() > body.garments.len()
        {
            return Err(ApiError::bad_field("prompt_hints", "has more entries than `garments`"));
        }
        for number in 0..body.garments.len() {
            let hint = body.prompt_hints.as_ref().and_then(|hints| hints.of(number));
            at_most("prompt_hints", hint, HINT_MAX)?;
        }
        at_most("session_id", body.session_id.as_deref(), SESSION_MAX)?;
        Ok(Self {
            person_image: body.person_image.clone(),
            garments: body.garments.clone(),
            prompt_hints: body.prompt_hints.clone(),
        })
    }

    /// Returns `(field, URL)` of every picture, the person first.
    pub(crate) fn files(&self) -> Vec<(String, &str)> {
        let garments = self.garments.iter().enumerate();
        let garments = garments
            .map(|(number, garment)| (format!("garments[{number}].image"), &*garment.image));
        std::iter::once(("person_image".to_owned(), &*self.person_image)).chain(garments).collect()
    }

    /// The number of steps of the order, one for each garment.
    pub(crate) fn steps(&self) -> usize {
        self.garments.len()
    }

    /// Returns one request for each garment. `urls` are the checked URLs in the order of `files`.
    pub(crate) fn provider_requests(
        &self,
        versions: Option<&Value>,
        urls: &[String],
    ) -> Result<Vec<Value>, ApiError> {
        let (person, images) =
            urls.split_first().ok_or_else(|| ApiError::internal("no pictures"))?;
        let garments =
            self.garments.iter().zip(images).enumerate().map(|(number, (garment, image_url))| {
                Garment {
                    image_url,
                    category: &garment.category,
                    description: self
                        .prompt_hints
                        .as_ref()
                        .and_then(|hints| hints.of(number))
                        .unwrap_or_default(),
                }
            });
        let garments: Vec<Garment<'_>> = garments.collect();
        stored_requests(versions, person, &garments)
            .ok_or_else(|| ApiError::misconfigured("REPLICATE_VERSIONS"))
    }
}

#[cfg(test)]
mod tests {
    use super::{TryOnBody, TryOnInput};
    use crate::wrong_types::try_each;
    use serde_json::{Value, json};
    use shared::core::body::typed;

    fn check(body: Value) -> Result<TryOnInput, String> {
        let body: TryOnBody = serde_json::from_value(body).map_err(|error| error.to_string())?;
        TryOnInput::check(&body).map_err(|error| error.message)
    }

    fn order(garments: usize) -> Value {
        let garment = json!({"image": "g", "category": "dresses"});
        json!({"person_image": "p", "garments": vec![garment; garments]})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut body = order(2);
        body[field] = value;
        body
    }

    #[test]
    fn an_error_names_the_field_over_its_limit() {
        for garments in [1, 5] {
            assert!(check(order(garments)).is_ok());
        }
        for (field, body) in [
            ("garments", order(0)),
            ("garments", order(6)),
            ("garments[0].category", with("garments", json!([{"image": "g", "category": "hats"}]))),
            ("prompt_hints", with("prompt_hints", json!("x".repeat(2_001)))),
            ("prompt_hints", with("prompt_hints", json!(["a", "b", "c"]))),
            ("prompt_hints", with("prompt_hints", json!(["a", "x".repeat(2_001)]))),
            ("session_id", with("session_id", json!("x".repeat(201)))),
        ] {
            assert!(check(body).unwrap_err().contains(field), "{field}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused_in_the_callers_words() {
        let id = "00000000-0000-4000-8000-0000000000a1";
        let names = json!({"job_id": id, "session_id": "s", "max_credits": 7});
        for (hints, names) in [
            (json!("red"), names),
            (json!(["red", "blue"]), json!({"jobId": id, "sessionId": "s", "maxCredits": 7})),
        ] {
            let mut every = with("prompt_hints", hints);
            every.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
            try_each::<TryOnBody>(&every);
        }
        let twice = json!({"job_id": id, "jobId": id, "garments": []});
        let refused = typed::<TryOnBody>(&twice).err().unwrap();
        assert_eq!(refused.message, "`job_id` is not valid: it is given twice");
    }

    #[test]
    fn hints_are_one_for_all_or_one_for_each() {
        let described = |hints: Value| {
            let urls = ["p", "a", "b"].map(str::to_owned);
            let steps =
                check(with("prompt_hints", hints)).unwrap().provider_requests(None, &urls).unwrap();
            steps.iter().map(|step| step["input"]["garment_des"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(described(json!(null)), [json!(""), json!("")]);
        assert_eq!(described(json!("red")), [json!("red"), json!("red")]);
        assert_eq!(described(json!(["red"])), [json!("red"), json!("")]);
        assert_eq!(described(json!(["red", "blue"])), [json!("red"), json!("blue")]);
    }

    #[test]
    fn files_names_the_field_of_every_picture() {
        let input = check(order(2)).unwrap();
        let fields: Vec<String> = input.files().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["person_image", "garments[0].image", "garments[1].image"]);
    }
}
