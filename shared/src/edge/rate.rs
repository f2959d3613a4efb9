//! The platform's rate limit, where a function has the binding.

use worker::Env;

use crate::error::{ApiError, ErrorCode};

/// The binding's name and its period: the platform says yes or no, never how long to wait.
const BINDING: &str = "RATE_LIMIT";
const PERIOD_S: u32 = 60;

/// Refuses the key when it is over the limit. Without the binding, or when it fails, everything
/// passes: the hard caps live in the database.
pub async fn rate_limit(env: &Env, key: &str) -> Result<(), ApiError> {
    let Ok(limiter) = env.rate_limiter(BINDING) else { return Ok(()) };
    match limiter.limit(key.to_owned()).await {
        Ok(outcome) if !outcome.success => Err(ApiError::of(ErrorCode::RateLimited).with_retry_after(PERIOD_S)),
        _ => Ok(()),
    }
}
