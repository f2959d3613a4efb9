//! Retries one call that failed for a temporary reason.

use super::Cx;
use crate::core::transport::Transport;
use crate::db::DbError;

/// The number of calls, and the pause between two calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    pub most: u32,
    pub pause_ms: u32,
}

/// Calls `op` until it succeeds, fails with an error that is not `is_transient`, or has failed
/// `tries.most` times.
pub(super) async fn with_retries<T: Transport, R, E>(
    cx: &Cx<'_, T>,
    tries: Tries,
    is_transient: impl Fn(&E) -> bool,
    op: impl AsyncFn() -> Result<R, E>,
) -> Result<R, E> {
    let mut tries_left = tries.most;
    loop {
        tries_left = tries_left.saturating_sub(1);
        match op().await {
            Err(error) if tries_left > 0 && is_transient(&error) => {
                cx.transport.sleep(tries.pause_ms).await;
            }
            result => return result,
        }
    }
}

/// Repeats a call once if its answer was lost. Only for a call without a second effect: one that is
/// fenced by its run, or that names the row it makes.
pub(super) async fn once_if_lost<R>(
    op: impl AsyncFn() -> Result<R, DbError>,
) -> Result<R, DbError> {
    let mut may_repeat = true;
    loop {
        match op().await {
            Err(DbError::Unknown(_)) if may_repeat => may_repeat = false,
            result => return result,
        }
    }
}

/// Whether a later call may get an answer from the database.
pub(super) fn is_database_away(error: &DbError) -> bool {
    matches!(error, DbError::Unknown(_) | DbError::Unavailable(_))
}

/// Whether the database refused the call for the moment, so that a later one may be taken.
pub(super) fn is_unavailable(error: &DbError) -> bool {
    matches!(error, DbError::Unavailable(_))
}
