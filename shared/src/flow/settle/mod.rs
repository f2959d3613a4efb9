//! Finds out the outcome of a submitted step, and records it.

pub mod batch;
pub mod lost;
pub mod task;
pub mod webhook;
