//! Calls the function `placed-run` to do a provider's waiting work, because the platform may run
//! the caller in a region where the provider refuses calls.

use super::pool::PoolReport;
use crate::core::error::ApiError;
use crate::core::transport::{FunctionCalls, HttpResponse};
use crate::flow::{Cx, service_call};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const FUNCTION: &str = "placed-run";
/// A cron and a queue's consumer end after 15 minutes.
const RUN_MS: u32 = 14 * 60 * 1_000;

/// The time limit for the placed function's report of its settings.
const SETTINGS_MS: u32 = 10_000;

/// The time during which a run claims new work.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimTime {
    pub claim_for_ms: u64,
}

/// Runs `operation` of the placed function to its end.
pub async fn run<T: FunctionCalls>(
    cx: &Cx<'_, T>,
    operation: &str,
    claim_for_ms: u64,
) -> Result<PoolReport, ApiError> {
    let body = json!({ "claimForMs": claim_for_ms });
    call(cx, operation, &body, RUN_MS).await
}

/// The report of the placed function about its settings, because the gateway does not reach that
/// function.
pub async fn settings<T: FunctionCalls>(cx: &Cx<'_, T>) -> Result<Value, ApiError> {
    call(cx, "__settings", &json!({}), SETTINGS_MS).await
}

async fn call<T: FunctionCalls, R: DeserializeOwned>(
    cx: &Cx<'_, T>,
    operation: &str,
    body: &Value,
    timeout_ms: u32,
) -> Result<R, ApiError> {
    let path = format!("{FUNCTION}/{operation}");
    let request = service_call::request(cx, &path, body, timeout_ms)?;
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
