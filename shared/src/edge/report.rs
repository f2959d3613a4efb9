//! The operations by which every function reports its settings to the service, so that a deployment
//! can be checked from outside: `GET __settings` and `POST __hint`. They show no value of a
//! setting.
//!
//! A function without a binding at the gateway is asked by a function that calls it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::auth::jwt::{self, Key};
use crate::core::body::NoInput;
use crate::core::config::{Config, GROUPS, fingerprint};
use crate::core::error::ApiError;
use crate::core::transport::Transport;
use crate::core::webhook::{self, WebhookAddress};
use crate::edge::call::{Call, OwnedCx};
use crate::edge::op::Op;
use crate::flow::submit::wake::PROBE;

const SETTINGS: &str = "__settings";
const HINT: &str = "__hint";

/// The operations of every function.
pub(super) static OPS: &[Op] = &[
    crate::op!(GET | POST "__settings" for Service => settings),
    crate::op!(POST "__hint" for Service => hint),
];

/// The events that a function notes.
pub(super) const CRON: &str = "cron";
pub(super) const QUEUE: &str = "queue";

/// Whether every function has an operation of that name.
pub(super) fn is_of_all(path: &str) -> bool {
    path == SETTINGS || path == HINT
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsReport {
    deployment: String,
    /// The fingerprint of every setting by its name; null if this function has no value.
    settings: Map<String, Value>,
    /// The ids of the public keys in `SUPABASE_JWKS`; null if the keys are fetched.
    key_ids: Option<Vec<String>>,
    /// Whether `SUPABASE_JWT_SECRET` has signed the service key. Null if one of them is missing, or
    /// if the key is of the new kind, which is not signed.
    secret_fits: Option<bool>,
    /// A webhook's address without a job, made as this function makes the addresses for providers.
    webhook: Option<String>,
}

async fn settings(call: &Call, _: NoInput) -> Result<SettingsReport, ApiError> {
    let OwnedCx { fetch, config, .. } = &call.cx;
    let key = config.service_key()?;
    // The entries are inserted one by one, because a collected map would add another sort function
    // to the wasm.
    let mut settings = Map::new();
    for setting in GROUPS.iter().flat_map(|group| group.settings) {
        let value = fetch.env().var(setting.name).map(|value| value.to_string());
        let digits = fingerprint(key, setting.name, &value.unwrap_or_default());
        settings.insert(setting.name.to_owned(), digits.map_or(Value::Null, Value::from));
    }
    let is_signed = |secret: &String| {
        jwt::verify(key, &Key::hs256(secret), None, fetch.now_ms() / 1_000).is_some()
    };
    let is_token = key.contains('.');
    Ok(SettingsReport {
        deployment: config.deployment()?,
        settings,
        key_ids: config.jwks.as_deref().map(key_ids),
        secret_fits: config.jwt_secret.as_ref().filter(|_| is_token).map(is_signed),
        webhook: webhook_of_nothing(config),
    })
}

fn key_ids(jwks: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(jwks).unwrap_or_default();
    let keys = document.get("keys").and_then(Value::as_array).into_iter().flatten();
    keys.filter_map(|key| key.get("kid")?.as_str().map(str::to_owned)).collect()
}

fn webhook_of_nothing(config: &Config) -> Option<String> {
    let (url, secret) = (config.functions_url.as_ref()?, config.webhook_secret.as_ref()?);
    webhook::url(url, secret, WebhookAddress::of_nothing())
}

#[derive(Deserialize)]
struct ProbedQueue {
    /// The binding of the queue.
    queue: String,
}

/// Sends a probe to a queue. The queue's consumer notes its arrival.
async fn hint(call: &Call, ProbedQueue { queue }: ProbedQueue) -> Result<Value, ApiError> {
    let sent = call.cx.fetch.notify(&queue, PROBE, 0).await;
    sent.map_err(|error| ApiError::misconfigured(&queue).with_internal(error.to_string()))?;
    Ok(serde_json::json!({ "ok": true }))
}

pub(super) fn is_probe(message: &Value) -> bool {
    message.get("probe").is_some()
}

/// Notes that an event has reached this function.
pub(super) async fn seen(cx: &OwnedCx, function: &str, event: &str) -> Result<(), ApiError> {
    Ok(cx.cx().db().event_seen_v1(function, event).await?)
}
