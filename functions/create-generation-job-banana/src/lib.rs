//! `create-generation-job-banana`: orders a set of product cards as one paid job; a GET shows its
//! progress to its owner.
//!
//! This crate holds the tool's input and its prompts. `process-generation-tasks-banana` makes the
//! cards: a hint wakes it, and its cron finds the cards whose hint was lost.

mod cards;
mod input;
mod reply;

use input::{CardsBody, CardsInput};
use reply::{CardsAccepted, CardsStatus};
use serde::Deserialize;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::provider::gemini;
use shared::core::reply::Reply;
use shared::core::transport::Transport;
use shared::edge::Call;
use shared::flow::invocation::Invocation;
use shared::flow::order::enqueue;
use shared::flow::order::quote::{self, QuoteBody, QuoteReply};
use shared::flow::submit::wake;

const NAME: &str = "create-generation-job-banana";

shared::function! {
    name: "create-generation-job-banana",
    ops: {
        GET "" for User as Read => status,
        POST "" for UserOrBehalf as Order => create,
    },
    quote: quote,
    order: create,
}

async fn create(call: &Call, body: CardsBody) -> Result<Reply, ApiError> {
    let cx = call.cx();
    let input = CardsInput::check(&body, cx.config.gemini_model()?)?;
    let random = cx.transport.random();
    let job = enqueue::job_id("jobId", body.job_id, call.idempotency_key(), random)?;
    call.log_job(job);
    let mut order = enqueue::order(call.user()?, job, NAME, body.session_id.as_deref(), &input)?;
    let files = input.files();
    if files.is_empty() {
        return Err(ApiError::bad_field("productImages", "must name 1 to 5 pictures"));
    }
    let urls = enqueue::files(&cx, &order, &files).await?;
    order.steps = cards::steps(&input, &urls);
    let view = enqueue::enqueue_measured(&cx, &order, body.max_credits, &files).await?.view;
    let ended = view.status.is_final();
    if !ended {
        call.background(async |cx| wake::send_hint(&cx, gemini::NAME, 0).await);
    }
    let accepted = CardsAccepted::of(&view, input.selected_cards.len());
    Reply::with_status(if ended { 200 } else { 202 }, accepted)
}

async fn quote(call: &Call, body: QuoteBody) -> Result<QuoteReply, ApiError> {
    let mut order: CardsBody = body.input()?;
    // A page may ask for the price before the user has chosen a picture.
    order.product_images = order.product_images.filter(|images| !images.is_empty());
    let input = CardsInput::check(&order, call.cx().config.gemini_model()?)?;
    quote::quote(call, NAME, &input, input.selected_cards.len(), (&*input.files()).into()).await
}

/// The input of a GET: the job to show.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedCards {
    job_id: JobId,
}

async fn status(call: &Call, named: NamedCards) -> Result<CardsStatus, ApiError> {
    call.log_job(named.job_id);
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(NAME), None, named.job_id).await?;
    Ok(CardsStatus::of(row))
}

#[cfg(test)]
#[path = "../../../shared/src/testing/wrong_types.rs"]
mod wrong_types;
