//! `provider-webhook`: takes providers' calls at `<provider>/<job>/<step>/<run>/<token>`.
//!
//! The token is verified before anything is read, the signature where the provider signs; the call is recorded and
//! sends itself a hint: well under a second.
//! The queue consumer asks the provider, copies the result, finishes, starts what may start. A
//! body is never believed.

use serde_json::{Value, json};
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::webhook::Subject;
use shared::db::step::Attempt;
use shared::edge::{self, Batch, Call, Op, OwnedCx, Reply, Spec, WEBHOOK_BYTES_MAX};
use shared::flow::settle::webhook::{Hint, consume, record};
use shared::flow::submit::round::dispatch;
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "provider-webhook",
    ops: &[Op::new("", &["POST"], Policy::Provider).with_tail()],
    body_bytes_max: WEBHOOK_BYTES_MAX,
    requires: &[
        "SUPABASE_URL",
        "SUPABASE_SERVICE_ROLE_KEY",
        "FUNCTIONS_URL",
        "WEBHOOK_SECRET",
        "RUNNINGHUB_BASE_URL",
        "RUNNINGHUB_API_KEY",
        "REPLICATE_BASE_URL",
        "REPLICATE_API_TOKEN",
    ],
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, receive).await
}

#[event(queue)]
async fn queue(batch: Batch, env: Env, _context: Context) -> worker::Result<()> {
    edge::serve_queue(&SPEC, batch, env, act).await;
    Ok(())
}

/// The address was verified before its body was read.
async fn receive(call: Call) -> Result<Reply, ApiError> {
    let (subject, _) = Subject::of_path(&call.path_tail).ok_or_else(ApiError::unauthorized)?;
    let Subject { provider, job, step, run } = subject;
    call.log_job(job);
    record(&call.cx(), provider, Attempt { job, step, run }, &call.signature, &call.raw_body)
        .await?;
    Reply::ok(json!({"ok": true}))
}

async fn act(message: Value, cx: OwnedCx) -> Result<(), ApiError> {
    match serde_json::from_value::<Hint>(message) {
        Ok(hint) => {
            let cx = cx.cx();
            let start = async || dispatch(&cx, &hint.provider, |_| {}).await.map(drop);
            consume(&cx, &hint, &start).await
        }
        // It will never be readable, and the sweep does not need it.
        Err(_) => Ok(()),
    }
}
