//! The npm packages as they would be published: well formed, and right in the types of every tool.

mod contract;
mod published;
mod types;
