//! Applies the platform's rate limits for each user, and for each address if callers without a
//! credential are admitted. `serve` counts every call; a handler counts only work beyond its
//! operation.

use worker::Env;
use worker::wasm_bindgen_futures::JsFuture;

use crate::core::auth::{Identity, Quota};
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::UserId;
use crate::edge::bridge;

/// The period of every limiter. The platform does not tell how long to wait.
const PERIOD_S: u32 = 60;

/// Answers 429 to a user over the limit, and to an address over the limit if the caller has no
/// credential. The service is exempt: it retries orders whose user was already counted.
pub(super) async fn admitted(
    env: &Env,
    quota: Quota,
    identity: Identity,
    address: Option<&str>,
) -> Result<(), ApiError> {
    match identity {
        Identity::User { id, .. } => count(env, quota, id).await,
        Identity::Nobody => count_key(env, quota, address.unwrap_or_default()).await,
        Identity::Invalid | Identity::Service | Identity::Scheduler | Identity::Scraper => Ok(()),
    }
}

/// Counts one call of a user.
pub(super) async fn count(env: &Env, quota: Quota, user: UserId) -> Result<(), ApiError> {
    count_key(env, quota, &user.to_string()).await
}

/// Counts one call. A failing limiter admits the call, because the database holds the
/// hard limits. Answers 500 if the limiter is not declared.
async fn count_key(env: &Env, quota: Quota, key: &str) -> Result<(), ApiError> {
    let binding = quota.binding();
    match JsFuture::from(bridge::limit(env, binding, key)).await {
        Ok(admitted) if admitted.is_undefined() => Err(ApiError::misconfigured(binding)),
        Ok(admitted) if admitted.is_falsy() => {
            Err(ApiError::of(ErrorCode::RateLimited).with_retry_after(PERIOD_S))
        }
        _ => Ok(()),
    }
}
