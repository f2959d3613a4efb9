//! Passes on requests and answers as the platform's own objects, without reading them.

use crate::pages;
use shared::edge::Incoming;
use worker::js_sys::Promise;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, Response};
use worker::{Env, js_sys};

#[wasm_bindgen(module = "/src/pass.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub(crate) fn pass(
        env: &Env,
        binding: &str,
        request: &Request,
    ) -> Result<Option<Promise>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn file(
        env: &Env,
        binding: &str,
        request: &Request,
        path: &str,
    ) -> Result<Option<Promise>, JsValue>;

    #[wasm_bindgen(js_name = hasCors)]
    pub(crate) fn has_cors(answer: &Response) -> bool;

    pub(crate) fn changeable(answer: &Response) -> Response;
}

/// Passes a request on to the function of that name. `None`: there is none.
pub(crate) fn to_function(
    name: &str,
    request: &Incoming,
    env: &Env,
) -> Result<Option<Promise>, JsValue> {
    binding(name).map_or(Ok(None), |binding| pass(env, &binding, &request.raw))
}

/// Returns the service binding of a function's name, or `None` if the text cannot be one.
fn binding(name: &str) -> Option<String> {
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let binding = name.to_ascii_uppercase().replace('-', "_");
    (is_name && binding != pages::BINDING).then_some(binding)
}

/// Awaits the answer. An error is the message of what the platform throws.
pub(crate) async fn answer(promise: Promise) -> Result<Response, String> {
    let answer = JsFuture::from(promise).await.map_err(|error| message(&error))?;
    answer.dyn_into().map_err(|_| "not a response".to_owned())
}

/// The message of a JavaScript error.
pub(crate) fn message(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.or_else(|| error.as_string()).unwrap_or_else(|| "unknown error".to_owned())
}
