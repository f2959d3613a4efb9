//! Stores results: as a stream from the provider, or from memory.
//!
//! An object's path names user, job, step and run, and ends in random bits: an older run can never
//! overwrite a newer run's result. The database decides whether a result counts.

use super::Cx;
use super::retry::{Tries, with_retries};
use crate::core::address;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::media::{MediaKind, MediaType, Output, ResultChoice};
use crate::core::storage::{UploadRefusal, upload_refusal};
use crate::core::transport::{CopyError, FileCopy, HttpRequest, Transport};
use crate::db::step::Attempt;
use serde_json::{Value, json};
use std::cell::Cell;
use url::Url;

const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// The time limit of one try: 200 MB at 600 KB/s. Two tries fit into the 15 minutes of a consumer
/// or a cron.
const COPY_MS: u32 = 360_000;
const STALL_MS: u32 = 20_000;
const COPY_TRIES: Tries = Tries { most: 2, pause_ms: 1_000 };

const UPLOAD_MS: u32 = 20_000;
const LIST_MS: u32 = 5_000;
/// A file that cannot be stored is made and paid for a second time, so an upload outlasts an outage
/// of storage of almost a minute.
const UPLOAD_TRIES: Tries = Tries { most: 10, pause_ms: 6_000 };

/// Copies the result among `outputs` into our storage. Returns its public URL.
pub async fn copy<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
    outputs: &[Output],
    choice: &ResultChoice,
) -> Result<String, CopyError> {
    let no_result = || CopyError::Rejected("no file of the task is of the ordered kind".to_owned());
    let output = choice.of(outputs).ok_or_else(no_result)?;
    let hint = output.media_type();
    let from = address::output(&output.url, cx.config).map_err(|problem| {
        let host = Url::parse(&output.url).ok();
        let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
        let text = format!("the result's address {problem}: {host}");
        // The provider may have a new host, which the operator can add before the deadline.
        match problem {
            address::NOT_ALLOWED => CopyError::Misconfigured(text),
            _ => CopyError::Rejected(text),
        }
    })?;
    let is_transient = |error: &CopyError| matches!(error, CopyError::Transient(_));
    let copy = async || {
        // Each try gets a new path, so that none overwrites what an earlier one may have written.
        let to = ResultObject::new(cx, user, attempt).map_err(away)?;
        let stored = cx.transport.copy(to.copy(&from, hint, choice.kind)).await?;
        Ok(format!("{}.{}", to.public_url, stored.extension))
    };
    with_retries(cx, COPY_TRIES, is_transient, copy).await
}

/// The object that will hold one result; its URLs lack the file's extension.
struct ResultObject {
    upload_url: String,
    public_url: String,
    headers: Vec<(String, String)>,
}

impl ResultObject {
    fn new<T: Transport>(cx: &Cx<'_, T>, user: UserId, attempt: Attempt) -> Result<Self, ApiError> {
        let storage = format!("{}/storage/v1/object", cx.config.supabase_url()?);
        let Attempt { job, step, run } = attempt;
        let name = format!("{user}/{job}/{step}-{run}-{:032x}", cx.transport.random());
        let bucket = &cx.config.results_bucket;
        let mut headers = cx.config.service_headers()?;
        headers.push(("cache-control".to_owned(), "max-age=31536000, immutable".to_owned()));
        Ok(Self {
            upload_url: format!("{storage}/{bucket}/{name}"),
            public_url: format!("{storage}/public/{bucket}/{name}"),
            headers,
        })
    }

    fn copy(
        &self,
        from: &Url,
        hint: Option<&'static MediaType>,
        kind: Option<MediaKind>,
    ) -> FileCopy {
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
            hint,
            kind,
            stall_ms: STALL_MS,
        }
    }
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
    let to = ResultObject::new(cx, user, attempt).map_err(away)?;
    let mut headers = to.headers.clone();
    headers.push(("content-type".to_owned(), content_type.to_owned()));
    let is_retry = Cell::new(false);
    let upload = async || {
        let request = HttpRequest {
            method: "POST",
            url: format!("{}.{extension}", to.upload_url),
            headers: headers.clone(),
            body: None,
            timeout_ms: UPLOAD_MS,
        };
        let is_retry = is_retry.replace(true);
        match cx.transport.upload(request, bytes.clone()).await {
            Ok(response) if response.is_success() => Ok(()),
            // Nobody else uses this path, so an earlier try arrived and only its answer was lost.
            Ok(response)
                if is_retry
                    && upload_refusal(response.status, &response.body)
                        == UploadRefusal::Duplicate =>
            {
                Ok(())
            }
            Ok(response) => Err(away(format!("storage answered {}", response.status))),
            Err(error) => Err(away(error)),
        }
    };
    with_retries(cx, UPLOAD_TRIES, |_| true, upload).await?;
    Ok(format!("{}.{extension}", to.public_url))
}

fn away(error: impl std::fmt::Display) -> CopyError {
    CopyError::Transient(error.to_string())
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
    // The search may match more than a prefix, so only a name in our own form is used.
    let ours = |name: &&str| {
        name.starts_with(&begins)
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let name = names.filter(ours).max()?;
    Some(format!("{storage}/public/{bucket}/{folder}/{name}"))
}
