//! The two operations every RunningHub tool has. A tool adds its [`Input`]: its fields, limits and nodes.
//!
//! Order of `/run`: everything that can be refused without a charge comes first; the debit, job
//! and steps are one transaction; handing over to the provider outlives a closed page.

use futures_channel::oneshot;
use serde::Deserialize;

use crate::app::runninghub_reply as answer;
use crate::core::auth::Policy;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::job::State;
use crate::core::provider::runninghub;
use crate::core::provider::runninghub::apps::{self, Input};
use crate::core::transport::Transport;
use crate::db::job::{Enqueue, JobView};
use crate::edge::{BODY_BYTES_MAX, Op, Spec};
use crate::edge::{Call, Reply};
use crate::flow::order::{enqueue as start, input};

const OPS: &[Op] = &[
    Op::new("run", &["POST"], Policy::User).charging(),
    Op::new("queue-status", &["GET", "POST"], Policy::User).reading(),
];

/// What no call of a tool can work without.
const REQUIRES: &[&str] = &[
    "SUPABASE_URL",
    "SUPABASE_SERVICE_ROLE_KEY",
    "FUNCTIONS_URL",
    "WEBHOOK_SECRET",
    "RUNNINGHUB_BASE_URL",
    "RUNNINGHUB_API_KEY",
    "RUNNINGHUB_APPS",
];

/// What a tool's own `Spec` would say.
pub const fn spec(tool: &'static str) -> Spec {
    Spec { name: tool, ops: OPS, body_bytes_max: BODY_BYTES_MAX, requires: REQUIRES }
}

/// What every order may say beside its input.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    job_id: Option<String>,
    session_id: Option<String>,
}

const SESSION_CHARS_MAX: usize = 200;

/// Does what a request to a tool asks for.
pub async fn handle<I: Input>(call: Call) -> Result<Reply, ApiError> {
    match call.op {
        "run" => run::<I>(&call).await,
        _ => queue_status(&call, I::TOOL).await,
    }
}

/// Charges, enqueues, hands over.
async fn run<I: Input>(call: &Call) -> Result<Reply, ApiError> {
    let named: Named = call.json()?;
    input::at_most("sessionId", named.session_id.as_deref(), SESSION_CHARS_MAX)?;
    let order = call.json::<I>()?.checked()?;
    let cx = call.cx();
    let apps = cx.config.runninghub_apps()?;
    let user = call.user()?;
    let job = start::job_id(
        "jobId",
        named.job_id.as_deref(),
        call.idempotency_key.as_deref(),
        cx.transport.random(),
    )?;
    call.log_job(job);
    let mut enqueue = start::order(user, job, I::TOOL, named.session_id.as_deref(), &order)?;
    let mut fields = order.fields();
    let files: Vec<(String, &str)> = fields
        .iter()
        .filter(|field| field.is_file)
        .map(|field| (field.name.to_owned(), field.value.as_str()))
        .collect();
    let urls = start::files(&cx, &enqueue, &files).await?;
    for (field, url) in fields.iter_mut().filter(|field| field.is_file).zip(urls) {
        field.value = url;
    }
    let step = apps::stored_request(apps, I::TOOL, order.variant(), &fields);
    enqueue.steps.push(step.ok_or_else(|| ApiError::misconfigured("RUNNINGHUB_APPS"))?);
    let view = start::enqueue(&cx, &enqueue).await?;
    let view =
        if view.status == State::Queued { hand_over(call, &enqueue, view).await } else { view };
    Reply::ok(answer::run(&view)?)
}

/// Hands over in work that a closed page does not cut off, and waits for what became of this job.
async fn hand_over(call: &Call, enqueue: &Enqueue, view: JobView) -> JobView {
    let (tell, told) = oneshot::channel();
    let owned = call.cx.clone();
    let job = enqueue.job;
    call.background(
        async move { start::dispatch_for(&owned.cx(), runninghub::NAME, job, tell).await },
    );
    let outcome = told.await.ok().flatten();
    start::after_dispatch(&call.cx(), enqueue, view, outcome).await
}

/// The owner's view of one job of this tool.
async fn queue_status(call: &Call, tool: &'static str) -> Result<Reply, ApiError> {
    let job = job_param(call)?;
    let row = call.cx().db().job_get_v1(Some(call.user()?), Some(tool), job).await?;
    Reply::ok(answer::status(&row.view))
}

/// The job that a request names in its body or query.
pub fn job_param(call: &Call) -> Result<JobId, ApiError> {
    let value = call.param("jobId").ok_or_else(|| ApiError::bad_field("jobId", "is missing"))?;
    let job = value
        .as_str()
        .and_then(JobId::parse)
        .ok_or_else(|| ApiError::bad_field("jobId", "is not a UUID"))?;
    call.log_job(job);
    Ok(job)
}
