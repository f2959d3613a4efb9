//! Sets CORS headers on every answer, errors included: without them a browser hides the reason.

use worker::{Headers, Response};

const ALLOWED_HEADERS: &str = "authorization, apikey, content-type, x-client-info, x-retry-count, \
    x-region, idempotency-key, x-request-id, traceparent, tracestate, baggage, \
    sentry-trace";

const CORS: [(&str, &str); 5] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    ("access-control-allow-headers", ALLOWED_HEADERS),
    ("access-control-expose-headers", "x-request-id, retry-after"),
    ("access-control-max-age", "86400"),
];

/// Adds the CORS headers and the request id to a response whose headers are still mutable.
pub fn with_cors(headers: &Headers, request_id: &str) {
    for (name, value) in CORS {
        // The platform accepts these constants; a failure would have no remedy here.
        let _ = headers.set(name, value);
    }
    let _ = headers.set("x-request-id", request_id);
}

/// Returns an answer without a body.
pub fn plain(status: u16, request_id: &str) -> Response {
    let headers = Headers::new();
    with_cors(&headers, request_id);
    Response::builder().with_status(status).with_headers(headers).empty()
}
