//! The one public origin: passes `/functions/v1/<name>` on to the function of that name, answers
//! `health` itself, and leaves everything else to the pages.
//!
//! It knows no function by name, looks at no credential and changes no request.

mod pages;

use serde::{Deserialize, Serialize};
use shared::auth::Policy;
use shared::db::DbError;
use shared::edge::{self, BODY_BYTES_MAX, Call, Fetch, Op, Reply, Spec};
use shared::error::ApiError;
use worker::{Context, Env, Request, Response, event};

const FUNCTIONS: &str = "/functions/v1/";
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
    let called = path.strip_prefix(FUNCTIONS);
    let name = called.map(|rest| rest.split('/').next().unwrap_or_default());
    if name == Some(HEALTH.name) {
        return edge::serve(&HEALTH, request, env, context, health).await;
    }
    if path.strip_prefix('/') == Some(pages::SETTINGS.name) {
        return edge::serve(&pages::SETTINGS, request, env, context, pages::settings).await;
    }
    let request_id = edge::request_id(&request, &Fetch::new(env.clone()));
    if request.inner().method() == "OPTIONS" {
        return Ok(edge::plain(204, &request_id));
    }
    let is_contract = called == Some(pages::CONTRACT);
    let target = match name {
        Some(name) if !is_contract => binding(name).and_then(|binding| env.service(&binding).ok()),
        _ => env.assets(pages::BINDING).ok(),
    };
    let answer = match target {
        None => return Ok(edge::answer(Err(ApiError::not_found()), &request_id)),
        Some(assets) if is_contract => pages::contract(&assets, &request).await,
        Some(target) => target.fetch_request(request).await,
    };
    let detail = match answer {
        Ok(response) if has_cors(&response) => return Ok(response),
        Ok(response) if response.status_code() < 500 => return Ok(pages::page(response, &env, &request_id)),
        Ok(response) => format!("status {} from the platform", response.status_code()),
        Err(error) => error.to_string(),
    };
    // Whatever happens on the other side, the caller gets an answer in our shape.
    edge::log_failure("gateway", name.unwrap_or_default(), &request_id, &detail);
    Ok(edge::answer(Err(ApiError::internal(detail)), &request_id))
}

/// The binding of a function's name, where it can be one.
fn binding(name: &str) -> Option<String> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let binding = name.to_ascii_uppercase().replace('-', "_");
    (is_name && binding != pages::BINDING).then_some(binding)
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
