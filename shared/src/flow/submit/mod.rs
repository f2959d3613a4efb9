//! Sends claimed steps to their providers, and wakes the workers that do.

pub mod round;
pub mod wake;
