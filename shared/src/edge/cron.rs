//! Serves scheduled events.
//!
//! The platform ignores the result of a scheduled handler, so the log line is the only trace of a
//! failure.

use std::future::Future;
use std::rc::Rc;

use futures_util::future::join;
use worker::Env;

use crate::core::auth::Caller;
use crate::core::error::ApiError;
use crate::core::id;
use crate::core::transport::Transport;
use crate::edge::call::OwnedCx;
use crate::edge::fetch::Fetch;
use crate::edge::log::LogLine;
use crate::edge::report;
use crate::edge::spec::Spec;

/// Runs the handler and logs its outcome. Never fails.
pub async fn serve_scheduled<F, Fut>(spec: &'static Spec, env: Env, handle: F)
where
    F: FnOnce(OwnedCx) -> Fut,
    Fut: Future<Output = Result<(), ApiError>>,
{
    let fetch = Fetch::new(env);
    let started = fetch.now_ms();
    let request_id: Rc<str> = id::request_id(fetch.random()).into();
    let outcome = match super::config::config(fetch.env(), spec.requires) {
        Ok(config) => {
            let cx = OwnedCx::of(fetch.clone(), config, Rc::clone(&request_id));
            let seen = report::seen(&cx, spec.name, report::CRON);
            // The work runs even if `seen` fails.
            let (_, outcome) = join(seen, handle(cx.clone())).await;
            if let Some(work) = spec.after_schedule {
                work(cx).await;
            }
            outcome
        }
        Err(error) => Err(error),
    };
    let error = outcome.err();
    LogLine {
        function: spec.name,
        op: "",
        event: "scheduled",
        request_id: &request_id,
        status: error.as_ref().map_or(200, |error| error.code.http_status()),
        caller: Caller::Platform.kind(),
        job_id: None,
        duration_ms: fetch.now_ms().saturating_sub(started),
        error: error.as_ref(),
    }
    .write();
}
