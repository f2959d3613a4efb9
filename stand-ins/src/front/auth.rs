//! `/auth/v1` as far as a client of this application uses it: password and anonymous sign-in, refresh, the signed-in
//! user, sign-out, the public keys. No sign-up with an address, no mail, no administration.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

use super::session::{Grant, RefreshError};
use super::token::Claims;
use super::{Front, Shared, caller};
use crate::clock;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/token", post(token))
        .route("/signup", post(sign_up))
        .route("/user", get(user))
        .route("/logout", post(sign_out))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/health", get(async || Json(json!({"name": "GoTrue", "version": "stand-in", "description": "stand-in"}))))
}

async fn token(State(front): State<Shared>, Query(query): Query<HashMap<String, String>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match query.get("grant_type").map(String::as_str) {
        Some("password") => match front.sessions.by_password(field("email"), field("password")) {
            Some(grant) => signed_in(&front, &grant),
            None => refused(400, "invalid_credentials", "Invalid login credentials"),
        },
        Some("refresh_token") => match front.sessions.refresh(field("refresh_token")) {
            Ok(grant) => signed_in(&front, &grant),
            Err(RefreshError::NotFound) => {
                refused(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
            }
            Err(RefreshError::AlreadyUsed) => {
                refused(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
            }
        },
        _ => refused(400, "unsupported_grant_type", "Unsupported grant type"),
    }
}

async fn sign_up(State(front): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let names_somebody = ["email", "phone"].iter().any(|name| body.get(name).is_some_and(|value| !value.is_null()));
    if names_somebody {
        return refused(422, "signup_disabled", "Signups not allowed for this instance");
    }
    signed_in(&front, &front.sessions.anonymous())
}

async fn user(State(front): State<Shared>, headers: HeaderMap) -> Response {
    let claims = match signed_in_claims(&front, &headers) {
        Ok(claims) => claims,
        Err(refusal) => return refusal,
    };
    match front.sessions.user(claim(&claims, "sub")) {
        Some(user) => Json(user.shown()).into_response(),
        None => refused(403, "user_not_found", "User from sub claim in JWT does not exist"),
    }
}

async fn sign_out(State(front): State<Shared>, Query(query): Query<HashMap<String, String>>, headers: HeaderMap) -> Response {
    let claims = match signed_in_claims(&front, &headers) {
        Ok(claims) => claims,
        Err(refusal) => return refusal,
    };
    let scope = query.get("scope").map_or("global", String::as_str);
    front.sessions.sign_out(claim(&claims, "sub"), claim(&claims, "session_id"), scope);
    StatusCode::NO_CONTENT.into_response()
}

async fn jwks(State(front): State<Shared>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=600")], Json(front.signer.jwks())).into_response()
}

fn signed_in(front: &Front, grant: &Grant) -> Response {
    let Grant { user, session_id, refresh_token } = grant;
    let (now, lifetime) = (clock::now_s(), front.token_lifetime_s);
    let method = if user.is_anonymous() { "anonymous" } else { "password" };
    let access_token = front.signer.sign(&json!({
        "iss": front.issuer,
        "sub": user.id,
        "aud": "authenticated",
        "exp": now + lifetime,
        "iat": now,
        "email": user.email,
        "phone": "",
        "app_metadata": user.app_metadata(),
        "user_metadata": {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": method, "timestamp": now}],
        "session_id": session_id,
        "is_anonymous": user.is_anonymous(),
    }));
    Json(json!({
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": lifetime,
        "expires_at": now + lifetime,
        "refresh_token": refresh_token,
        "user": user.shown(),
    }))
    .into_response()
}

fn signed_in_claims(front: &Front, headers: &HeaderMap) -> Result<Claims, Response> {
    let Some(token) = caller::bearer(headers) else {
        return Err(refused(401, "no_authorization", "This endpoint requires a valid Bearer token"));
    };
    let claims = front.signer.claims(token).filter(|claims| claims.contains_key("sub"));
    let Some(claims) = claims else {
        return Err(refused(403, "bad_jwt", "invalid JWT: unable to parse or verify signature"));
    };
    if front.sessions.is_signed_out(claim(&claims, "session_id")) {
        return Err(refused(403, "session_not_found", "Session from session_id claim in JWT does not exist"));
    }
    Ok(claims)
}

fn claim<'a>(claims: &'a Claims, name: &str) -> &'a str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn refused(status: u16, error_code: &str, message: &str) -> Response {
    let body = Json(json!({"code": status, "error_code": error_code, "msg": message}));
    (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), body).into_response()
}
