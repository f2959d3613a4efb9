//! `create-generation-job-banana`: orders a set of product cards as one paid job; GET shows its owner
//! how far it is.
//!
//! This crate holds the tool's input and its prompts. `process-generation-tasks-banana` makes the
//! cards: a hint wakes it, and where the hint is lost its cron finds them.

mod cards;
mod input;

use input::{CardsBody, CardsInput};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::job::State;
use shared::core::provider::gemini;
use shared::core::reply::{Reply, Success};
use shared::core::transport::Transport;
use shared::db::job::{JobRow, TaskView};
use shared::edge::Call;
use shared::flow::invocation::Invocation;
use shared::flow::order::enqueue;
use shared::flow::submit::wake;

const NAME: &str = "create-generation-job-banana";

shared::function! {
    name: "create-generation-job-banana",
    requires: &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"],
    ops: {
        GET "" for User as Read => status,
        POST "" for User as Order => create,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardsAccepted {
    success: Success,
    job_id: JobId,
    total_cards: usize,
    credits_charged: i64,
    credits_refunded: i64,
    balance: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

async fn create(call: Call, body: CardsBody) -> Result<Reply, ApiError> {
    let input = CardsInput::check(&body)?;
    let cx = call.cx();
    let random = cx.transport.random();
    let job = enqueue::job_id("jobId", body.job_id, call.idempotency_key(), random)?;
    call.log_job(job);
    let mut order = enqueue::order(call.user()?, job, NAME, body.session_id.as_deref(), &input)?;
    let images =
        input.product_images.iter().map(|image| ("productImages".to_owned(), image.url.as_str()));
    let urls = enqueue::files(&cx, &order, &images.collect::<Vec<_>>()).await?;
    order.steps = cards::steps(&input, &urls);
    let view = enqueue::enqueue(&cx, &order).await?;
    let ended = view.status.is_final();
    if !ended {
        call.background(async |cx| wake::send(&cx, gemini::NAME, 0).await);
    }
    let accepted = CardsAccepted {
        success: Success,
        job_id: view.job_id,
        total_cards: input.selected_cards.len(),
        credits_charged: view.credits_charged,
        credits_refunded: view.credits_refunded,
        balance: view.balance,
        status: view.status.processing_word(),
        replayed: view.replayed,
    };
    Reply::with_status(if ended { 200 } else { 202 }, accepted)
}

/// Names the set of cards that is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedCards {
    job_id: JobId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardsStatus {
    job_id: JobId,
    status: &'static str,
    total_cards: i32,
    completed_cards: usize,
    tasks: Vec<CardStatus>,
    credits_charged: i64,
    credits_refunded: i64,
    error_message: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardStatus {
    card_index: Option<Value>,
    status: &'static str,
    image_url: Option<String>,
    last_error: Option<String>,
}

async fn status(call: Call, named: NamedCards) -> Result<CardsStatus, ApiError> {
    call.log_job(named.job_id);
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(NAME), named.job_id).await?;
    Ok(CardsStatus::of(row))
}

impl CardsStatus {
    fn of(row: JobRow) -> Self {
        let cards = row.tasks.unwrap_or_default();
        Self {
            job_id: row.view.job_id,
            status: row.view.status.processing_word(),
            total_cards: row.total_steps,
            completed_cards: cards.iter().filter(|card| card.status == State::Completed).count(),
            tasks: cards.into_iter().map(CardStatus::of).collect(),
            credits_charged: row.view.credits_charged,
            credits_refunded: row.view.credits_refunded,
            error_message: row.view.error_message,
        }
    }
}

impl CardStatus {
    fn of(card: TaskView) -> Self {
        Self {
            card_index: card.card,
            status: if card.retrying { "retrying" } else { card.status.processing_word() },
            image_url: card.output_url,
            last_error: card.error_message,
        }
    }
}
