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
mod http;
mod identity;
mod log;
mod queue;
mod rate;
mod serve;
mod service_call;
mod spec;
mod start;
mod stream;

pub use call::{Call, OwnedCx, handle};
pub use cors::{plain, with_cors};
pub use cron::serve_scheduled;
pub use fetch::Fetch;
pub use log::log_failure;
pub use queue::{Batch, serve_queue};
pub use serve::{answer, request_id, serve};
/// Settings without which no function that submits to Replicate can work.
pub const REPLICATE_SETTINGS: &[&str] = &[
    "SUPABASE_URL",
    "SUPABASE_SERVICE_ROLE_KEY",
    "FUNCTIONS_URL",
    "WEBHOOK_SECRET",
    "REPLICATE_BASE_URL",
    "REPLICATE_API_TOKEN",
];
pub use spec::{Handler, Op, Route, Spec, route};
