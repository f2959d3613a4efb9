//! `cargo xtask deploy <name>` brings a deployment up, or changes what differs.

mod checks;
pub mod deployment;
mod files;
