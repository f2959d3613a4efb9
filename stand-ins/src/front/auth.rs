//! `/auth/v1` as far as a client of this application uses it: sign-in with and without a password,
//! refresh, the signed-in user, sign-out, the public keys. `auth_mail` has what is done by mail.
//! There is no administration.

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
use super::{Front, SharedFront, auth_mail, caller};
use crate::clock;

pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/token", post(token))
        .route("/signup", post(auth_mail::sign_up))
        .route("/recover", post(auth_mail::recover))
        .route("/otp", post(auth_mail::otp))
        .route("/verify", get(auth_mail::verify_link).post(auth_mail::verify_code))
        .route("/user", get(user).put(auth_mail::change))
        .route("/logout", post(sign_out))
        .route("/.well-known/jwks.json", get(jwks))
        .route(
            "/health",
            get(async || {
                Json(json!({"name": "GoTrue", "version": "stand-in", "description": "stand-in"}))
            }),
        )
}

async fn token(
    State(front): State<SharedFront>,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Result<Response, AuthRefusal> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let grant = match query.get("grant_type").map(String::as_str) {
        Some("password") => by_password(&front, field("email"), field("password"))?,
        Some("refresh_token") => by_refresh_token(&front, field("refresh_token"))?,
        _ => {
            return Err(refused(400, "unsupported_grant_type", "Unsupported grant type"));
        }
    };
    let method = if grant.user.is_anonymous() { "anonymous" } else { "password" };
    Ok(signed_in(&front, &grant, method))
}

fn by_password(front: &Front, email: &str, password: &str) -> Result<Grant, AuthRefusal> {
    let grant = front.sessions.by_password(email, password);
    let grant =
        grant.ok_or_else(|| refused(400, "invalid_credentials", "Invalid login credentials"))?;
    match grant.user.confirmed_ms {
        Some(_) => Ok(grant),
        None => Err(refused(400, "email_not_confirmed", "Email not confirmed")),
    }
}

fn by_refresh_token(front: &Front, token: &str) -> Result<Grant, AuthRefusal> {
    front.sessions.refresh(token).map_err(|error| {
        let (error_code, message) = match error {
            RefreshError::NotFound => {
                ("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
            }
            RefreshError::AlreadyUsed => {
                ("refresh_token_already_used", "Invalid Refresh Token: Already Used")
            }
        };
        refused(400, error_code, message)
    })
}

async fn user(
    State(front): State<SharedFront>,
    headers: HeaderMap,
) -> Result<Response, AuthRefusal> {
    let claims = signed_in_claims(&front, &headers)?;
    let message = "User from sub claim in JWT does not exist";
    let user = front.sessions.user(claim(&claims, "sub"));
    let user = user.ok_or_else(|| refused(403, "user_not_found", message))?;
    Ok(Json(user.shown()).into_response())
}

async fn sign_out(
    State(front): State<SharedFront>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, AuthRefusal> {
    let claims = signed_in_claims(&front, &headers)?;
    let scope = query.get("scope").map_or("global", String::as_str);
    let (user_id, session_id) = (claim(&claims, "sub"), claim(&claims, "session_id"));
    front.sessions.sign_out(user_id, session_id, scope);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn jwks(State(front): State<SharedFront>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=600")], Json(front.signer.jwks())).into_response()
}

pub(super) fn signed_in(front: &Front, grant: &Grant, method: &str) -> Response {
    Json(session_of(front, grant, method)).into_response()
}

/// The session as auth's answers show it; `method` is how the user signed in.
pub(super) fn session_of(front: &Front, grant: &Grant, method: &str) -> Value {
    let Grant { user, session_id, refresh_token } = grant;
    let (now, lifetime) = (clock::now_s(), front.token_lifetime_s);
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
    json!({
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": lifetime,
        "expires_at": now + lifetime,
        "refresh_token": refresh_token,
        "user": user.shown(),
    })
}

pub(super) fn signed_in_claims(front: &Front, headers: &HeaderMap) -> Result<Claims, AuthRefusal> {
    let Some(token) = caller::bearer(headers) else {
        return Err(refused(
            401,
            "no_authorization",
            "This endpoint requires a valid Bearer token",
        ));
    };
    let claims = front.signer.claims(token).filter(|claims| claims.contains_key("sub"));
    let Some(claims) = claims else {
        return Err(refused(403, "bad_jwt", "invalid JWT: unable to parse or verify signature"));
    };
    if front.sessions.is_signed_out(claim(&claims, "session_id")) {
        return Err(refused(
            403,
            "session_not_found",
            "Session from session_id claim in JWT does not exist",
        ));
    }
    Ok(claims)
}

pub(super) fn claim<'a>(claims: &'a Claims, name: &str) -> &'a str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An error answer in the auth API's shape.
pub(super) struct AuthRefusal {
    pub(super) status: u16,
    pub(super) error_code: &'static str,
    pub(super) message: String,
}

pub(super) fn refused(status: u16, error_code: &'static str, message: &str) -> AuthRefusal {
    AuthRefusal { status, error_code, message: message.to_owned() }
}

impl IntoResponse for AuthRefusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut body =
            json!({"code": self.status, "error_code": self.error_code, "msg": self.message});
        if self.error_code == "weak_password" {
            body["weak_password"] = json!({"reasons": ["length"]});
        }
        (status, Json(body)).into_response()
    }
}
