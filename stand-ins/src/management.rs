//! Supabase's Management API as far as a deployment uses it: `/v1/projects/<ref>/postgrest` and the
//! project's keys; and what the project's own API tells of its list of schemas.
//!
//! It is as strict as the service: a wrong token is refused with 401, another project with 404, an
//! unknown field with 400; `db_schema` replaces the whole list; a secret key is masked unless the
//! call reveals it. After 60 calls in a minute it answers 429 until the minute is over. The
//! project's API answers every request as PostgREST answers one for a schema outside the list.
//! Sources: the service's OpenAPI document (`UpdatePostgrestConfigBody`, `ApiKeyResponse`,
//! `SigningKeysResponse`) and introduction ("Rate limits"); PostgREST,
//! src/library/PostgREST/Error.hs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::clock::now_ms;
use crate::serve::serve;

const FIELDS: [&str; 5] =
    ["db_schema", "db_extra_search_path", "max_rows", "db_pool", "db_pool_acquisition_timeout"];

/// One hosted project. All clones share one state.
#[derive(Clone)]
pub struct HostedApi {
    project: String,
    token: String,
    port: u16,
    state: Arc<Mutex<HostedState>>,
}

struct HostedState {
    schemas: String,
    changes: Vec<Value>,
    keys: Value,
    signing_keys: Value,
    jwt_secret: String,
    rate: CallRate,
}

/// How many calls are accepted in a window of time.
struct CallRate {
    most: u32,
    window_ms: u64,
    begun_ms: u64,
    taken: u32,
    refused: u32,
}

impl CallRate {
    fn new(most: u32, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self { most, window_ms, begun_ms: now_ms(), taken: 0, refused: 0 }
    }

    /// Accepts a call, or returns the seconds until the next one is accepted.
    fn take(&mut self) -> Option<u64> {
        let end_ms = self.begun_ms.saturating_add(self.window_ms);
        let left_ms = end_ms.saturating_sub(now_ms());
        if left_ms == 0 {
            (self.begun_ms, self.taken) = (now_ms(), 0);
        }
        if self.taken < self.most {
            self.taken += 1;
            return None;
        }
        self.refused += 1;
        Some(left_ms.div_ceil(1000))
    }
}

impl HostedApi {
    /// Serves the project until the runtime ends. `schemas` is its list of exposed schemas.
    pub async fn start(project: &str, token: &str, schemas: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = HostedState {
            schemas: schemas.to_owned(),
            changes: Vec::new(),
            keys: json!([]),
            signing_keys: json!([{ "algorithm": "ES256", "status": "in_use" }]),
            jwt_secret: String::new(),
            rate: CallRate::new(60, Duration::from_secs(60)),
        };
        let api = Self {
            project: project.to_owned(),
            token: token.to_owned(),
            port: listener.local_addr()?.port(),
            state: Arc::new(Mutex::new(state)),
        };
        let router = Router::new()
            .route("/v1/projects/{project}/postgrest", get(show).patch(change))
            .route("/v1/projects/{project}/api-keys", get(keys))
            .route("/v1/projects/{project}/config/auth/signing-keys", get(signing_keys))
            .route("/rest/v1/{*path}", any(refuse_schema))
            .with_state(api.clone());
        tokio::spawn(serve(listener, router));
        Ok(api)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The present list of exposed schemas.
    pub fn schemas(&self) -> String {
        self.with(|state| state.schemas.clone())
    }

    /// Sets the project's keys; the list has their full values.
    pub fn set_keys(&self, keys: Value) {
        self.with(|state| state.keys = keys);
    }

    /// Sets the keys that sign the project's tokens, and the secret of the HS256 ones.
    pub fn set_signing(&self, keys: Value, secret: &str) {
        self.with(|state| {
            state.signing_keys = keys;
            secret.clone_into(&mut state.jwt_secret);
        });
    }

    /// Sets how many calls are accepted in a window from now on.
    pub fn set_rate(&self, most: u32, window: Duration) {
        self.with(|state| state.rate = CallRate::new(most, window));
    }

    /// How many calls were refused because there were too many.
    pub fn refused(&self) -> u32 {
        self.with(|state| state.rate.refused)
    }

    /// The bodies of all accepted changes.
    pub fn changes(&self) -> Vec<Value> {
        self.with(|state| state.changes.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut HostedState) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn refusal(&self, project: &str, headers: &HeaderMap) -> Option<Response> {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok());
        if token != Some(&format!("Bearer {}", self.token)) {
            return Some(problem(StatusCode::UNAUTHORIZED, "Unauthorized"));
        }
        if let Some(seconds) = self.with(|state| state.rate.take()) {
            let words = "ThrottlerException: Too Many Requests";
            let refusal = problem(StatusCode::TOO_MANY_REQUESTS, words);
            return Some(([("retry-after", seconds.to_string())], refusal).into_response());
        }
        (project != self.project).then(|| problem(StatusCode::NOT_FOUND, "Project not found"))
    }

    fn shown(&self) -> Response {
        Json(json!({"db_schema": self.schemas(), "max_rows": 1000, "db_pool": null,
            "db_extra_search_path": "public, extensions", "db_pool_acquisition_timeout": null,
            "jwt_secret": self.with(|state| state.jwt_secret.clone())}))
        .into_response()
    }
}

async fn show(
    State(api): State<HostedApi>,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Response {
    api.refusal(&project, &headers).unwrap_or_else(|| api.shown())
}

async fn change(
    State(api): State<HostedApi>,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Json<Value>,
) -> Response {
    if let Some(refusal) = api.refusal(&project, &headers) {
        return refusal;
    }
    let Json(body) = body;
    let Some(fields) = body.as_object() else {
        return problem(StatusCode::BAD_REQUEST, "Expected object");
    };
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        let words = format!("Unrecognized key(s) in object: '{unknown}'");
        return problem(StatusCode::BAD_REQUEST, &words);
    }
    let Some(schemas) = fields.get("db_schema").and_then(Value::as_str) else {
        return problem(StatusCode::BAD_REQUEST, "db_schema: Expected string");
    };
    api.with(|state| {
        schemas.clone_into(&mut state.schemas);
        state.changes.push(body.clone());
    });
    api.shown()
}

async fn keys(
    State(api): State<HostedApi>,
    Path(project): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = api.refusal(&project, &headers) {
        return refusal;
    }
    let mut keys = api.with(|state| state.keys.clone());
    if query.get("reveal").map(String::as_str) != Some("true") {
        for key in keys.as_array_mut().into_iter().flatten() {
            if key["type"] == "secret" {
                key["api_key"] = json!("sb_secret_abcde··········");
            }
        }
    }
    Json(keys).into_response()
}

async fn signing_keys(
    State(api): State<HostedApi>,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Response {
    let shown = || Json(json!({ "keys": api.with(|state| state.signing_keys.clone()) }));
    api.refusal(&project, &headers).unwrap_or_else(|| shown().into_response())
}

/// The answer to a request of the project's API. The gateway refuses a caller without a key;
/// PostgREST names its list to all others.
async fn refuse_schema(State(api): State<HostedApi>, headers: HeaderMap) -> Response {
    if !headers.contains_key("apikey") {
        return problem(StatusCode::UNAUTHORIZED, "No API key found in request");
    }
    let hint = format!("Only the following schemas are exposed: {}", api.schemas());
    let body = json!({"code": "PGRST106", "details": null, "hint": hint,
        "message": "Invalid schema: unknown"});
    (StatusCode::NOT_ACCEPTABLE, Json(body)).into_response()
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
