//! Cancels or retries all jobs that a filter names, in parts: the page repeats the call until no
//! job is left, or until the admin stops.

use serde::de::{IntoDeserializer, value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::job::State;
use crate::db::admin::{ManyJobs, RefusedJob};
use crate::flow::finalise;
use crate::flow::heal::admin_retry;
use crate::flow::invocation::Invocation;
use crate::flow::order::input::admin_text;

const JOBS_MAX: u32 = 1_000;

/// The jobs to act on. An absent field limits nothing.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<crate::core::id::UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<JobId>>,
}

/// The body of a `many` operation. With the limit 0 it counts and does nothing.
#[derive(Deserialize)]
pub struct BulkOrder {
    filter: JobFilter,
    limit: Option<u32>,
    reason: Option<String>,
}

/// The jobs that were done and refused.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkDone {
    matched: i32,
    done: i32,
    refused: Vec<RefusedJob>,
    refunded_credits: i64,
}

struct CheckedBulk {
    filter: Map<String, Value>,
    limit: u32,
    reason: String,
}

/// Cancels and refunds the jobs.
pub async fn cancel(call: &impl Invocation, body: BulkOrder) -> Result<BulkDone, ApiError> {
    let CheckedBulk { filter, limit, reason } = body.checked()?;
    let many = finalise::cancel_many(&call.cx(), call.user()?, &filter, limit, &reason).await?;
    Ok(done(call, many))
}

/// Retries the jobs free of charge.
pub async fn retry(call: &impl Invocation, body: BulkOrder) -> Result<BulkDone, ApiError> {
    let CheckedBulk { filter, limit, reason } = body.checked()?;
    let many = call.cx().db().jobs_requeue_many_v1(call.user()?, &filter, limit, &reason).await?;
    Ok(done(call, many))
}

fn done(call: &impl Invocation, many: ManyJobs) -> BulkDone {
    let ManyJobs { matched, done, refused, refunded_credits, providers } = many;
    call.background(async move |cx| {
        for provider in providers {
            admin_retry::after_retry(&cx, &provider).await;
        }
    });
    BulkDone { matched, done, refused, refunded_credits }
}

impl BulkOrder {
    fn checked(self) -> Result<CheckedBulk, ApiError> {
        let limit = self.limit.unwrap_or(JOBS_MAX);
        if limit > JOBS_MAX {
            return Err(ApiError::bad_field("limit", "must be at most 1000"));
        }
        let reason = self.reason.unwrap_or_default();
        admin_text("reason", Some(&reason))?;
        if limit > 0 && reason.trim().is_empty() {
            return Err(ApiError::bad_field("reason", "must say why"));
        }
        if let Some(status) = &self.filter.status
            && !is_of_a_job(status)
        {
            return Err(ApiError::bad_field("filter.status", "must be a status of a job"));
        }
        if self.filter.ids.as_ref().is_some_and(|ids| !(1..=JOBS_MAX as usize).contains(&ids.len()))
        {
            return Err(ApiError::bad_field("filter.ids", "must be 1 to 1000"));
        }
        match serde_json::to_value(&self.filter) {
            Ok(Value::Object(filter)) if !filter.is_empty() => {
                Ok(CheckedBulk { filter, limit, reason })
            }
            _ => Err(ApiError::bad_field("filter", "must name at least one condition")),
        }
    }
}

/// Whether a job can have this status. Only a step can be blocked.
fn is_of_a_job(status: &str) -> bool {
    let state: Result<State, value::Error> = State::deserialize(status.into_deserializer());
    state.is_ok_and(|state| state != State::Blocked)
}

#[cfg(test)]
mod tests {
    use super::BulkOrder;
    use serde_json::{Value, json};

    fn refused_field(body: &Value) -> String {
        let order: BulkOrder = serde_json::from_value(body.clone()).unwrap();
        match order.checked() {
            Ok(_) => String::new(),
            Err(error) => error.message,
        }
    }

    #[test]
    fn a_bulk_act_needs_a_filter_a_reason_and_a_limit() {
        let tool = json!({ "tool": "x" });
        for (body, word) in [
            (json!({ "filter": {}, "reason": "x" }), "filter"),
            (json!({ "filter": { "else": 1 }, "reason": "x" }), "filter"),
            (json!({ "filter": tool, "reason": " " }), "reason"),
            (json!({ "filter": tool }), "reason"),
            (json!({ "filter": tool, "reason": "x", "limit": 1001 }), "limit"),
            (json!({ "filter": { "status": "dead" }, "reason": "x" }), "filter.status"),
            (json!({ "filter": { "status": "blocked" }, "reason": "x" }), "filter.status"),
            (json!({ "filter": { "ids": [] }, "reason": "x" }), "filter.ids"),
            (json!({ "filter": { "ids": [], "tool": "x" }, "reason": "x" }), "filter.ids"),
        ] {
            assert!(refused_field(&body).contains(word), "{body}");
        }
        assert_eq!(refused_field(&json!({ "filter": tool, "limit": 0 })), "");
        let pending = json!({ "filter": { "status": "pending" }, "reason": "x" });
        assert_eq!(refused_field(&pending), "");
        assert_eq!(refused_field(&json!({ "filter": tool, "limit": 1000, "reason": "x" })), "");
    }
}
