//! The queue of a provider and what one user has in it.

use super::{Db, DbError};
use crate::core::id::{JobId, UserId};
use crate::core::job::State;
use crate::core::transport::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The state of a provider's queue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Queue {
    pub max_concurrent: i32,
    pub running: i32,
    pub slots_available: i32,
    pub total_queued: i32,
    pub queued_by_tool: Value,
    pub oldest_queued_seconds: Option<i32>,
    pub last_sweep_at: Option<String>,
    pub enabled: bool,
}

/// Whether a user has a live job, after healing what only looked live.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Active {
    pub has_active_job: bool,
    pub active_tool: Option<String>,
    pub active_job_id: Option<JobId>,
    pub active_status: Option<State>,
    pub position: Option<i32>,
}

#[derive(Serialize)]
struct UserArgs {
    p_user_id: UserId,
}

impl<T: Transport> Db<'_, T> {
    pub async fn queue_check_v1(&self, provider: &str) -> Result<Queue, DbError> {
        #[derive(Serialize)]
        struct Args<'a> {
            p_provider: &'a str,
        }
        self.rpc_one("queue_check_v1", &Args { p_provider: provider }).await
    }

    pub async fn user_active_v1(&self, user: UserId) -> Result<Active, DbError> {
        self.rpc_one("user_active_v1", &UserArgs { p_user_id: user }).await
    }

    /// Closes what is past its time among this user's own jobs.
    pub async fn user_heal_v1(&self, user: UserId) -> Result<(), DbError> {
        #[derive(Deserialize)]
        struct Row {}
        self.rpc::<_, Row>("user_heal_v1", &UserArgs { p_user_id: user }).await.map(|_| ())
    }
}
