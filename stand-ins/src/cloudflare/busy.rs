//! How often a user may call with all tokens together: 1,200 times in five minutes; then every call
//! is refused for five minutes. (Cloudflare's documentation: Fundamentals, API, limits.) Besides, a
//! test may have calls refused at a fixed interval.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::clock::now_ms;

const CALLS: usize = 1200;
const WINDOW_MS: u64 = 300_000;

#[derive(Default)]
pub(super) struct CallCount {
    /// The times of the calls, in milliseconds since 1970.
    recent: Vec<u64>,
    blocked_until_ms: Option<u64>,
    count: usize,
    refuse_every: usize,
    status: u16,
}

impl CallCount {
    pub(super) fn refuse_every(&mut self, calls: usize, status: u16) {
        (self.refuse_every, self.status, self.count) = (calls, status, 0);
    }

    /// Makes the calls so far too old to count.
    pub(super) fn grow_old(&mut self) {
        (self.recent, self.blocked_until_ms) = (Vec::new(), None);
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Counts a call. Returns the refusal of a call beyond the limit.
    pub(super) fn admit(&mut self) -> Option<Response> {
        self.count += 1;
        if self.refuse_every > 0 && self.count.is_multiple_of(self.refuse_every) {
            return Some(match self.status {
                429 => refusal(1_000),
                _ => (StatusCode::BAD_GATEWAY, "error code: 502").into_response(),
            });
        }
        let now = now_ms();
        if let Some(until) = self.blocked_until_ms.filter(|until| *until > now) {
            return Some(refusal(until - now));
        }
        self.recent.retain(|at| now < *at + WINDOW_MS);
        self.recent.push(now);
        if self.recent.len() > CALLS {
            self.blocked_until_ms = Some(now + WINDOW_MS);
            return Some(refusal(WINDOW_MS));
        }
        None
    }
}

fn refusal(wait_ms: u64) -> Response {
    let message = "More than 1200 requests per 300 seconds reached. Please wait and consider \
                   throttling your request speed";
    let errors = json!([{ "code": 971, "message": message }]);
    let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
    let seconds = wait_ms.div_ceil(1_000).to_string();
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], Json(body)).into_response()
}
