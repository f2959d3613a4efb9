//! `runninghub-veste-ai`: dresses a person in the clothing of another picture. `run` orders it, `queue-status` tells its owner how it goes.
//!
//! Here are its input and its nodes; everything else is what every RunningHub tool does.

use serde::{Deserialize, Serialize};
use shared::app::runninghub;
use shared::core::provider::runninghub::apps::{self, Field, ToolInput as _};

/// What `run` takes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VesteInput {
    person_image_url: String,
    clothing_image_url: String,
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
    requires: runninghub::REQUIRES,
    ops: {
        POST "run" for User as Order => runninghub::run::<VesteInput>,
        GET | POST "queue-status" for User as Read =>
            |call, named| runninghub::queue_status(call, named, VesteInput::TOOL),
    },
}
