//! Turns credentials into an identity, with the key set and the clock that this needs.
//!
//! Keys and verified tokens live as long as the isolate. A request waits for another request's
//! fetch of the keys by polling and never by its promise, because a promise belongs to the request
//! that made it and ends with it.

use std::cell::RefCell;

use serde_json::json;

use crate::core::auth::credential::{Proof, presented, prove};
use crate::core::auth::jwks::{FETCH_TIMEOUT_MS, Jwks, Lookup};
use crate::core::auth::jwt::{self, Key};
use crate::core::auth::remembered::VerifiedTokens;
use crate::core::auth::{Identity, behalf};
use crate::core::config::Config;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::UserId;
use crate::core::transport::{HttpRequest, Transport};
use crate::edge::call::OwnedCx;

/// How often a request polls for the end of another request's fetch.
const POLL_MS: u32 = 25;
/// So many polls (7 s) outlast any fetch of the key set. After them the request answers 503.
const POLLS_MAX: u32 = 280;

/// The key set and the verified tokens of this isolate.
#[derive(Default)]
struct AuthMemory {
    jwks: Jwks,
    tokens: VerifiedTokens,
}

thread_local! {
    static MEMORY: RefCell<AuthMemory> = RefCell::default();
}

/// Returns the identity that the presented credentials prove. Fails only if the keys are not
/// available: 503 if a fetch failed, 500 if the configured set is malformed.
pub(crate) async fn identify(
    authorization: Option<&str>,
    apikey: Option<&str>,
    cx: &OwnedCx,
) -> Result<Identity, ApiError> {
    match prove(presented(authorization, apikey), &cx.config) {
        Proof::Settled(identity) => Ok(identity),
        Proof::Token(token) => by_token(token, cx).await,
    }
}

async fn by_token(token: &str, cx: &OwnedCx) -> Result<Identity, ApiError> {
    let now_s = cx.fetch.now_ms() / 1000;
    if let Some(known) = MEMORY.with_borrow(|memory| memory.tokens.get(token, now_s)) {
        return Ok(known);
    }
    let Some(key) = key_for(token, cx).await? else { return Ok(Identity::Invalid) };
    let Some(verified) = jwt::verify(token, &key, cx.config.jwt_issuer.as_deref(), now_s) else {
        return Ok(Identity::Invalid);
    };
    MEMORY.with_borrow_mut(|memory| memory.tokens.put(token, verified, now_s));
    Ok(verified.identity)
}

/// Chooses our key for a token. The token's header names the key; the algorithm is that of the key.
async fn key_for(token: &str, cx: &OwnedCx) -> Result<Option<Key>, ApiError> {
    let Some(header) = jwt::header(token) else { return Ok(None) };
    if header.alg == jsonwebtoken::Algorithm::HS256 {
        return Ok(cx.config.jwt_secret.as_deref().map(Key::hs256));
    }
    let Some(kid) = header.kid else { return Ok(None) };
    if let Some(inline) = &cx.config.jwks {
        return fixed_key(inline, &kid);
    }
    for _ in 0..POLLS_MAX {
        let now = cx.fetch.now_ms();
        match MEMORY.with_borrow_mut(|memory| memory.jwks.look_up(&kid, now)) {
            Lookup::Use(key) => return Ok(Some(key)),
            Lookup::Unknown => return Ok(None),
            Lookup::Unavailable => break,
            Lookup::Wait => cx.fetch.sleep(POLL_MS).await,
            Lookup::Fetch => refresh(cx, &cx.config).await?,
        }
    }
    Err(ApiError::upstream("the key set is not available"))
}

fn fixed_key(inline: &str, kid: &str) -> Result<Option<Key>, ApiError> {
    let set = Jwks::fixed(inline).ok_or_else(|| ApiError::misconfigured("SUPABASE_JWKS"))?;
    Ok(set.get(kid))
}

/// Fetches the key set once and records the outcome, good or bad.
async fn refresh(cx: &OwnedCx, config: &Config) -> Result<(), ApiError> {
    let request = HttpRequest {
        method: "GET",
        url: format!("{}/auth/v1/.well-known/jwks.json", config.supabase_url()?),
        headers: Vec::new(),
        body: None,
        timeout_ms: FETCH_TIMEOUT_MS,
    };
    let outcome = cx.fetch.send(request).await;
    let now = cx.fetch.now_ms();
    let good = MEMORY.with_borrow_mut(|memory| match &outcome {
        Ok(response) if response.status == 200 => memory.jwks.fetched(&response.body, now),
        _ => {
            memory.jwks.failed(now);
            false
        }
    });
    if !good {
        let detail = outcome.map_or_else(
            |error| error.to_string(),
            |response| format!("status {}", response.status),
        );
        cx.fetch
            .log(&json!({"event": "jwks_failed", "request_id": &*cx.request_id, "detail": detail}));
    }
    Ok(())
}

/// Asks the database whether the user whom the service names is anonymous. Answers 404 if the
/// project has no such user.
pub(crate) async fn is_anonymous(user: UserId, cx: &OwnedCx) -> Result<bool, ApiError> {
    cx.cx().db().user_on_behalf_v1(user).await.map_err(|error| {
        let is_unknown = error.is(ErrorCode::NotFound);
        let mut error = ApiError::from(error);
        if is_unknown {
            error.message = format!("{}: the project has no such user", behalf::FIELD);
        }
        error
    })
}

/// Asks the database whether the user is an admin now.
pub(crate) async fn is_admin(user: UserId, cx: &OwnedCx) -> Result<bool, ApiError> {
    Ok(cx.cx().db().has_role(user, "admin").await?)
}
