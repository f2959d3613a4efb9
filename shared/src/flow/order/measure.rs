//! Measures an order's files by their headers, with ranged reads of our own storage.

use crate::core::address::{self, InputUrl};
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::measure::{FileSize, HeaderReader, Measured, PriceUnit, Reading, WINDOW_BYTES};
use crate::core::transport::{HttpRequest, Streams};
use crate::core::{origin, storage};
use crate::flow::Cx;
use crate::flow::join::join_all;
use crate::flow::order::input;

const WINDOW_MS: u32 = 5_000;

/// Adds up one unit of the files (`(field, URL)`) of `caller`. A file on another host is never
/// read. Answers 400 for a file that no longer exists, and 503 while storage does not answer.
pub(super) async fn files<T: Streams>(
    cx: &Cx<'_, T>,
    unit: PriceUnit,
    files: &[(String, &str)],
    caller: UserId,
) -> Result<Measured, ApiError> {
    let sizes = files.iter().map(async |(field, url)| {
        let url = origin::at_project(url, cx.transport.origin(), cx.config);
        match address::input(&url, caller, cx.config) {
            Ok(InputUrl::Own { object, .. }) => size(cx, field, &object).await,
            _ => Ok(None),
        }
    });
    let sizes: Vec<Option<FileSize>> =
        join_all(sizes).await.into_iter().collect::<Result<_, _>>()?;
    Ok(Measured::sum(unit, sizes))
}

async fn size<T: Streams>(
    cx: &Cx<'_, T>,
    field: &str,
    object: &str,
) -> Result<Option<FileSize>, ApiError> {
    let (mut reader, mut start) = (HeaderReader::default(), 0);
    loop {
        let Some(window) = window(cx, field, object, start).await? else { return Ok(None) };
        match reader.read(start, &window) {
            Reading::Of(size) => return Ok(Some(size)),
            Reading::From(next) => start = next,
            Reading::Unmeasured => return Ok(None),
        }
    }
}

/// The window of an object that begins at `start`. `None`: the object ends before it, or storage
/// cannot read from there.
async fn window<T: Streams>(
    cx: &Cx<'_, T>,
    field: &str,
    object: &str,
    start: u64,
) -> Result<Option<Vec<u8>>, ApiError> {
    let mut headers = cx.config.service_headers()?;
    let end = start.saturating_add(WINDOW_BYTES as u64 - 1);
    headers.push(("range".to_owned(), format!("bytes={start}-{end}")));
    let request = HttpRequest {
        method: "GET",
        url: format!("{}/storage/v1/object/{object}", cx.config.supabase_url()?),
        headers,
        body: None,
        timeout_ms: WINDOW_MS,
    };
    let mut window = Vec::new();
    let take = |piece: &[u8]| {
        let left = WINDOW_BYTES - window.len();
        window.extend_from_slice(piece.get(..left).unwrap_or(piece));
        window.len() < WINDOW_BYTES
    };
    let answer = cx.transport.stream(request, WINDOW_MS, take).await;
    let answer = answer.map_err(|error| ApiError::upstream(format!("storage: {error}")))?;
    match storage::status(answer.status, &answer.body) {
        206 => Ok(Some(window)),
        // The answer is the whole object, from its beginning.
        200 => Ok(Some(window).filter(|_| start == 0)),
        416 => Ok(None),
        _ => input::found(field, &answer).map(|()| None),
    }
}
