//! The platform's rate limits, per user. `serve` applies them: a handler only adds what it does beyond its operation.

use worker::Env;

use crate::core::auth::{Identity, Quota};
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::UserId;

/// The period of every limiter: the platform says yes or no, never how long to wait.
const PERIOD_S: u32 = 60;

/// Refuses whoever is over the limit of an operation. The service is not counted: its calls only
/// repeat what a user was let through with.
pub(super) async fn admitted(env: &Env, quota: Quota, identity: Identity) -> Result<(), ApiError> {
    match identity {
        Identity::User { id, .. } => count(env, quota, id).await,
        Identity::Nobody | Identity::Invalid | Identity::Service | Identity::Scheduler => Ok(()),
    }
}

/// Counts one call. A limiter that fails lets pass, because the hard caps live in the database; one
/// that is not declared was forgotten.
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
