//! `/realtime/v1/websocket`: the changes of published tables over Phoenix's channels, as
//! realtime-js 2 uses them. There is no broadcast, no presence and no private channel.
//!
//! Source: supabase/realtime, lib/realtime_web/channels/user_socket.ex and realtime_channel.ex. The
//! pauses that Realtime makes before a refusal (2 to 5 s) are left out.

mod frame;
mod hub;
mod socket;
mod stream;
mod table;
mod wanted;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::{SharedFront, caller};
use crate::clock;
use crate::config::{RealtimeLimits, StandInConfig};
use frame::FrameVersion;
use hub::Hub;

/// The limit in lib/realtime_web/endpoint.ex.
const FRAME_BYTES_MAX: usize = 5_000_000;

pub(super) struct Realtime {
    hub: Arc<Hub>,
    limits: RealtimeLimits,
    sockets: AtomicUsize,
    joins: SecondCounter,
    messages: SecondCounter,
}

impl Realtime {
    pub(super) fn new(config: &StandInConfig) -> Self {
        Self {
            hub: Arc::new(Hub::new(config.replication_url.clone())),
            limits: config.realtime,
            sockets: AtomicUsize::default(),
            joins: SecondCounter::default(),
            messages: SecondCounter::default(),
        }
    }
}

/// How often something happened in the present second.
#[derive(Default)]
struct SecondCounter(Mutex<(u64, usize)>);

impl SecondCounter {
    /// Counts one more. Returns false if it is above the maximum.
    fn admits(&self, max: usize) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != clock::now_s() {
            *counted = (clock::now_s(), 0);
        }
        counted.1 += 1;
        counted.1 <= max
    }
}

/// One connected socket, counted until it is dropped.
struct SocketPermit(SharedFront);

impl SocketPermit {
    fn take(front: &SharedFront) -> Option<Self> {
        let permit = Self(SharedFront::clone(front));
        let others = front.realtime.sockets.fetch_add(1, Ordering::Relaxed);
        (others < front.realtime.limits.sockets).then_some(permit)
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.0.realtime.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn routes() -> Router<SharedFront> {
    Router::new().route("/websocket", get(connect))
}

/// Checks the project's key first, as the project's gateway does, and then Realtime's own limits.
async fn connect(
    State(front): State<SharedFront>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let key = query.get("apikey").map(String::as_str);
    let key = caller::text(&headers, "x-api-key").or(key);
    let role = match key.map(|key| front.keys.role(key)) {
        None => return unauthorized("No API key found in request"),
        Some(None) => return unauthorized("Invalid API key"),
        Some(Some(role)) => role,
    };
    let Some(version) = FrameVersion::of(query.get("vsn").map(String::as_str)) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(permit) = SocketPermit::take(&front) else {
        let body = Json(json!({"error": "Too many connected users"}));
        return (StatusCode::TOO_MANY_REQUESTS, body).into_response();
    };
    let token = front.keys.token(role).to_owned();
    upgrade.max_frame_size(FRAME_BYTES_MAX).max_message_size(FRAME_BYTES_MAX).on_upgrade(
        async move |socket| {
            socket::serve(socket, &permit.0, version, token).await;
        },
    )
}

fn unauthorized(message: &str) -> Response {
    (StatusCode::UNAUTHORIZED, Json(json!({"message": message}))).into_response()
}
