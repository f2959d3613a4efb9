//! Repeats one call that failed for a reason that may pass.

use super::Cx;
use crate::core::transport::Transport;
use crate::db::DbError;

/// How often to call, and how long to wait between two calls.
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
    for _ in 1..tries.most {
        match op().await {
            Err(error) if is_transient(&error) => cx.transport.sleep(tries.pause_ms).await,
            result => return result,
        }
    }
    op().await
}

/// Repeats a call once if its answer was lost. Only for a call that has no second effect: one that
/// is fenced by its run, or that names the row it makes.
pub(super) async fn once_if_lost<R>(
    op: impl AsyncFn() -> Result<R, DbError>,
) -> Result<R, DbError> {
    match op().await {
        Err(DbError::Unknown(_)) => op().await,
        result => result,
    }
}

/// Whether a later call may get an answer from the database.
pub(super) fn is_database_away(error: &DbError) -> bool {
    matches!(error, DbError::Unknown(_) | DbError::Unavailable(_))
}
