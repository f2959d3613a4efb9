//! Finds out when to compare the functions' settings. The gateway does it, because only it reaches
//! every function.

use std::cell::Cell;

use shared::core::transport::Transport;
use shared::edge::Call;

use crate::pages;

/// An isolate compares the settings of the functions at this interval.
const EVERY_MS: u64 = 10 * 60 * 1_000;

thread_local! {
    static COMPARED_AT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The functions to compare; none if the last comparison is recent.
pub(crate) fn due(call: &Call) -> Vec<String> {
    let now = call.cx.fetch.now_ms();
    let is_due = COMPARED_AT.get().is_none_or(|at| now.saturating_sub(at) >= EVERY_MS);
    if !is_due {
        return Vec::new();
    }
    COMPARED_AT.set(Some(now));
    let mut functions = call.cx.fetch.bound();
    functions.retain(|name| *name != pages::BINDING.to_ascii_lowercase());
    functions
}
