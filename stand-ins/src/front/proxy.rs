//! Passes requests on. Bodies are streamed in both directions; method, query and headers stay the
//! same, except for the headers of one hop. For PostgREST the caller's credential is replaced by
//! one that PostgREST can verify, as the project's gateway does.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use super::{Front, SharedFront, caller, cors};
use crate::clock;

/// A client for this machine that does not change requests.
pub(super) type Proxy = Client<HttpConnector, Body>;

/// The client keeps no idle connection, so that no request goes to a service that was restarted
/// meanwhile.
pub(super) fn client() -> Proxy {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
}

const REST_PREFIX: &str = "/rest/v1";
const HOP_HEADERS: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Passes `/rest/v1/<path>` on to `/<path>` of PostgREST.
pub(super) async fn rest(State(front): State<SharedFront>, mut request: Request) -> Response {
    match rest_credential(&front, request.headers()) {
        Err(message) => {
            let hint = "Double check your Supabase `anon` or `service_role` API key.";
            return (StatusCode::UNAUTHORIZED, Json(json!({"message": message, "hint": hint})))
                .into_response();
        }
        Ok(None) => {}
        Ok(Some(token)) => {
            if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
        }
    }
    let whole = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let path = whole.strip_prefix(REST_PREFIX).unwrap_or(whole);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    pass(&front, &front.rest_url, path, request).await
}

/// Passes on to the Workers what the front door does not serve itself.
pub(super) async fn functions(State(front): State<SharedFront>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
    pass(&front, &front.functions_url, path, request).await
}

/// The credential that replaces the caller's own, or `None` if the caller's stays.
fn rest_credential(front: &Front, headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let keys = &front.keys;
    if let Some(credential) = caller::bearer(headers) {
        return Ok(match keys.role(credential) {
            Some(role) => Some(keys.token(role).to_owned()),
            None => front.signer.for_secret(credential),
        });
    }
    if headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    match caller::text(headers, "apikey") {
        None => Err("No API key found in request"),
        Some(key) => {
            keys.role(key).map(|role| Some(keys.token(role).to_owned())).ok_or("Invalid API key")
        }
    }
}

async fn pass(front: &Front, base: &str, path: String, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(uri) = format!("{base}{path}").parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    parts.uri = uri;
    remove_hop_headers(&mut parts.headers);
    match front.proxy.request(Request::from_parts(parts, body)).await {
        Ok(mut response) => {
            remove_hop_headers(response.headers_mut());
            response.map(Body::new)
        }
        Err(error) => unreachable_peer(base, &error.to_string()),
    }
}

fn remove_hop_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_HEADERS {
        headers.remove(name);
    }
}

fn unreachable_peer(base: &str, error: &str) -> Response {
    eprintln!("front door: {base} does not answer: {error}");
    let message = "The service behind this address does not answer";
    let body = json!({
        "error": message,
        "message": message,
        "code": "upstream_unavailable",
        "request_id": clock::new_uuid(),
    });
    let mut response = (StatusCode::BAD_GATEWAY, Json(body)).into_response();
    cors::add(response.headers_mut());
    response
}
