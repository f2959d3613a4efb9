//! Retries of websites: the retry that a website's function accepts, and the cleanup that calls it.
//!
//! The database decides in one transaction whether a website may be retried, and prevents a second
//! retry. The cleanup's reservation only saves calls, so a lost answer does no harm.

use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{JobId, UserId};
use crate::core::provider::llm;
use crate::core::transport::{FunctionCalls, HttpResponse, Transport};
use crate::core::website::status_word;
use crate::db::website::{StaleAction, StaleWebsite, WebsiteRetry, WebsiteRetryOutcome};
use crate::flow::submit::wake;
use crate::flow::{Cx, finalise, service_call};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::json;

const CALL_MS: u32 = 20_000;
/// The number of parallel calls. The platform allows six open connections.
const PARALLEL: usize = 4;

/// What a cleanup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanupReport {
    pub processed: u32,
    pub retried: u32,
    pub failed: u32,
    pub refunded_credits: i64,
    pub remaining: i32,
}

/// The outcome for one reserved website.
enum RetryCall {
    Retried,
    /// Another call has retried or ended it first.
    Superseded,
    PutBack,
}

/// Starts a new attempt of a stale website. `owner` is the required owner. `None` for a call by the
/// service: the row names its user.
pub async fn retry<T: Transport>(
    cx: &Cx<'_, T>,
    tool: &str,
    website: JobId,
    owner: Option<UserId>,
) -> Result<WebsiteRetry, ApiError> {
    let retry = finalise::retry_website(cx, website, tool, owner).await?;
    let by = if owner.is_some() { "user" } else { "service" };
    let detail = json!({"mode": "retry", "job_id": website, "function": tool, "by": by,
        "retry": retry.retries,
        "outcome": status_word(retry.status)});
    cx.log("generation_retry", detail);
    // The website was queued, or its slot was freed.
    wake::send_hint(cx, llm::NAME, 0).await;
    if retry.outcome == WebsiteRetryOutcome::Closed {
        return Err(ApiError::of(ErrorCode::AlreadyFinal)
            .with_field("status", status_word(retry.status))
            .with_field("refundedCredits", retry.refunded));
    }
    Ok(retry)
}

/// Retries every website whose attempt stopped, and fails those that have no attempt or no time
/// left.
pub async fn clean_up<T: FunctionCalls>(
    cx: &Cx<'_, T>,
    limit: u32,
) -> Result<CleanupReport, ApiError> {
    let stale = finalise::take_stale_websites(cx, limit).await?;
    let mut report = CleanupReport {
        remaining: stale.first().map_or(0, |row| row.remaining),
        ..CleanupReport::default()
    };
    let (failed, to_retry): (Vec<&StaleWebsite>, Vec<&StaleWebsite>) =
        stale.iter().partition(|row| row.action == StaleAction::Failed);
    for row in &failed {
        report.processed += 1;
        report.failed += 1;
        report.refunded_credits += row.refunded;
    }
    let outcomes: Vec<RetryCall> = stream::iter(to_retry)
        .map(async |row| call(cx, row).await)
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    for outcome in outcomes {
        report.processed += 1;
        match outcome {
            RetryCall::Retried => report.retried += 1,
            RetryCall::Superseded => {}
            RetryCall::PutBack => report.remaining += 1,
        }
    }
    if !failed.is_empty() {
        wake::send_hint(cx, llm::NAME, 0).await;
    }
    cx.log("website_cleanup", json!({ "report": report }));
    Ok(report)
}

/// Calls the website's own function with the service key, which may act for any user.
async fn call<T: FunctionCalls>(cx: &Cx<'_, T>, row: &StaleWebsite) -> RetryCall {
    let message = format!("Auto-retrying generation {} via {}", row.job_id, row.tool);
    cx.log(
        "auto_retry",
        json!({"message": message, "job_id": row.job_id, "function": row.tool,
            "retry": row.retries + 1}),
    );
    let body = json!({"retryHistoryId": row.job_id});
    let problem = match service_call::request(cx, &row.tool, &body, CALL_MS) {
        Ok(request) => match cx.transport.call(&row.tool, request).await {
            Ok(response) if response.is_success() => return RetryCall::Retried,
            Ok(HttpResponse { status: 404 | 409, .. }) => return RetryCall::Superseded,
            Ok(response) => format!("{} answered {}", row.tool, response.status),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let undone = cx.db().generation_put_back_v1(row.job_id, row.run).await;
    // If this fails too, the reservation expires by itself.
    let detail = json!({
        "level": "error",
        "job_id": row.job_id,
        "function": row.tool,
        "error": problem,
        "put_back": undone.is_ok(),
    });
    cx.log("auto_retry_failed", detail);
    RetryCall::PutBack
}
