//! Repairs stale jobs: the sweep, the checker, and the retries. And deletes files that are kept no
//! longer.

pub mod admin_retry;
pub mod checker;
pub mod files;
pub mod reconcile;
pub mod sweep;
pub mod website_retry;
