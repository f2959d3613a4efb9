//! What the gateway answers beside the functions: the pages, with the headers that keep them to themselves, and the two
//! public settings they start from.
//!
//! Nothing here is secret: the key in the settings is the one every browser has.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::{ApiError, ErrorCode};
use shared::edge::{self, Call, Spec};
use worker::{Env, Fetcher, Headers, Request, RequestInit, Response, Url};

/// Where the pages are; no function may be reached under this name.
pub(crate) const BINDING: &str = "ASSETS";
/// The contract, below the functions' address, and the file that holds it.
pub(crate) const CONTRACT: &str = "openapi.json";
const CONTRACT_FILE: &str = "/build/openapi.json";

pub(crate) static SETTINGS: Spec = Spec {
    name: "config.json",
    ops: &[shared::op!(GET | HEAD "" for Public => settings)],
    requires: &["SUPABASE_URL", "SUPABASE_ANON_KEY"],
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageSettings {
    supabase_url: String,
    supabase_key: String,
}

/// Where the project is, and its public key.
pub(crate) async fn settings(call: Call, _: NoInput) -> Result<PageSettings, ApiError> {
    let config = &call.cx.config;
    Ok(PageSettings {
        supabase_url: config.supabase_url()?.to_owned(),
        supabase_key: config.supabase_anon_key()?.to_owned(),
    })
}

/// The same request for the contract's file.
pub(crate) async fn contract(assets: &Fetcher, request: &Request) -> worker::Result<Response> {
    let mut url: Url = request.url()?;
    url.set_path(CONTRACT_FILE);
    let mut init = RequestInit::new();
    init.with_method(request.method());
    assets.fetch_request(Request::new_with_init(url.as_str(), &init)?).await
}

/// What the platform answers for a file, with what every answer of ours has.
pub(crate) fn page(response: Response, env: &Env, request_id: &str) -> Response {
    let refusal = match response.status_code() {
        404 => ApiError::not_found(),
        405 => ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", "GET, HEAD"),
        _ => {
            let headers = response.headers().clone();
            edge::with_cors(&headers, request_id);
            confine(&headers, env);
            return response.with_headers(headers);
        }
    };
    edge::answer(Err(refusal), request_id)
}

/// A page loads and asks nothing but this origin and the project; nothing frames it; no markup is made from text.
fn confine(headers: &Headers, env: &Env) {
    let project = env.var("SUPABASE_URL").map(|url| url.to_string()).unwrap_or_default();
    let project = project.trim_end_matches('/');
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: {project}; \
         media-src 'self' blob: {project}; connect-src 'self' {project}; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    for (name, value) in [
        ("content-security-policy", policy.as_str()),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ] {
        // Constants, and a URL that the configuration has parsed: the platform accepts them.
        let _ = headers.set(name, value);
    }
}
