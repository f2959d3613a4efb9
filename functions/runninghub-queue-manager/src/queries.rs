//! The operations that show the queue and a user's live job.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::id::{JobId, UserId};
use shared::core::job::State;
use shared::core::provider::runninghub::NAME;
use shared::edge::Call;
use shared::flow::invocation::Invocation;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueOpenings {
    available: bool,
    running: i32,
    max_concurrent: i32,
    slots_available: i32,
    total_queued: i32,
}

pub(crate) async fn check(call: &Call, _: NoInput) -> Result<QueueOpenings, ApiError> {
    let queue = call.cx().db().queue_check_v1(NAME).await?;
    Ok(QueueOpenings {
        available: queue.enabled && queue.slots_available > 0,
        running: queue.running,
        max_concurrent: queue.max_concurrent,
        slots_available: queue.slots_available,
        total_queued: queue.total_queued,
    })
}

/// The service names the user. A user's own call ignores this field: the token names the user.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamedUser {
    user_id: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserActive {
    has_active_job: bool,
    active_tool: Option<String>,
    active_job_id: Option<JobId>,
    active_status: Option<&'static str>,
    position: Option<i32>,
}

pub(crate) async fn check_user_active(
    call: &Call,
    named: NamedUser,
) -> Result<UserActive, ApiError> {
    let user = match call.caller().user_id() {
        Some(id) => id,
        None => named.user()?,
    };
    let active = call.cx().db().user_active_v1(user).await?;
    Ok(UserActive {
        has_active_job: active.has_active_job,
        active_tool: active.active_tool,
        active_job_id: active.active_job_id,
        active_status: active.active_status.map(State::runninghub_word),
        position: active.position,
    })
}

impl NamedUser {
    fn user(self) -> Result<UserId, ApiError> {
        let id = self.user_id.ok_or_else(|| ApiError::bad_field("userId", "is missing"))?;
        id.as_str()
            .and_then(UserId::parse)
            .ok_or_else(|| ApiError::bad_field("userId", "is not a UUID"))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueStatus {
    max_concurrent: i32,
    running: i32,
    total_queued: i32,
    queued_by_tool: Value,
    oldest_queued_seconds: Option<i32>,
    last_sweep_at: Option<String>,
}

pub(crate) async fn status(call: &Call, _: NoInput) -> Result<QueueStatus, ApiError> {
    let queue = call.cx().db().queue_check_v1(NAME).await?;
    Ok(QueueStatus {
        max_concurrent: queue.max_concurrent,
        running: queue.running,
        total_queued: queue.total_queued,
        queued_by_tool: queue.queued_by_tool,
        oldest_queued_seconds: queue.oldest_queued_seconds,
        last_sweep_at: queue.last_sweep_at,
    })
}
