//! Serves the pages with their security headers, the pages' settings, and the contract.
//!
//! Nothing here is secret: the key in the settings is the project's public one.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::config::required;
use shared::core::error::{ApiError, ErrorCode};
use shared::edge::{self, Call, Incoming, Spec};
use worker::Env;
use worker::js_sys::Promise;
use worker::wasm_bindgen::JsValue;
use worker::web_sys::{Headers, Response};

use crate::pass;

/// The binding of the pages' files. No function is reachable under this name.
pub(crate) const BINDING: &str = "ASSETS";
/// The name of the contract below `/functions/v1/`, and the file that holds it.
pub(crate) const CONTRACT: &str = "openapi.json";
pub(crate) const CONTRACT_FILE: &str = "/build/openapi.json";
/// The admin page. Each job, user and list in it has an address of its own below this one.
pub(crate) const ADMIN_PAGE: &str = "/admin";
/// The page that shows a website which a model wrote, framed by the studio.
const PREVIEW_PAGE: &str = "/studio/preview";
/// The scripts of a generated website run here: in an opaque origin, without network access, and
/// framed by our own origin only.
const PREVIEW_POLICY: &str = "sandbox allow-scripts; default-src 'none'; \
     script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
     font-src data:; media-src data: blob:; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'self'";

pub(crate) static SETTINGS: Spec = Spec {
    name: "config.json",
    ops: &[shared::op!(GET | HEAD "" for Public => settings)],
    quote: None,
    order: None,
    requires: required(include_str!("../function.toml")),
    after_schedule: None,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageSettings {
    supabase_url: String,
    supabase_key: String,
    uploads_bucket: String,
    /// The page that replaces our checkout.
    buy_url: Option<String>,
    /// The URL of a job's logs, with `{jobId}` in it.
    logs_url: Option<String>,
}

/// Replies the project's URL, its public key and its bucket of uploads, and the URLs of the shop
/// and of the logs.
pub(crate) async fn settings(call: &Call, _: NoInput) -> Result<PageSettings, ApiError> {
    let config = &call.cx.config;
    Ok(PageSettings {
        supabase_url: config.supabase_url()?.to_owned(),
        supabase_key: config.supabase_anon_key()?.to_owned(),
        uploads_bucket: config.uploads_bucket.clone(),
        buy_url: config.buy_url.clone(),
        logs_url: config.logs_url.clone(),
    })
}

/// Whether the path is an address within the admin page. Files of the page have an extension.
pub(crate) fn is_in_admin_page(path: &str) -> bool {
    path.strip_prefix(ADMIN_PAGE)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|rest| !rest.contains('.'))
}

/// Requests the file at another path.
pub(crate) fn file(env: &Env, request: &Incoming, path: &str) -> Result<Option<Promise>, JsValue> {
    pass::file(env, BINDING, &request.raw, path)
}

/// Adds CORS and security headers to the platform's answer for a file. Turns its 404 and 405 into
/// errors of the contract.
pub(crate) fn page(response: &Response, path: &str, env: &Env, request_id: &str) -> Response {
    let refusal = match response.status() {
        404 => ApiError::not_found(),
        405 => ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", "GET, HEAD"),
        _ => {
            let answer = pass::changeable(response);
            let headers = answer.headers();
            edge::with_cors(&headers, request_id);
            confine(&headers, path, env);
            return answer;
        }
    };
    edge::answer(Err(refusal), request_id)
}

/// Sets the security headers.
fn confine(headers: &Headers, path: &str, env: &Env) {
    let policy = match path {
        PREVIEW_PAGE => PREVIEW_POLICY.to_owned(),
        _ => page_policy(env),
    };
    for (name, value) in [
        ("content-security-policy", policy.as_str()),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ] {
        // Setting them cannot fail: they are constants, or contain a URL that the configuration has
        // parsed.
        let _ = headers.set(name, value);
    }
}

/// The policy of a page: it may load from and call only this origin and the project, no other page
/// may frame it, it may frame only the preview, and no script may make markup from text.
fn page_policy(env: &Env) -> String {
    let project = env.var("SUPABASE_URL").map(|url| url.to_string()).unwrap_or_default();
    let project = project.trim_end_matches('/');
    // The sockets of Realtime: `https:` does not include `wss:`.
    let sockets = project.replacen("http", "ws", 1);
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' blob: {project}; media-src 'self' blob: {project}; \
         connect-src 'self' {project} {sockets}; frame-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::is_in_admin_page;

    #[test]
    fn an_address_in_the_admin_page_is_no_file() {
        for path in ["/admin/jobs/2e8d1515", "/admin/log", "/admin/"] {
            assert!(is_in_admin_page(path), "{path}");
        }
        for path in ["/admin", "/admin.js", "/admin/jobs.js", "/administrator", "/"] {
            assert!(!is_in_admin_page(path), "{path}");
        }
    }
}
