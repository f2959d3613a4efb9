//! Applies the platform's rate limits per user. `serve` counts every call; a handler counts only
//! work beyond its operation.

use worker::Env;

use crate::core::auth::{Identity, Quota};
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::UserId;

/// The period of every limiter. The platform does not tell how long to wait.
const PERIOD_S: u32 = 60;

/// Answers 429 to a user over the limit. Service calls are exempt: they retry an order whose user
/// was already counted.
pub(super) async fn admitted(env: &Env, quota: Quota, identity: Identity) -> Result<(), ApiError> {
    match identity {
        Identity::User { id, .. } => count(env, quota, id).await,
        Identity::Nobody | Identity::Invalid | Identity::Service | Identity::Scheduler => Ok(()),
    }
}

/// Counts one call of a user. A failing limiter admits the call, because the database holds the
/// hard limits. Answers 500 if the limiter is not declared.
pub(super) async fn count(env: &Env, quota: Quota, user: UserId) -> Result<(), ApiError> {
    let binding = quota.binding();
    let limiter = env.rate_limiter(binding).map_err(|_| ApiError::misconfigured(binding))?;
    match limiter.limit(user.to_string()).await {
        Ok(outcome) if !outcome.success => {
            Err(ApiError::of(ErrorCode::RateLimited).with_retry_after(PERIOD_S))
        }
        _ => Ok(()),
    }
}
