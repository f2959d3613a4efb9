//! Finds out what became of a submitted step, and records it.

pub mod batch;
pub mod lost;
pub mod task;
pub mod webhook;
