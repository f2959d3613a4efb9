//! The files that providers make, which are on disk and can be read by URL; and files of any size
//! that are generated while they are read.
//!
//! Results are served as object stores serve them, on an origin of their own: RunningHub's are in
//! buckets of Tencent COS (rh-images-1252422369.cos.ap-beijing.myqcloud.com in its v2 reference),
//! Replicate's on replicate.delivery. Their addresses have no file extension, their type is
//! `application/octet-stream` or not named (aj-archipelago/cortex#257), and a file that was just
//! announced may be 404 or 403 for a moment (OpenGradient/tee-gateway#139).

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;

use crate::clock;

#[derive(Clone, Debug)]
pub(crate) struct ProviderFiles {
    dir: PathBuf,
    /// The URL of the origin of the results.
    results_url: String,
    /// The results that the next reader does not find yet.
    early: Arc<Mutex<HashSet<String>>>,
}

impl ProviderFiles {
    pub(crate) fn new(dir: PathBuf, results_url: String) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir, results_url, early: Arc::default() })
    }

    /// Stores a file that its first reader does not find yet.
    pub(crate) async fn save_late(
        &self,
        extension: &str,
        bytes: Vec<u8>,
    ) -> anyhow::Result<String> {
        let name = self.save(extension, bytes).await?;
        self.early().insert(name.clone());
        Ok(name)
    }

    fn early(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a file under a random name and returns the name.
    pub(crate) async fn save(&self, extension: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
        let name = format!("{}.{extension}", clock::random_hex());
        tokio::fs::write(self.dir.join(&name), bytes).await.context("cannot store a file")?;
        Ok(name)
    }

    /// A file's extension, by which the provider names its type.
    pub(crate) fn kind(name: &str) -> &str {
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The URL of a result, which has no file extension.
    pub(crate) fn url(&self, name: &str) -> String {
        let stem = name.split('.').next().unwrap_or_default();
        format!("{}/{stem}", self.results_url)
    }

    /// The file whose URL ends with this name.
    async fn named(&self, stem: &str) -> Option<(String, Vec<u8>)> {
        for kind in ["png", "mp4"] {
            let name = format!("{stem}.{kind}");
            if let Some(bytes) = self.load(&name).await {
                return Some((name, bytes));
            }
        }
        None
    }

    pub(crate) async fn load(&self, name: &str) -> Option<Vec<u8>> {
        let is_plain = !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if is_plain { tokio::fs::read(self.dir.join(name)).await.ok() } else { None }
    }
}

/// `GET /<name>` on the results' own port.
pub(super) async fn read(
    State(files): State<ProviderFiles>,
    UrlPath(stem): UrlPath<String>,
) -> Response {
    let Some((name, bytes)) = files.named(&stem).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if files.early().remove(&name) {
        // Object stores differ in their answer for an object that does not exist yet.
        let is_even = stem.bytes().next().is_some_and(|byte| byte % 2 == 0);
        let status = if is_even { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
        return status.into_response();
    }
    match ProviderFiles::kind(&name) {
        // A body made of bytes alone would get a content type by default.
        "mp4" => Response::new(Body::from(bytes)),
        _ => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
    }
}

fn content_type(name: &str) -> &'static str {
    match ProviderFiles::kind(name) {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

/// How a file is that is generated while it is read.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GeneratedFile {
    bytes: u64,
    /// Whether the answer does not name the file's length.
    #[serde(default)]
    unnamed: bool,
    /// Whether the connection breaks after half of the file.
    #[serde(default)]
    broken: bool,
    /// For how long nothing is sent after half of the file.
    #[serde(default)]
    pause_ms: u64,
}

/// `GET /made/<name>?bytes=…`
pub(super) async fn make(
    UrlPath(name): UrlPath<String>,
    Query(made): Query<GeneratedFile>,
) -> Response {
    let mut response = Response::new(Body::from_stream(parts(made)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&name)));
    if !made.unnamed {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(made.bytes));
    }
    response
}

fn parts(made: GeneratedFile) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    const PART: &[u8] = &[7; 64 * 1024];
    let half = made.bytes / 2;
    stream::unfold((0_u64, false), move |(sent, is_paused)| async move {
        let is_half = sent >= half && !is_paused;
        if is_half && made.broken {
            // Let the sent bytes arrive before the connection breaks.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Some((Err(std::io::Error::other("broken on purpose")), (made.bytes, true)));
        }
        if is_half {
            tokio::time::sleep(Duration::from_millis(made.pause_ms)).await;
        }
        let end = if is_half || is_paused { made.bytes } else { half };
        let length = usize::try_from(end - sent).map_or(PART.len(), |left| left.min(PART.len()));
        let part = PART.get(..length).filter(|part| !part.is_empty())?;
        Some((Ok(Bytes::from_static(part)), (sent + length as u64, is_half || is_paused)))
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct Moved {
    to: String,
}

/// `GET /moved?to=<URL>`
pub(super) async fn moved(Query(moved): Query<Moved>) -> Redirect {
    Redirect::temporary(&moved.to)
}
