//! Repairs stale jobs: the sweep, the checker, and the retries.

pub mod admin_retry;
pub mod checker;
pub mod reconcile;
pub mod sweep;
pub mod website_retry;
