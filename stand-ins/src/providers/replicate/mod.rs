//! Replicate as the application uses it: predictions that really put a garment on a picture. It
//! refuses what the contract does not name, so that a mistake shows here first.
//!
//! | module | for |
//! |---|---|
//! | `request` | reads or refuses a request for a prediction |
//! | `predictions` | the predictions, their states, and what answers show of them |
//! | `work` | the work itself, and its end |
//! | `webhook` | the signed webhook of a prediction that has ended |

mod predictions;
mod request;
mod webhook;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::ProviderTools;
use super::files::ProviderFiles;
use super::log::Log;
use super::provider::{Answering, Arrival, Concern, ProviderAnswer, StandInProvider};
use super::script::{Behaviour, WebhookFault};
use super::work_time::RunningTasks;
use crate::client::Client;
use crate::clock;
use crate::config::StandInConfig;
use predictions::{PredictionState, Predictions};

const NAME: &str = "replicate";
const LOCAL_KEY: &str = "r8_local_token";
/// The secret that signs webhooks; the functions have the same.
const WEBHOOK_SECRET: &str = "whsec_cmVwbGljYXRlLWxvY2FsLXdlYmhvb2sta2V5";
const PAGE: usize = 100;

/// The state that all parts share.
struct ReplicateShared {
    predictions: Predictions,
    keys: Vec<String>,
    base_url: String,
    client: Client,
    files: ProviderFiles,
    log: Arc<Log>,
    running: RunningTasks,
    /// How many garments are on a picture that was made here, by the picture's digest. The next
    /// garment goes beside them.
    worn: Mutex<HashMap<Vec<u8>, u32>>,
}

#[derive(Clone)]
pub(super) struct Replicate(Arc<ReplicateShared>);

impl Replicate {
    pub(super) fn new(config: &StandInConfig, tools: ProviderTools) -> Self {
        let ProviderTools { client, files, log, running } = tools;
        let keys =
            config.provider_keys.get(NAME).cloned().unwrap_or_else(|| vec![LOCAL_KEY.to_owned()]);
        let hub = ReplicateShared {
            predictions: Predictions::default(),
            keys,
            base_url: config.url(3),
            client,
            files,
            log,
            running,
            worn: Mutex::default(),
        };
        Self(Arc::new(hub))
    }

    async fn route(&self, arrival: &Arrival, behaviour: &Behaviour) -> ProviderAnswer {
        let hub = &self.0;
        let token = arrival.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| hub.keys.iter().any(|key| key == token)) {
            return unauthenticated();
        }
        let route = arrival.route(NAME).strip_prefix("/v1").unwrap_or_default();
        let segments: Vec<&str> = route.split('/').skip(1).collect();
        match (&arrival.method, segments.as_slice()) {
            (&Method::POST, ["predictions"]) => self.create(arrival, behaviour).await,
            (&Method::GET, ["predictions"]) => self.list(arrival),
            (&Method::GET, ["predictions", id]) => self.shown(id),
            (&Method::POST, ["predictions", id, "cancel"]) => {
                hub.predictions.finish(id, PredictionState::Canceled);
                self.shown(id)
            }
            (&Method::GET, ["webhooks", "default", "secret"]) => {
                ProviderAnswer::json(200, &json!({"key": WEBHOOK_SECRET}))
            }
            _ => not_found(),
        }
    }

    async fn create(&self, arrival: &Arrival, behaviour: &Behaviour) -> ProviderAnswer {
        let hub = &self.0;
        let order = match request::read(arrival) {
            Ok(order) => order,
            Err(refusal) => return refusal,
        };
        let wait = order.wait;
        let prediction = match hub.predictions.accept(order, arrival.rule_text(), behaviour.clone())
        {
            Some(prediction) => prediction,
            None => return throttled(),
        };
        let id = prediction.id.clone();
        let work = tokio::spawn(work::run(Arc::clone(hub), prediction.clone()));
        if behaviour.webhook == Some(WebhookFault::Early) {
            // The prediction ends and its webhook is sent before this answer is written.
            let _ = work.await;
        } else if let Some(wait) = wait {
            let _ = tokio::time::timeout(Duration::from_secs(wait), work).await;
            if let Some(body) =
                hub.predictions.get(&id).and_then(|over| over.in_block_mode(&hub.files))
            {
                return ProviderAnswer::json(201, &body).about(id);
            }
        }
        ProviderAnswer::json(201, &prediction.just_created()).about(id)
    }

    fn shown(&self, id: &str) -> ProviderAnswer {
        match self.0.predictions.get(id) {
            Some(prediction) => {
                ProviderAnswer::json(200, &prediction.shown(&self.0.files)).about(id.to_owned())
            }
            None => not_found(),
        }
    }

    /// The predictions, newest first, a hundred in a page. The links to other pages are whole URLs.
    fn list(&self, arrival: &Arrival) -> ProviderAnswer {
        let query = arrival.path.split_once('?').map_or("", |(_, query)| query);
        let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
        let text = |name: &str| query.get(name).map(AsRef::as_ref);
        let from = match text("cursor").map(str::parse::<usize>) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => {
                return ProviderAnswer::problem(
                    400,
                    &json!({"detail": "Invalid cursor", "status": 400}),
                );
            }
        };
        let range =
            (text("created_after").map(clock::instant), text("created_before").map(clock::instant));
        let (after, before) = match range {
            (Some(None), _) | (_, Some(None)) => {
                return ProviderAnswer::problem(
                    400,
                    &json!({"detail": "not an ISO 8601 date", "status": 400}),
                );
            }
            (after, before) => (after.flatten().unwrap_or(0), before.flatten().unwrap_or(u64::MAX)),
        };
        let all = self.0.predictions.newest_first(after, before);
        let results: Vec<Value> = all
            .iter()
            .skip(from)
            .take(PAGE)
            .map(|prediction| prediction.listed(&self.0.files))
            .collect();
        let link =
            |from: usize| format!("{}/replicate/v1/predictions?cursor={from}", self.0.base_url);
        let next = (all.len() > from + PAGE).then(|| link(from + PAGE));
        let previous = (from > 0).then(|| link(from.saturating_sub(PAGE)));
        ProviderAnswer::json(200, &json!({"next": next, "previous": previous, "results": results}))
    }
}

fn unauthenticated() -> ProviderAnswer {
    let detail = "You did not pass a valid authentication token";
    ProviderAnswer::problem(
        401,
        &json!({"title": "Unauthenticated", "detail": detail, "status": 401}),
    )
}

fn not_found() -> ProviderAnswer {
    ProviderAnswer::problem(
        404,
        &json!({"detail": "The requested resource could not be found.", "status": 404}),
    )
}

fn throttled() -> ProviderAnswer {
    let detail = "Request was throttled. Your rate limit resets in ~30s.";
    ProviderAnswer::problem(429, &json!({"detail": detail}))
}

impl StandInProvider for Replicate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concern(&self, arrival: &Arrival) -> Concern {
        let route = arrival.route(NAME);
        if arrival.method == Method::POST && route == "/v1/predictions" {
            return Concern { is_submit: true, ..Concern::default() };
        }
        let id = route.strip_prefix("/v1/predictions/").and_then(|rest| rest.split('/').next());
        let submit_text =
            id.and_then(|id| self.0.predictions.get(id)).map(|prediction| prediction.submit_text);
        Concern { is_submit: false, task_id: id.map(str::to_owned), submit_text }
    }

    fn answer<'a>(&'a self, arrival: &'a Arrival, behaviour: &'a Behaviour) -> Answering<'a> {
        Box::pin(self.route(arrival, behaviour))
    }

    fn set_capacity(&self, limit: usize) {
        self.0.predictions.set_capacity(limit);
    }

    fn reset(&self) {
        self.0.predictions.reset();
    }
}
