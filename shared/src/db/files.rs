//! Which files are kept no longer, and what became of them.

use crate::core::id::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why files are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// What users uploaded, once it is old enough.
    Uploads,
    /// Results, where they are not kept for ever.
    Results,
    /// Everything of a user who was erased.
    Erased,
}

/// Where a pass looks for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueFiles {
    pub kind: FileKind,
    pub user_id: Option<UserId>,
    /// Where the last pass stopped; only storage can read it.
    pub cursor: Option<String>,
}

/// What of a page of files is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenFiles {
    /// As many as one pass deletes.
    pub names: Vec<String>,
    /// How many there are on the page in all.
    pub due: u32,
}

row! {
    DueFiles { kind, user_id, cursor }
    ChosenFiles { names, due }
}

rpc! {
    rows files_due_v1() -> Vec<DueFiles>;
    /// `objects`: a list of `{name, created_at}`.
    row files_choose_v1(
        kind: FileKind,
        bucket: &str,
        user_id: Option<UserId> as ?,
        objects: &Value,
    ) -> ChosenFiles;
    /// `error`: what storage answered; then nothing is known of what is left.
    void files_deleted_v1(
        kind: FileKind,
        deleted: u32,
        left: u32,
        user_id: Option<UserId> as ?,
        cursor: Option<&str> as ?,
        error: Option<&str> as ?,
    );
}
