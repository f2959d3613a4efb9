//! The inbox of authentic webhooks.

use super::step::Attempt;
use serde::Serialize;
use serde_json::Value;

/// A webhook to store in the inbox.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedWebhook<'a> {
    #[serde(rename = "p_provider")]
    pub provider: &'a str,
    #[serde(flatten)]
    pub attempt: Attempt,
    #[serde(rename = "p_task_id")]
    pub task_id: Option<&'a str>,
    #[serde(rename = "p_dedup_key")]
    pub dedup_key: &'a str,
    #[serde(rename = "p_body")]
    pub body: &'a Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedWebhook {
    /// The row of the first webhook with this `dedup_key`.
    pub inbox_id: i64,
    /// The step as it is now, a `StepRow`; `None`: the step does not exist.
    pub step: Option<Value>,
}

row! {
    RecordedWebhook { inbox_id, step }
}

rpc! {
    row webhook_record_v2(webhook: &ReceivedWebhook<'_> as ..) -> RecordedWebhook;
    void webhook_applied_v1(inbox_id: i64);
}
