//! What every function shares.
//!
//! Dependencies run one way: `functions → edge → flow → core`.
//!
//! | layer | modules | may |
//! |---|---|---|
//! | core | `error`, `id`, `config`, `transport`, `webhook`, `address`, `auth`, `job`, `provider`, `site` | decide from values in hand; never clock, environment, randomness or I/O |
//! | flow | `db`, `flow` | await, but only on a [`transport::Transport`] |
//! | edge | `edge` (feature `edge`) | touch the world; the only place that names `worker` |
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
