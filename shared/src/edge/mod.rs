//! Everything that touches the platform; the only module that names `worker`.
//!
//! A function is a [`Spec`] and a handler. [`serve`] holds what all functions have in common and
//! never returns an error: every outcome is an answer in the contract's shape.

mod body;
mod call;
mod config;
mod copy;
mod cors;
mod cron;
mod fetch;
mod identity;
mod log;
mod queue;
mod rate;
mod serve;
mod spec;
mod start;
mod stream;

pub use call::{Call, OwnedCx, Reply};
pub use cors::{plain, with_cors};
pub use cron::serve_scheduled;
pub use fetch::Fetch;
pub use log::log_failure;
pub use queue::{Batch, serve_queue};
pub use serve::{answer, request_id, serve};
pub use spec::{
    BODY_BYTES_MAX, Op, Quota, REPLICATE_SETTINGS, Route, Spec, WEBHOOK_BYTES_MAX, route,
};
