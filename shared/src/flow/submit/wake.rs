//! Starts a provider's waiting steps: submits those of an asynchronous provider at once, and sends
//! a hint to the queue of a synchronous provider's consumer.
//!
//! A hint may be lost, doubled or late: cron finds the same work in the database.

use super::round;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::provider;
use crate::core::transport::Transport;
use crate::flow::{Cx, provider_cancel};
use serde_json::json;

/// A queue message that asks for no work. Its consumer notes its arrival.
pub const PROBE: &str = r#"{"probe":true}"#;

/// Sends a hint that arrives after `delay_ms`. Does nothing for an asynchronous provider.
pub async fn send_hint<T: Transport>(cx: &Cx<'_, T>, provider: &str, delay_ms: u32) {
    send(cx, provider, &json!({"provider": provider}).to_string(), delay_ms).await;
}

/// Sends a probe to the queue of each synchronous provider.
pub async fn probe_queues<T: Transport>(cx: &Cx<'_, T>) {
    for provider in provider::SYNCHRONOUS {
        send(cx, provider.name, PROBE, 0).await;
    }
}

async fn send<T: Transport>(cx: &Cx<'_, T>, provider: &str, message: &str, delay_ms: u32) {
    let Some(queue) = provider::hint_queue(provider) else { return };
    if let Err(error) = cx.transport.notify(queue, message, delay_ms.div_ceil(1_000)).await {
        cx.log("hint_lost", json!({"provider": provider, "error": error.to_string()}));
    }
}

/// Starts the waiting steps of a provider, for example after a slot was freed.
pub async fn start_waiting<T: Transport>(cx: &Cx<'_, T>, provider: &str) -> Result<(), ApiError> {
    if provider::hint_queue(provider).is_none() {
        return round::submit_waiting(cx, provider).await.map(drop);
    }
    if cx.db().steps_waiting_v1(provider).await?.may_start > 0 {
        send_hint(cx, provider, 0).await;
    }
    Ok(())
}

/// Does the rest of a cancel after its answer: tells the provider about the `cancelled` job, and
/// starts waiting steps.
pub async fn after_cancel<T: Transport>(cx: &Cx<'_, T>, provider: &str, cancelled: Option<JobId>) {
    // At a synchronous provider, the call ends with the next heartbeat of its worker.
    let told = match cancelled.filter(|_| provider::is_asynchronous(provider)) {
        Some(job) => cancel_at_provider(cx, provider, job).await,
        None => Ok(()),
    };
    let started = start_waiting(cx, provider).await;
    for error in [told, started].into_iter().filter_map(Result::err) {
        cx.log_error("after_cancel_error", &error, json!({"provider": provider}));
    }
}

async fn cancel_at_provider<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    job: JobId,
) -> Result<(), ApiError> {
    let account = provider::asynchronous(provider, cx.config)?;
    Ok(provider_cancel::cancel_tasks_of(cx, &*account, job).await?)
}
