//! `runninghub-upscaler`: enlarges one picture. `run` orders it, `queue-status` tells its owner how it goes.
//!
//! Here is what is this tool's own: its input and which app and nodes of the provider take it.
//! Everything else is what every RunningHub tool does.

mod input;

use input::Input;
use shared::app::runninghub as tool;
use shared::core::provider::runninghub::apps::Input as _;
use shared::edge::{self, Spec};
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = tool::spec(Input::TOOL);

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, tool::handle::<Input>).await
}
