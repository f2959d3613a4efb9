//! Websites made by a language model: their required files, the prompt, and the check of an answer.
//! This module does no I/O and does not know where files are stored.

pub mod archive;
pub mod files;
pub mod intent;
mod kind;
pub mod order;

use crate::core::job::State;
pub use kind::WebsiteKind;

use files::WebsiteFile;
use serde::Serialize;

/// The manifest that is stored in the job's row, together with the storage URL of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebsiteManifest {
    pub kind: WebsiteKind,
    pub files: Vec<ManifestEntry>,
}

/// One file of the manifest and its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestEntry {
    pub path: String,
    pub bytes: usize,
}

impl WebsiteManifest {
    pub fn of(kind: WebsiteKind, files: &[WebsiteFile]) -> Self {
        let entry = |file: &WebsiteFile| ManifestEntry {
            path: file.path.clone(),
            bytes: file.content.len(),
        };
        Self { kind, files: files.iter().map(entry).collect() }
    }
}

/// Returns the status word that the website functions answer for a state.
pub fn status_word(state: State) -> &'static str {
    match state {
        State::Pending | State::Queued | State::Blocked => "pending",
        State::Starting | State::Running => "generating",
        State::Completed => "completed",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}
