//! `metrics`: the counts of the sweeps and the present state, in Prometheus's format. A reader
//! sends `METRICS_TOKEN`; without that setting the address does not exist.

use shared::app::prometheus;
use shared::core::body::NoInput;
use shared::core::config::required;
use shared::core::error::ApiError;
use shared::core::reply::{Reply, ReplyBody};
use shared::edge::{self, Call, Spec};
use shared::flow::invocation::Invocation;
use worker::Env;

pub(crate) static METRICS: Spec = Spec {
    name: "metrics",
    ops: &[shared::op!(GET "" for Metrics => metrics)],
    quote: None,
    order: None,
    requires: required(include_str!("../function.toml")),
    after_schedule: None,
};

/// Whether `METRICS_TOKEN` is set.
pub(crate) fn are_read(env: &Env) -> bool {
    edge::config(env, METRICS.requires).is_ok_and(|config| config.metrics_token.is_some())
}

async fn metrics(call: &Call, _: NoInput) -> Result<Reply, ApiError> {
    let samples = call.cx().db().metrics_v1().await?;
    let text = prometheus::text(&samples);
    let body = ReplyBody::Text { content_type: prometheus::CONTENT_TYPE, text };
    Ok(Reply { status: 200, body })
}
