//! The provider stand-ins: one script and one log over all of them, each provider in its own module. A provider
//! is mounted at `/<name>/…`; what it makes is read at `/files/…`.
//!
//! | path | for |
//! |---|---|
//! | `POST /__script` | add rules; `{"reset":true}` clears all of them |
//! | `GET /__log` | requests, newest last |
//! | `GET /__deliveries` | webhooks sent, newest last, with what the receiver answered |
//! | `/files/<name>` | what the providers made |
//! | `/made/<name>?bytes=…` | a file of that size, made while it is read; `unnamed`, `broken`, `pause_ms` |
//! | `/moved?to=…` | a redirect |

mod exchange;
mod files;
mod gemini;
mod llm;
mod log;
mod provider;
mod replicate;
mod runninghub;
mod script;
mod telling;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::Client;
use crate::config::Config;
use files::Files;
use log::Log;
use provider::Provider;
use script::Script;

/// A script may hold a whole answer of a provider, also one that is too large.
const SCRIPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Everything the routes share.
#[derive(Clone)]
struct Stand {
    script: Arc<Script>,
    log: Arc<Log>,
    files: Files,
    providers: Arc<Vec<Arc<dyn Provider>>>,
}

impl Stand {
    fn names(&self) -> Vec<&'static str> {
        self.providers.iter().map(|provider| provider.name()).collect()
    }
}

/// The routes of the providers' port.
pub fn router(config: &Config) -> anyhow::Result<Router> {
    let log = Arc::new(Log::default());
    let files = Files::new(config.storage_dir.join(".providers"), config.url(3))?;
    let runninghub =
        runninghub::RunningHub::new(config, Client::new(), files.clone(), Arc::clone(&log));
    let replicate =
        replicate::Replicate::new(config, Client::new(), files.clone(), Arc::clone(&log));
    let gemini = gemini::Gemini::new(config, Client::new());
    let llm = llm::Llm::new(config);
    let providers: Vec<Arc<dyn Provider>> =
        vec![Arc::new(runninghub), Arc::new(replicate), Arc::new(gemini), Arc::new(llm)];
    let stand = Stand { script: Arc::default(), log, files, providers: Arc::new(providers) };
    let router = Router::new()
        .route("/__script", post(add_script).layer(DefaultBodyLimit::max(SCRIPT_BYTES_MAX)))
        .route("/__log", get(async |State(stand): State<Stand>| Json(stand.log.entries())))
        .route(
            "/__deliveries",
            get(async |State(stand): State<Stand>| Json(stand.log.deliveries())),
        )
        .route("/files/{name}", get(files::read))
        .route("/made/{name}", get(files::make))
        .route("/moved", get(files::moved))
        .route("/{provider}/{*rest}", any(exchange::exchange))
        .with_state(stand);
    Ok(router)
}

async fn add_script(State(stand): State<Stand>, body: Bytes) -> Response {
    let posted: Value = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => return refused(&error.to_string()),
    };
    let changes = match stand.script.add(&posted, &stand.names()) {
        Ok(changes) => changes,
        Err(error) => return refused(&error),
    };
    for provider in stand.providers.iter() {
        if changes.reset {
            provider.reset();
        }
        if let Some(limit) = changes.capacity.get(provider.name()) {
            provider.set_capacity(*limit);
        }
    }
    Json(json!({"ok": true})).into_response()
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}
