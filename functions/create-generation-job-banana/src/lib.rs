//! `create-generation-job-banana`: orders a set of product cards in one paid job; GET tells its owner how they go.
//!
//! Here are this tool's input and its prompts. The cards are made by `process-generation-tasks-banana`, which gets a
//! hint; with the queue down its cron finds them.

mod cards;
mod input;

use input::{Body, Input};
use serde_json::{Value, json};
use shared::app::runninghub as tool;
use shared::core::auth::Policy;
use shared::core::error::ApiError;
use shared::core::job::State;
use shared::core::provider::gemini;
use shared::core::transport::Transport;
use shared::db::job::JobRow;
use shared::edge::{self, BODY_BYTES_MAX, Call, Op, Reply, Spec};
use shared::flow::order::enqueue as start;
use shared::flow::submit::wake;
use worker::{Context, Env, Request, Response, event};

const NAME: &str = "create-generation-job-banana";

static SPEC: Spec = Spec {
    name: NAME,
    ops: &[
        Op::new("", &["GET"], Policy::User).reading(),
        Op::new("", &["POST"], Policy::User).charging(),
    ],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    edge::serve(&SPEC, request, env, context, handle).await
}

async fn handle(call: Call) -> Result<Reply, ApiError> {
    match call.method.as_str() {
        "GET" => status(&call).await,
        _ => create(&call).await,
    }
}

async fn create(call: &Call) -> Result<Reply, ApiError> {
    let body: Body = call.json()?;
    let input = Input::check(&body)?;
    let cx = call.cx();
    let random = cx.transport.random();
    let job =
        start::job_id("jobId", body.job_id.as_deref(), call.idempotency_key.as_deref(), random)?;
    call.log_job(job);
    let mut order = start::order(call.user()?, job, NAME, body.session_id.as_deref(), &input)?;
    let images =
        input.product_images.iter().map(|image| ("productImages".to_owned(), image.url.as_str()));
    let urls = start::files(&cx, &order, &images.collect::<Vec<_>>()).await?;
    order.steps = cards::steps(&input, &urls);
    let view = start::enqueue(&cx, &order).await?;
    if !view.status.is_final() {
        let owned = call.cx.clone();
        call.background(async move { wake::send(&owned.cx(), gemini::NAME, 0).await });
    }
    let mut answer = json!({
        "success": true,
        "jobId": view.job_id,
        "totalCards": input.selected_cards.len(),
        "creditsCharged": view.credits_charged,
        "creditsRefunded": view.credits_refunded,
        "balance": view.balance,
        "status": view.status.processing_word(),
    });
    if let (true, Some(fields)) = (view.replayed, answer.as_object_mut()) {
        fields.insert("replayed".to_owned(), true.into());
    }
    Reply::with_status(if view.status.is_final() { 200 } else { 202 }, answer)
}

async fn status(call: &Call) -> Result<Reply, ApiError> {
    let job = tool::job_param(call)?;
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(NAME), job).await?;
    Reply::ok(progress(&row))
}

fn progress(row: &JobRow) -> Value {
    let tasks = row.tasks.as_deref().unwrap_or_default();
    let shown = tasks.iter().map(|task| {
        json!({
            "cardIndex": task.card,
            "status": if task.retrying { "retrying" } else { task.status.processing_word() },
            "imageUrl": task.output_url,
            "lastError": task.error_message,
        })
    });
    json!({
        "jobId": row.view.job_id,
        "status": row.view.status.processing_word(),
        "totalCards": row.total_steps,
        "completedCards": tasks.iter().filter(|task| task.status == State::Completed).count(),
        "tasks": shown.collect::<Vec<_>>(),
        "creditsCharged": row.view.credits_charged,
        "creditsRefunded": row.view.credits_refunded,
        "errorMessage": row.view.error_message,
    })
}
