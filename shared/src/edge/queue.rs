//! Serves queue batches.
//!
//! A message is only a hint; the database holds the truth. So this module counts no attempts, and
//! it never fails a whole batch, which would redeliver the messages that succeeded.

use std::future::Future;
use std::rc::Rc;

use serde_json::Value;
use worker::{Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage, js_sys};

use crate::core::auth::Caller;
use crate::core::error::ApiError;
use crate::core::id;
use crate::core::transport::Transport;
use crate::edge::call::OwnedCx;
use crate::edge::fetch::Fetch;
use crate::edge::log::LogLine;
use crate::edge::report;
use crate::edge::spec::Spec;
use crate::flow::join::join_all;

/// The batch of a queue event.
pub type Batch = MessageBatch<String>;

/// The delay before a failed message is redelivered, unless the error names one.
const RETRY_AFTER_S: u32 = 10;

/// Runs the handler for all messages of the batch side by side, so that a slow message does not
/// delay the others. Acknowledges the messages that succeed; the others are redelivered. Never
/// fails.
pub async fn serve_queue<F, Fut>(spec: &'static Spec, batch: Batch, env: Env, handle: F)
where
    F: Fn(Value, OwnedCx) -> Fut,
    Fut: Future<Output = Result<(), ApiError>>,
{
    let fetch = Fetch::new(env);
    let messages: Vec<RawMessage> = batch.raw_iter().collect();
    join_all(messages.iter().map(|message| serve_message(spec, &fetch, message, &handle))).await;
}

async fn serve_message<F, Fut>(spec: &'static Spec, fetch: &Fetch, message: &RawMessage, handle: &F)
where
    F: Fn(Value, OwnedCx) -> Fut,
    Fut: Future<Output = Result<(), ApiError>>,
{
    let started = fetch.now_ms();
    let request_id: Rc<str> = id::request_id(fetch.random()).into();
    let config = super::config::config(fetch.env(), spec.requires);
    let outcome = match (config, content(message)) {
        (Ok(config), Some(content)) => {
            let cx = OwnedCx::of(fetch.clone(), config, Rc::clone(&request_id));
            if report::is_probe(&content) {
                report::seen(&cx, spec.name, report::QUEUE).await
            } else {
                handle(content, cx).await
            }
        }
        (Err(error), _) => Err(error),
        // A malformed message is dropped: a retry cannot read it either, and it is only a hint.
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

/// Returns the JSON of a message. Our functions send text; other tools may send an object.
fn content(message: &RawMessage) -> Option<Value> {
    let body = message.body();
    let text = match body.as_string() {
        Some(text) => text,
        None => js_sys::JSON::stringify(&body).ok()?.as_string()?,
    };
    serde_json::from_str(&text).ok()
}
