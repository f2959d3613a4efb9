//! Typed calls of the SQL functions: one file per subject, and the only place that knows the
//! functions' parameter names.

#[macro_use]
mod row;
#[macro_use]
mod rpc;

pub mod admin;
pub mod alert;
pub mod client;
pub mod doctor;
pub mod files;
pub mod job;
pub mod purchase;
pub mod queue;
pub mod role;
pub mod step;
pub mod sweep;
pub mod webhook;
pub mod website;

pub use client::{Db, DbError};
