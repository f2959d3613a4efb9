//! From a checked request to a paid, queued job.
//!
//! The database decides everything in one transaction; this only repeats what may be repeated:
//! once after a lost answer (same id, so nothing is charged twice), once after healing.

use super::Cx;
use crate::db::DbError;
use crate::db::job::{Enqueue, JobView};
use crate::error::{ApiError, ErrorCode};
use crate::transport::Transport;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Debits and enqueues. A refusal that the user's own stale jobs may have caused is answered by
/// healing them and asking once more.
pub async fn enqueue<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue) -> Result<JobView, ApiError> {
    match once_more_if_lost(cx, order).await {
        Err(refused) if refused.is(ErrorCode::InsufficientCredits) || refused.is(ErrorCode::ActiveJobExists) => {
            cx.db().user_heal_v1(order.p_user_id).await?;
            Ok(once_more_if_lost(cx, order).await?)
        }
        other => Ok(other?),
    }
}

async fn once_more_if_lost<T: Transport>(cx: &Cx<'_, T>, order: &Enqueue) -> Result<JobView, DbError> {
    match cx.db().job_enqueue_v1(order).await {
        Err(DbError::Unknown(_)) => cx.db().job_enqueue_v1(order).await,
        answer => answer,
    }
}

/// What makes two requests the same: tool and input in canonical form, without id and session.
/// The input is a struct, so its fields always come in the same order.
pub fn request_hash(tool: &str, input: &impl Serialize) -> Result<String, ApiError> {
    let text = serde_json::to_string(&(tool, input)).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(sha256_hex(text.as_bytes()))
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing into a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
