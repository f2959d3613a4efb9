//! `runninghub-veste-ai`: dresses a person in the clothing of another picture. `run` orders it, `queue-status` tells its owner how it goes.
//!
//! Here are its input and its nodes; everything else is what every RunningHub tool does.

use serde::{Deserialize, Serialize};
use shared::app::runninghub as tool;
use shared::core::provider::runninghub::apps::{self, Field, Input as _};
use shared::edge::{self, Spec};
use worker::{Context, Env, Request, Response, event};

/// What `run` takes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    person_image_url: String,
    clothing_image_url: String,
}

impl apps::Input for Input {
    const TOOL: &'static str = "runninghub-veste-ai";

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::file("personImageUrl", &self.person_image_url, ("1", "image")),
            Field::file("clothingImageUrl", &self.clothing_image_url, ("2", "image")),
        ]
    }
}

static SPEC: Spec = tool::spec(Input::TOOL);

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, tool::handle::<Input>).await
}
