//! What changes jobs: cancel, move on, repair. The database decides what the verified caller may.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::provider::runninghub::NAME;
use shared::edge::{Call, Reply};
use shared::flow::finalise;
use shared::flow::heal::reconcile as repair;
use shared::flow::order::input::at_most;
use shared::flow::submit::round::{Dispatched, Outcome, dispatch};
use shared::flow::submit::wake;

/// How many jobs one call may name.
const IDS_MAX: usize = 100;
/// No order has a session of a longer name.
const SESSION_CHARS_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    table: String,
    job_id: String,
}

impl Named {
    fn of(call: &Call) -> Result<(String, JobId), ApiError> {
        let named: Named = call.json()?;
        let job = uuid("jobId", &named.job_id)?;
        call.log_job(job);
        Ok((named.table, job))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    session_id: String,
    job_ids: Option<Vec<String>>,
}

pub(crate) async fn cancel(call: &Call) -> Result<Reply, ApiError> {
    let (table, job) = Named::of(call)?;
    let cancelled = finalise::cancel_by_user(&call.cx(), call.user()?, &table, job).await?;
    follow_up(call, cancelled.provider, Some(job));
    Reply::ok(
        json!({"success": true, "status": "cancelled", "refundedCredits": cancelled.refunded_credits}),
    )
}

pub(crate) async fn cancel_session(call: &Call) -> Result<Reply, ApiError> {
    let session: Session = call.json()?;
    if session.session_id.trim().is_empty() {
        return Err(ApiError::bad_field("sessionId", "is empty"));
    }
    let named = session.job_ids.unwrap_or_default();
    if named.len() > IDS_MAX {
        return Err(ApiError::bad_field("jobIds", &format!("must name at most {IDS_MAX} jobs")));
    }
    at_most("sessionId", Some(&session.session_id), SESSION_CHARS_MAX)?;
    let jobs: Vec<JobId> = named.iter().map(|id| uuid("jobIds", id)).collect::<Result<_, _>>()?;
    let cancelled =
        finalise::cancel_session(&call.cx(), call.user()?, &session.session_id, &jobs).await?;
    let refunded: i64 = cancelled.iter().map(|job| job.refunded_credits).sum();
    let list: Vec<Value> =
        cancelled.iter().map(|job| json!({"table": job.table_name, "id": job.job_id})).collect();
    if !list.is_empty() {
        follow_up(call, NAME.to_owned(), None);
    }
    Reply::ok(json!({
        "success": true,
        "cancelledCount": list.len(),
        "refundedCredits": refunded,
        "cancelledJobs": list,
    }))
}

/// Tells the provider what is over, and lets in what may start, after the answer.
fn follow_up(call: &Call, provider: String, job: Option<JobId>) {
    let owned = call.cx.clone();
    call.background(async move { wake::follow_up(&owned.cx(), &provider, job).await });
}

pub(crate) async fn process_next(call: &Call) -> Result<Reply, ApiError> {
    let cx = call.cx();
    let dispatched = dispatch(&cx, NAME, |_| {}).await?;
    let mut started = Vec::new();
    for step in &dispatched {
        if let Dispatched { attempt, outcome: Outcome::Started { task_id, .. }, .. } = step {
            let table = cx.db().job_get_v1(None, None, attempt.job).await?.table_name;
            started.push(json!({"table": table, "jobId": attempt.job, "taskId": task_id}));
        }
    }
    if dispatched.is_empty() {
        return Reply::ok(
            json!({"processed": 0, "started": started, "reason": nothing_started(call).await?}),
        );
    }
    Reply::ok(json!({"processed": dispatched.len(), "started": started}))
}

async fn nothing_started(call: &Call) -> Result<&'static str, ApiError> {
    let queue = call.cx().db().queue_check_v1(NAME).await?;
    Ok(match () {
        () if !queue.enabled => "provider_disabled",
        () if queue.total_queued == 0 => "queue_empty",
        () if queue.slots_available <= 0 => "no_free_slot",
        () => "waiting_for_retry_time",
    })
}

pub(crate) async fn reconcile(call: &Call) -> Result<Reply, ApiError> {
    let (table, job) = Named::of(call)?;
    let found = repair::reconcile(&call.cx(), &table, job).await?;
    let status = found.status.runninghub_word();
    Reply::ok(match found.reason {
        Some(reason) => json!({"resolved": found.resolved, "status": status, "reason": reason}),
        None => json!({"resolved": found.resolved, "status": status}),
    })
}

fn uuid(field: &str, text: &str) -> Result<JobId, ApiError> {
    JobId::parse(text).ok_or_else(|| ApiError::bad_field(field, "is not a UUID"))
}
