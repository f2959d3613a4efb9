//! Heals stale jobs: the sweep, the checker, and the retries. It also deletes files whose retention
//! has ended.

pub mod admin_retry;
pub mod checker;
pub mod files;
pub mod reconcile;
pub mod sweep;
pub mod website_retry;
