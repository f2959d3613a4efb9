//! Which function answers a quote: that of the tool that the body names.

use serde::Deserialize;
use shared::core::body;
use shared::core::error::{ApiError, ErrorCode};
use shared::edge;
use worker::Request;

const BYTES_MAX: usize = 256 * 1024;

#[derive(Deserialize)]
struct NamedTool {
    tool: String,
}

/// Reads the tool's name from a copy of the body, so that the request is passed on unchanged.
pub(crate) async fn tool(request: &mut Request) -> Result<String, ApiError> {
    if request.inner().method() != "POST" {
        return Err(ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", "POST"));
    }
    let read = match request.clone() {
        Ok(mut copy) => edge::read_body(&mut copy, BYTES_MAX).await,
        Err(error) => Err(ApiError::internal(error.to_string())),
    };
    let named = read.and_then(|text| body::typed::<NamedTool>(&body::parse(&text)?));
    match named {
        Ok(named) => Ok(named.tool),
        Err(refusal) => {
            edge::discard_body(request).await;
            Err(refusal)
        }
    }
}
