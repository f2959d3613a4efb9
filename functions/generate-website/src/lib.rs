//! `generate-website`: a static site from a prompt. Orders and retries of it, its files; and the consumer that makes every
//! kind of site, because slots are the model's and not a tool's.
//!
//! Here is what is this tool's own: its kind. Everything else is what every website function does.

use shared::app::website as generation;
use shared::core::website::Kind;
use shared::edge::{self, BODY_BYTES_MAX, Batch, Spec};
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "generate-website",
    ops: generation::OPS,
    body_bytes_max: BODY_BYTES_MAX,
    requires: generation::REQUIRES,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, |call| generation::handle(call, Kind::Html)).await
}

#[event(queue)]
async fn queue(batch: Batch, env: Env, _context: Context) -> worker::Result<()> {
    edge::serve_queue(&SPEC, batch, env, generation::consume).await;
    Ok(())
}
