//! What every function shares.
//!
//! Each layer names those below it and no other; `app` and `edge` do not name each other.
//!
//! | layer | holds |
//! |---|---|
//! | `edge` | the platform; the only place that names `worker` |
//! | `app` | what several functions of one product share |
//! | `flow` | use cases that await nothing but a [`core::transport::Transport`] |
//! | `db` | one typed call for each SQL function |
//! | `core` | decisions from values in hand: no clock, no environment, no randomness, no I/O |
//!
//! Invariants: money and state move inside one SQL function per operation; a request path never
//! panics; a secret, a token or a body never reaches a log line or an error message.

pub mod app;
pub mod core;
pub mod db;
#[cfg(feature = "edge")]
pub mod edge;
pub mod flow;
#[cfg(test)]
mod testing;

// The functions' tests include one of our files, which names this crate as they do.
#[cfg(test)]
extern crate self as shared;
