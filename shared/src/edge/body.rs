//! Reads request bodies with a limit.

use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::JsFuture;

use crate::core::error::{ApiError, ErrorCode};
use crate::edge::bridge::{self, Incoming, ReadHeader};

/// Reads the body as text. Answers 413 if it has more than `bytes_max` bytes. If its length is
/// declared, the platform enforces it; if not, `bridge.js` counts the chunks.
pub async fn read(request: &Incoming, bytes_max: usize) -> Result<String, ApiError> {
    let too_large = || ApiError::of(ErrorCode::PayloadTooLarge);
    let broken = |_: JsValue| ApiError::bad_request("The body could not be read");
    if !request.has_body() {
        return Ok(String::new());
    }
    let declared = request.header(ReadHeader::ContentLength);
    let promise = match declared.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if length > bytes_max => return Err(too_large()),
        Some(_) => bridge::text(&request.raw).map_err(broken)?,
        None => bridge::read(&request.raw, bytes_max),
    };
    let text = JsFuture::from(promise).await.map_err(broken)?;
    match text.as_string() {
        Some(text) => Ok(text),
        None if text.is_null() => Err(too_large()),
        None => Err(ApiError::bad_request("The body is not UTF-8")),
    }
}

/// Reads and drops the body of a request that is refused.
pub async fn discard(request: &Incoming) {
    if request.has_body() {
        let _ = JsFuture::from(bridge::discard(&request.raw)).await;
    }
}
