//! The shared crate.
