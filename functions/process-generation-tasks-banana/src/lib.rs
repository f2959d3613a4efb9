//! `process-generation-tasks-banana`: makes the cards that wait. Its queue wakes it at once, its cron finds whatever
//! the queue lost, and the service may call it.
//!
//! The claim records `started_at` before anything else happens, so that a crash anywhere later is visible.

use serde_json::{Value, json};
use shared::app::runninghub as tool;
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::provider::gemini;
use shared::edge::{self, BODY_BYTES_MAX, Batch, Call, Op, OwnedCx, Reply, Spec};
use shared::flow::attempt::card;
use shared::flow::attempt::pool::{Bounds, Report, run_all};
use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

static SPEC: Spec = Spec {
    name: "process-generation-tasks-banana",
    ops: &[Op::new("", &["GET", "POST"], Policy::Scheduled)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &[
        "SUPABASE_URL",
        "SUPABASE_SERVICE_ROLE_KEY",
        "GEMINI_BASE_URL",
        "GEMINI_API_KEY",
        "GEMINI_MODEL",
    ],
};

/// Five calls and one connection for heartbeats.
const LANES: usize = 5;
/// How long a run begins new work: a caller waits for it, cron comes again in a minute, a queue's run may take 15.
const BY_HTTP_MS: u64 = 20_000;
const BY_CRON_MS: u64 = 50_000;
const BY_QUEUE_MS: u64 = 600_000;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    edge::serve_scheduled(&SPEC, env, |cx| async move { run(&cx, BY_CRON_MS).await.map(|_| ()) })
        .await;
}

#[event(queue)]
async fn queue(batch: Batch, env: Env, _context: Context) -> worker::Result<()> {
    edge::serve_queue(&SPEC, batch, env, hinted).await;
    Ok(())
}

/// What the message says is a hint: whatever may start is started, in the fair order.
async fn hinted(_message: Value, cx: OwnedCx) -> Result<(), ApiError> {
    run(&cx, BY_QUEUE_MS).await.map(|_| ())
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    if call.param("jobId").is_some() {
        tool::job_param(&call)?;
    }
    let report = run(&call.cx, BY_HTTP_MS).await?;
    let Report { processed, succeeded, failed, retrying, remaining } = report;
    Reply::ok(json!({
        "success": true,
        "processed": processed,
        "succeeded": succeeded,
        "failed": failed,
        "retrying": retrying,
        "remaining": remaining,
    }))
}

async fn run(owned: &OwnedCx, claim_for_ms: u64) -> Result<Report, ApiError> {
    let cx = owned.cx();
    let account = gemini::Account::from_config(cx.config)?;
    let bounds = Bounds { lanes: LANES, claim_for_ms };
    run_all(&cx, gemini::NAME, bounds, async |step| card::make(&cx, &account, step).await).await
}
