//! CORS headers for the answers of the front door itself. The functions set their own.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const HEADERS: &str = "authorization, apikey, content-type, x-client-info, x-upsert, x-metadata, \
    x-retry-count, x-region, x-request-id, x-supabase-api-version, prefer, range, accept, \
    accept-profile, content-profile, tus-resumable, upload-length, upload-metadata, upload-offset, \
    x-signature, \
    cache-control, if-none-match, idempotency-key, traceparent, tracestate, baggage";

/// Answers a preflight, and adds the headers to every other answer.
pub(super) async fn allow(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    add(response.headers_mut());
    if is_preflight {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    }
    response
}

pub(super) fn add(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static(
        "content-range, content-location, etag, retry-after, x-request-id, x-supabase-api-version, \
         location, tus-resumable, tus-complete, upload-offset, upload-length, upload-expires",
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}
