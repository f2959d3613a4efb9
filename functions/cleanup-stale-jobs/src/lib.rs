//! `cleanup-stale-jobs`: the healer. Closes and refunds what is past its time, asks providers about
//! what only they know, delivers what they finished, starts what may start.
//!
//! By cron three passes 20 s apart, by HTTP one. Missed, doubled and overlapping runs are harmless.

use serde_json::{Value, json};
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::db::sweep::SweepSource;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, OwnedCx, Reply, Spec};
use shared::flow::heal::sweep;
use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

static SPEC: Spec = Spec {
    name: "cleanup-stale-jobs",
    ops: &[Op::new("", &["GET", "POST"], Policy::Scheduled)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
};

const PASSES: u32 = 3;
const EVERY_MS: u32 = 20_000;
const LIMIT: u32 = 1_000;
const LIMIT_MAX: u32 = 10_000;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    edge::serve_scheduled(&SPEC, env, passes).await;
}

async fn passes(cx: OwnedCx) -> Result<(), ApiError> {
    sweep::passes(&cx.cx(), SweepSource::Cron, PASSES, EVERY_MS, LIMIT).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let limit = limit(call.param("limit"))?;
    let report = sweep::pass(&call.cx(), SweepSource::Http, 1, limit).await?;
    let mut body =
        serde_json::to_value(&report).map_err(|error| ApiError::internal(error.to_string()))?;
    if let Value::Object(fields) = &mut body {
        fields.insert("success".to_owned(), json!(true));
    }
    Reply::ok(body)
}

/// A number in the body, or text in the query.
fn limit(given: Option<Value>) -> Result<u32, ApiError> {
    let number = match &given {
        None => return Ok(LIMIT),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    let number = number
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| ApiError::bad_field("limit", "must be a number from 1 to 10000"))
}
