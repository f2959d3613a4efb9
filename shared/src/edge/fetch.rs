//! The transport over the platform's own `fetch`.
//!
//! Every call has a time limit that covers head and body. Redirects are never followed: a host is
//! checked before a call, and a redirect would leave it.

use std::time::Duration;

use serde_json::Value;
use worker::js_sys;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{self, AbortSignal, Headers, Request, RequestInit, RequestRedirect, Response};
use worker::{Delay, Env};

use crate::transport::{Copy, CopyError, HttpRequest, HttpResponse, Transport, TransportError};

/// The answer headers anybody reads; each read crosses into JavaScript.
const READ_HEADERS: [&str; 4] = ["content-type", "retry-after", "ratelimit-reset", "proxy-status"];

/// The world, as one function sees it.
#[derive(Clone)]
pub struct Fetch {
    env: Env,
}

impl Fetch {
    pub fn new(env: Env) -> Fetch {
        Fetch { env }
    }

    pub fn env(&self) -> &Env {
        &self.env
    }
}

impl Transport for Fetch {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let signal = AbortSignal::timeout_with_u32(request.timeout_ms);
        let body = request.body.as_deref().map(JsValue::from_str);
        let response = exchange(&request, body.as_ref(), &signal).await?;
        let status = response.status();
        if is_redirect(status) {
            return Err(TransportError::Unknown("redirected".to_owned()));
        }
        let headers = response.headers();
        let headers = READ_HEADERS
            .iter()
            .filter_map(|name| headers.get(name).ok().flatten().map(|value| ((*name).to_owned(), value)))
            .collect();
        Ok(HttpResponse { status, headers, body: text(&response).await? })
    }

    async fn copy(&self, copy: Copy) -> Result<(), CopyError> {
        super::copy::copy(copy).await
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(u64::from(ms))).await;
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970 fit")]
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    fn random(&self) -> u128 {
        let mut bytes = [0_u8; 16];
        if getrandom::getrandom(&mut bytes).is_err() {
            // The platform's generator does not fail; if it did, unguessable is lost but distinct is not.
            for byte in &mut bytes {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
                let random = (js_sys::Math::random() * 256.0) as u8;
                *byte = random;
            }
        }
        u128::from_be_bytes(bytes)
    }

    async fn notify(&self, queue: &str, message: &str) -> Result<(), TransportError> {
        let queue = self.env.queue(queue).map_err(|error| TransportError::NotSent(error.to_string()))?;
        queue.send(message).await.map_err(|error| TransportError::Unknown(error.to_string()))
    }

    fn log(&self, line: &Value) {
        worker::console_log!("{line}");
    }
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn exchange(
    request: &HttpRequest,
    body: Option<&JsValue>,
    signal: &AbortSignal,
) -> Result<Response, TransportError> {
    let not_sent = |error: JsValue| TransportError::NotSent(describe(&error));
    let headers = Headers::new().map_err(not_sent)?;
    for (name, value) in &request.headers {
        headers.set(name, value).map_err(not_sent)?;
    }
    let init = RequestInit::new();
    init.set_method(request.method);
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(signal));
    if let Some(body) = body {
        init.set_body(body);
    }
    let built = Request::new_with_str_and_init(&request.url, &init).map_err(not_sent)?;
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let unknown = |error: JsValue| TransportError::Unknown(describe(&error));
    let response = JsFuture::from(scope.fetch_with_request(&built)).await.map_err(unknown)?;
    response.dyn_into().map_err(unknown)
}

/// The body in one read; chunk by chunk would cross the boundary for each.
pub(super) async fn text(response: &Response) -> Result<String, TransportError> {
    let unknown = |error: JsValue| TransportError::Unknown(describe(&error));
    let text = JsFuture::from(response.text().map_err(unknown)?).await.map_err(unknown)?;
    text.as_string().ok_or_else(|| TransportError::Unknown("the answer is not text".to_owned()))
}

fn is_redirect(status: u16) -> bool {
    status == 0 || (300..400).contains(&status)
}

pub(super) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

pub(super) fn describe(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    short(&message.or_else(|| error.as_string()).unwrap_or_else(|| "unknown error".to_owned()))
}
