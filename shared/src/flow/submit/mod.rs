//! Submits claimed steps to asynchronous providers, and wakes the workers of synchronous ones.

pub mod round;
pub mod wake;
