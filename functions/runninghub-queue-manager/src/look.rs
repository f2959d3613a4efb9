//! What changes nothing: the queue as it is, and whether a user has a live job in it.

use serde_json::json;
use shared::core::auth::Caller;
use shared::core::error::ApiError;
use shared::core::id::UserId;
use shared::core::job::State;
use shared::core::provider::runninghub::NAME;
use shared::edge::{Call, Reply};

pub(crate) async fn check(call: &Call) -> Result<Reply, ApiError> {
    let queue = call.cx().db().queue_check_v1(NAME).await?;
    Reply::ok(json!({
        "available": queue.enabled && queue.slots_available > 0,
        "running": queue.running,
        "maxConcurrent": queue.max_concurrent,
        "slotsAvailable": queue.slots_available,
        "totalQueued": queue.total_queued,
    }))
}

pub(crate) async fn check_user_active(call: &Call) -> Result<Reply, ApiError> {
    let user = match call.caller {
        Caller::User { id, .. } => id,
        _ => named_user(call)?,
    };
    let active = call.cx().db().user_active_v1(user).await?;
    Reply::ok(json!({
        "hasActiveJob": active.has_active_job,
        "activeTool": active.active_tool,
        "activeJobId": active.active_job_id,
        "activeStatus": active.active_status.map(State::runninghub_word),
        "position": active.position,
    }))
}

fn named_user(call: &Call) -> Result<UserId, ApiError> {
    let named = call.param("userId").ok_or_else(|| ApiError::bad_field("userId", "is missing"))?;
    named
        .as_str()
        .and_then(UserId::parse)
        .ok_or_else(|| ApiError::bad_field("userId", "is not a UUID"))
}

pub(crate) async fn status(call: &Call) -> Result<Reply, ApiError> {
    let queue = call.cx().db().queue_check_v1(NAME).await?;
    Reply::ok(json!({
        "maxConcurrent": queue.max_concurrent,
        "running": queue.running,
        "totalQueued": queue.total_queued,
        "queuedByTool": queue.queued_by_tool,
        "oldestQueuedSeconds": queue.oldest_queued_seconds,
        "lastSweepAt": queue.last_sweep_at,
    }))
}
