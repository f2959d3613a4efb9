//! `cleanup-stale-generations`: finds websites whose attempt stopped and calls their function for another one, at most
//! twice; after that they are failed and refunded. It makes no site and reads no answer of a model.
//!
//! Missed, doubled and overlapping runs are harmless.

use serde_json::{Value, json};
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, OwnedCx, Reply, Spec};
use shared::flow::heal::website_retry;
use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

static SPEC: Spec = Spec {
    name: "cleanup-stale-generations",
    ops: &[Op::new("", &["GET", "POST"], Policy::Scheduled)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
};

/// Of one run: three subrequests each.
const LIMIT: u32 = 100;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    edge::serve_scheduled(&SPEC, env, clean_up).await;
}

async fn clean_up(cx: OwnedCx) -> Result<(), ApiError> {
    website_retry::clean_up(&cx.cx(), LIMIT).await.map(drop)
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let report = website_retry::clean_up(&call.cx(), LIMIT).await?;
    let mut body =
        serde_json::to_value(report).map_err(|error| ApiError::internal(error.to_string()))?;
    if let Value::Object(fields) = &mut body {
        fields.insert("success".to_owned(), json!(true));
    }
    Reply::ok(body)
}
