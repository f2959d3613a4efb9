//! `replicate-prediction-checker`: asks about every open prediction and moves its chain on. The safety
//! net under webhooks, and enough without them.
//!
//! By cron two runs 30 s apart, by HTTP one. Missed, doubled and overlapping runs are harmless.

use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::provider::replicate::NAME;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, OwnedCx, REPLICATE_SETTINGS, Reply, Spec};
use shared::flow::heal::checker;
use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

static SPEC: Spec = Spec {
    name: "replicate-prediction-checker",
    ops: &[Op::new("", &["GET", "POST"], Policy::Scheduled)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: REPLICATE_SETTINGS,
};

const RUNS: u32 = 2;
const EVERY_MS: u32 = 30_000;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    edge::serve_scheduled(&SPEC, env, runs).await;
}

async fn runs(cx: OwnedCx) -> Result<(), ApiError> {
    checker::passes(&cx.cx(), NAME, RUNS, EVERY_MS).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let report = checker::pass(&call.cx(), NAME, 1).await?;
    let mut body =
        serde_json::to_value(report).map_err(|error| ApiError::internal(error.to_string()))?;
    if let Some(fields) = body.as_object_mut() {
        fields
            .insert("message".to_owned(), format!("Checked {} predictions", report.checked).into());
    }
    Reply::ok(body)
}
