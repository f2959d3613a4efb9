//! Puts results into our own storage: as a stream from the provider, or from memory.
//!
//! The object's path names owner, job, step and run and ends in random bits: an older run can never
//! overwrite a newer run's result. The database decides whether a result counts.

use super::Cx;
use super::retry::{Tries, with_retries};
use crate::core::address;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::provider::Output;
use crate::core::transport::{CopyError, FileCopy, HttpRequest, Transport};
use crate::db::step::Attempt;
use serde_json::{Value, json};
use std::cell::Cell;
use url::Url;

const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// The limit of one try: 200 MB at 600 KB/s. Two tries end within the 15 minutes of a consumer or a
/// cron.
const COPY_MS: u32 = 360_000;
const STALL_MS: u32 = 20_000;
const COPY_TRIES: Tries = Tries { most: 2, pause_ms: 1_000 };

/// The extensions that a result may have.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "mp4"];
const UPLOAD_MS: u32 = 20_000;
const LIST_MS: u32 = 5_000;
const UPLOAD_TRIES: Tries = Tries { most: 3, pause_ms: 1_000 };

/// Copies the first output with a known extension into our storage. Returns its public URL.
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
    let is_transient = |error: &CopyError| matches!(error, CopyError::Transient(_));
    let copy = async || {
        // A new path for each try: no try overwrites what an earlier one may have written.
        let to = ResultObject::new(cx, user, attempt, extension).map_err(away)?;
        cx.transport.copy(to.copy(&from, content_types)).await.map(|()| to.public_url)
    };
    with_retries(cx, COPY_TRIES, is_transient, copy).await
}

/// The object that will hold one result.
struct ResultObject {
    upload_url: String,
    public_url: String,
    headers: Vec<(String, String)>,
}

impl ResultObject {
    fn new<T: Transport>(
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

/// The extension from the provider's word for the type, else from the URL.
fn extension(output: &Output) -> Option<&'static str> {
    let kind = output.kind.to_ascii_lowercase();
    let kind = kind.rsplit_once('/').map_or(kind.as_str(), |(_, subtype)| subtype).to_owned();
    let path = output.url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_owned();
    [kind, ending].iter().find_map(|found| EXTENSIONS.iter().find(|known| *known == found).copied())
}

/// Uploads the bytes. Returns their public URL.
pub async fn put<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
    bytes: Vec<u8>,
    content_type: &str,
    extension: &str,
) -> Result<String, CopyError> {
    let to = ResultObject::new(cx, user, attempt, extension).map_err(away)?;
    let mut headers = to.headers.clone();
    headers.push(("content-type".to_owned(), content_type.to_owned()));
    let is_retry = Cell::new(false);
    let upload = async || {
        let request = HttpRequest {
            method: "POST",
            url: to.upload_url.clone(),
            headers: headers.clone(),
            body: None,
            timeout_ms: UPLOAD_MS,
        };
        let is_retry = is_retry.replace(true);
        match cx.transport.upload(request, bytes.clone()).await {
            Ok(response) if response.is_success() => Ok(()),
            // Nobody else uses this path: an earlier try arrived and only its answer was lost.
            Ok(response) if is_retry && is_duplicate(response.status, &response.body) => Ok(()),
            Ok(response) => Err(away(format!("storage answered {}", response.status))),
            Err(error) => Err(away(error)),
        }
    };
    with_retries(cx, UPLOAD_TRIES, |_| true, upload).await?;
    Ok(to.public_url)
}

fn away(error: impl std::fmt::Display) -> CopyError {
    CopyError::Transient(error.to_string())
}

/// Whether storage refused because the object exists: a 409, or a 400 whose body holds that status.
fn is_duplicate(status: u16, body: &str) -> bool {
    status == 409 || (status == 400 && body.contains("\"409\""))
}

/// Finds the result that an earlier run of this step stored before it died without recording it.
/// Returns its public URL.
pub async fn find_earlier<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
) -> Option<String> {
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
    // The search may match more than a prefix, so only a name of our own form is used.
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
