//! Makes one exchange over the platform's `fetch`.

use worker::js_sys;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{self, AbortSignal, Request, Response};

use crate::core::transport::{HttpRequest, TransportError};
use crate::edge::bridge;

/// Sends a request and waits for the head of its answer. A failure after the send is `Unknown`.
pub(super) async fn exchange(
    request: &HttpRequest,
    body: JsValue,
    signal: &AbortSignal,
) -> Result<Response, TransportError> {
    let built = built(request, body, signal)?;
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let unknown = |error: JsValue| TransportError::Unknown(describe(&error));
    let response = JsFuture::from(scope.fetch_with_request(&built)).await.map_err(unknown)?;
    response.dyn_into().map_err(unknown)
}

/// Builds the platform's request. It does not follow redirects.
pub(super) fn built(
    request: &HttpRequest,
    body: JsValue,
    signal: &AbortSignal,
) -> Result<Request, TransportError> {
    let lines = lines(&request.headers)?;
    bridge::build(request.method, &request.url, &lines, body, signal)
        .map_err(|error| TransportError::NotSent(describe(&error)))
}

/// The headers in the lines of `bridge.js`. Fails if one contains a line break, which would begin
/// another header.
pub(super) fn lines(headers: &[(String, String)]) -> Result<String, TransportError> {
    let mut lines = String::new();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        if text.contains('\n') {
            return Err(TransportError::NotSent("a header holds a line break".to_owned()));
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(text);
    }
    Ok(lines)
}

/// The body of a request as a JavaScript value.
pub(super) fn text_body(body: Option<&str>) -> JsValue {
    body.map_or(JsValue::UNDEFINED, JsValue::from_str)
}

/// Reads the whole body in one step, because every chunk would cross into JavaScript.
pub(super) async fn text(response: &Response) -> Result<String, TransportError> {
    let unknown = |error: JsValue| TransportError::Unknown(describe(&error));
    let text = JsFuture::from(response.text().map_err(unknown)?).await.map_err(unknown)?;
    text.as_string().ok_or_else(|| TransportError::Unknown("the answer is not text".to_owned()))
}

/// Returns whether an unfollowed answer is a redirect; the platform may report it as status 0.
pub(super) fn is_redirect(status: u16) -> bool {
    status == 0 || (300..400).contains(&status)
}

/// Cuts a text to 200 characters, for a log line.
pub(super) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Returns the message of a JavaScript error.
pub(super) fn describe(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    short(&message.or_else(|| error.as_string()).unwrap_or_else(|| "unknown error".to_owned()))
}
