//! What auth does by mail: sign-up, reset of a password, sign-in by a link.
//!
//! Source: supabase/auth, internal/api/signup.go, recover.go, otp.go, verify.go and user.go, with
//! the settings of a new project: addresses are confirmed, and a password has at least six
//! characters.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use reqwest::Url;
use serde_json::{Value, json};

use super::auth::{AuthRefusal, claim, refused, session_of, signed_in, signed_in_claims};
use super::mail::{MailKind, MailProof};
use super::session::SessionUser;
use super::{Front, SharedFront};
use crate::clock;

/// `GOTRUE_PASSWORD_MIN_LENGTH`, and the most that bcrypt takes.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 6..=72;

type Parameters = Query<HashMap<String, String>>;

pub(super) async fn sign_up(
    State(front): State<SharedFront>,
    Query(query): Parameters,
    body: Bytes,
) -> Result<Response, AuthRefusal> {
    let body = Fields::of(&body);
    if body.text("phone").is_some() {
        return Err(refused(400, "phone_provider_disabled", "Phone signups are disabled"));
    }
    let Some(email) = body.text("email") else {
        return Ok(signed_in(&front, &front.sessions.anonymous(), "anonymous"));
    };
    let password = body.text("password");
    let password = password
        .ok_or_else(|| refused(400, "validation_failed", "Signup requires a valid password"))?;
    refuse_password(password)?;
    let email = address(email)?;
    let known = front.sessions.by_email(&email);
    if let Some(known) = known.as_ref().filter(|known| known.confirmed_ms.is_some()) {
        // The answer does not reveal whether the address has an account.
        let other = SessionUser::new(&known.email, password);
        return Ok(Json(other.shown()).into_response());
    }
    // Until the address is confirmed, a second sign-up does not change the password: it may be
    // another person's.
    let user = match known {
        Some(known) => known,
        None => joined(&front, &email, password).await?,
    };
    send(&front, &user, MailKind::SignUp, &query)?;
    Ok(Json(user.shown()).into_response())
}

async fn joined(front: &Front, email: &str, password: &str) -> Result<SessionUser, AuthRefusal> {
    let user = SessionUser::new(email, password);
    written(front, &user).await?;
    front.sessions.put(user.clone());
    Ok(user)
}

pub(super) async fn recover(
    State(front): State<SharedFront>,
    Query(query): Parameters,
    body: Bytes,
) -> Result<Response, AuthRefusal> {
    let body = Fields::of(&body);
    let email = body.text("email");
    let email = email
        .ok_or_else(|| refused(400, "validation_failed", "Password recovery requires an email"))?;
    if let Some(user) = front.sessions.by_email(&address(email)?) {
        send(&front, &user, MailKind::Recovery, &query)?;
    }
    Ok(Json(json!({})).into_response())
}

pub(super) async fn otp(
    State(front): State<SharedFront>,
    Query(query): Parameters,
    body: Bytes,
) -> Result<Response, AuthRefusal> {
    let body = Fields::of(&body);
    let email = body.text("email");
    let email = email
        .ok_or_else(|| refused(400, "validation_failed", "One of email or phone must be set"))?;
    let email = address(email)?;
    let may_join = body.0.get("create_user").and_then(Value::as_bool).unwrap_or(true);
    let user = match front.sessions.by_email(&email) {
        Some(known) => known,
        None if may_join => joined(&front, &email, &clock::random_hex()).await?,
        None => return Err(refused(422, "otp_disabled", "Signups not allowed for otp")),
    };
    let is_confirmed = user.confirmed_ms.is_some();
    let kind = if is_confirmed { MailKind::MagicLink } else { MailKind::SignUp };
    send(&front, &user, kind, &query)?;
    Ok(Json(json!({})).into_response())
}

/// Follows the link of a mail: redirects to the page with a session or an error in the fragment.
pub(super) async fn verify_link(
    State(front): State<SharedFront>,
    Query(query): Parameters,
) -> Response {
    let field = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let home = redirect(&front, &query);
    let proof = MailProof::Token(field("token"));
    let fragment = match verified(&front, field("type"), &proof).await {
        Ok(user_id) => {
            let grant = front.sessions.grant(&user_id);
            grant.map(|grant| session_of(&front, &grant, "otp")).map_or_else(String::new, |one| {
                let text = |name: &str| match one.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    other => other.map(Value::to_string).unwrap_or_default(),
                };
                let names =
                    ["access_token", "expires_at", "expires_in", "refresh_token", "token_type"];
                let pairs = names.map(|name| (name, text(name)));
                encoded(pairs.into_iter().chain([("type", field("type").to_owned())]))
            })
        }
        Err(refusal) => encoded(
            [
                ("error", "access_denied"),
                ("error_code", refusal.error_code),
                ("error_description", "Email link is invalid or has expired"),
            ]
            .map(|(name, text)| (name, text.to_owned())),
        ),
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{home}#{fragment}"))]).into_response()
}

/// Accepts the code of a mail, or the token of its link.
pub(super) async fn verify_code(
    State(front): State<SharedFront>,
    body: Bytes,
) -> Result<Response, AuthRefusal> {
    let body = Fields::of(&body);
    let kind = body.text("type").unwrap_or_default();
    let proof = match (body.text("token_hash"), body.text("email"), body.text("token")) {
        (Some(token), _, _) => MailProof::Token(token),
        (None, Some(email), Some(code)) => MailProof::Code { email, code },
        _ => {
            return Err(refused(
                400,
                "validation_failed",
                "Verify requires a token or a token hash",
            ));
        }
    };
    let user_id = verified(&front, kind, &proof).await?;
    let grant = front.sessions.grant(&user_id);
    let grant = grant.ok_or_else(|| refused(404, "user_not_found", "User not found"))?;
    Ok(signed_in(&front, &grant, "otp"))
}

/// The user of a proof. A proof that a mail was read confirms the address.
async fn verified(front: &Front, kind: &str, proof: &MailProof<'_>) -> Result<String, AuthRefusal> {
    let expired = || refused(403, "otp_expired", "Token has expired or is invalid");
    let kinds: Vec<MailKind> = match kind {
        "email" => vec![MailKind::MagicLink, MailKind::SignUp],
        word => MailKind::parse(word).into_iter().collect(),
    };
    if kinds.is_empty() {
        return Err(refused(400, "validation_failed", "Verify requires a verification type"));
    }
    let taken = kinds.into_iter().find_map(|kind| front.mailbox.take(kind, proof));
    let user_id = taken.ok_or_else(expired)?;
    if let Some(user) = front.sessions.confirm(&user_id) {
        written(front, &user).await?;
    }
    Ok(user_id)
}

/// Changes the password of the signed-in user, and ends their other sessions.
pub(super) async fn change(
    State(front): State<SharedFront>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, AuthRefusal> {
    let claims = signed_in_claims(&front, &headers)?;
    let (id, session) = (claim(&claims, "sub"), claim(&claims, "session_id"));
    let message = "User from sub claim in JWT does not exist";
    let user = front.sessions.user(id).ok_or_else(|| refused(403, "user_not_found", message))?;
    let body = Fields::of(&body);
    if let Some(password) = body.text("password") {
        refuse_password(password)?;
        if user.is_anonymous() {
            let message = "Updating password of an anonymous user without an email or phone is not \
                           allowed";
            return Err(refused(422, "validation_failed", message));
        }
        if user.has_password(password) {
            let message = "New password should be different from the old password.";
            return Err(refused(422, "same_password", message));
        }
        front.sessions.put(user.with_password(password));
        front.sessions.sign_out(id, session, "others");
    }
    Ok(Json(front.sessions.user(id).unwrap_or(user).shown()).into_response())
}

fn send(
    front: &Front,
    user: &SessionUser,
    kind: MailKind,
    query: &HashMap<String, String>,
) -> Result<(), AuthRefusal> {
    front.mailbox.send(user, kind, &redirect(front, query)).map_err(|seconds| {
        let message = "For security purposes, you can only request this after {} seconds.";
        let told = message.replace("{}", &seconds.to_string());
        AuthRefusal { message: told, ..refused(429, "over_email_send_rate_limit", "") }
    })
}

/// Where a link leads: to the wanted address if it is of this site, or else to the site's front
/// page.
fn redirect(front: &Front, query: &HashMap<String, String>) -> String {
    let site = front.issuer.trim_end_matches("/auth/v1");
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    let wanted = query.get("redirect_to").filter(|wanted| origin(wanted) == origin(site));
    wanted.map_or_else(|| site.to_owned(), Clone::clone)
}

async fn written(front: &Front, user: &SessionUser) -> Result<(), AuthRefusal> {
    let failed = |_| refused(500, "unexpected_failure", "Database error saving new user");
    front.people.write(user).await.map_err(failed)
}

fn refuse_password(password: &str) -> Result<(), AuthRefusal> {
    if password.len() > *PASSWORD_BYTES.end() {
        let message = "Password cannot be longer than 72 characters";
        return Err(refused(422, "validation_failed", message));
    }
    if password.len() < *PASSWORD_BYTES.start() {
        let message = "Password should be at least 6 characters.";
        return Err(refused(422, "weak_password", message));
    }
    Ok(())
}

/// An e-mail address in lower case, as auth stores it.
fn address(text: &str) -> Result<String, AuthRefusal> {
    let is_address = text.split_once('@').is_some_and(|(name, host)| {
        let is_host = host.contains('.') && !host.starts_with('.') && !host.ends_with('.');
        !name.is_empty() && is_host && !text.contains(char::is_whitespace)
    });
    let message = "Unable to validate email address: invalid format";
    is_address
        .then(|| text.to_lowercase())
        .ok_or_else(|| refused(400, "validation_failed", message))
}

fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The fields of a JSON body.
struct Fields(Value);

impl Fields {
    fn of(body: &Bytes) -> Self {
        Self(serde_json::from_slice(body).unwrap_or_default())
    }

    /// A field's text, if it is not empty.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}
