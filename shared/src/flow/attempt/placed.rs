//! Has the function `placed-run` do a provider's waiting work, for callers that the platform may
//! run where the provider refuses calls.

use super::pool::PoolReport;
use crate::core::error::ApiError;
use crate::core::transport::{FunctionCalls, HttpResponse};
use crate::flow::{Cx, service_call};
use serde::Deserialize;
use serde_json::json;

const FUNCTION: &str = "placed-run";
/// A cron and a queue's consumer end after 15 minutes.
const RUN_MS: u32 = 14 * 60 * 1_000;

/// How long a run claims new work.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimTime {
    pub claim_for_ms: u64,
}

/// Records that a hint came through the queue. A fault is logged and fails nothing.
pub async fn hint_came<T: FunctionCalls>(cx: &Cx<'_, T>) {
    if let Err(error) = cx.db().queues_seen_v1().await {
        cx.log_error("queues_seen_error", &error.into(), json!({}));
    }
}

/// Runs `operation` of the placed function to its end.
pub async fn run<T: FunctionCalls>(
    cx: &Cx<'_, T>,
    operation: &str,
    claim_for_ms: u64,
) -> Result<PoolReport, ApiError> {
    let body = json!({ "claimForMs": claim_for_ms });
    let path = format!("{FUNCTION}/{operation}");
    let request = service_call::request(cx, &path, &body, RUN_MS)?;
    let failed =
        |detail: &dyn std::fmt::Display| Err(ApiError::upstream(format!("{FUNCTION}: {detail}")));
    match cx.transport.call(FUNCTION, request).await {
        Ok(HttpResponse { status: 200, body, .. }) => {
            serde_json::from_str(&body).map_err(|error| ApiError::internal(error.to_string()))
        }
        Ok(HttpResponse { status, body, .. }) => failed(&format!("status {status}: {body}")),
        Err(error) => failed(&error),
    }
}
