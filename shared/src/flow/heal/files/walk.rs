//! Tracks how far a pass goes through a bucket. It does no I/O.

use crate::core::error::ApiError;
use crate::db::files::ChosenFiles;

/// The result of a pass for one kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeletedFiles {
    pub(super) deleted: u32,
    /// The number of listed files that are still to be deleted. All unlisted pages of a bucket
    /// together count as one file, except after an error.
    pub(super) left: u32,
    /// The cursor at which the next pass begins.
    pub(super) cursor: Option<String>,
    pub(super) error: Option<String>,
}

impl DeletedFiles {
    /// Adds the result in one bucket.
    pub(super) fn add(&mut self, walk: BucketWalk) {
        self.deleted += walk.deleted;
        self.left += walk.left + u32::from(!walk.is_at_end && walk.error.is_none());
        self.cursor = walk.cursor;
        self.error = walk.error.or(self.error.take());
    }
}

/// The outcome of deleting the chosen files of a page.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// Whether a deletion of at least one file was requested.
    pub(super) is_tried: bool,
    /// The number of files that storage reported as deleted.
    pub(super) deleted: u32,
    /// The number of files whose deletion was not requested, or whose request met the outage.
    pub(super) untried: usize,
    /// Whether storage did not answer or is overloaded.
    pub(super) is_outage: bool,
    /// The last refusal.
    pub(super) error: Option<ApiError>,
}

/// The progress through one bucket.
#[derive(Debug)]
pub(super) struct BucketWalk {
    /// The cursor of the next page. `None`: the first page.
    cursor: Option<String>,
    /// Whether the last listed page is the end of the bucket.
    is_at_end: bool,
    deleted: u32,
    left: u32,
    error: Option<String>,
}

impl BucketWalk {
    pub(super) fn at(cursor: Option<String>) -> Self {
        Self { cursor, is_at_end: false, deleted: 0, left: 0, error: None }
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Starts from the first page, because storage no longer knows the cursor.
    pub(super) fn begins_anew(&mut self) {
        self.cursor = None;
    }

    pub(super) fn fails(&mut self, error: &ApiError) {
        self.error = Some(error.internal.clone().unwrap_or_else(|| error.message.clone()));
    }

    /// Records the outcome for the page's files; `next` is the cursor of the page after it. Returns
    /// whether this pass also reads that page.
    ///
    /// The walk goes on to the next page once the deletion of all due files of this page was
    /// requested, or if none of them could be deleted, so that files that cannot be deleted do not
    /// block the pages after them. In an outage, or when the allowance is used up, it stays on the
    /// page.
    pub(super) fn goes_on(
        &mut self,
        chosen: &ChosenFiles,
        removal: Removal,
        next: Option<String>,
    ) -> bool {
        let Removal { is_tried, deleted, untried, is_outage, error } = removal;
        if let Some(error) = error {
            self.fails(&error);
        }
        let is_whole = untried == 0 && u32::try_from(chosen.names.len()) == Ok(chosen.due);
        let is_in_vain = deleted == 0 && (is_tried || chosen.names.is_empty());
        let is_left = !is_outage && (is_whole || is_in_vain);
        self.deleted += deleted;
        self.left += chosen.due.saturating_sub(deleted);
        self.is_at_end = next.is_none();
        if is_left {
            self.cursor = next;
        }
        is_left && deleted == 0 && !self.is_at_end
    }
}

/// Both halves of a batch that storage refused; `None` for a single file, which is itself at fault.
pub(super) fn halves(batch: &[String]) -> Option<(&[String], &[String])> {
    (batch.len() > 1).then(|| batch.split_at(batch.len() / 2))
}
