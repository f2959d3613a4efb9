//! Implements the transport with the platform's own `fetch`.
//!
//! Every call has a time limit that covers head and body. Redirects are never followed, because
//! `flow` has checked only the host of the URL.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use worker::js_sys;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::AbortController;
use worker::{Delay, Env, MessageBuilder};

use super::bridge::{self, ANSWER_HEADERS};
use super::http::{describe, is_redirect, lines, short, text_body};
use crate::core::media::MediaType;
use crate::core::origin::split_origin;
use crate::core::transport::{
    CopyError, FileCopy, FileInMemory, HttpRequest, HttpResponse, Transport, TransportError,
};
use crate::flow::permits::Permits;

/// A caller may drop a call with a longer time limit than this. Such a call is aborted when it is
/// dropped.
const LONG_MS: u32 = 30_000;
/// The number of simultaneous copies: an upload holds one of an event's six connections until it is
/// finished, and heartbeats must not wait for it.
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
    /// Makes the transport of one event.
    pub fn new(env: Env) -> Fetch {
        Fetch { env, copies: Permits::new(COPIES, u64::MAX), origin: Rc::default() }
    }

    /// The same transport for a request to that URL.
    pub(super) fn reached_at(self, url: &str) -> Fetch {
        Fetch { origin: split_origin(url).0.into(), ..self }
    }

    /// Returns the bindings and variables of the function.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The names of the function's service bindings.
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
        // While the answer is awaited, a large body exists only once, as the platform's own copy.
        let body = text_body(request.body.take().as_deref());
        exchanged(request, body).await
    }

    async fn upload(
        &self,
        request: HttpRequest,
        bytes: Vec<u8>,
    ) -> Result<HttpResponse, TransportError> {
        let body: JsValue = js_sys::Uint8Array::from(bytes.as_slice()).into();
        drop(bytes);
        exchanged(request, body).await
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
            // but guessable.
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

/// Aborts a long call when it is dropped.
struct LongCall(Option<AbortController>);

impl LongCall {
    fn of(timeout_ms: u32) -> Self {
        let is_long = timeout_ms > LONG_MS;
        Self(if is_long { AbortController::new().ok() } else { None })
    }
}

impl Drop for LongCall {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

/// Sends a request and reads the answer. Fails if the answer is a redirect.
async fn exchanged(request: HttpRequest, body: JsValue) -> Result<HttpResponse, TransportError> {
    let HttpRequest { method, url, timeout_ms, headers, .. } = request;
    let long = LongCall::of(timeout_ms);
    let signal = long.0.as_ref().map(AbortController::signal);
    let promise = bridge::send(method, &url, &lines(&headers)?, body, timeout_ms, signal.as_ref());
    let unknown = |error: JsValue| TransportError::Unknown(describe(&error));
    let answer = JsFuture::from(promise).await.map_err(unknown)?;
    parsed(answer.as_string().unwrap_or_default())
}

/// Parses an answer in the lines of `bridge.js`.
fn parsed(mut answer: String) -> Result<HttpResponse, TransportError> {
    if let Some(why) = answer.strip_prefix('!') {
        return Err(TransportError::NotSent(short(why)));
    }
    let mut lines = answer.splitn(ANSWER_HEADERS.len() + 2, '\n');
    let status = lines.next().and_then(|status| status.parse().ok()).unwrap_or_default();
    if is_redirect(status) {
        return Err(TransportError::Unknown("redirected".to_owned()));
    }
    let headers = ANSWER_HEADERS.iter().zip(&mut lines).filter(|(_, value)| !value.is_empty());
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect();
    let body_bytes = lines.next().unwrap_or_default().len();
    // The rest is the body. It may be large, so it is not copied.
    answer.drain(..answer.len() - body_bytes);
    Ok(HttpResponse { status, headers, body: answer })
}

#[cfg(test)]
mod tests {
    use super::parsed;
    use crate::core::transport::TransportError;

    #[test]
    fn an_answer_is_read_from_its_lines() {
        let answer = parsed("429\napplication/json\n7\n\n\n{\n}".to_owned()).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (429, "{\n}"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.header("ratelimit-reset"), None);
        let empty = parsed("204\n\n\n\n\n".to_owned()).unwrap();
        assert_eq!((empty.status, empty.body.as_str(), empty.headers.len()), (204, "", 0));
        let not_sent = parsed("!Invalid URL".to_owned()).unwrap_err();
        assert_eq!(not_sent, TransportError::NotSent("Invalid URL".to_owned()));
        for redirect in ["302\n\n\n\n\n", "0\n\n\n\n\n"] {
            assert!(matches!(parsed(redirect.to_owned()), Err(TransportError::Unknown(_))));
        }
    }
}
