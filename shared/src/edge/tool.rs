//! The two operations every RunningHub tool has. A tool adds its input and its provider mapping.
//!
//! Order of `/run`: everything that can be refused without a charge comes first; the debit, job
//! and steps are one transaction; handing over to the provider outlives a closed page.

use futures_channel::oneshot;
use serde::Serialize;
use serde_json::Value;

use crate::auth::Policy;
use crate::db::job::{Enqueue, JobView};
use crate::edge::call::{Call, Reply};
use crate::edge::spec::Op;
use crate::error::ApiError;
use crate::flow::{Cx, answer, input, start};
use crate::id::JobId;
use crate::job::State;
use crate::provider::runninghub;
use crate::transport::Transport;

/// The operations, for a tool's `Spec`.
pub const OPS: &[Op] =
    &[Op::new("run", &["POST"], Policy::User).charging(), Op::new("queue-status", &["GET", "POST"], Policy::User)];

/// What no call of a tool can work without.
pub const REQUIRES: &[&str] = &[
    "SUPABASE_URL",
    "SUPABASE_SERVICE_ROLE_KEY",
    "FUNCTIONS_URL",
    "WEBHOOK_SECRET",
    "RUNNINGHUB_BASE_URL",
    "RUNNINGHUB_API_KEY",
    "RUNNINGHUB_APPS",
];

/// A checked order of one tool.
pub struct Order<'a, I> {
    pub tool: &'static str,
    pub job_id: Option<&'a str>,
    pub session_id: Option<&'a str>,
    /// What makes two requests the same; also kept on the job.
    pub input: &'a I,
    /// `(field, URL)` of every file the provider will open.
    pub files: &'a [(&'static str, &'a str)],
}

/// Charges, enqueues, hands over. `step` builds the provider request from the files' checked URLs.
pub async fn run<I: Serialize>(
    call: &Call,
    order: Order<'_, I>,
    step: impl FnOnce(&[String]) -> Result<Value, ApiError>,
) -> Result<Reply, ApiError> {
    let cx = call.cx();
    let user = call.user()?;
    let job = start::job_id("jobId", order.job_id, call.idempotency_key.as_deref(), cx.transport.random())?;
    call.log_job(job);
    let mut enqueue = Enqueue {
        p_user_id: user,
        p_job_id: job,
        p_tool: order.tool,
        p_session_id: order.session_id.map(str::to_owned),
        p_input: serde_json::to_value(order.input).map_err(|error| ApiError::internal(error.to_string()))?,
        p_request_hash: start::request_hash(order.tool, order.input)?,
        p_steps: Vec::new(),
    };
    let urls = match files(&cx, &order, call).await {
        Ok(urls) => urls,
        // A replay is a replay, also when its input is long gone.
        Err(_) if start::was_taken(&cx, &enqueue).await => {
            order.files.iter().map(|(_, url)| (*url).to_owned()).collect()
        }
        Err(error) => return Err(error),
    };
    enqueue.p_steps.push(step(&urls)?);
    let view = start::enqueue(&cx, &enqueue).await?;
    let view = if view.status == State::Queued { hand_over(call, &enqueue, view).await } else { view };
    Reply::ok(answer::run(&view)?)
}

async fn files<T: Transport, I>(cx: &Cx<'_, T>, order: &Order<'_, I>, call: &Call) -> Result<Vec<String>, ApiError> {
    let mut urls = Vec::with_capacity(order.files.len());
    for (field, url) in order.files {
        urls.push(input::check(cx, field, url, call.user()?).await?);
    }
    Ok(urls)
}

/// Hands over in work that a closed page does not cut off, and waits for what became of this job.
async fn hand_over(call: &Call, enqueue: &Enqueue, view: JobView) -> JobView {
    let (tell, told) = oneshot::channel();
    let owned = call.cx.clone();
    let job = enqueue.p_job_id;
    call.background(async move { start::dispatch_for(&owned.cx(), runninghub::NAME, job, tell).await });
    let outcome = told.await.ok().flatten();
    start::after_dispatch(&call.cx(), enqueue, view, outcome).await
}

/// The owner's view of one job of this tool.
pub async fn queue_status(call: &Call, tool: &'static str) -> Result<Reply, ApiError> {
    let job = job_param(call)?;
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(tool), job).await?;
    Reply::ok(answer::status(&row.view))
}

/// The job that a request names in its body or query.
pub fn job_param(call: &Call) -> Result<JobId, ApiError> {
    let value = call.param("jobId").ok_or_else(|| ApiError::bad_field("jobId", "is missing"))?;
    let job = value.as_str().and_then(JobId::parse).ok_or_else(|| ApiError::bad_field("jobId", "is not a UUID"))?;
    call.log_job(job);
    Ok(job)
}
