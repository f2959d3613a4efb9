//! `runninghub-veste-ai`: dresses a person in the clothing of another picture. `run` orders it,
//! `queue-status` shows it to its owner.
//!
//! This crate holds the tool's input and the nodes that take it; `shared::app::runninghub` does the
//! rest.

use serde::{Deserialize, Serialize};
use shared::app::runninghub;
use shared::core::file_url::FileUrl;
use shared::core::provider::runninghub::apps::{self, Field, ToolInput as _};

/// The input of `run`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VesteInput {
    #[serde(default)]
    person_image_url: FileUrl,
    #[serde(default)]
    clothing_image_url: FileUrl,
}

impl apps::ToolInput for VesteInput {
    const TOOL: &'static str = "runninghub-veste-ai";

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::file("personImageUrl", &self.person_image_url, ("1", "image")),
            Field::file("clothingImageUrl", &self.clothing_image_url, ("2", "image")),
        ]
    }
}

shared::function! {
    name: "runninghub-veste-ai",
    ops: {
        POST "run" for UserOrBehalf as Order => runninghub::run::<VesteInput>,
        GET | POST "queue-status" for User as Read =>
            async |call, named| runninghub::queue_status(call, named, VesteInput::TOOL).await,
    },
    quote: runninghub::quote::<VesteInput>,
    order: runninghub::run::<VesteInput>,
}

#[cfg(test)]
#[path = "../../../shared/src/testing/wrong_types.rs"]
mod wrong_types;

#[cfg(test)]
mod tests {
    use super::VesteInput;
    use crate::wrong_types::try_each;
    use serde_json::json;

    #[test]
    fn a_wrong_type_is_refused_in_the_callers_words() {
        try_each::<VesteInput>(&json!({"personImageUrl": "x", "clothingImageUrl": "x"}));
    }
}
