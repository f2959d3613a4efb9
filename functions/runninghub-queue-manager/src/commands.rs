//! The operations that change jobs: cancel, submit, reconcile. The database decides what the
//! verified caller may change.

use serde::{Deserialize, Serialize};
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::provider::runninghub::NAME;
use shared::core::reply::Success;
use shared::db::job::SessionCancelTime;
use shared::edge::Call;
use shared::flow::finalise;
use shared::flow::heal::reconcile as settle_now;
use shared::flow::invocation::Invocation;
use shared::flow::order::input::session_id;
use shared::flow::submit::round::{SubmitOutcome, SubmittedStep, submit_waiting};
use shared::flow::submit::wake;

/// The largest number of jobs that one call may name.
const IDS_MAX: usize = 100;

/// The grace period of a page that is left, if it names none.
const GRACE_SECONDS: u32 = 30;
const GRACE_SECONDS_MAX: u32 = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobInTable {
    table: String,
    job_id: JobId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobCancelled {
    success: Success,
    status: &'static str,
    refunded_credits: i64,
}

pub(crate) async fn cancel(call: &Call, named: JobInTable) -> Result<JobCancelled, ApiError> {
    let JobInTable { table, job_id } = named;
    call.log_job(job_id);
    let cancelled = finalise::cancel_by_user(&call.cx(), call.user()?, &table, job_id).await?;
    let provider = cancelled.provider;
    call.background(async move |cx| wake::after_cancel(&cx, &provider, Some(job_id)).await);
    Ok(JobCancelled {
        success: Success,
        status: "cancelled",
        refunded_credits: cancelled.refunded_credits,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionJobs {
    session_id: String,
    job_ids: Option<Vec<JobId>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionCancelled {
    success: Success,
    cancelled_count: usize,
    refunded_credits: i64,
    cancelled_jobs: Vec<TableJob>,
}

#[derive(Serialize)]
struct TableJob {
    table: String,
    id: JobId,
}

pub(crate) async fn cancel_session(
    call: &Call,
    named: SessionJobs,
) -> Result<SessionCancelled, ApiError> {
    let session = checked(named.session_id)?;
    let jobs = named.job_ids.unwrap_or_default();
    if jobs.len() > IDS_MAX {
        return Err(ApiError::bad_field("jobIds", &format!("must name at most {IDS_MAX} jobs")));
    }
    let cancelled = finalise::cancel_session(&call.cx(), call.user()?, &session, &jobs).await?;
    if !cancelled.is_empty() {
        call.background(async |cx| wake::after_cancel(&cx, NAME, None).await);
    }
    Ok(SessionCancelled {
        success: Success,
        cancelled_count: cancelled.len(),
        refunded_credits: cancelled.iter().map(|job| job.refunded_credits).sum(),
        cancelled_jobs: cancelled
            .into_iter()
            .map(|job| TableJob { table: job.table_name, id: job.job_id })
            .collect(),
    })
}

fn checked(session: String) -> Result<String, ApiError> {
    if session.trim().is_empty() {
        return Err(ApiError::bad_field("sessionId", "is empty"));
    }
    session_id("sessionId", Some(&session))?;
    Ok(session)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeavingSession {
    session_id: String,
    grace_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StayingSession {
    session_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionKept {
    success: Success,
    cancel_at: String,
}

pub(crate) async fn leave_session(
    call: &Call,
    named: LeavingSession,
) -> Result<SessionKept, ApiError> {
    let session = checked(named.session_id)?;
    let grace = named.grace_seconds.unwrap_or(GRACE_SECONDS);
    if grace > GRACE_SECONDS_MAX {
        let bound = format!("must be from 0 to {GRACE_SECONDS_MAX}");
        return Err(ApiError::bad_field("graceSeconds", &bound));
    }
    let user = call.user()?;
    let SessionCancelTime { cancel_at } =
        call.cx().db().session_leave_v1(user, &session, grace).await?;
    Ok(SessionKept { success: Success, cancel_at })
}

pub(crate) async fn stay(call: &Call, named: StayingSession) -> Result<SessionKept, ApiError> {
    let session = checked(named.session_id)?;
    let user = call.user()?;
    let SessionCancelTime { cancel_at } = call.cx().db().session_stay_v1(user, &session).await?;
    Ok(SessionKept { success: Success, cancel_at })
}

#[derive(Serialize)]
pub(crate) struct ProcessedNext {
    processed: usize,
    started: Vec<StartedJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartedJob {
    table: String,
    job_id: JobId,
    task_id: String,
}

pub(crate) async fn process_next(call: &Call, _: NoInput) -> Result<ProcessedNext, ApiError> {
    let cx = call.cx();
    let dispatched = submit_waiting(&cx, NAME).await?;
    let reason = match dispatched.is_empty() {
        true => Some(why_nothing_started(call).await?),
        false => None,
    };
    let processed = dispatched.len();
    let mut started = Vec::new();
    for step in dispatched {
        if let SubmittedStep { attempt, outcome: SubmitOutcome::Started { task_id, .. }, .. } = step
        {
            let table = cx.db().job_get_v1(None, None, None, attempt.job).await?.table_name;
            started.push(StartedJob { table, job_id: attempt.job, task_id });
        }
    }
    Ok(ProcessedNext { processed, started, reason })
}

async fn why_nothing_started(call: &Call) -> Result<&'static str, ApiError> {
    let queue = call.cx().db().queue_check_v1(NAME).await?;
    Ok(match () {
        () if !queue.enabled => "provider_disabled",
        () if queue.total_queued == 0 => "queue_empty",
        () if queue.slots_available <= 0 => "no_free_slot",
        () => "waiting_for_retry_time",
    })
}

#[derive(Serialize)]
pub(crate) struct Reconciled {
    resolved: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

pub(crate) async fn reconcile(call: &Call, named: JobInTable) -> Result<Reconciled, ApiError> {
    let JobInTable { table, job_id } = named;
    call.log_job(job_id);
    let found = settle_now::reconcile(&call.cx(), &table, job_id).await?;
    Ok(Reconciled {
        resolved: found.resolved,
        status: found.status.runninghub_word(),
        reason: found.reason,
    })
}
