//! `runninghub-queue-manager`: queries, cancels, submits and reconciles the jobs of all RunningHub
//! tools.
//!
//! The database decides what an operation may see or change, by the verified caller and never by a
//! field of the body.

mod commands;
mod queries;

shared::function! {
    name: "runninghub-queue-manager",
    ops: {
        GET | POST "check" for User as Read => queries::check,
        // It heals the caller's stale jobs first, so it counts as more than a read.
        GET | POST "check-user-active" for UserOrService => queries::check_user_active,
        POST "cancel" for User => commands::cancel,
        POST "cancel-session" for User => commands::cancel_session,
        POST "leave-session" for User => commands::leave_session,
        POST "stay" for User => commands::stay,
        POST "process-next" for Service => commands::process_next,
        POST "reconcile" for ServiceOrAdmin => commands::reconcile,
        GET | POST "status" for ServiceOrAdmin as Read => queries::status,
    },
}
