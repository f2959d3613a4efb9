//! Another attempt at a website: the retry that its function accepts, and the cleanup that asks for it.
//!
//! Whether a website may be retried, and whether twice, the database decides in one transaction: the
//! cleanup's reservation only spares calls, so a lost answer or an undone reservation costs nothing.

use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{JobId, UserId};
use crate::core::provider::llm;
use crate::core::transport::{FunctionCalls, HttpRequest, HttpResponse, Transport};
use crate::core::website::status_word;
use crate::db::website::{StaleAction, StaleWebsite, WebsiteRetry, WebsiteRetryOutcome};
use crate::flow::submit::wake;
use crate::flow::{Cx, finalise};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::json;

const CALL_MS: u32 = 20_000;
/// Calls side by side; the platform allows six open connections.
const SIDE_BY_SIDE: usize = 4;

/// What a cleanup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub processed: u32,
    pub retried: u32,
    pub failed: u32,
    pub refunded_credits: i64,
    pub remaining: i32,
}

/// What became of one of them.
enum Outcome {
    Retried,
    /// Somebody else came first.
    Left,
    PutBack,
}

/// Another attempt of a stale website. `owner`: whose it must be; none: the service asks.
pub async fn retry<T: Transport>(
    cx: &Cx<'_, T>,
    tool: &str,
    history: JobId,
    owner: Option<UserId>,
) -> Result<WebsiteRetry, ApiError> {
    let retry = finalise::retry_generation(cx, history, tool, owner).await?;
    let by = if owner.is_some() { "user" } else { "service" };
    let detail = json!({"mode": "retry", "job_id": history, "function": tool, "by": by, "retry": retry.retries,
        "outcome": status_word(retry.status)});
    cx.log("generation_retry", detail);
    // Queued again, or a place became free.
    wake::send(cx, llm::NAME, 0).await;
    if retry.outcome == WebsiteRetryOutcome::Closed {
        return Err(ApiError::of(ErrorCode::AlreadyFinal)
            .with_field("status", status_word(retry.status))
            .with_field("refundedCredits", retry.refunded));
    }
    Ok(retry)
}

/// Asks for another attempt of every website whose attempt stopped; gives up those that had all of them.
pub async fn clean_up<T: FunctionCalls>(cx: &Cx<'_, T>, limit: u32) -> Result<Report, ApiError> {
    let stale = finalise::stale_generations(cx, limit).await?;
    let mut report =
        Report { remaining: stale.first().map_or(0, |row| row.remaining), ..Report::default() };
    let (given_up, to_retry): (Vec<&StaleWebsite>, Vec<&StaleWebsite>) =
        stale.iter().partition(|row| row.action == StaleAction::Failed);
    for row in &given_up {
        report.processed += 1;
        report.failed += 1;
        report.refunded_credits += row.refunded;
    }
    let outcomes: Vec<Outcome> = stream::iter(to_retry)
        .map(async |row| call(cx, row).await)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    for outcome in outcomes {
        report.processed += 1;
        match outcome {
            Outcome::Retried => report.retried += 1,
            Outcome::Left => {}
            Outcome::PutBack => report.remaining += 1,
        }
    }
    if !given_up.is_empty() {
        wake::send(cx, llm::NAME, 0).await;
    }
    cx.log("generations", json!({ "report": report }));
    Ok(report)
}

/// Calls the website's own function, as nobody but the service may for another user.
async fn call<T: FunctionCalls>(cx: &Cx<'_, T>, row: &StaleWebsite) -> Outcome {
    let message = format!("Auto-retrying generation {} via {}", row.job_id, row.tool);
    cx.log(
        "auto_retry",
        json!({"message": message, "job_id": row.job_id, "function": row.tool, "retry": row.retries + 1}),
    );
    let problem = match request(cx, row) {
        Ok(request) => match cx.transport.call(&row.tool, request).await {
            Ok(HttpResponse { status: 200..=299, .. }) => return Outcome::Retried,
            Ok(HttpResponse { status: 404 | 409, .. }) => return Outcome::Left,
            Ok(response) => format!("{} answered {}", row.tool, response.status),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let undone = cx.db().generation_put_back_v1(row.job_id, row.run).await;
    // Not undone, the reservation runs out by itself.
    let detail = json!({"level": "error", "job_id": row.job_id, "function": row.tool, "error": problem, "put_back": undone.is_ok()});
    cx.log("auto_retry_failed", detail);
    Outcome::PutBack
}

fn request<T: Transport>(cx: &Cx<'_, T>, row: &StaleWebsite) -> Result<HttpRequest, ApiError> {
    let key = cx.config.service_key()?;
    Ok(HttpRequest {
        method: "POST",
        // Only the path counts: a binding has no host.
        url: format!("https://functions.invalid/functions/v1/{}", row.tool),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {key}")),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-request-id".to_owned(), cx.request_id.to_owned()),
        ],
        body: Some(json!({"retryHistoryId": row.job_id}).to_string()),
        timeout_ms: CALL_MS,
    })
}
