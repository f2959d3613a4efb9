//! The files whose retention has ended, and the outcome of their deletion.

use crate::core::id::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The reason for deleting files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Users' uploads, when they are old enough.
    Uploads,
    /// Results, if they are not kept for ever.
    Results,
    /// All files of a user who was erased.
    Erased,
}

/// The place where a pass searches for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueFiles {
    pub kind: FileKind,
    pub user_id: Option<UserId>,
    /// Storage's cursor at which the last pass stopped.
    pub cursor: Option<String>,
}

/// The files of a page to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenFiles {
    /// At most as many as one pass deletes.
    pub names: Vec<String>,
    /// The number of all files on the page that are due.
    pub due: u32,
}

row! {
    DueFiles { kind, user_id, cursor }
    ChosenFiles { names, due }
}

rpc! {
    rows files_due_v1() -> Vec<DueFiles>;
    /// `objects` is a list of `{name, created_at}`.
    row files_choose_v1(
        kind: FileKind,
        bucket: &str,
        user_id: Option<UserId> as ?,
        objects: &Value,
    ) -> ChosenFiles;
    /// `error` is storage's answer; then it is unknown what is left.
    void files_deleted_v1(
        kind: FileKind,
        deleted: u32,
        left: u32,
        user_id: Option<UserId> as ?,
        cursor: Option<&str> as ?,
        error: Option<&str> as ?,
    );
}
