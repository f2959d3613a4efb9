//! `admin-retry-job`: an admin has another go at a job of any tool. A stuck one starts over where it stands, finished steps
//! kept; a finished one is done again as a new job, free unless the admin says otherwise.
//!
//! Role, state and money are settled in one transaction; what may start then starts after the answer.

use serde::Deserialize;
use serde_json::json;
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, Reply, Spec};
use shared::flow::heal::admin_retry;
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "admin-retry-job",
    ops: &[Op::new("", &["POST"], Policy::Admin)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    table: String,
    job_id: String,
    charge: Option<bool>,
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let body: Body = call.json()?;
    let job =
        JobId::parse(&body.job_id).ok_or_else(|| ApiError::bad_field("jobId", "is not a UUID"))?;
    call.log_job(job);
    let charge = body.charge.unwrap_or(false);
    let requeued =
        admin_retry::by_admin(&call.cx(), call.user()?, &body.table, job, charge).await?;
    let (owned, provider) = (call.cx.clone(), requeued.provider);
    call.background(async move { admin_retry::follow_up(&owned.cx(), &provider).await });
    Reply::ok(match requeued.retry_of {
        None => json!({"success": true, "jobId": requeued.job_id, "retried": true}),
        Some(old) => json!({"success": true, "jobId": requeued.job_id, "retryOf": old}),
    })
}
