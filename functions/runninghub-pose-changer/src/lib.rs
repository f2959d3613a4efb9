//! `runninghub-pose-changer`: gives a person the pose of a reference picture. `run` orders it, `queue-status` tells its owner how it goes.
//!
//! Here are its input and its nodes; everything else is what every RunningHub tool does.

use serde::{Deserialize, Serialize};
use shared::app::runninghub;
use shared::core::provider::runninghub::apps::{self, Field, ToolInput as _};

/// What `run` takes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoseInput {
    person_image_url: String,
    reference_image_url: String,
}

impl apps::ToolInput for PoseInput {
    const TOOL: &'static str = "runninghub-pose-changer";

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::file("personImageUrl", &self.person_image_url, ("1", "image")),
            Field::file("referenceImageUrl", &self.reference_image_url, ("2", "image")),
        ]
    }
}

shared::function! {
    name: "runninghub-pose-changer",
    requires: runninghub::REQUIRES,
    ops: {
        POST "run" for User as Order => runninghub::run::<PoseInput>,
        GET | POST "queue-status" for User as Read =>
            |call, named| runninghub::queue_status(call, named, PoseInput::TOOL),
    },
}
