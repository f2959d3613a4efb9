//! `replicate-async-start`: orders a try-on of one to five garments. Each step puts one garment on
//! the picture that the step before made. The function charges and enqueues the steps, answers, and
//! then submits the first step. It does not wait for the result.

mod input;

use input::{TryOnBody, TryOnInput};
use serde::Serialize;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::provider::replicate;
use shared::core::transport::Transport;
use shared::db::job::{EnqueuedJob, JobView};
use shared::edge::Call;
use shared::flow::invocation::Invocation;
use shared::flow::order::enqueue;
use shared::flow::order::quote::{self, QuoteBody, QuoteReply};
use shared::flow::submit::round;

const NAME: &str = "replicate-async-start";
/// The usual time of a step, including the delivery of its result.
const STEP_SECONDS: usize = 30;

shared::function! {
    name: "replicate-async-start",
    ops: {
        POST "" for UserOrBehalf as Order => order,
    },
    quote: quote,
    order: order,
}

#[derive(Serialize)]
struct TryOnAccepted {
    task_id: JobId,
    status: &'static str,
    total_steps: usize,
    estimated_time_seconds: usize,
    credits_charged: i64,
    balance: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

async fn order(call: &Call, body: TryOnBody) -> Result<TryOnAccepted, ApiError> {
    let input = TryOnInput::check(&body)?;
    let cx = call.cx();
    let random = cx.transport.random();
    let job = enqueue::job_id("job_id", body.job_id, call.idempotency_key(), random)?;
    call.log_job(job);
    let mut order = enqueue::order(call.user()?, job, NAME, body.session_id.as_deref(), &input)?;
    let files = input.files();
    let urls = enqueue::files(&cx, &order, &files).await?;
    order.steps = input.provider_requests(cx.config.replicate_versions.as_ref(), &urls)?;
    order.claim = round::can_submit(&cx, replicate::NAME);
    let enqueued = enqueue::enqueue_measured(&cx, &order, body.max_credits, &files).await?;
    let is_to_submit = enqueued.is_to_submit();
    let EnqueuedJob { view, claimed, .. } = enqueued;
    if is_to_submit {
        call.background(async move |cx| {
            round::submit_waiting_logged(&cx, replicate::NAME, claimed, &|_| {}).await
        });
    }
    Ok(TryOnAccepted::of(&view, order.steps.len()))
}

async fn quote(call: &Call, body: QuoteBody) -> Result<QuoteReply, ApiError> {
    let input = TryOnInput::check(&body.input()?)?;
    quote::quote(call, NAME, &input, input.steps(), (&*input.files()).into()).await
}

impl TryOnAccepted {
    fn of(view: &JobView, steps: usize) -> Self {
        let wait = usize::try_from(view.eta_seconds.unwrap_or(0)).unwrap_or(0);
        let ended = view.status.is_final();
        Self {
            task_id: view.job_id,
            status: view.status.processing_word(),
            total_steps: steps,
            estimated_time_seconds: if ended { 0 } else { wait + steps * STEP_SECONDS },
            credits_charged: view.credits_charged,
            balance: view.balance,
            replayed: view.replayed,
        }
    }
}

#[cfg(test)]
#[path = "../../../shared/src/testing/wrong_types.rs"]
mod wrong_types;
