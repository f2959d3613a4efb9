//! Messages that are owed to an external receiver, and the metrics.

use serde_json::{Map, Value};

/// A message that is due. It is reserved for the caller for a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedMessage {
    pub id: String,
    pub body: Map<String, Value>,
}

/// One line of the metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Map<String, Value>,
    pub value: f64,
}

row! {
    OwedMessage { id, body }
    Sample { name, labels, value }
}

rpc! {
    /// The hours are in UTC.
    rows alerts_due_v1(
        quiet_from: Option<u32> as ?,
        quiet_to: Option<u32> as ?,
        repeat_minutes: Option<u32> as ?,
    ) -> Vec<OwedMessage>;
    /// The owed messages to the app's back end about ended jobs.
    rows ends_due_v1(limit: u32) -> Vec<OwedMessage>;
    void message_sent_v1(id: &str, is_taken: bool, delay_ms: Option<u32> as ?);
    rows metrics_v1() -> Vec<Sample>;
    /// `amounts` are the amounts by unit.
    void provider_balance_v1(provider: &str, amounts: &Map<String, Value>);
    void settings_compared_v1(differing: &[&str]);
}
