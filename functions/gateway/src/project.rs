//! Passes requests on to the Supabase project, so that an app reaches the functions, auth, the
//! tables, the files and Realtime at one address.
//!
//! Bodies are streamed in both directions, and a WebSocket stays one. Method, status, headers and
//! credentials are passed on unchanged: we add nothing, CORS is the project's, and the caller
//! follows redirects itself. Three things change. Headers about a single hop are dropped. An
//! address of the project in `Location` becomes ours, because a resumable upload continues there
//! (the JSON of storage names no host). A file that a browser would execute is confined, because
//! the pages have their sessions on this origin.

use shared::core::error::{ApiError, ErrorCode};
use shared::core::origin::split_origin;
use shared::edge::{self, Incoming, ReadHeader};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{self, Request, Response};
use worker::{Env, js_sys};

use crate::health::HEALTH;
use crate::pass;

/// The paths of the project's services.
const SERVICES: [&str; 4] = ["/auth/v1", "/rest/v1", "/storage/v1", "/realtime/v1"];
const STORAGE: &str = "/storage/v1/";
/// The platform refuses a body over 100 MB with a message of its own and without CORS headers.
const BODY_BYTES_MAX: u64 = 95 * 1024 * 1024;
/// The headers about the hop between the caller and us (RFC 9110, 7.6.1). From `forwarded` on, they
/// would make storage put a host that the caller chose into `Location`. `upgrade` stays, because
/// the platform needs it.
const HOP_HEADERS: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
];

/// Whether the path belongs to the project.
pub(crate) fn owns(path: &str) -> bool {
    SERVICES.iter().any(|service| {
        path.strip_prefix(service).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Answers with the project's answer. Fails with 404 if the setting forbids it, with 413 if the
/// platform would refuse the body, and with 503 if the project does not answer.
pub(crate) async fn pass(request: &Incoming, env: &Env) -> Result<Response, ApiError> {
    let config = edge::config(env, HEALTH.requires)?;
    if !config.project_pass_through {
        return Err(ApiError::new(
            ErrorCode::NotFound,
            "This address serves the functions alone: call the project's own address, or set \
             PROJECT_PASS_THROUGH",
        ));
    }
    refuse_large(request)?;
    let (own, rest) = split_origin(request.url());
    let project = config.supabase_url()?;
    if project == own {
        // The gateway would call itself until the platform ends it.
        return Err(ApiError::misconfigured("SUPABASE_URL"));
    }
    let copy = copied(&request.raw, &format!("{project}{rest}"));
    let copy = copy.map_err(|error| ApiError::upstream(pass::message(&error)))?;
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let answer = pass::answer(scope.fetch_with_request(&copy)).await;
    let answer = answer.map_err(ApiError::upstream)?;
    Ok(at_home(answer, project, own, rest.starts_with(STORAGE)))
}

fn refuse_large(request: &Incoming) -> Result<(), ApiError> {
    let length = request.header(ReadHeader::ContentLength);
    match length.and_then(|text| text.parse::<u64>().ok()) {
        Some(length) if length > BODY_BYTES_MAX => Err(ApiError::new(
            ErrorCode::PayloadTooLarge,
            "No body over 95 MB passes this address: upload in chunks (TUS, \
             /storage/v1/upload/resumable), or to the project's own address",
        )),
        _ => Ok(()),
    }
}

/// The same request to another address. Its body is not read.
fn copied(request: &Request, url: &str) -> Result<Request, JsValue> {
    // The platform accepts a request as the options of a new one. A request that a Worker received
    // follows no redirect.
    let options: &web_sys::RequestInit = request.unchecked_ref();
    let copy = Request::new_with_str_and_init(url, options)?;
    let headers = copy.headers();
    if let Some(named) = headers.get("connection")? {
        for name in named.split(',').map(str::trim).filter(|name| is_droppable(name)) {
            headers.delete(name)?;
        }
    }
    for name in HOP_HEADERS {
        headers.delete(name)?;
    }
    Ok(copy)
}

/// Whether a header that `Connection` names may be dropped.
fn is_droppable(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && name.bytes().all(is_token) && !name.eq_ignore_ascii_case("upgrade")
}

/// Makes the changes to an answer that an origin shared with the pages needs.
fn at_home(answer: Response, project: &str, own: &str, is_storage: bool) -> Response {
    let header = |name| answer.headers().get(name).ok().flatten();
    let location = header("location");
    let ours = location.and_then(|text| address_here(&text, project, own, is_storage));
    let kind = header("content-type").unwrap_or_default();
    let is_active = is_active(&kind) || (is_storage && is_guessed(&kind));
    if ours.is_none() && !is_active && !is_storage {
        return answer;
    }
    let answer = pass::changeable(&answer);
    let headers = answer.headers();
    // Neither call can fail: the policy is a constant, and the URL is a valid one with another
    // origin.
    if let Some(ours) = ours {
        let _ = headers.set("location", &ours);
    }
    if is_active {
        let _ = headers.set("content-security-policy", "sandbox");
    }
    if is_storage {
        let _ = headers.set("x-content-type-options", "nosniff");
    }
    answer
}

/// Whether a browser would guess the file's type from its content, because the type says nothing.
/// Storage answers with whatever type an upload named.
fn is_guessed(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let parts = kind.split_once('/');
    parts.is_none_or(|(first, second)| {
        first.is_empty() || second.is_empty() || first == "unknown" || kind.contains('*')
    })
}

/// Whether a browser that opens the answer would execute its content.
fn is_active(content_type: &str) -> bool {
    let kind = content_type.to_ascii_lowercase();
    ["html", "xml", "multipart/"].iter().any(|active| kind.contains(active))
}

/// The address on this origin for a `Location` at the project. Storage may name itself by another
/// origin.
fn address_here(location: &str, project: &str, own: &str, is_storage: bool) -> Option<String> {
    let (origin, rest) = split_origin(location);
    let is_theirs = origin == project && owns(path_of(rest));
    let is_files = is_storage && !origin.is_empty() && rest.starts_with(STORAGE);
    (is_theirs || is_files).then(|| format!("{own}{rest}"))
}

fn path_of(rest: &str) -> &str {
    rest.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{address_here, is_active, is_droppable, owns};

    #[test]
    fn only_the_four_services_are_the_projects() {
        for path in ["/auth/v1", "/auth/v1/token", "/rest/v1/", "/storage/v1/object/a%2Fb"] {
            assert!(owns(path), "{path}");
        }
        assert!(owns("/realtime/v1/websocket"));
        for path in
            ["/", "/auth", "/auth/v10/token", "/rest/v2", "/functions/v1/rest/v1", "/a/rest/v1"]
        {
            assert!(!owns(path), "{path}");
        }
    }

    #[test]
    fn a_location_at_the_project_leads_back_here_and_no_other_does() {
        let at = |location: &str, is_storage| {
            address_here(location, "https://p.co", "https://own.app", is_storage)
        };
        let upload = "/storage/v1/upload/resumable/YQ";
        let ours = Some(format!("https://own.app{upload}"));
        assert_eq!(at(&format!("https://p.co{upload}"), true), ours);
        assert_eq!(at(&format!("https://p.storage.co{upload}"), true), ours);
        assert_eq!(at(&format!("https://p.storage.co{upload}"), false), None);
        let verify = Some("https://own.app/auth/v1/verify?a=b".to_owned());
        assert_eq!(at("https://p.co/auth/v1/verify?a=b", false), verify);
        for other in [
            "/storage/v1/upload/resumable/YQ",
            "https://accounts.example/o?redirect=https://p.co/auth/v1/callback",
            "https://p.co.evil.example/auth/v1/verify",
            "https://p.co/dashboard",
            "https://own.app/#access_token=x",
        ] {
            assert_eq!(at(other, false), None, "{other}");
        }
    }

    #[test]
    fn what_a_browser_would_run_is_told_from_what_it_shows() {
        for kind in ["text/html", "image/svg+xml", "Application/XHTML+xml; charset=utf-8"] {
            assert!(is_active(kind), "{kind}");
        }
        for kind in ["image/png", "application/json; charset=utf-8", "video/mp4", "text/plain"] {
            assert!(!is_active(kind), "{kind}");
        }
    }

    #[test]
    fn the_upgrade_of_a_socket_is_no_header_to_drop() {
        assert!(is_droppable("x-hop") && is_droppable("Keep-Alive"));
        assert!(!is_droppable("Upgrade") && !is_droppable("") && !is_droppable("a b"));
    }
}
