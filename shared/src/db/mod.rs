//! Typed calls of the SQL functions.

pub mod client;
pub mod job;
pub mod queue;
pub mod step;
pub mod sweep;
pub mod webhook;
pub mod website;

pub use client::{Db, DbError};
