//! `replicate-async-start`: orders a try-on of one to five garments, each put on what the one before
//! made. Charges and enqueues the chain, answers at once, hands the first step over after the answer.
//!
//! It waits for no prediction.

mod input;

use input::{Body, Input};
use serde_json::{Value, json};
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::job::State;
use shared::core::provider::replicate;
use shared::core::transport::Transport;
use shared::db::job::JobView;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, REPLICATE_SETTINGS, Reply, Spec};
use shared::flow::order::enqueue as start;
use shared::flow::submit::round as dispatch;
use worker::{Context, Env, Request, Response, event};

const NAME: &str = "replicate-async-start";
/// What a step usually takes, with its copy.
const STEP_SECONDS: usize = 30;

static SPEC: Spec = Spec {
    name: NAME,
    ops: &[Op::new("", &["POST"], Policy::User).charging()],
    body_bytes_max: BODY_BYTES_MAX,
    requires: REPLICATE_SETTINGS,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    let body: Body = call.json()?;
    let input = Input::check(&body)?;
    let cx = call.cx();
    let user = call.user()?;
    let random = cx.transport.random();
    let job =
        start::job_id("job_id", body.job_id.as_deref(), call.idempotency_key.as_deref(), random)?;
    call.log_job(job);
    let mut order = start::order(user, job, NAME, body.session_id.as_deref(), &input)?;
    let urls = start::files(&cx, &order, &input.files()).await?;
    order.steps = input.provider_requests(cx.config.replicate_versions.as_ref(), &urls)?;
    let view = start::enqueue(&cx, &order).await?;
    if view.status == State::Queued {
        let owned = call.cx.clone();
        call.background(async move {
            dispatch::dispatch_logged(&owned.cx(), replicate::NAME, |_| {}).await
        });
    }
    Reply::ok(answer(&view, order.steps.len()))
}

fn answer(view: &JobView, steps: usize) -> Value {
    let wait = usize::try_from(view.eta_seconds.unwrap_or(0)).unwrap_or(0);
    let mut body = json!({
        "task_id": view.job_id,
        "status": view.status.processing_word(),
        "total_steps": steps,
        "estimated_time_seconds": if view.status.is_final() { 0 } else { wait + steps * STEP_SECONDS },
        "credits_charged": view.credits_charged,
        "balance": view.balance,
    });
    if let (true, Some(fields)) = (view.replayed, body.as_object_mut()) {
        fields.insert("replayed".to_owned(), true.into());
    }
    body
}
