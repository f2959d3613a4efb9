//! `replicate-async-status`: how a try-on goes, for its owner, who asks every few seconds: one call of
//! the database, none of the provider.

use serde_json::json;
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, Reply, Spec};
use worker::{Context, Env, Request, Response, event};

/// Whose jobs it tells about.
const TOOL: &str = "replicate-async-start";

static SPEC: Spec = Spec {
    name: "replicate-async-status",
    ops: &[Op::new("", &["GET"], Policy::User).reading()],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let named =
        call.param("task_id").ok_or_else(|| ApiError::bad_field("task_id", "is missing"))?;
    let job = named
        .as_str()
        .and_then(JobId::parse)
        .ok_or_else(|| ApiError::bad_field("task_id", "is not a UUID"))?;
    call.log_job(job);
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(TOOL), job).await?;
    Reply::ok(json!({
        "task_id": job,
        "status": row.view.status.processing_word(),
        "current_step": row.current_step,
        "total_steps": row.total_steps,
        "result_url": row.view.output_url,
        "error_message": row.view.error_message,
        "error_code": row.view.error_code,
        "credits_refunded": row.view.credits_refunded,
    }))
}
