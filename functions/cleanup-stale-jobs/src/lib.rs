//! `cleanup-stale-jobs`
