//! Reads request bodies with a limit.

use futures_util::StreamExt;
use worker::wasm_bindgen_futures::JsFuture;

use crate::core::error::{ApiError, ErrorCode};

/// Reads the body as text. Answers 413 if it has more than `bytes_max` bytes. If its length is
/// declared, the platform enforces it and one read suffices; if not, this function counts chunks.
pub async fn read(request: &mut worker::Request, bytes_max: usize) -> Result<String, ApiError> {
    let too_large = || ApiError::of(ErrorCode::PayloadTooLarge);
    if request.inner().body().is_none() {
        return Ok(String::new());
    }
    let declared = request
        .headers()
        .get("content-length")
        .ok()
        .flatten()
        .and_then(|text| text.parse::<usize>().ok());
    match declared {
        Some(length) if length > bytes_max => Err(too_large()),
        Some(_) => {
            let promise = request.inner().text().map_err(|_| broken())?;
            let text = JsFuture::from(promise).await.map_err(|_| broken())?;
            text.as_string().ok_or_else(broken)
        }
        None => {
            let mut stream = request.stream().map_err(|_| broken())?;
            let (mut bytes, mut seen) = (Vec::new(), 0);
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(|_| broken())?;
                seen += chunk.len();
                if seen <= bytes_max {
                    bytes.extend_from_slice(&chunk);
                } else if seen > DISCARD_MAX {
                    break;
                }
            }
            if seen > bytes_max {
                return Err(too_large());
            }
            String::from_utf8(bytes).map_err(|_| ApiError::bad_request("The body is not UTF-8"))
        }
    }
}

/// The number of bytes of an unwanted body that are read before the connection may break.
const DISCARD_MAX: usize = 4 * 1024 * 1024;

/// Reads and drops the body of a request that is refused. An answer before the end of the body
/// makes the server close the connection, and a client that is still sending sees a reset instead.
pub async fn discard(request: &mut worker::Request) {
    if request.inner().body().is_none() || request.inner().body_used() {
        return;
    }
    let Ok(mut stream) = request.stream() else { return };
    let mut read = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        read += chunk.len();
        if read > DISCARD_MAX {
            return;
        }
    }
}

fn broken() -> ApiError {
    ApiError::bad_request("The body could not be read")
}
