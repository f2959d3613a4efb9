//! Puts results into the app's own storage: copied as a stream from the provider, or from memory.
//!
//! The object's path names owner, job, step and run and ends in random bits: an older run can
//! never overwrite a newer one's result. Whether the result counts is decided by the database.

use super::Cx;
use crate::core::address;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::provider::Output;
use crate::core::transport::{CopyError, FileCopy, HttpRequest, Transport};
use crate::db::step::Attempt;
use serde_json::{Value, json};
use url::Url;

const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// For all of it: 200 MB at 600 KB/s. Two tries end within the 15 minutes that a consumer or a cron has.
const COPY_MS: u32 = 360_000;
const STALL_MS: u32 = 20_000;
const COPY_TRIES: u32 = 2;

/// Extensions a result may get.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "mp4"];
const STORE_MS: u32 = 20_000;
const LIST_MS: u32 = 5_000;
const UPLOAD_TRIES: u32 = 3;
const PAUSE_MS: u32 = 1_000;

/// Copies the first output that is a file we deliver. Returns its public URL.
pub async fn copy<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
    outputs: &[Output],
    content_types: &'static [&'static str],
) -> Result<String, CopyError> {
    let rejected = |text: &str| CopyError::Rejected(text.to_owned());
    let (output, extension) = outputs
        .iter()
        .find_map(|output| Some((output, extension(output)?)))
        .ok_or_else(|| rejected("the result is not a file of a known type"))?;
    let from = address::output(&output.url, cx.config)
        .map_err(|problem| rejected(&format!("the result's address {problem}")))?;
    let mut tries = 0;
    loop {
        tries += 1;
        // A new path each time: what an earlier try may have written is never overwritten.
        let to = Target::of(cx, user, attempt, extension)
            .map_err(|error| CopyError::Transient(error.to_string()))?;
        match cx.transport.copy(to.copy(&from, content_types)).await {
            Ok(()) => return Ok(to.public_url),
            Err(CopyError::Transient(_)) if tries < COPY_TRIES => {
                cx.transport.sleep(PAUSE_MS).await
            }
            Err(error) => return Err(error),
        }
    }
}

/// Where one result goes.
struct Target {
    upload_url: String,
    public_url: String,
    headers: Vec<(String, String)>,
}

impl Target {
    fn of<T: Transport>(
        cx: &Cx<'_, T>,
        user: UserId,
        attempt: Attempt,
        extension: &str,
    ) -> Result<Self, ApiError> {
        let storage = format!("{}/storage/v1/object", cx.config.supabase_url()?);
        let Attempt { job, step, run } = attempt;
        let name = format!("{user}/{job}/{step}-{run}-{:032x}.{extension}", cx.transport.random());
        let bucket = &cx.config.results_bucket;
        let mut headers = cx.config.service_headers()?;
        headers.push(("cache-control".to_owned(), "max-age=31536000, immutable".to_owned()));
        Ok(Self {
            upload_url: format!("{storage}/{bucket}/{name}"),
            public_url: format!("{storage}/public/{bucket}/{name}"),
            headers,
        })
    }

    fn copy(&self, from: &Url, content_types: &'static [&'static str]) -> FileCopy {
        FileCopy {
            from: from.to_string(),
            to: HttpRequest {
                method: "POST",
                url: self.upload_url.clone(),
                headers: self.headers.clone(),
                body: None,
                timeout_ms: COPY_MS,
            },
            bytes_max: BYTES_MAX,
            content_types,
            stall_ms: STALL_MS,
        }
    }
}

/// The provider's word for the type, else the extension in the URL.
fn extension(output: &Output) -> Option<&'static str> {
    let kind = output.kind.to_ascii_lowercase();
    let kind = kind.rsplit_once('/').map_or(kind.as_str(), |(_, subtype)| subtype).to_owned();
    let path = output.url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_owned();
    [kind, ending].iter().find_map(|found| EXTENSIONS.iter().find(|known| *known == found).copied())
}

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
            Ok(response) if tries >= UPLOAD_TRIES => {
                return Err(CopyError::Transient(format!("storage said {}", response.status)));
            }
            Err(error) if tries >= UPLOAD_TRIES => {
                return Err(CopyError::Transient(error.to_string()));
            }
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

#[cfg(test)]
mod tests {
    use super::extension;
    use crate::core::provider::Output;

    #[test]
    fn the_extension_comes_from_the_kind_or_the_url() {
        let of = |kind: &str, url: &str| extension(&Output { kind: kind.into(), url: url.into() });
        assert_eq!(of("png", "https://o/x"), Some("png"));
        assert_eq!(of("image/WEBP", "https://o/x"), Some("webp"));
        assert_eq!(of("", "https://o/a.b/x.JPG?sig=a.png"), Some("jpg"));
        assert_eq!(of("txt", "https://o/x.png"), Some("png"));
        assert_eq!(of("html", "https://o/x.html"), None);
        assert_eq!(of("", "https://o/x"), None);
    }
}
