//! A function that panics on demand, for the tests and for nobody else: it is in no deployment.

use serde_json::{Value, json};
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, Reply, Spec};
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "panicking",
    ops: &[Op::new("", &["POST"], Policy::Public)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &[],
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

#[expect(clippy::panic, reason = "the point of this function")]
async fn handle(call: Call) -> Result<Reply, ApiError> {
    if call.param("panic") == Some(Value::Bool(true)) {
        panic!("asked to");
    }
    Reply::ok(json!({"ok": true}))
}
