//! The one public origin: passes `/functions/v1/<name>` on to the function of that name, answers
//! `health` itself, and leaves everything else to the pages.
//!
//! It knows no function by name, looks at no credential and changes no request.

use serde::{Deserialize, Serialize};
use shared::auth::Policy;
use shared::db::DbError;
use shared::edge::{self, BODY_BYTES_MAX, Call, Fetch, Op, Reply, Spec};
use shared::error::{ApiError, ErrorCode};
use worker::{Context, Env, Fetcher, Request, Response, event};

const FUNCTIONS: &str = "/functions/v1/";
/// Where the pages are; no function may be reached under this name.
const PAGES: &str = "ASSETS";
/// Two periods of the sweep: later than this, it does not run.
const SWEEP_LATE_S: i32 = 120;

static HEALTH: Spec = Spec {
    name: "health",
    ops: &[Op::new("", &["GET", "HEAD"], Policy::Public)],
    body_bytes_max: BODY_BYTES_MAX,
    requires: &["SUPABASE_URL"],
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let path = request.path();
    let name = path.strip_prefix(FUNCTIONS).map(|rest| rest.split('/').next().unwrap_or_default());
    if name == Some(HEALTH.name) {
        return edge::serve(&HEALTH, request, env, context, health).await;
    }
    let request_id = edge::request_id(&request, &Fetch::new(env.clone()));
    if request.inner().method() == "OPTIONS" {
        return Ok(edge::plain(204, &request_id));
    }
    let target = match name {
        Some(name) => binding(name).and_then(|binding| env.service(&binding).ok()),
        None => env.assets(PAGES).ok(),
    };
    Ok(match target {
        Some(target) => pass(&target, request, name, &request_id).await,
        None => edge::answer(Err(ApiError::not_found()), &request_id),
    })
}

/// The binding of a function's name, where it can be one.
fn binding(name: &str) -> Option<String> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let binding = name.to_ascii_uppercase().replace('-', "_");
    (is_name && binding != PAGES).then_some(binding)
}

/// Whatever happens on the other side, the caller gets an answer in our shape.
async fn pass(target: &Fetcher, request: Request, name: Option<&str>, request_id: &str) -> Response {
    let detail = match target.fetch_request(request).await {
        Ok(response) if has_cors(&response) => return response,
        Ok(response) if response.status_code() < 500 => return page(response, request_id),
        Ok(response) => format!("status {} from the platform", response.status_code()),
        Err(error) => error.to_string(),
    };
    edge::log_failure("gateway", name.unwrap_or_default(), request_id, &detail);
    edge::answer(Err(ApiError::internal(detail)), request_id)
}

/// What the platform answers for the pages, with what every answer of ours has.
fn page(response: Response, request_id: &str) -> Response {
    let refusal = match response.status_code() {
        404 => ApiError::not_found(),
        405 => ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", "GET, HEAD"),
        _ => {
            let headers = response.headers().clone();
            edge::with_cors(&headers, request_id);
            return response.with_headers(headers);
        }
    };
    edge::answer(Err(refusal), request_id)
}

/// An answer of ours; the platform's own, for pages and for a crashed function, has no CORS headers.
fn has_cors(response: &Response) -> bool {
    response.headers().has("access-control-allow-origin").unwrap_or(false)
}

/// What the last finished sweep stored.
#[derive(Deserialize)]
struct Stored {
    last_sweep_seconds: Option<i32>,
    stuck: Option<i32>,
    violations: Option<i32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    ok: bool,
    last_sweep_seconds: Option<i32>,
    stuck: Option<i32>,
    violations: Option<i32>,
}

async fn health(call: Call) -> Result<Reply, ApiError> {
    let stored: Result<Stored, DbError> = call.cx().db().rpc_one("health_v1", &serde_json::Map::new()).await;
    let Stored { last_sweep_seconds, stuck, violations } = stored?;
    let swept = last_sweep_seconds.is_some_and(|age| age <= SWEEP_LATE_S);
    let ok = swept && stuck == Some(0) && violations == Some(0);
    Reply::with_status(if ok { 200 } else { 503 }, Health { ok, last_sweep_seconds, stuck, violations })
}
