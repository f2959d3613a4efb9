//! What every website function does: take an order or a retry, show the site. A function adds its kind.
//!
//! The work is done by whoever reads the queue, never by the request.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::core::auth::Policy;
use crate::core::auth::retry::{Asked, asked};
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::provider::llm::{self, Account};
use crate::core::transport::Transport;
use crate::core::website::archive;
use crate::core::website::order::Order;
use crate::core::website::{Kind, status_word};
use crate::db::job::JobView;
use crate::edge::{Call, OwnedCx, Reply};
use crate::edge::{Op, Quota};
use crate::flow::attempt::pool::{self, Bounds};
use crate::flow::attempt::website as site;
use crate::flow::heal::website_retry as generations;
use crate::flow::order::{enqueue as start, input};
use crate::flow::submit::wake;

/// The operations, for a website function's `Spec`.
pub const OPS: &[Op] = &[
    Op::new("", &["POST"], Policy::UserOrService).charging(),
    Op::new("", &["GET"], Policy::User).reading(),
];

/// What no call of a website function can work without.
pub const REQUIRES: &[&str] = &["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"];

const SESSION_CHARS_MAX: usize = 200;

/// Sites of one run side by side, and how long it takes new ones: the last of them ends before the 15 minutes of
/// a consumer do.
const BOUNDS: Bounds = Bounds { lanes: 4, claim_for_ms: 4 * 60 * 1000 };

pub async fn handle(call: Call, kind: Kind) -> Result<Reply, ApiError> {
    if call.method == "GET" {
        return show(&call, kind).await;
    }
    match asked(&call.caller, &call.body)? {
        Asked::Order(user) => order(&call, kind, user).await,
        Asked::Retry { history, owner } => retry(&call, kind, history, owner).await,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    prompt: String,
    site_name: Option<String>,
    language: Option<String>,
    job_id: Option<String>,
    session_id: Option<String>,
}

async fn order(call: &Call, kind: Kind, user: UserId) -> Result<Reply, ApiError> {
    let body: Body = call.json()?;
    input::at_most("sessionId", body.session_id.as_deref(), SESSION_CHARS_MAX)?;
    let order = Order { prompt: body.prompt, site_name: body.site_name, language: body.language }
        .check()?;
    let cx = call.cx();
    let job = start::job_id(
        "jobId",
        body.job_id.as_deref(),
        call.idempotency_key.as_deref(),
        cx.transport.random(),
    )?;
    call.log_job(job);
    let mut enqueue = start::order(user, job, kind.tool(), body.session_id.as_deref(), &order)?;
    enqueue.steps.push(enqueue.input.clone());
    let view = start::enqueue(&cx, &enqueue).await?;
    if view.status == State::Queued {
        wake::send(&cx, llm::NAME, 0).await;
    }
    let status = if view.status.is_final() { 200 } else { 202 };
    Reply::with_status(status, accepted(&view))
}

fn accepted(view: &JobView) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("success", true.into());
    put("historyId", json!(view.job_id));
    put("status", status_word(view.status).into());
    put("creditsCharged", view.credits_charged.into());
    put("balance", view.balance.into());
    if view.replayed {
        put("replayed", true.into());
    }
    if view.status.is_final() {
        put("errorMessage", view.error_message.clone().into());
        put("creditsRefunded", view.credits_refunded.into());
    }
    Value::Object(body)
}

async fn retry(
    call: &Call,
    kind: Kind,
    history: JobId,
    owner: Option<UserId>,
) -> Result<Reply, ApiError> {
    call.log_job(history);
    let retry = generations::retry(&call.cx(), kind.tool(), history, owner).await?;
    let body = json!({
        "success": true, "historyId": history, "status": status_word(retry.status), "creditsCharged": 0,
        "balance": retry.balance, "retried": true, "retries": retry.retries,
    });
    Reply::with_status(202, body)
}

async fn show(call: &Call, kind: Kind) -> Result<Reply, ApiError> {
    let query = |name: &str| {
        call.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let id = query("id").ok_or_else(|| ApiError::bad_field("id", "is missing"))?;
    let id = JobId::parse(id).ok_or_else(|| ApiError::bad_field("id", "is not a UUID"))?;
    call.log_job(id);
    let as_zip = match query("format") {
        None | Some("json") => false,
        Some("zip") => true,
        Some(_) => return Err(ApiError::bad_field("format", "is `json` or `zip`")),
    };
    if as_zip {
        // Packing 5 MB is more than a look.
        call.count_as(Quota::Other).await?;
    }
    let generation = call.cx().db().generation_get_v1(call.user()?, kind.tool(), id).await?;
    let files = match &generation.output_url {
        Some(url) => site::load(&call.cx(), url).await?,
        None => Vec::new(),
    };
    if as_zip {
        if generation.status != State::Completed {
            let code = if generation.status.is_final() {
                ErrorCode::AlreadyFinal
            } else {
                ErrorCode::InProgress
            };
            return Err(ApiError::of(code).with_field("status", status_word(generation.status)));
        }
        return Ok(Reply::download(format!("{id}.zip"), "application/zip", archive::zip(&files)));
    }
    Reply::ok(json!({
        "historyId": id, "status": status_word(generation.status), "files": files,
        "errorMessage": generation.error_message, "retries": generation.retries,
        "creditsRefunded": generation.credits_refunded,
    }))
}

/// What the queue's consumer does on a hint: makes what waits, whichever website tool it belongs to.
pub async fn consume(_hint: Value, cx: OwnedCx) -> Result<(), ApiError> {
    let cx = cx.cx();
    let account = Account::from_config(cx.config)?;
    let report =
        pool::run_all(&cx, llm::NAME, BOUNDS, async |step| site::make(&cx, &account, step).await)
            .await?;
    cx.transport.log(&json!({"event": "websites", "request_id": cx.request_id, "report": report}));
    Ok(())
}
