//! CORS headers for every answer, errors included: without them a browser hides the reason.

use worker::{Headers, Response};

const ALLOWED_HEADERS: &str = "authorization, apikey, content-type, x-client-info, x-retry-count, x-region, \
    idempotency-key, x-request-id, traceparent, tracestate, baggage";

const CORS: [(&str, &str); 5] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    ("access-control-allow-headers", ALLOWED_HEADERS),
    ("access-control-expose-headers", "x-request-id, retry-after"),
    ("access-control-max-age", "86400"),
];

/// Adds the headers to a response that can still be changed.
pub fn with_cors(headers: &Headers, request_id: &str) {
    for (name, value) in CORS {
        // Both are constants the platform accepts; there is nothing to do if it did not.
        let _ = headers.set(name, value);
    }
    let _ = headers.set("x-request-id", request_id);
}

/// An answer without a body.
pub fn plain(status: u16, request_id: &str) -> Response {
    let headers = Headers::new();
    with_cors(&headers, request_id);
    Response::builder().with_status(status).with_headers(headers).empty()
}
