//! Implements the transport over the platform's own `fetch`.
//!
//! Every call has a time limit that covers head and body. Redirects are never followed: `flow`
//! checks the host before a call, and a redirect would leave it.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use worker::js_sys;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{AbortController, AbortSignal, Response};
use worker::{Delay, Env, MessageBuilder};

use super::http::{exchange, is_redirect, text};
use crate::core::media::MediaType;
use crate::core::origin::split_origin;
use crate::core::transport::{
    CopyError, FileCopy, FileInMemory, HttpRequest, HttpResponse, Transport, TransportError,
};
use crate::flow::permits::Permits;

/// The headers that callers read from an answer; each read crosses into JavaScript.
const READ_HEADERS: [&str; 4] = ["content-type", "retry-after", "ratelimit-reset", "proxy-status"];
/// A caller may drop a call with a longer time limit than this. Such a call aborts when it is
/// dropped.
const LONG_MS: u32 = 30_000;
/// Copies at once: an upload holds one of the six connections of an event until it is finished, and
/// heartbeats must not wait for it.
const COPIES: usize = 3;
/// The longest delay that the platform's queues accept.
const NOTIFY_DELAY_S_MAX: u32 = 43_200;

/// The transport of one function.
#[derive(Clone)]
pub struct Fetch {
    env: Env,
    copies: Rc<Permits>,
    origin: Rc<str>,
}

impl Fetch {
    /// The transport of one event.
    pub fn new(env: Env) -> Fetch {
        Fetch { env, copies: Permits::new(COPIES, u64::MAX), origin: Rc::default() }
    }

    /// The same for a request to that URL.
    pub(super) fn reached_at(self, url: &str) -> Fetch {
        Fetch { origin: split_origin(url).0.into(), ..self }
    }

    /// Returns the bindings and variables of the function.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The names of what the function is bound to by a service binding.
    pub fn bound(&self) -> Vec<String> {
        let env: &js_sys::Object = self.env.unchecked_ref();
        js_sys::Object::keys(env)
            .iter()
            .filter_map(|name| name.as_string())
            .filter(|name| self.env.service(name).is_ok())
            .map(|name| name.to_ascii_lowercase().replace('_', "-"))
            .collect()
    }
}

impl Transport for Fetch {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let limit = CallLimit::of(request.timeout_ms);
        // A body of some MB exists once while the answer is awaited, as the platform's own copy.
        let body = request.body.take().map(|body| JsValue::from_str(&body));
        read_whole(exchange(&request, body, &limit.signal).await?).await
    }

    async fn upload(
        &self,
        request: HttpRequest,
        bytes: Vec<u8>,
    ) -> Result<HttpResponse, TransportError> {
        let limit = CallLimit::of(request.timeout_ms);
        let body: JsValue = js_sys::Uint8Array::from(bytes.as_slice()).into();
        drop(bytes);
        read_whole(exchange(&request, Some(body), &limit.signal).await?).await
    }

    async fn download(
        &self,
        url: &str,
        bytes_max: u64,
        timeout_ms: u32,
    ) -> Result<FileInMemory, CopyError> {
        super::copy::download(url, bytes_max, timeout_ms).await
    }

    async fn copy(&self, copy: FileCopy) -> Result<&'static MediaType, CopyError> {
        let _permit = self.copies.take(self).await;
        super::copy::copy(copy).await
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(u64::from(ms))).await;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds since 1970 fit"
    )]
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    fn random(&self) -> u128 {
        let mut bytes = [0_u8; 16];
        if getrandom::getrandom(&mut bytes).is_err() {
            // The platform's generator does not fail. If it did, these ids would still be distinct,
            // though guessable.
            for byte in &mut bytes {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 255"
                )]
                let random = (js_sys::Math::random() * 256.0) as u8;
                *byte = random;
            }
        }
        u128::from_be_bytes(bytes)
    }

    async fn notify(&self, queue: &str, message: &str, delay_s: u32) -> Result<(), TransportError> {
        let queue =
            self.env.queue(queue).map_err(|error| TransportError::NotSent(error.to_string()))?;
        let message =
            MessageBuilder::new(message).delay_seconds(delay_s.min(NOTIFY_DELAY_S_MAX)).build();
        queue.send(message).await.map_err(|error| TransportError::Unknown(error.to_string()))
    }

    fn log(&self, line: &Value) {
        worker::console_log!("{line}");
    }

    fn origin(&self) -> &str {
        &self.origin
    }
}

/// The time limit of a call. It aborts a long call when it is dropped.
struct CallLimit {
    signal: AbortSignal,
    controller: Option<AbortController>,
}

impl CallLimit {
    fn of(timeout_ms: u32) -> Self {
        let timeout = AbortSignal::timeout_with_u32(timeout_ms);
        match AbortController::new() {
            Ok(controller) if timeout_ms > LONG_MS => {
                let signals = js_sys::Array::of2(&timeout, &controller.signal());
                Self { signal: AbortSignal::any(&signals), controller: Some(controller) }
            }
            _ => Self { signal: timeout, controller: None },
        }
    }
}

impl Drop for CallLimit {
    fn drop(&mut self) {
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }
}

/// Reads the body of an answer. Fails if the answer is a redirect.
async fn read_whole(response: Response) -> Result<HttpResponse, TransportError> {
    let status = response.status();
    if is_redirect(status) {
        return Err(TransportError::Unknown("redirected".to_owned()));
    }
    let headers = response.headers();
    let headers = READ_HEADERS
        .iter()
        .filter_map(|name| {
            headers.get(name).ok().flatten().map(|value| ((*name).to_owned(), value))
        })
        .collect();
    Ok(HttpResponse { status, headers, body: text(&response).await? })
}
