//! The platform's rate limit on operations that cost credits. `serve` applies it: no handler does.

use worker::Env;

use crate::auth::Caller;
use crate::error::{ApiError, ErrorCode};

/// The binding's name and its period: the platform says yes or no, never how long to wait.
const BINDING: &str = "RATE_LIMIT";
const PERIOD_S: u32 = 60;

/// Refuses a user who is over the limit; a service call only repeats what a user was let through
/// with. A limiter that fails lets pass, because the hard caps live in the database; one that is
/// not declared was forgotten.
pub(super) async fn rate_limit(env: &Env, caller: &Caller) -> Result<(), ApiError> {
    let Some(user) = caller.user_id() else { return Ok(()) };
    let limiter = env.rate_limiter(BINDING).map_err(|_| ApiError::misconfigured(BINDING))?;
    match limiter.limit(user.to_string()).await {
        Ok(outcome) if !outcome.success => Err(ApiError::of(ErrorCode::RateLimited).with_retry_after(PERIOD_S)),
        _ => Ok(()),
    }
}
