//! The files that providers make, on disk and readable by URL, and files of any size that are
//! generated while they are read.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;

use super::Stand;
use crate::clock;

#[derive(Clone, Debug)]
pub(crate) struct ProviderFiles {
    dir: PathBuf,
    base_url: String,
}

impl ProviderFiles {
    pub(crate) fn new(dir: PathBuf, base_url: String) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir, base_url })
    }

    /// Stores a file under a random name; gives that name.
    pub(crate) async fn save(&self, extension: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
        let name = format!("{}.{extension}", clock::random_hex());
        tokio::fs::write(self.dir.join(&name), bytes).await.context("cannot store a file")?;
        Ok(name)
    }

    /// A file's extension, which is the provider's word for its type.
    pub(crate) fn kind(name: &str) -> &str {
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/files/{name}", self.base_url)
    }

    pub(crate) async fn load(&self, name: &str) -> Option<Vec<u8>> {
        let is_plain = !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if is_plain { tokio::fs::read(self.dir.join(name)).await.ok() } else { None }
    }
}

pub(super) async fn read(State(stand): State<Stand>, UrlPath(name): UrlPath<String>) -> Response {
    match stand.files.load(&name).await {
        Some(bytes) => ([(header::CONTENT_TYPE, content_type(&name))], bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
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

/// How a file is that is made while it is read.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GeneratedFile {
    bytes: u64,
    /// Whether the answer names its length.
    #[serde(default)]
    unnamed: bool,
    /// Half of it comes, then the connection breaks.
    #[serde(default)]
    broken: bool,
    /// Half of it comes, then nothing for so long.
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
            // What was sent is on its way before the connection breaks.
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
