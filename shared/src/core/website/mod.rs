//! Websites made by a text model: what each kind must contain, how it is asked for, and how an answer
//! becomes checked files. Pure; where files are kept is not known here.

pub mod archive;
pub mod files;
pub mod intent;
pub mod order;

use crate::core::job::State;
use files::File;
use serde::Serialize;

/// The kinds of site, one tool each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Html,
    React,
    Php,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Html, Self::React, Self::Php];

    pub fn of_tool(tool: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tool() == tool)
    }

    /// The tool, which is also the function's name.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Html => "generate-website",
            Self::React => "generate-react-website",
            Self::Php => "generate-php-website",
        }
    }
}

/// What the row keeps of a site beside the URL under which its files lie in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    pub kind: Kind,
    pub files: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub path: String,
    pub bytes: usize,
}

impl Manifest {
    pub fn of(kind: Kind, files: &[File]) -> Self {
        let entry = |file: &File| Entry { path: file.path.clone(), bytes: file.content.len() };
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
