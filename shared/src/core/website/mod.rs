//! Websites made by a text model: what each kind must contain, how it is asked for, and how an answer
//! becomes checked files. Pure; where files are kept is not known here.

pub mod archive;
pub mod files;
pub mod intent;
mod kind;
pub mod order;

use crate::core::job::State;
pub use kind::WebsiteKind;

use files::WebsiteFile;
use serde::Serialize;

/// What the row keeps of a site beside the URL under which its files lie in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebsiteManifest {
    pub kind: WebsiteKind,
    pub files: Vec<ManifestEntry>,
}

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

/// The word that the pages of websites know for a state.
pub fn status_word(state: State) -> &'static str {
    match state {
        State::Pending | State::Queued | State::Blocked => "pending",
        State::Starting | State::Running => "generating",
        State::Completed => "completed",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}
