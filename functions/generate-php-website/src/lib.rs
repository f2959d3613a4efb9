//! `generate-php-website`: a PHP site from a prompt. Orders and retries of it, its files.
//!
//! Here is what is this tool's own: its kind. Everything else is what every website function does; the site is made by
//! the consumer of the hints' queue.

use shared::app::website as generation;
use shared::core::website::Kind;
use shared::edge::{self, BODY_BYTES_MAX, Spec};
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "generate-php-website",
    ops: generation::OPS,
    body_bytes_max: BODY_BYTES_MAX,
    requires: generation::REQUIRES,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, |call| generation::handle(call, Kind::Php)).await
}
