//! The queue of a provider, and the user's job in it.

use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use serde_json::Value;

/// The state of a provider's queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueState {
    pub max_concurrent: i32,
    pub running: i32,
    pub slots_available: i32,
    pub total_queued: i32,
    /// An object with the number of queued jobs by tool.
    pub queued_by_tool: Value,
    pub oldest_queued_seconds: Option<i32>,
    pub last_sweep_at: Option<String>,
    pub enabled: bool,
}

/// Whether a user has a live job, after the user's stale jobs were healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveJob {
    pub has_active_job: bool,
    pub active_tool: Option<String>,
    pub active_job_id: Option<JobId>,
    pub active_status: Option<State>,
    pub position: Option<i32>,
}

row! {
    QueueState {
        max_concurrent, running, slots_available, total_queued, queued_by_tool,
        oldest_queued_seconds, last_sweep_at, enabled,
    }
    ActiveJob { has_active_job, active_tool, active_job_id, active_status, position }
}

rpc! {
    row queue_check_v1(provider: &str) -> QueueState;
    row user_active_v1(user_id: UserId) -> ActiveJob;
    /// `about` is the subject of the refusal, if a step of the tool was refused. The alarm then
    /// counts towards a circuit.
    void provider_alarm_v1(
        provider: &str,
        tool: Option<&str>,
        about: Option<&str>,
        code: &str,
        detail: JobId,
    );
    /// Grants the user the credits that wait, then heals the user's own jobs: ends those that are
    /// out of time, and requeues steps whose worker stopped.
    void user_heal_v1(user_id: UserId);
}
