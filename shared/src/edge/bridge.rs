//! Requests and answers, which `bridge.js` reads and makes in one call each.

use worker::js_sys::Promise;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsValue};
use worker::web_sys::{AbortSignal, Headers, Request, Response};
use worker::{Env, web_sys};

use crate::core::origin::split_origin;

#[wasm_bindgen(module = "/src/edge/bridge.js")]
extern "C" {
    fn head(request: &Request) -> String;

    #[wasm_bindgen(catch)]
    pub(super) fn text(request: &Request) -> Result<Promise, JsValue>;

    pub(super) fn read(request: &Request, bytes_max: usize) -> Promise;

    pub(super) fn discard(request: &Request) -> Promise;

    pub(super) fn answer(status: u16, lines: &str, body: JsValue) -> Response;

    pub(super) fn cors(headers: &Headers, request_id: &str);

    #[wasm_bindgen(catch)]
    pub(super) fn build(
        method: &str,
        url: &str,
        lines: &str,
        body: JsValue,
        signal: &AbortSignal,
    ) -> Result<Request, JsValue>;

    pub(super) fn send(
        method: &str,
        url: &str,
        lines: &str,
        body: JsValue,
        timeout_ms: u32,
        stopped: Option<&AbortSignal>,
    ) -> Promise;

    pub(super) fn limit(env: &Env, binding: &str, key: &str) -> Promise;
}

/// The headers that are read of a request, in the order of `bridge.js`.
#[derive(Clone, Copy)]
pub enum ReadHeader {
    RequestId,
    Authorization,
    Apikey,
    CfConnectingIp,
    ContentLength,
    IdempotencyKey,
    WebhookId,
    WebhookTimestamp,
    WebhookSignature,
    StripeSignature,
}

/// The headers that are read of an answer, in the order of `bridge.js`.
pub(super) const ANSWER_HEADERS: [&str; 4] =
    ["content-type", "retry-after", "ratelimit-reset", "proxy-status"];

/// A request of the platform, with its head as lines.
pub struct Incoming {
    pub raw: Request,
    head: String,
}

impl Incoming {
    pub fn of(raw: Request) -> Self {
        let head = head(&raw);
        Self { raw, head }
    }

    /// The same request with a body of its own to read. `None` if the body is being read.
    pub fn copied(&self) -> Option<Self> {
        Some(Self { raw: self.raw.clone().ok()?, head: self.head.clone() })
    }

    fn line(&self, at: usize) -> &str {
        self.head.split('\n').nth(at).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.line(0)
    }

    pub fn url(&self) -> &str {
        self.line(1)
    }

    pub fn has_body(&self) -> bool {
        !self.line(2).is_empty()
    }

    /// The path, still encoded.
    pub fn path(&self) -> &str {
        let rest = split_origin(self.url()).1;
        rest.split(['?', '#']).next().unwrap_or_default()
    }

    /// The text after the path's question mark, still encoded.
    pub fn query(&self) -> &str {
        let rest = self.url().split('#').next().unwrap_or_default();
        rest.split_once('?').map_or("", |(_, query)| query)
    }

    pub fn header(&self, name: ReadHeader) -> Option<&str> {
        self.line(3 + name as usize).strip_prefix('=')
    }
}

/// Adds CORS headers and the request id to headers that are still mutable.
pub fn with_cors(headers: &web_sys::Headers, request_id: &str) {
    cors(headers, request_id);
}

/// Returns an answer without a body.
pub fn plain(status: u16, request_id: &str) -> Response {
    answer(status, &format!("x-request-id\n{request_id}"), JsValue::NULL)
}

#[cfg(test)]
mod tests {
    use super::{ANSWER_HEADERS, ReadHeader};

    /// The names in a list of `bridge.js`.
    fn named(list: &str) -> Vec<&'static str> {
        let (_, rest) =
            include_str!("bridge.js").split_once(&format!("const {list} = [")).expect(list);
        rest.split(']').next().unwrap_or_default().split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn both_sides_name_the_headers_in_one_order() {
        assert_eq!(named("ANSWER_HEADERS"), ANSWER_HEADERS);
        let read = named("REQUEST_HEADERS");
        for (header, name) in [
            (ReadHeader::RequestId, "x-request-id"),
            (ReadHeader::Authorization, "authorization"),
            (ReadHeader::Apikey, "apikey"),
            (ReadHeader::CfConnectingIp, "cf-connecting-ip"),
            (ReadHeader::ContentLength, "content-length"),
            (ReadHeader::IdempotencyKey, "idempotency-key"),
            (ReadHeader::WebhookId, "webhook-id"),
            (ReadHeader::WebhookTimestamp, "webhook-timestamp"),
            (ReadHeader::WebhookSignature, "webhook-signature"),
            (ReadHeader::StripeSignature, "stripe-signature"),
        ] {
            assert_eq!(read[header as usize], name);
        }
        assert_eq!(read.len(), 10);
    }
}
