//! Copies a file from one host to another as a native stream: its bytes never enter wasm.
//!
//! A copy counts only if it is complete. The receiver cannot check that, because an interrupted
//! upload without a length may look complete to it. So `copy.js` counts the bytes on the way.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{AbortController, AbortSignal, ReadableStream, Response};
use worker::{Delay, js_sys};

use crate::core::media::{HEAD_BYTES, MediaType, type_of};
use crate::core::storage::{UploadRefusal, upload_refusal};
use crate::core::transport::{CopyError, FileCopy, FileInMemory, HttpRequest};
use crate::edge::http::{describe, exchange, short, text};

#[wasm_bindgen(module = "/src/edge/copy.js")]
extern "C" {
    #[wasm_bindgen(extends = js_sys::Object)]
    type Transfer;

    /// Returns a promise of an [`Opened`].
    fn open(
        source: &ReadableStream,
        head_bytes: usize,
        stall_ms: u32,
        stop: &AbortController,
    ) -> js_sys::Promise;

    #[wasm_bindgen(extends = js_sys::Object)]
    type Opened;

    #[wasm_bindgen(method, getter)]
    fn head(opened: &Opened) -> Vec<u8>;

    #[wasm_bindgen(js_name = "move")]
    fn begin(
        opened: &Opened,
        length: Option<f64>,
        bytes_max: f64,
        stall_ms: u32,
        stop: &AbortController,
    ) -> Transfer;

    #[wasm_bindgen(method, getter)]
    fn body(transfer: &Transfer) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn state(transfer: &Transfer) -> String;
}

/// The limit for the head of the source's answer. It is longer than a stall, because the platform
/// may hold back the request until a connection is free.
const HEAD_MS: u32 = 60_000;

/// Aborts both requests when it is dropped, at the end of the copy or before it.
struct Stop(AbortController);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Copies one file. See [`crate::core::transport::Transport::copy`].
pub(super) async fn copy(copy: FileCopy) -> Result<&'static MediaType, CopyError> {
    let stop =
        Stop(AbortController::new().map_err(|error| CopyError::Transient(describe(&error)))?);
    let limit = AbortSignal::timeout_with_u32(copy.to.timeout_ms);
    let signal = AbortSignal::any(&js_sys::Array::of2(&stop.0.signal(), &limit));
    let source = request(&copy.from, &signal).await?;
    let length = length(&source, copy.bytes_max)?;
    let stream = source.body().ok_or_else(empty)?;
    let opened = JsFuture::from(open(&stream, HEAD_BYTES, copy.stall_ms, &stop.0)).await;
    let opened: Opened = opened.map_err(cut)?.unchecked_into();
    let head = opened.head();
    if head.is_empty() {
        return Err(empty());
    }
    let found = type_of(&head, &media_type(&source), copy.hint, copy.kind)
        .map_err(|what| CopyError::Rejected(format!("the result {}", short(&what))))?;
    let transfer = begin(&opened, length, as_f64(copy.bytes_max), copy.stall_ms, &stop.0);
    let mut put = copy.to;
    put.url = format!("{}.{}", put.url, found.extension);
    put.headers.push(("content-type".to_owned(), found.content_type.to_owned()));
    let answer = match exchange(&put, transfer.body(), &signal).await {
        Ok(answer) => text(&answer).await.map(|detail| (answer.status(), detail)),
        Err(error) => Err(error),
    };
    match (transfer.state().as_str(), answer) {
        ("too large", _) => Err(too_large()),
        ("empty", _) => Err(empty()),
        ("cut", _) => Err(cut(JsValue::NULL)),
        ("whole", Ok((200..=299, _))) => Ok(found),
        (_, Ok((status, detail))) => {
            let text = format!("storage answered {status}: {}", short(&detail));
            Err(match upload_refusal(status, &detail) {
                UploadRefusal::Rejected => CopyError::Rejected(text),
                UploadRefusal::Misconfigured => CopyError::Misconfigured(text),
                UploadRefusal::Duplicate | UploadRefusal::Transient => CopyError::Transient(text),
            })
        }
        (_, Err(error)) => Err(CopyError::Transient(error.to_string())),
    }
}

/// Reads a file of at most `bytes_max` bytes into memory.
pub(super) async fn download(
    from: &str,
    bytes_max: u64,
    timeout_ms: u32,
) -> Result<FileInMemory, CopyError> {
    let signal = AbortSignal::timeout_with_u32(timeout_ms);
    let source = request(from, &signal).await?;
    length(&source, bytes_max)?;
    let broken = |error: JsValue| CopyError::Transient(describe(&error));
    let buffer = JsFuture::from(source.array_buffer().map_err(broken)?).await.map_err(broken)?;
    let array = js_sys::Uint8Array::new(&buffer);
    // The source may not have declared its length.
    if u64::from(array.length()) > bytes_max {
        return Err(too_large());
    }
    Ok(FileInMemory { content_type: media_type(&source), bytes: array.to_vec() })
}

/// Requests the source and returns the head of its answer. Fails if it does not arrive within
/// [`HEAD_MS`]. A refusal is final only if the file is gone, because a new file may be missing or
/// locked for some minutes.
async fn request(from: &str, signal: &AbortSignal) -> Result<Response, CopyError> {
    let url = from.to_owned();
    let get =
        HttpRequest { method: "GET", url, headers: Vec::new(), body: None, timeout_ms: HEAD_MS };
    let deadline = Delay::from(Duration::from_millis(u64::from(HEAD_MS)));
    let source = match select(pin!(exchange(&get, JsValue::UNDEFINED, signal)), deadline).await {
        Either::Left((source, _)) => {
            source.map_err(|error| CopyError::Transient(error.to_string()))?
        }
        Either::Right(_) => {
            return Err(CopyError::Transient("the source did not answer".to_owned()));
        }
    };
    match source.status() {
        200 => Ok(source),
        status @ (0 | 300..=399 | 410) => {
            Err(CopyError::Rejected(format!("the source answered {status}")))
        }
        status => Err(CopyError::Transient(format!("the source answered {status}"))),
    }
}

/// Returns the content type without parameters, in lower case.
fn media_type(source: &Response) -> String {
    let full = header(source, "content-type").unwrap_or_default();
    full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns the declared length of the source. That of a compressed body does not count, because the
/// platform decompresses it. Fails for an empty or too large source.
fn length(source: &Response, bytes_max: u64) -> Result<Option<f64>, CopyError> {
    if header(source, "content-encoding").is_some() {
        return Ok(None);
    }
    match header(source, "content-length").and_then(|length| length.parse().ok()) {
        // An empty upload is complete before `copy.js` could stop it.
        Some(0) => Err(empty()),
        Some(bytes) if bytes > bytes_max => Err(too_large()),
        length => Ok(length.map(as_f64)),
    }
}

fn header(source: &Response, name: &str) -> Option<String> {
    source.headers().get(name).ok().flatten()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files are far below 2^53")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

fn cut(_: JsValue) -> CopyError {
    CopyError::Transient("the source ended too early".to_owned())
}

fn too_large() -> CopyError {
    CopyError::Rejected("the source is too large".to_owned())
}

fn empty() -> CopyError {
    CopyError::Rejected("the source is empty".to_owned())
}
