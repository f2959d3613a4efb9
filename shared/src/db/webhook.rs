//! The inbox of authentic provider calls.

use super::step::Attempt;
use super::{Db, DbError};
use crate::core::transport::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call of a provider, as it is kept.
#[derive(Debug, Clone, Serialize)]
pub struct Received<'a> {
    pub p_provider: &'a str,
    #[serde(flatten)]
    pub attempt: Attempt,
    pub p_task_id: Option<&'a str>,
    pub p_dedup_key: &'a str,
    pub p_body: &'a Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Recorded {
    /// `false`: the same call was recorded before.
    pub recorded: bool,
    pub inbox_id: i64,
}

impl<T: Transport> Db<'_, T> {
    pub async fn webhook_record_v1(&self, received: &Received<'_>) -> Result<Recorded, DbError> {
        self.rpc_one("webhook_record_v1", received).await
    }

    pub async fn webhook_applied_v1(&self, inbox_id: i64) -> Result<(), DbError> {
        #[derive(Serialize)]
        struct Args {
            p_inbox_id: i64,
        }
        #[derive(Deserialize)]
        struct Row {}
        self.rpc::<_, Row>("webhook_applied_v1", &Args { p_inbox_id: inbox_id }).await.map(|_| ())
    }
}
