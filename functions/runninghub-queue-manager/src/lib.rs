//! `runninghub-queue-manager`: the queue over all RunningHub tools: look, cancel, move on, repair.
//!
//! One operation per path segment; what each may see or change is decided in the database by the
//! verified caller, never by a field of the body.

mod change;
mod look;

use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, Reply, Spec};
use worker::{Context, Env, Request, Response, event};

static SPEC: Spec = Spec {
    name: "runninghub-queue-manager",
    ops: &[
        Op::new("check", &["GET", "POST"], Policy::User).reading(),
        // It heals the caller's own stale jobs first, so it is no mere look.
        Op::new("check-user-active", &["GET", "POST"], Policy::UserOrService),
        Op::new("cancel", &["POST"], Policy::User),
        Op::new("cancel-session", &["POST"], Policy::User),
        Op::new("process-next", &["POST"], Policy::Service),
        Op::new("reconcile", &["POST"], Policy::ServiceOrAdmin),
        Op::new("status", &["GET", "POST"], Policy::ServiceOrAdmin).reading(),
    ],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &[
        "SUPABASE_URL",
        "SUPABASE_SERVICE_ROLE_KEY",
        "FUNCTIONS_URL",
        "WEBHOOK_SECRET",
        "RUNNINGHUB_BASE_URL",
        "RUNNINGHUB_API_KEY",
    ],
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    match call.op {
        "check" => look::check(&call).await,
        "check-user-active" => look::check_user_active(&call).await,
        "cancel" => change::cancel(&call).await,
        "cancel-session" => change::cancel_session(&call).await,
        "process-next" => change::process_next(&call).await,
        "reconcile" => change::reconcile(&call).await,
        _ => look::status(&call).await,
    }
}
