//! From credentials to an identity: the parts that need the world.
//!
//! Keys and verified tokens live as long as the isolate. A fetch under way is waited for by looking
//! again, never by sharing its promise: a promise belongs to the request that made it, and dies
//! with it.

use std::cell::RefCell;

use serde_json::json;

use crate::core::auth::Identity;
use crate::core::auth::credential::{Proof, presented, prove};
use crate::core::auth::jwks::{FETCH_TIMEOUT_MS, Jwks, Lookup};
use crate::core::auth::jwt::{self, Key};
use crate::core::auth::remembered::VerifiedTokens;
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::transport::{HttpRequest, Transport};
use crate::edge::call::OwnedCx;

const LOOK_AGAIN_MS: u32 = 25;
/// Longer than any flight: whoever waits this long may say so.
const LOOKS_MAX: u32 = 280;

#[derive(Default)]
struct AuthMemory {
    jwks: Jwks,
    remembered: VerifiedTokens,
}

thread_local! {
    static MEMORY: RefCell<AuthMemory> = RefCell::default();
}

/// What the presented credentials prove. `Err` only where nothing can be said about them.
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
    if let Some(known) = MEMORY.with_borrow(|memory| memory.remembered.get(token, now_s)) {
        return Ok(known);
    }
    let Some(key) = key_for(token, cx).await? else { return Ok(Identity::Invalid) };
    let Some(verified) = jwt::verify(token, &key, cx.config.jwt_issuer.as_deref(), now_s) else {
        return Ok(Identity::Invalid);
    };
    MEMORY.with_borrow_mut(|memory| memory.remembered.put(token, verified, now_s));
    Ok(verified.identity)
}

/// Our key for this token. Its header only chooses among keys; a key's algorithm is its own.
async fn key_for(token: &str, cx: &OwnedCx) -> Result<Option<Key>, ApiError> {
    let Some(header) = jwt::header(token) else { return Ok(None) };
    if header.alg == jsonwebtoken::Algorithm::HS256 {
        return Ok(cx.config.jwt_secret.as_deref().map(Key::hs256));
    }
    let Some(kid) = header.kid else { return Ok(None) };
    if let Some(inline) = &cx.config.jwks {
        return fixed_key(inline, &kid);
    }
    for _ in 0..LOOKS_MAX {
        let now = cx.fetch.now_ms();
        match MEMORY.with_borrow_mut(|memory| memory.jwks.look_up(&kid, now)) {
            Lookup::Use(key) => return Ok(Some(key)),
            Lookup::Unknown => return Ok(None),
            Lookup::Unavailable => break,
            Lookup::Wait => cx.fetch.sleep(LOOK_AGAIN_MS).await,
            Lookup::Fetch => refresh(cx, &cx.config).await?,
        }
    }
    Err(ApiError::upstream("the key set cannot be had"))
}

fn fixed_key(inline: &str, kid: &str) -> Result<Option<Key>, ApiError> {
    let set = Jwks::fixed(inline).ok_or_else(|| ApiError::misconfigured("SUPABASE_JWKS"))?;
    Ok(set.get(kid))
}

/// One fetch of the key set; the outcome is kept either way.
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

pub(crate) async fn is_admin(user: UserId, cx: &OwnedCx) -> Result<bool, ApiError> {
    Ok(cx.cx().db().has_role(user, "admin").await?)
}
