//! Queue batches.
//!
//! A message is a hint and the database is the truth, so nothing here counts attempts, and a batch
//! is never failed as a whole: that would bring back the messages that are done.

use std::future::Future;
use std::rc::Rc;

use futures_util::future::join_all;
use serde_json::Value;
use worker::{Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage, js_sys};

use crate::core::auth::Caller;
use crate::core::error::ApiError;
use crate::core::id;
use crate::core::transport::Transport;
use crate::edge::call::OwnedCx;
use crate::edge::fetch::Fetch;
use crate::edge::log::LogLine;
use crate::edge::spec::Spec;

/// What the queue event hands over.
pub type Batch = MessageBatch<String>;

/// How long a message that failed waits, where the error does not say.
const RETRY_AFTER_S: u32 = 10;

/// Runs the handler for each message of the batch, side by side: one slow message must not hold up
/// the others. Done ones are acknowledged, failed ones come again later. Never fails.
pub async fn serve_queue<F, Fut>(spec: &'static Spec, batch: Batch, env: Env, handle: F)
where
    F: Fn(Value, OwnedCx) -> Fut,
    Fut: Future<Output = Result<(), ApiError>>,
{
    let fetch = Fetch::new(env);
    let messages: Vec<RawMessage> = batch.raw_iter().collect();
    join_all(messages.iter().map(|message| one(spec, &fetch, message, &handle))).await;
}

async fn one<F, Fut>(spec: &'static Spec, fetch: &Fetch, message: &RawMessage, handle: &F)
where
    F: Fn(Value, OwnedCx) -> Fut,
    Fut: Future<Output = Result<(), ApiError>>,
{
    let started = fetch.now_ms();
    let request_id: Rc<str> = id::request_id(fetch.random()).into();
    let config = super::config::config(fetch.env(), spec.requires);
    let outcome = match (config, content(message)) {
        (Ok(config), Some(content)) => {
            handle(
                content,
                OwnedCx { fetch: fetch.clone(), config, request_id: Rc::clone(&request_id) },
            )
            .await
        }
        (Err(error), _) => Err(error),
        // It will never be readable; it is only a hint.
        (Ok(_), None) => Ok(()),
    };
    match &outcome {
        Ok(()) => message.ack(),
        Err(error) => {
            let seconds = error.retry_after_s.unwrap_or(RETRY_AFTER_S);
            message.retry_with_options(
                &QueueRetryOptionsBuilder::new().with_delay_seconds(seconds).build(),
            );
        }
    }
    let error = outcome.err();
    LogLine {
        function: spec.name,
        op: "",
        event: "queue",
        request_id: &request_id,
        status: error.as_ref().map_or(200, |error| error.code.http_status()),
        caller: Caller::Platform.kind(),
        job_id: None,
        duration_ms: fetch.now_ms().saturating_sub(started),
        error: error.as_ref(),
    }
    .write();
}

/// A message's JSON: sent as text by us, or as an object by somebody's own tool.
fn content(message: &RawMessage) -> Option<Value> {
    let body = message.body();
    let text = match body.as_string() {
        Some(text) => text,
        None => js_sys::JSON::stringify(&body).ok()?.as_string()?,
    };
    serde_json::from_str(&text).ok()
}
