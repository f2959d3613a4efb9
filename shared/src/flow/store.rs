//! Puts a result that is in memory into the app's own storage, and finds what an earlier attempt put there.
//!
//! The caller holds the step's lease. Nothing is overwritten: each run has its own name.

use super::Cx;
use super::save::Target;
use crate::db::step::Attempt;
use crate::id::UserId;
use crate::transport::{CopyError, HttpRequest, Transport};
use serde_json::{Value, json};

const STORE_MS: u32 = 20_000;
const LIST_MS: u32 = 5_000;
const TRIES: u32 = 3;
const PAUSE_MS: u32 = 1_000;

/// Stores the bytes; returns their public URL.
pub async fn put<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
    bytes: Vec<u8>,
    content_type: &str,
    extension: &str,
) -> Result<String, CopyError> {
    let to = Target::of(cx, user, attempt, extension)
        .map_err(|error| CopyError::Transient(error.to_string()))?;
    let mut headers = to.headers.clone();
    headers.push(("content-type".to_owned(), content_type.to_owned()));
    let mut tries = 0;
    loop {
        tries += 1;
        let request = HttpRequest {
            method: "POST",
            url: to.upload_url.clone(),
            headers: headers.clone(),
            body: None,
            timeout_ms: STORE_MS,
        };
        let answer = cx.transport.upload(request, bytes.clone()).await;
        match answer {
            Ok(response) if (200..=299).contains(&response.status) => return Ok(to.public_url),
            // The name is nobody else's: an earlier try arrived, only its answer was lost.
            Ok(response) if tries > 1 && is_duplicate(response.status, &response.body) => {
                return Ok(to.public_url);
            }
            Ok(response) if tries >= TRIES => {
                return Err(CopyError::Transient(format!("storage said {}", response.status)));
            }
            Err(error) if tries >= TRIES => return Err(CopyError::Transient(error.to_string())),
            _ => cx.transport.sleep(PAUSE_MS).await,
        }
    }
}

/// Storage says "already there" as a 409, or as a 400 whose body carries the status.
fn is_duplicate(status: u16, body: &str) -> bool {
    status == 409 || (status == 400 && body.contains("\"409\""))
}

/// The URL of what an earlier run of this step stored, where it died before that was recorded.
pub async fn found<T: Transport>(cx: &Cx<'_, T>, user: UserId, attempt: Attempt) -> Option<String> {
    let storage = format!("{}/storage/v1/object", cx.config.supabase_url().ok()?);
    let bucket = &cx.config.results_bucket;
    let Attempt { job, step, .. } = attempt;
    let mut headers = cx.config.service_headers().ok()?;
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    let (folder, begins) = (format!("{user}/{job}"), format!("{step}-"));
    let request = HttpRequest {
        method: "POST",
        url: format!("{storage}/list/{bucket}"),
        headers,
        body: Some(json!({"prefix": folder, "search": begins, "limit": 10}).to_string()),
        timeout_ms: LIST_MS,
    };
    let response =
        cx.transport.send(request).await.ok().filter(|response| response.status == 200)?;
    let listed: Value = serde_json::from_str(&response.body).ok()?;
    let names = listed.as_array()?.iter().filter_map(|object| object.get("name")?.as_str());
    // The search may be looser than a prefix, and a name is only used as one of ours.
    let ours = |name: &&str| {
        name.starts_with(&begins)
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let name = names.filter(ours).max()?;
    Some(format!("{storage}/public/{bucket}/{folder}/{name}"))
}
