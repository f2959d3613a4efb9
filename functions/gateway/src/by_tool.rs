//! Finds the function that answers a quote or an order: all tools share the address, and the body
//! names the tool.

use serde::Deserialize;
use shared::core::body;
use shared::core::error::{ApiError, ErrorCode};
use shared::edge::{self, Incoming, JOBS, QUOTE};

const BYTES_MAX: usize = 256 * 1024;

#[derive(Deserialize)]
struct NamedTool {
    tool: String,
}

/// Returns the tool that the body names, if `called` is an address that all tools share. `None`:
/// the function is the one in the address.
pub(crate) async fn tool(called: &str, request: &Incoming) -> Result<Option<String>, ApiError> {
    match (called.trim_end_matches('/'), request.method()) {
        (QUOTE | JOBS, "POST") => Ok(Some(tool_of_body(request).await)),
        (QUOTE, _) => Err(not_allowed("POST")),
        // The function `jobs` answers the list of jobs.
        (JOBS, "GET") => Ok(None),
        (JOBS, _) => Err(not_allowed("GET, POST")),
        _ => Ok(None),
    }
}

fn not_allowed(allow: &str) -> ApiError {
    ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", allow)
}

/// Reads the tool's name from a copy of the body, so that the request is passed on unchanged. A
/// body that names no tool goes to `jobs`, which refuses it once it has admitted the caller.
async fn tool_of_body(request: &Incoming) -> String {
    let read = match request.copied() {
        Some(copy) => edge::read_body(&copy, BYTES_MAX).await,
        None => Err(ApiError::internal("the body is being read")),
    };
    let named = read.and_then(|text| body::typed::<NamedTool>(&body::parse(&text)?));
    named.map_or_else(|_| JOBS.to_owned(), |named| named.tool)
}
