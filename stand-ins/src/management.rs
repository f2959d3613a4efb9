//! Supabase's Management API as far as a deployment uses it, `/v1/projects/<ref>/postgrest`, and
//! what the project's own API tells of the same list.
//!
//! As strict as the service: a wrong token is 401, another project 404, a field that it does not
//! know 400; `db_schema` replaces the whole list. The project's API answers every request as
//! PostgREST does one for a schema that is not in the list. Sources: the service's OpenAPI document
//! (`UpdatePostgrestConfigBody`); PostgREST, src/library/PostgREST/Error.hs.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::serve::serve;

const FIELDS: [&str; 5] =
    ["db_schema", "db_extra_search_path", "max_rows", "db_pool", "db_pool_acquisition_timeout"];

/// One hosted project. Clones are the same one.
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
}

impl HostedApi {
    /// Serves the project until the runtime ends. `schemas` is its list of exposed schemas.
    pub async fn start(project: &str, token: &str, schemas: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = HostedState { schemas: schemas.to_owned(), changes: Vec::new() };
        let api = Self {
            project: project.to_owned(),
            token: token.to_owned(),
            port: listener.local_addr()?.port(),
            state: Arc::new(Mutex::new(state)),
        };
        let router = Router::new()
            .route("/v1/projects/{project}/postgrest", get(show).patch(change))
            .route("/rest/v1/{*path}", any(refuse_schema))
            .with_state(api.clone());
        tokio::spawn(serve(listener, router));
        Ok(api)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The list of exposed schemas now.
    pub fn schemas(&self) -> String {
        self.with(|state| state.schemas.clone())
    }

    /// The bodies of all changes that were taken.
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
        (project != self.project).then(|| problem(StatusCode::NOT_FOUND, "Project not found"))
    }

    fn shown(&self) -> Response {
        Json(json!({"db_schema": self.schemas(), "max_rows": 1000, "db_pool": null,
            "db_extra_search_path": "public, extensions", "db_pool_acquisition_timeout": null}))
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

/// The gateway refuses who brings no key; PostgREST names its list to everybody else.
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
