//! The operations of every website function: order or retry a website, and show it. A function adds
//! its [`WebsiteKind`].
//!
//! A queue's consumer has the website made; a request never waits for it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::auth::Quota;
use crate::core::body;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::provider::llm;
use crate::core::reply::{Reply, Success};
use crate::core::transport::Transport;
use crate::core::website::files::WebsiteFile;
use crate::core::website::intent::{Intent, RetryTarget};
use crate::core::website::order::WebsiteOrder;
use crate::core::website::{WebsiteKind, archive, status_word};
use crate::db::job::JobView;
use crate::flow::attempt::website;
use crate::flow::heal::website_retry;
use crate::flow::invocation::Invocation;
use crate::flow::order::quote::{self, QuoteBody, QuoteReply, QuotedFiles};
use crate::flow::order::{enqueue, input};
use crate::flow::submit::wake;

/// The body of an order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebsiteBody {
    prompt: String,
    site_name: Option<String>,
    language: Option<String>,
    team_id: Option<String>,
    job_id: Option<JobId>,
    session_id: Option<String>,
    max_credits: Option<u64>,
}

/// The reply to an order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebsiteAccepted {
    success: Success,
    history_id: JobId,
    status: &'static str,
    credits_charged: i64,
    balance: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ending: Option<WebsiteEnding>,
}

/// The end of a website; absent while it is live.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebsiteEnding {
    error_message: Option<String>,
    credits_refunded: i64,
}

/// The reply to a retry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebsiteRetried {
    success: Success,
    history_id: JobId,
    status: &'static str,
    credits_charged: i64,
    balance: i64,
    retried: bool,
    retries: i32,
}

/// Orders or retries a website of `kind`, by the body's `retryHistoryId`. Replies 202, or 200 if
/// the ordered website has already ended.
pub async fn order_or_retry(
    call: &impl Invocation,
    fields: Value,
    kind: WebsiteKind,
) -> Result<Reply, ApiError> {
    match Intent::of(call.caller(), body::typed::<RetryTarget>(&fields)?)? {
        Intent::Order => order(call, body::typed(&fields)?, kind).await,
        Intent::Retry { website, owner } => retry(call, kind, website, owner).await,
    }
}

/// Orders a website of `kind`. Replies 202, or 200 if it has already ended.
pub async fn order(
    call: &impl Invocation,
    body: WebsiteBody,
    kind: WebsiteKind,
) -> Result<Reply, ApiError> {
    let (session, max_credits, id) = (body.session_id.clone(), body.max_credits, body.job_id);
    let order = checked(body)?;
    let cx = call.cx();
    let random = cx.transport.random();
    let job = enqueue::job_id("jobId", id, call.idempotency_key(), random)?;
    call.log_job(job);
    let mut order = enqueue::order(call.user()?, job, kind.tool(), session.as_deref(), &order)?;
    order.steps.push(order.input.clone());
    let view = enqueue::enqueue(&cx, &order, &enqueue::terms(max_credits)).await?.view;
    if view.status == State::Queued {
        wake::send_hint(&cx, llm::NAME, 0).await;
    }
    let status = if view.status.is_final() { 200 } else { 202 };
    Reply::with_status(status, WebsiteAccepted::of(view))
}

/// Prices an order of a website of `kind` before it is made.
pub async fn quote(
    call: &impl Invocation,
    body: QuoteBody,
    kind: WebsiteKind,
) -> Result<QuoteReply, ApiError> {
    let order = checked(body.input()?)?;
    quote::quote(call, kind.tool(), &order, 1, QuotedFiles::default()).await
}

fn checked(body: WebsiteBody) -> Result<WebsiteOrder, ApiError> {
    input::session_id("sessionId", body.session_id.as_deref())?;
    WebsiteOrder {
        prompt: body.prompt,
        site_name: body.site_name,
        language: body.language,
        team_id: body.team_id,
    }
    .check()
}

impl WebsiteAccepted {
    fn of(view: JobView) -> Self {
        let ended = view.status.is_final();
        Self {
            success: Success,
            history_id: view.job_id,
            status: status_word(view.status),
            credits_charged: view.credits_charged,
            balance: view.balance,
            replayed: view.replayed,
            ending: ended.then_some(WebsiteEnding {
                error_message: view.error_message,
                credits_refunded: view.credits_refunded,
            }),
        }
    }
}

async fn retry(
    call: &impl Invocation,
    kind: WebsiteKind,
    website: JobId,
    owner: Option<UserId>,
) -> Result<Reply, ApiError> {
    call.log_job(website);
    let retry = website_retry::retry(&call.cx(), kind.tool(), website, owner).await?;
    let body = WebsiteRetried {
        success: Success,
        history_id: website,
        status: status_word(retry.status),
        credits_charged: 0,
        balance: retry.balance,
        retried: true,
        retries: retry.retries,
    };
    Reply::with_status(202, body)
}

/// The input of `show`: the id of the website and the format.
#[derive(Deserialize)]
pub struct ShowWebsite {
    id: JobId,
    #[serde(default)]
    format: WebsiteFormat,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WebsiteFormat {
    #[default]
    Json,
    Zip,
}

/// The reply to a GET in the JSON format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebsiteShown {
    history_id: JobId,
    status: &'static str,
    files: Vec<WebsiteFile>,
    error_message: Option<String>,
    retries: i32,
    credits_refunded: i64,
}

/// Shows a website of `kind` to its owner, as JSON or as a ZIP archive. Without a completed website
/// the archive answers `already_final` or `in_progress`.
pub async fn show(
    call: &impl Invocation,
    shown: ShowWebsite,
    kind: WebsiteKind,
) -> Result<Reply, ApiError> {
    let ShowWebsite { id, format } = shown;
    call.log_job(id);
    if format == WebsiteFormat::Zip {
        // Packing 5 MB costs more than a read, so the call also counts against another limit.
        call.count_against(Quota::Other).await?;
    }
    let row = call.cx().db().generation_get_v1(call.user()?, kind.tool(), id).await?;
    let files = match &row.output_url {
        Some(url) => website::load(&call.cx(), url).await?,
        None => Vec::new(),
    };
    let status = status_word(row.status);
    if format == WebsiteFormat::Json {
        let shown = WebsiteShown {
            history_id: id,
            status,
            files,
            error_message: row.error_message,
            retries: row.retries,
            credits_refunded: row.credits_refunded,
        };
        return Reply::with_status(200, shown);
    }
    match row.status {
        State::Completed => {
            Ok(Reply::download(format!("{id}.zip"), "application/zip", archive::zip(&files)))
        }
        ended if ended.is_final() => {
            Err(ApiError::of(ErrorCode::AlreadyFinal).with_field("status", status))
        }
        _ => Err(ApiError::of(ErrorCode::InProgress).with_field("status", status)),
    }
}
