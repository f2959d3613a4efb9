//! The files that providers make, on disk and readable by URL. It never lists them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Stand;
use crate::clock;

#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    base_url: String,
}

impl Files {
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

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/files/{name}", self.base_url)
    }

    pub(crate) async fn load(&self, name: &str) -> Option<Vec<u8>> {
        let is_plain = !name.starts_with('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if is_plain { tokio::fs::read(self.dir.join(name)).await.ok() } else { None }
    }
}

pub(super) async fn read(State(stand): State<Stand>, UrlPath(name): UrlPath<String>) -> Response {
    let content_type = match Path::new(&name).extension().and_then(|extension| extension.to_str()) {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    };
    match stand.files.load(&name).await {
        Some(bytes) => ([(header::CONTENT_TYPE, content_type)], bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
