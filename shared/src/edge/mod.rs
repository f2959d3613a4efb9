//! The code that calls the platform. `edge` is the only layer that names `worker`.
//!
//! A function declares a [`Spec`]. [`serve`] does what all functions have in common, and turns
//! every outcome into an answer of the contract.

mod body;
mod bridge;
mod call;
mod config;
mod copy;
mod cron;
mod fetch;
mod http;
mod identity;
mod log;
mod op;
mod queue;
mod rate;
mod report;
mod serve;
mod service_call;
mod spec;
mod start;
mod stream;

pub use body::read as read_body;
pub use bridge::{Incoming, ReadHeader, plain, with_cors};
pub use call::{Call, OwnedCx, handle};
pub use config::config;
pub use cron::serve_scheduled;
pub use fetch::Fetch;
pub use log::log_failure;
pub use op::{Handler, Op};
pub use queue::{Batch, serve_queue};
pub use serve::{answer, request_id, serve};
pub use spec::{AfterSchedule, JOBS, QUOTE, Route, Spec, route, send_owed};
