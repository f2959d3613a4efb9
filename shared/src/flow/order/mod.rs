//! Turns a checked request into a paid, queued job.

pub mod enqueue;
pub mod input;
mod measure;
pub mod of_any_tool;
pub mod quote;
