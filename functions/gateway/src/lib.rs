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
mod pass;
mod project;
mod watch;

use std::convert::Infallible;
use std::rc::Rc;

use health::HEALTH;
use metrics::METRICS;
use shared::core::error::ApiError;
use shared::edge::{self, Fetch, Incoming, JOBS, Spec};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

const FUNCTIONS: &str = "/functions/v1/";

/// The operations of the gateway itself: only those that every function has, as `__settings`.
static GATEWAY: Spec = Spec {
    name: "gateway",
    ops: &[],
    quote: None,
    order: None,
    requires: HEALTH.requires,
    after_schedule: None,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    Ok(answered(Incoming::of(request), env, context).await)
}

async fn answered(request: Incoming, env: Env, context: Context) -> Response {
    let path = request.path();
    let called = path.strip_prefix(FUNCTIONS);
    let name = called.map(|rest| rest.split('/').next().unwrap_or_default());
    let own = match name {
        Some("health") => Some(&HEALTH),
        Some("metrics") if metrics::are_read(&env) => Some(&METRICS),
        Some("gateway") => Some(&GATEWAY),
        _ if path.strip_prefix('/') == Some(pages::SETTINGS.name) => Some(&pages::SETTINGS),
        _ => None,
    };
    if let Some(spec) = own {
        return edge::serve(spec, request, env, context).await;
    }
    if project::owns(path) {
        return projects_answer(&request, &env).await;
    }
    if request.method() == "OPTIONS" {
        return edge::plain(204, &request_id(&request, &env));
    }
    let tool = match by_tool::tool(called.unwrap_or_default(), &request).await {
        Ok(tool) => tool,
        Err(refusal) => return edge::answer(Err(refusal), &request_id(&request, &env)),
    };
    let name = tool.as_deref().or(name);
    let passed = match name {
        _ if called == Some(pages::CONTRACT) => pages::file(&env, &request, pages::CONTRACT_FILE),
        Some(name) => match pass::to_function(name, &request, &env) {
            // No function makes such a tool. `jobs` says so to a caller whom it admits.
            Ok(None) if tool.is_some() => pass::to_function(JOBS, &request, &env),
            passed => passed,
        },
        None if pages::is_in_admin_page(path) => pages::file(&env, &request, pages::ADMIN_PAGE),
        None => pass::pass(&env, pages::BINDING, &request.raw),
    };
    let answer = match passed {
        Ok(Some(promise)) => pass::answer(promise).await,
        Ok(None) => {
            return edge::answer(Err(ApiError::not_found()), &request_id(&request, &env));
        }
        Err(error) => Err(pass::message(&error)),
    };
    let detail = match answer {
        Ok(response) if pass::has_cors(&response) => return response,
        Ok(response) if response.status() < 500 => {
            return pages::page(&response, path, &env, &request_id(&request, &env));
        }
        Ok(response) => format!("status {} from the platform", response.status()),
        Err(error) => error,
    };
    // The caller gets an answer of the contract, even if the function failed without one.
    let request_id = request_id(&request, &env);
    edge::log_failure("gateway", name.unwrap_or_default(), &request_id, &detail);
    edge::answer(Err(ApiError::internal(detail)), &request_id)
}

fn request_id(request: &Incoming, env: &Env) -> Rc<str> {
    edge::request_id(request, &Fetch::new(env.clone()))
}

async fn projects_answer(request: &Incoming, env: &Env) -> Response {
    match project::pass(request, env).await {
        Ok(response) => response,
        Err(error) => {
            let request_id = request_id(request, env);
            if let Some(detail) = &error.internal {
                edge::log_failure("gateway", "project", &request_id, detail);
            }
            edge::answer(Err(error), &request_id)
        }
    }
}
