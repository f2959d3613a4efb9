//! Finds out the outcome of a submitted step, and records it.

pub mod batch;
mod late_files;
pub mod lost;
pub mod task;
pub mod webhook;
