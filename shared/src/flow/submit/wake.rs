//! Who works for a provider, and how they are woken: asynchronous ones are dispatched here and now, for synchronous
//! ones the consumer's queue gets a hint.
//!
//! A hint may be lost, doubled or late: the database is the truth, and cron finds the same work.

use super::round as dispatch;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::provider::{ASYNCHRONOUS, Remote, SYNCHRONOUS, gemini, llm};
use crate::core::transport::Transport;
use crate::flow::{Cx, provider_cancel};
use serde_json::json;

/// The queue binding of a synchronous provider's consumer.
fn queue_of(provider: &str) -> Option<&'static str> {
    match provider {
        gemini::NAME => Some("GEMINI_HINTS"),
        llm::NAME => Some("LLM_HINTS"),
        _ => None,
    }
}

/// Wakes the consumer after `delay_ms`.
pub async fn send<T: Transport>(cx: &Cx<'_, T>, provider: &str, delay_ms: u32) {
    let Some(queue) = queue_of(provider) else { return };
    let message = json!({"provider": provider}).to_string();
    if let Err(error) = cx.transport.notify(queue, &message, delay_ms.div_ceil(1_000)).await {
        cx.log("hint_lost", json!({"provider": provider, "error": error.to_string()}));
    }
}

/// What follows a slot that became free: whatever may start, starts.
pub async fn start_next<T: Transport>(cx: &Cx<'_, T>, provider: &str) -> Result<(), ApiError> {
    if !SYNCHRONOUS.contains(&provider) {
        return dispatch::dispatch(cx, provider, |_| {}).await.map(|_| ());
    }
    if cx.db().steps_waiting_v1(provider).await?.may_start > 0 {
        send(cx, provider, 0).await;
    }
    Ok(())
}

/// What follows a cancel after its answer: the provider is told, and what may start starts.
pub async fn follow_up<T: Transport>(cx: &Cx<'_, T>, provider: &str, cancelled: Option<JobId>) {
    let told = match cancelled.filter(|_| ASYNCHRONOUS.contains(&provider)) {
        Some(id) => tell(cx, provider, id).await,
        // A synchronous call ends at its worker's next heartbeat.
        None => Ok(()),
    };
    let started = start_next(cx, provider).await;
    for error in [told, started].into_iter().filter_map(Result::err) {
        cx.log(
            "follow_up_fault",
            json!({"level": "error", "error": error.to_string(), "detail": error.internal}),
        );
    }
}

async fn tell<T: Transport>(cx: &Cx<'_, T>, provider: &str, id: JobId) -> Result<(), ApiError> {
    let remote = Remote::of(provider, cx.config)?;
    Ok(provider_cancel::job(cx, &remote, id).await?)
}
