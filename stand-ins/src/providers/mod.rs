//! The providers' stand-ins: one script and one log for all of them, and a module for each. A
//! provider is mounted at `/<name>/…`; its results are on a port of their own, because real results
//! are on other hosts than the API.
//!
//! | path | for |
//! |---|---|
//! | `POST /__script` | adds rules; `{"reset":true}` removes all of them |
//! | `POST /__finish` | ends the work of running tasks: `{"task_id":…}` or `{"match":…}` |
//! | `GET /__log` | the requests, newest last |
//! | `GET /__deliveries` | the webhooks that were sent, newest last, with the receiver's answer |
//! | `/made/<name>?bytes=…` | a file of that size; also `unnamed`, `broken`, `pause_ms` |
//! | `/moved?to=…` | a redirect |
//! | `POST /stripe/__refund`, `__dispute`, `__renew` | what happens to a payment later; see
//! `stripe` |
//!
//! A rule names the requests to which it applies: by `match`, a text of the method, path or body of
//! a request or of its task's submit; by `times`, the first requests that come; or by `"all":
//! true`. A rule with none of these is refused, because it would meet the requests of others at the
//! same moment.
//!
//! With `"work": "until_finished"` a task works until `POST /__finish` names it by the provider's
//! id or by a text of its submit. Then the task ends as its rule says. The answer `{"finished": n}`
//! is sent when all named tasks have ended, or 404 if no running task was named.

mod exchange;
mod files;
mod gemini;
mod llm;
mod log;
mod provider;
mod replicate;
mod runninghub;
mod script;
mod stripe;
mod webhook_delivery;
mod work_time;

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
use crate::config::StandInConfig;
use files::ProviderFiles;
use log::Log;
use provider::StandInProvider;
use script::Script;
use work_time::{FinishRequest, RunningTasks};

/// The size of the largest script. A rule may contain a whole answer of a provider, also one that
/// is too large for us.
const SCRIPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The state that all routes share.
#[derive(Clone)]
struct Stand {
    script: Arc<Script>,
    log: Arc<Log>,
    running: RunningTasks,
    providers: Arc<Vec<Arc<dyn StandInProvider>>>,
}

/// What a provider needs for its work.
#[derive(Clone)]
struct ProviderTools {
    client: Client,
    files: ProviderFiles,
    log: Arc<Log>,
    running: RunningTasks,
}

impl Stand {
    fn names(&self) -> Vec<&'static str> {
        self.providers.iter().map(|provider| provider.name()).collect()
    }
}

/// The routes of the providers' port, and those of the results' port.
pub fn routers(config: &StandInConfig) -> anyhow::Result<(Router, Router)> {
    let log = Arc::new(Log::default());
    let files = ProviderFiles::new(config.storage_dir.join(".providers"), config.url(7))?;
    let results = Router::new().route("/{name}", get(files::read)).with_state(files.clone());
    let running = RunningTasks::default();
    let tools = ProviderTools {
        client: Client::new(),
        files,
        log: Arc::clone(&log),
        running: running.clone(),
    };
    let runninghub = runninghub::RunningHub::new(config, tools.clone());
    let replicate = replicate::Replicate::new(config, tools.clone());
    let stripe = stripe::Stripe::new(config, &tools);
    let gemini = gemini::Gemini::new(config, tools);
    let llm = llm::Llm::new(config, running.clone());
    let providers: Vec<Arc<dyn StandInProvider>> = vec![
        Arc::new(runninghub),
        Arc::new(replicate),
        Arc::new(gemini),
        Arc::new(llm),
        Arc::new(stripe),
    ];
    let stand = Stand { script: Arc::default(), log, running, providers: Arc::new(providers) };
    let router = Router::new()
        .route("/__script", post(add_script).layer(DefaultBodyLimit::max(SCRIPT_BYTES_MAX)))
        .route("/__finish", post(finish))
        .route("/__log", get(async |State(stand): State<Stand>| Json(stand.log.entries())))
        .route(
            "/__deliveries",
            get(async |State(stand): State<Stand>| Json(stand.log.deliveries())),
        )
        .route("/made/{name}", get(files::make))
        .route("/moved", get(files::moved))
        .route("/{provider}/{*rest}", any(exchange::exchange))
        .with_state(stand);
    Ok((router, results))
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

async fn finish(State(stand): State<Stand>, body: Bytes) -> Response {
    let request: FinishRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refused(&error.to_string()),
    };
    match stand.running.finish(&request).await {
        0 => (StatusCode::NOT_FOUND, Json(json!({"error": "no such task is running"})))
            .into_response(),
        finished => Json(json!({ "finished": finished })).into_response(),
    }
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}
