//! The one public origin: passes `/functions/v1/<name>` on to the function of that name and the
//! paths of the Supabase project on to it, answers `health` and `metrics` itself, and serves the
//! pages for everything else. A quote and an order by `jobs` go to the function of the tool that
//! their body names.
//!
//! It holds no list of functions, reads no credential and changes no request of a function.

mod by_tool;
mod health;
mod metrics;
mod pages;
mod project;
mod watch;

use health::HEALTH;
use metrics::METRICS;
use shared::core::error::ApiError;
use shared::edge::{self, Fetch, Spec};
use worker::{Context, Env, Request, Response, event};

const FUNCTIONS: &str = "/functions/v1/";

/// What every function tells of itself, and nothing else.
static GATEWAY: Spec = Spec {
    name: "gateway",
    ops: &[],
    quote: None,
    order: None,
    requires: HEALTH.requires,
    after_schedule: None,
};

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let path = request.path();
    let called = path.strip_prefix(FUNCTIONS);
    let name = called.map(|rest| rest.split('/').next().unwrap_or_default());
    if name == Some(HEALTH.name) {
        return edge::serve(&HEALTH, request, env, context).await;
    }
    if name == Some(METRICS.name) && metrics::are_read(&env) {
        return edge::serve(&METRICS, request, env, context).await;
    }
    if name == Some(GATEWAY.name) {
        return edge::serve(&GATEWAY, request, env, context).await;
    }
    if path.strip_prefix('/') == Some(pages::SETTINGS.name) {
        return edge::serve(&pages::SETTINGS, request, env, context).await;
    }
    let request_id = edge::request_id(&request, &Fetch::new(env.clone()));
    if project::owns(&path) {
        return Ok(projects_answer(&request, &env, &request_id).await);
    }
    if request.inner().method() == "OPTIONS" {
        return Ok(edge::plain(204, &request_id));
    }
    let tool = match by_tool::tool(called.unwrap_or_default(), &mut request).await {
        Ok(tool) => tool,
        Err(refusal) => return Ok(edge::answer(Err(refusal), &request_id)),
    };
    let name = tool.as_deref().or(name);
    let is_contract = called == Some(pages::CONTRACT);
    let target = match name {
        Some(name) if !is_contract => binding(name).and_then(|binding| env.service(&binding).ok()),
        _ => env.assets(pages::BINDING).ok(),
    };
    let answer = match target {
        None => return Ok(edge::answer(Err(ApiError::not_found()), &request_id)),
        Some(assets) if is_contract => pages::file(&assets, &request, pages::CONTRACT_FILE).await,
        Some(assets) if pages::is_in_admin_page(&path) => {
            pages::file(&assets, &request, pages::ADMIN_PAGE).await
        }
        Some(target) => target.fetch_request(request).await,
    };
    let detail = match answer {
        Ok(response) if has_cors(&response) => return Ok(response),
        Ok(response) if response.status_code() < 500 => {
            return Ok(pages::page(response, &path, &env, &request_id));
        }
        Ok(response) => format!("status {} from the platform", response.status_code()),
        Err(error) => error.to_string(),
    };
    // The caller gets an answer of the contract even if the function failed without one.
    edge::log_failure("gateway", name.unwrap_or_default(), &request_id, &detail);
    Ok(edge::answer(Err(ApiError::internal(detail)), &request_id))
}

async fn projects_answer(request: &Request, env: &Env, request_id: &str) -> Response {
    match project::pass(request, env).await {
        Ok(response) => response,
        Err(error) => {
            if let Some(detail) = &error.internal {
                edge::log_failure("gateway", "project", request_id, detail);
            }
            edge::answer(Err(error), request_id)
        }
    }
}

/// Returns the service binding of a function's name, or `None` if the text cannot be one.
fn binding(name: &str) -> Option<String> {
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let binding = name.to_ascii_uppercase().replace('-', "_");
    (is_name && binding != pages::BINDING).then_some(binding)
}

/// Returns whether a function of ours made the answer. The platform's own answers, for pages and
/// for a crashed function, have no CORS headers.
fn has_cors(response: &Response) -> bool {
    response.headers().has("access-control-allow-origin").unwrap_or(false)
}
