//! `replicate-async-worker`: hands over the steps whose turn has come. It waits for no result: the
//! webhook or the checker brings it.

use serde_json::{Value, json};
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::provider::replicate::NAME;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, OwnedCx, REPLICATE_SETTINGS, Reply, Spec};
use shared::flow::submit::round::{Dispatched, Outcome, dispatch, dispatch_within};
use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

static SPEC: Spec = Spec {
    name: "replicate-async-worker",
    ops: &[Op::new("", &["GET", "POST"], Policy::Scheduled)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: REPLICATE_SETTINGS,
};

/// Whoever calls waits for the answer; what is left then is for the next call.
const BUDGET_MS: u64 = 1_500;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    edge::serve_scheduled(&SPEC, env, work).await;
}

async fn work(cx: OwnedCx) -> Result<(), ApiError> {
    dispatch(&cx.cx(), NAME, |_| {}).await.map(|_| ())
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let dispatched = dispatch_within(&call.cx(), NAME, BUDGET_MS, |_| {}).await?;
    let started = dispatched.iter().filter_map(|step| match step {
        Dispatched { attempt, outcome: Outcome::Started { task_id, .. }, .. } => {
            Some((attempt, task_id))
        }
        _ => None,
    });
    let started: Vec<_> = started.collect();
    Reply::ok(match started.last() {
        Some((attempt, prediction_id)) => {
            call.log_job(attempt.job);
            let steps = call.cx().db().job_get_v1(None, None, attempt.job).await?.total_steps;
            json!({
                "task_id": attempt.job,
                "prediction_id": prediction_id,
                "step": format!("{}/{steps}", attempt.step),
                "started": started.len(),
            })
        }
        None => none_started(dispatched.len()),
    })
}

fn none_started(taken: usize) -> Value {
    match taken {
        0 => json!({"message": "No pending tasks"}),
        _ => json!({"message": "No task could be started", "started": 0}),
    }
}
