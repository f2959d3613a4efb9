//! Turns a checked request into a paid, queued job.
//!
//! The database decides everything in one transaction. This module only repeats that call: once
//! after a lost answer (with the same job id, so nothing is charged twice), and once after healing.

use super::{input, measure};
use crate::core::digest::sha256_hex;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::transport::{Streams, Transport};
use crate::db::job::{Enqueue, EnqueuedJob, JobView, OrderTerms};
use crate::db::step::ClaimedStep;
use crate::flow::join::join_all;
use crate::flow::retry::once_if_lost;
use crate::flow::submit::round::{self, Progress, SubmitOutcome};
use crate::flow::{Cx, finalise};
use futures_channel::oneshot::Sender;
use serde::Serialize;
use std::cell::Cell;

/// The first and the longest pause between two reads; three seconds in all.
const READ_PAUSE_MS: u32 = 100;
const READ_PAUSE_MS_MAX: u32 = 1_600;

/// Debits and enqueues. If the price depends on the seconds or megapixels of `files`
/// (`(field, URL)`), measures them first, which costs one more call to the database and a few calls
/// to the storage.
pub async fn enqueue_measured<T: Streams>(
    cx: &Cx<'_, T>,
    order: &Enqueue,
    max_credits: Option<u64>,
    files: &[(String, &str)],
) -> Result<EnqueuedJob, ApiError> {
    let mut terms = OrderTerms { can_measure: true, ..terms(max_credits) };
    let enqueued = enqueue(cx, order, &terms).await?;
    let Some(unit) = enqueued.unmeasured else { return Ok(enqueued) };
    terms.can_measure = false;
    terms.measured = Some(measure::files(cx, unit, files, order.user).await?);
    enqueue(cx, order, &terms).await
}

/// The terms of an order without files.
pub fn terms(max_credits: Option<u64>) -> OrderTerms {
    let max_credits = max_credits.map(|credits| i64::try_from(credits).unwrap_or(i64::MAX));
    OrderTerms { max_credits, ..OrderTerms::default() }
}

/// Debits and enqueues. If the user's own stale jobs may have caused a refusal, heals them and
/// retries once.
pub async fn enqueue<T: Transport>(
    cx: &Cx<'_, T>,
    order: &Enqueue,
    terms: &OrderTerms,
) -> Result<EnqueuedJob, ApiError> {
    let OrderTerms { max_credits, measured, can_measure } = *terms;
    let enqueue = async || {
        once_if_lost(async || {
            cx.db().job_enqueue_v2(order, max_credits, measured, can_measure).await
        })
        .await
    };
    match enqueue().await {
        Err(refused)
            if refused.is(ErrorCode::InsufficientCredits)
                || refused.is(ErrorCode::ActiveJobExists) =>
        {
            finalise::heal(cx, order.user).await?;
            Ok(enqueue().await?)
        }
        other => Ok(other?),
    }
}

/// The hash of tool and input, without id and session: two requests are the same if it is equal.
/// The input is a struct, so its fields always have the same order.
pub fn request_hash(tool: &str, input: &impl Serialize) -> Result<String, ApiError> {
    let text = serde_json::to_string(&(tool, input))
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(sha256_hex(text.as_bytes()))
}

/// Makes the order for the database; the caller adds its steps.
pub fn order(
    user: UserId,
    job: JobId,
    tool: &'static str,
    session: Option<&str>,
    input: &impl Serialize,
) -> Result<Enqueue, ApiError> {
    Ok(Enqueue {
        user,
        job,
        tool,
        session: session.map(str::to_owned),
        input: serde_json::to_value(input)
            .map_err(|error| ApiError::internal(error.to_string()))?,
        request_hash: request_hash(tool, input)?,
        steps: Vec::new(),
        claim: false,
    })
}

/// Checks an order's files (`(field, URL)`) and returns their URLs for the provider. A replay stays
/// a replay when its files no longer exist.
pub async fn files<T: Transport>(
    cx: &Cx<'_, T>,
    order: &Enqueue,
    files: &[(String, &str)],
) -> Result<Vec<String>, ApiError> {
    let checked =
        files.iter().map(async |(field, url)| input::check(cx, field, url, order.user).await);
    match join_all(checked).await.into_iter().collect() {
        Err(_) if was_taken(cx, order).await => {
            Ok(files.iter().map(|(_, url)| (*url).to_owned()).collect())
        }
        urls => urls,
    }
}

/// The id of a request: the client's, from the body or the header, else a new one. `field` is its
/// name in the body.
pub fn job_id(
    field: &str,
    body: Option<JobId>,
    header: Option<&str>,
    random: u128,
) -> Result<JobId, ApiError> {
    let header = header
        .map(|text| {
            let bad = || ApiError::bad_field("Idempotency-Key", "is not a UUID");
            JobId::parse(text).ok_or_else(bad)
        })
        .transpose()?;
    match (body, header) {
        (Some(body), Some(header)) if body != header => {
            Err(ApiError::bad_field(field, "differs from the Idempotency-Key header"))
        }
        (body, header) => Ok(body.or(header).unwrap_or_else(|| JobId::from_random(random))),
    }
}

/// Whether an earlier request with this id was enqueued. Then this one is its replay or conflicts
/// with it, even if its files no longer exist.
pub async fn was_taken<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue) -> bool {
    match cx.db().job_get_v1(Some(order.user), Some(order.tool), None, order.job).await {
        // Such a row of an older client was never paid; this request adopts it.
        Ok(job) => {
            job.view.status != State::Pending && job.view.error_code.as_deref() != Some("ORPHANED")
        }
        Err(_) => false,
    }
}

/// Submits the claimed step, or else waiting steps. Sends the outcome of `job` as soon as it is
/// recorded, so that the answer does not wait for the other steps. `None`: this round does not
/// submit the job.
pub async fn submit_and_report<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    job: JobId,
    claimed: Option<ClaimedStep>,
    outcome_tx: Sender<Option<SubmitOutcome>>,
) {
    let outcome_tx = Cell::new(Some(outcome_tx));
    let report = |progress: Progress<'_>| {
        let outcome = match progress {
            Progress::Claimed(claimed) if claimed.iter().any(|step| step.attempt.job == job) => {
                return;
            }
            // The job waits for a slot, or another worker submits it.
            Progress::Claimed(_) => None,
            Progress::Submitted(step) if step.attempt.job == job => Some(step.outcome.clone()),
            Progress::Submitted(_) => return,
        };
        if let Some(outcome_tx) = outcome_tx.take() {
            // There is no receiver any more if the caller has closed the page.
            let _ = outcome_tx.send(outcome);
        }
    };
    round::submit_waiting_logged(cx, provider, claimed, &report).await;
}

/// The job after its round: by the outcome, or else as the database has it.
pub async fn after_submit<T: Transport>(
    cx: &Cx<'_, T>,
    order: &Enqueue,
    view: JobView,
    outcome: Option<SubmitOutcome>,
) -> JobView {
    match outcome {
        Some(SubmitOutcome::Started { task_id, .. }) => {
            JobView { status: State::Running, task_id: Some(task_id), ..view }
        }
        Some(SubmitOutcome::Unknown) => JobView { status: State::Running, task_id: None, ..view },
        Some(SubmitOutcome::Requeued | SubmitOutcome::Failed | SubmitOutcome::Superseded)
        | None => as_recorded(cx, order, view).await,
    }
}

/// Reads the job. While another worker submits it, waits a moment for its task.
async fn as_recorded<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue, view: JobView) -> JobView {
    let mut pause_ms = READ_PAUSE_MS;
    loop {
        match cx.db().job_get_v1(Some(order.user), Some(order.tool), None, order.job).await {
            Ok(job) if job.view.status == State::Starting && pause_ms <= READ_PAUSE_MS_MAX => {
                cx.transport.sleep(pause_ms).await;
                pause_ms *= 2;
            }
            Ok(job) => return JobView { replayed: view.replayed, ..job.view },
            // The job is paid and queued, as `view` shows it.
            Err(_) => return view,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{job_id, request_hash};
    use crate::core::id::JobId;

    const A: &str = "00000000-0000-4000-8000-00000000000a";
    const B: &str = "00000000-0000-4000-8000-00000000000b";

    #[test]
    fn the_id_comes_from_body_header_or_chance() {
        let a = JobId::parse(A).unwrap();
        for (body, header) in [(Some(a), None), (None, Some(A)), (Some(a), Some(A))] {
            assert_eq!(job_id("jobId", body, header, 0), Ok(a));
        }
        assert_eq!(job_id("jobId", None, None, 7), Ok(JobId::from_random(7)));
        for (body, header) in [(Some(a), Some(B)), (None, Some("x")), (None, Some(""))] {
            assert!(job_id("jobId", body, header, 0).is_err(), "{body:?} {header:?}");
        }
    }

    #[test]
    fn the_hash_differs_by_tool_and_input() {
        let hash = |tool, input: &str| request_hash(tool, &input).unwrap();
        assert_eq!(hash("t", "a"), hash("t", "a"));
        assert_ne!(hash("t", "a"), hash("t", "b"));
        assert_ne!(hash("t", "a"), hash("u", "a"));
        assert_eq!(hash("t", "a").len(), 64);
    }
}
