//! Checks the caller and the account of each call, and dispatches it.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::account::CloudAccount;
use super::answer::{CloudAnswer, forbidden, missing, refused, respond};
use super::{assets, queues, scripts};

/// One part of a multipart body.
pub(super) struct UploadPart {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) bytes: Bytes,
}

/// One call, with its body read.
pub(super) struct CloudCall {
    pub(super) method: Method,
    /// The path below the account.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) bearer: String,
    pub(super) json: Value,
    pub(super) parts: Vec<UploadPart>,
}

impl CloudCall {
    /// The first value of a parameter of the query.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub(super) fn router(account: CloudAccount) -> Router {
    Router::new()
        .route("/__running/{known}", get(running))
        .route("/__files/{digest}", get(file))
        .fallback(serve)
        .layer(DefaultBodyLimit::disable())
        .with_state(account)
}

/// What runs now, for `edge.mjs`. The answer is 204 if nothing has changed since the known
/// revision.
async fn running(State(account): State<CloudAccount>, Path(known): Path<u64>) -> Response {
    match account.running(known) {
        Some(running) => Json(running).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// An uploaded module or page.
async fn file(State(account): State<CloudAccount>, Path(digest): Path<String>) -> Response {
    let state = account.state();
    let bytes = state.code.get(&digest).or_else(|| state.assets.get(&digest)).cloned();
    bytes.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

async fn serve(State(account): State<CloudAccount>, request: Request) -> Response {
    if !account.admit() {
        return std::future::pending().await;
    }
    if let Some(refusal) = account.state().calls.admit() {
        return refusal;
    }
    let shown = format!("{} {}", request.method(), request.uri());
    // Opening a session of assets changes nothing that is in force.
    let is_write = request.method() != Method::GET && !shown.ends_with("/assets-upload-session");
    let answer = match read(&account, request).await {
        Ok(call) => dispatch(&account, &call, &shown),
        Err(refusal) => Err(refusal),
    };
    let short = shown.rsplit_once("/accounts/").map_or(&*shown, |(_, below)| below);
    let path = short.split_once('/').map_or(short, |(_, path)| path);
    let method = shown.split(' ').next().unwrap_or_default();
    if is_write && answer.is_ok() && !account.wrote(format!("{method} {path}")) {
        return std::future::pending().await;
    }
    respond(answer)
}

async fn read(
    account: &CloudAccount,
    request: Request,
) -> Result<CloudCall, super::answer::CloudRefusal> {
    let method = request.method().clone();
    let path: Vec<String> = request
        .uri()
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let query = request.uri().query().unwrap_or_default();
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let header = header_of(&request, header::AUTHORIZATION);
    let bearer = header.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let is_multipart = header_of(&request, header::CONTENT_TYPE).starts_with("multipart/form-data");
    let below = match &*path {
        [client, version, accounts, id, below @ ..]
            if client == "client" && version == "v4" && accounts == "accounts" =>
        {
            // Assets are uploaded with the token of their session.
            let is_asset = below.get(1).is_some_and(|part| part == "assets");
            if !is_asset && bearer != account.options.token {
                return Err(forbidden(10000, "Authentication error"));
            }
            if *id != account.options.account_id {
                return Err(forbidden(9109, "Unauthorized to access requested resource"));
            }
            below.to_vec()
        }
        [client, version, accounts]
            if client == "client" && version == "v4" && accounts == "accounts" =>
        {
            if bearer != account.options.token {
                return Err(forbidden(10000, "Authentication error"));
            }
            vec![accounts.clone()]
        }
        _ => return Err(missing(7000, "No route for that URI")),
    };
    let (mut json, mut parts) = (Value::Null, Vec::new());
    if is_multipart {
        parts = multipart(request).await?;
    } else {
        let bytes = Bytes::from_request(request, &()).await;
        let bytes = bytes.map_err(|error| refused(10001, error.to_string()))?;
        if !bytes.is_empty() {
            json = serde_json::from_slice(&bytes)
                .map_err(|error| refused(10001, format!("the body is no JSON: {error}")))?;
        }
    }
    Ok(CloudCall { method, path: below, query, bearer, json, parts })
}

fn header_of(request: &Request, name: header::HeaderName) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

async fn multipart(request: Request) -> Result<Vec<UploadPart>, super::answer::CloudRefusal> {
    let wrong = |error: &dyn std::fmt::Display| refused(10001, format!("a part: {error}"));
    let mut body = Multipart::from_request(request, &()).await.map_err(|error| wrong(&error))?;
    let mut parts = Vec::new();
    while let Some(field) = body.next_field().await.map_err(|error| wrong(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let kind = field.content_type().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|error| wrong(&error))?;
        parts.push(UploadPart { name, kind, bytes });
    }
    Ok(parts)
}

fn dispatch(account: &CloudAccount, call: &CloudCall, shown: &str) -> CloudAnswer {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let state = &mut *account.state();
    match (call.method.as_str(), &*path) {
        ("GET", ["accounts"]) => Ok(account.accounts(&state.other_accounts)),
        ("GET", ["workers", "subdomain"]) => match &account.options.subdomain {
            Some(subdomain) => Ok(serde_json::json!({ "subdomain": subdomain })),
            None => Err(missing(10007, "You do not have a workers.dev subdomain.")),
        },
        ("GET", ["workers", "scripts"]) => Ok(scripts::list(state)),
        ("GET", ["workers", "services", name]) => scripts::service(state, name),
        ("PUT", ["workers", "scripts", name]) => scripts::put(state, name, call),
        ("GET", ["workers", "scripts", name, "settings"]) => scripts::settings(state, name),
        ("GET", ["workers", "scripts", name, "secrets"]) => scripts::secrets(state, name),
        ("GET", ["workers", "scripts", name, "versions"]) => scripts::versions(state, name),
        ("GET", ["workers", "scripts", name, "versions", id]) => scripts::version(state, name, id),
        ("POST", ["workers", "scripts", name, "versions"]) => {
            scripts::post_version(state, name, call)
        }
        ("GET", ["workers", "scripts", name, "deployments"]) => scripts::releases(state, name),
        ("POST", ["workers", "scripts", name, "deployments"]) => {
            scripts::release(state, name, &call.json)
        }
        ("PATCH", ["workers", "scripts", name, "script-settings"]) => {
            scripts::patch(state, name, &call.json)
        }
        ("GET", ["workers", "scripts", name, "schedules"]) => scripts::crons(state, name),
        ("PUT", ["workers", "scripts", name, "schedules"]) => {
            scripts::set_crons(state, name, &call.json)
        }
        ("GET", ["workers", "scripts", name, "subdomain"]) => scripts::exposure(state, name),
        ("POST", ["workers", "scripts", name, "subdomain"]) => {
            let has_address = account.options.subdomain.is_some();
            scripts::set_exposure(state, name, &call.json, has_address)
        }
        ("POST", ["workers", "scripts", name, "assets-upload-session"]) => {
            assets::begin(state, name, &call.json)
        }
        ("POST", ["workers", "assets", "upload"]) => assets::upload(state, call),
        ("GET", ["queues"]) => Ok(queues::list(state, call)),
        ("POST", ["queues"]) => queues::make(state, &call.json),
        ("POST", ["queues", id, "consumers"]) => queues::consume(state, id, None, &call.json),
        ("PUT", ["queues", id, "consumers", consumer]) => {
            queues::consume(state, id, Some(consumer), &call.json)
        }
        ("DELETE", ["queues", id, "consumers", consumer]) => queues::leave(state, id, consumer),
        _ => {
            state.note_unknown(shown);
            Err(missing(7000, "No route for that URI"))
        }
    }
}
