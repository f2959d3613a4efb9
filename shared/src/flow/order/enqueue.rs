//! From a checked request to a paid, queued job.
//!
//! The database decides everything in one transaction; this only repeats what may be repeated:
//! once after a lost answer (same id, so nothing is charged twice), once after healing.

use super::input;
use crate::core::digest::sha256_hex;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::transport::Transport;
use crate::db::DbError;
use crate::db::job::{Enqueue, JobView};
use crate::flow::submit::round::{self as dispatch, Outcome, Seen};
use crate::flow::{Cx, finalise};
use futures_channel::oneshot::Sender;
use futures_util::future::join_all;
use serde::Serialize;

/// Pauses before looking again, the first and the longest; three seconds in all.
const LOOK_AGAIN_MS: u32 = 100;
const LOOK_AGAIN_MS_MAX: u32 = 1_600;

/// Debits and enqueues. A refusal that the user's own stale jobs may have caused is answered by
/// healing them and asking once more.
pub async fn enqueue<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue) -> Result<JobView, ApiError> {
    match once_more_if_lost(cx, order).await {
        Err(refused)
            if refused.is(ErrorCode::InsufficientCredits)
                || refused.is(ErrorCode::ActiveJobExists) =>
        {
            finalise::heal(cx, order.user).await?;
            Ok(once_more_if_lost(cx, order).await?)
        }
        other => Ok(other?),
    }
}

async fn once_more_if_lost<T: Transport>(
    cx: &Cx<'_, T>,
    order: &Enqueue,
) -> Result<JobView, DbError> {
    match cx.db().job_enqueue_v1(order).await {
        Err(DbError::Unknown(_)) => cx.db().job_enqueue_v1(order).await,
        answer => answer,
    }
}

/// What makes two requests the same: tool and input in canonical form, without id and session.
/// The input is a struct, so its fields always come in the same order.
pub fn request_hash(tool: &str, input: &impl Serialize) -> Result<String, ApiError> {
    let text = serde_json::to_string(&(tool, input))
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(sha256_hex(text.as_bytes()))
}

/// An order as the database takes it, its steps still to come.
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
    })
}

/// The URLs of an order's files (`(field, URL)`) for the provider, each checked. A replay is a
/// replay, also when its input is long gone.
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

/// The id that names a request: the client's, in the body or in the header, else a new one. `field`
/// is its name in the body.
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

/// Whether an earlier request of this name was taken, so that this one is its replay (or conflicts
/// with it) whatever has become of its input since.
pub async fn was_taken<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue) -> bool {
    match cx.db().job_get_v1(Some(order.user), Some(order.tool), order.job).await {
        // Neither was ever paid: a row of an older client, which this request would adopt.
        Ok(job) => {
            job.view.status != State::Pending && job.view.error_code.as_deref() != Some("ORPHANED")
        }
        Err(_) => false,
    }
}

/// Starts what may start, and tells what became of `job` as soon as that is recorded: the answer
/// need not wait for the rest.
pub async fn dispatch_for<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    job: JobId,
    tell: Sender<Option<Outcome>>,
) {
    let mut tell = Some(tell);
    let told = |seen: Seen<'_>| {
        let told = match seen {
            Seen::Claimed(claimed) if claimed.iter().any(|step| step.attempt.job == job) => return,
            // It waits, or somebody else hands it over.
            Seen::Claimed(_) => None,
            Seen::Handed(dispatched) if dispatched.attempt.job == job => {
                Some(dispatched.outcome.clone())
            }
            Seen::Handed(_) => return,
        };
        if let Some(tell) = tell.take() {
            // Nobody listens any more when the page was closed.
            let _ = tell.send(told);
        }
    };
    dispatch::dispatch_logged(cx, provider, told).await;
}

/// The job as it is after its round. Where the round does not say, the database does.
pub async fn after_dispatch<T: Transport>(
    cx: &Cx<'_, T>,
    order: &Enqueue,
    view: JobView,
    outcome: Option<Outcome>,
) -> JobView {
    match outcome {
        Some(Outcome::Started { task_id, .. }) => {
            JobView { status: State::Running, task_id: Some(task_id), ..view }
        }
        Some(Outcome::Unknown) => JobView { status: State::Running, task_id: None, ..view },
        Some(Outcome::Requeued | Outcome::Failed | Outcome::Left) | None => {
            as_recorded(cx, order, view).await
        }
    }
}

/// While another worker hands the job over, its task will be known in a moment.
async fn as_recorded<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue, view: JobView) -> JobView {
    let mut pause_ms = LOOK_AGAIN_MS;
    loop {
        match cx.db().job_get_v1(Some(order.user), Some(order.tool), order.job).await {
            Ok(job) if job.view.status == State::Starting && pause_ms <= LOOK_AGAIN_MS_MAX => {
                cx.transport.sleep(pause_ms).await;
                pause_ms *= 2;
            }
            Ok(job) => return JobView { replayed: view.replayed, ..job.view },
            // It is paid and queued; that is as good an answer as there is.
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
    fn one_name_from_body_header_or_chance() {
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
    fn the_hash_tells_tools_and_inputs_apart() {
        let hash = |tool, input: &str| request_hash(tool, &input).unwrap();
        assert_eq!(hash("t", "a"), hash("t", "a"));
        assert_ne!(hash("t", "a"), hash("t", "b"));
        assert_ne!(hash("t", "a"), hash("u", "a"));
        assert_eq!(hash("t", "a").len(), 64);
    }
}
