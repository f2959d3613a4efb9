//! `runninghub-upscaler`: enlarges one picture. `run` orders it, `queue-status` tells its owner how it goes.
//!
//! Here is what is this tool's own: its input and which app and nodes of the provider take it.
//! Everything else is what every RunningHub tool does.

mod input;

use input::{Body, Input};
use shared::edge::{self, BODY_BYTES_MAX, Call, Reply, Spec, tool};
use shared::error::ApiError;
use worker::{Context, Env, Request, Response, event};

const NAME: &str = "runninghub-upscaler";

static SPEC: Spec = Spec { name: NAME, ops: tool::OPS, body_bytes_max: BODY_BYTES_MAX, requires: tool::REQUIRES };

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    match call.op {
        "run" => run(&call).await,
        _ => tool::queue_status(&call, NAME).await,
    }
}

async fn run(call: &Call) -> Result<Reply, ApiError> {
    let body: Body = call.json()?;
    let input = Input::check(&body)?;
    let order = tool::Order {
        tool: NAME,
        job_id: body.job_id.as_deref(),
        session_id: body.session_id.as_deref(),
        input: &input,
        files: &[("imageUrl", &input.image_url)],
    };
    let apps = call.cx().config.runninghub_apps()?;
    tool::run(call, order, |urls| input.provider_request(apps, NAME, urls)).await
}
