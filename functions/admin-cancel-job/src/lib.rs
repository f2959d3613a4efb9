//! `admin-cancel-job`: an admin ends a live job of any tool; its owner gets back what it was charged.
//!
//! Role, state and money are settled in one transaction. Telling the provider, and letting the
//! next job in, follow after the answer; what is lost there a sweep makes good.

use serde::Deserialize;
use serde_json::json;
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, Reply, Spec};
use shared::flow::finalise;
use shared::flow::submit::wake;
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "admin-cancel-job",
    ops: &[Op::new("", &["POST"], Policy::Admin)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    table: String,
    job_id: String,
    reason: Option<String>,
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
    if body.reason.as_ref().is_some_and(|reason| reason.chars().count() > 500) {
        return Err(ApiError::bad_field("reason", "must have at most 500 characters"));
    }
    let actor = call.user()?;
    let cancelled =
        finalise::cancel_by_admin(&call.cx(), actor, &body.table, job, body.reason.as_deref())
            .await?;
    let owned = call.cx.clone();
    call.background(
        async move { wake::follow_up(&owned.cx(), &cancelled.provider, Some(job)).await },
    );
    let refunded = cancelled.refunded_credits;
    Reply::ok(json!({
        "success": true,
        "table": body.table,
        "jobId": job,
        "status": "cancelled",
        "refundedCredits": refunded,
        "message": format!("Job cancelled and {refunded} credits refunded"),
    }))
}
