//! The two operations of every RunningHub tool. A tool adds its [`ToolInput`]: its fields, their
//! limits, and the nodes of the provider's app that take them.
//!
//! `run` refuses a bad order before it charges. One transaction charges the user and makes the job
//! and its step. The step is submitted even if the client closes the page.

pub mod reply;

use futures_channel::oneshot;
use serde::Deserialize;
use serde_json::Value;

use crate::core::body;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::provider::runninghub;
use crate::core::provider::runninghub::apps::{self, Field, ToolInput};
use crate::core::transport::Transport;
use crate::db::job::{Enqueue, EnqueuedJob, JobView};
use crate::flow::invocation::Invocation;
use crate::flow::order::quote::{self, QuoteBody, QuoteReply, QuotedFiles};
use crate::flow::order::{enqueue, input};
use crate::flow::submit::round;
use reply::{RunReply, RunningHubStatus};

/// The fields of every order, in addition to its input.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderNames {
    job_id: Option<JobId>,
    session_id: Option<String>,
    max_credits: Option<u64>,
}

/// The input of `queue-status`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedJob {
    pub job_id: JobId,
}

/// Charges the user, enqueues the job and submits its step. The body holds the fields of `I` and
/// those of [`OrderNames`]. Answers an error, without a charge, if the input is not valid.
pub async fn run<I: ToolInput>(
    call: &impl Invocation,
    fields: Value,
) -> Result<RunReply, ApiError> {
    let names: OrderNames = body::typed(&fields)?;
    input::session_id("sessionId", names.session_id.as_deref())?;
    let ordered = body::typed::<I>(&fields)?.checked()?;
    let cx = call.cx();
    let apps = cx.config.runninghub_apps()?;
    let user = call.user()?;
    let random = cx.transport.random();
    let job = enqueue::job_id("jobId", names.job_id, call.idempotency_key(), random)?;
    call.log_job(job);
    let mut order = enqueue::order(user, job, I::TOOL, names.session_id.as_deref(), &ordered)?;
    let mut fields = ordered.fields();
    let urls = enqueue::files(&cx, &order, &files(&fields)).await?;
    for (field, url) in fields.iter_mut().filter(|field| field.is_file).zip(urls) {
        field.value = url;
    }
    let step = apps::stored_request(apps, I::TOOL, ordered.variant(), &fields, I::RESULT);
    order.steps.push(step.ok_or_else(|| ApiError::misconfigured("RUNNINGHUB_APPS"))?);
    order.claim = round::can_submit(&cx, runninghub::NAME);
    let files = files(&fields);
    let job = enqueue::enqueue_measured(&cx, &order, names.max_credits, &files).await?;
    let view = if job.is_to_submit() { submit(call, &order, job).await } else { job.view };
    RunReply::of(&view)
}

/// Prices an order of `I` before it is made.
pub async fn quote<I: ToolInput>(
    call: &impl Invocation,
    body: QuoteBody,
) -> Result<QuoteReply, ApiError> {
    let ordered = body.input::<I>()?.checked()?;
    let fields = ordered.fields();
    let files = QuotedFiles { urls: &files(&fields), by_page: ordered.measured_by_page() };
    quote::quote(call, I::TOOL, &ordered, 1, files).await
}

/// The files of a request, as `(field, URL)`.
fn files(fields: &[Field]) -> Vec<(String, &str)> {
    let files = fields.iter().filter(|field| field.is_file);
    files.map(|field| (field.name.to_owned(), field.value.as_str())).collect()
}

/// Submits the job's claimed step, or else waiting steps, in background work that goes on if the
/// page is closed. Waits until the outcome of this job is recorded.
async fn submit(call: &impl Invocation, order: &Enqueue, enqueued: EnqueuedJob) -> JobView {
    let EnqueuedJob { view, claimed, .. } = enqueued;
    let (outcome_tx, outcome_rx) = oneshot::channel();
    let job = order.job;
    call.background(async move |cx| {
        enqueue::submit_and_report(&cx, runninghub::NAME, job, claimed, outcome_tx).await;
    });
    let outcome = outcome_rx.await.ok().flatten();
    enqueue::after_submit(&call.cx(), order, view, outcome).await
}

/// Shows one job of `tool` to its owner. Answers 404 for the jobs of others.
pub async fn queue_status(
    call: &impl Invocation,
    named: NamedJob,
    tool: &'static str,
) -> Result<RunningHubStatus, ApiError> {
    call.log_job(named.job_id);
    let user = Some(call.user()?);
    let row = call.cx().db().job_get_v1(user, Some(tool), None, named.job_id).await?;
    Ok(RunningHubStatus::of(&row.view))
}
