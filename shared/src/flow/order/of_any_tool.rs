//! An order of any tool in the vocabulary of all tools: the tool's own handler accepts it, and the
//! answer is the job.

use super::enqueue;
use crate::core::body;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::reply::{IntoReply, Reply, ReplyBody};
use crate::core::transport::Transport;
use crate::flow::invocation::Invocation;
use crate::flow::retry::once_if_lost;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The fields of a tool's own body that do not belong to its input, in all their spellings.
const NAMES: [&str; 8] = [
    "jobId",
    "job_id",
    "sessionId",
    "session_id",
    "maxCredits",
    "max_credits",
    "onBehalfOf",
    "retryHistoryId",
];

/// The fields of the tool's own reply that are added to the job.
const BESIDE: [&str; 2] = ["balance", "replayed"];

/// The body of an order without its tool.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobOrder {
    input: Map<String, Value>,
    job_id: Option<JobId>,
    session_id: Option<Value>,
    max_credits: Option<Value>,
}

impl JobOrder {
    /// The same order as the body of the tool's own operation.
    fn into_own(self, job: JobId) -> Value {
        let mut own = self.input;
        own.retain(|name, _| !NAMES.contains(&name.as_str()));
        let names = [("sessionId", self.session_id), ("maxCredits", self.max_credits)];
        own.extend(names.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        own.insert("jobId".to_owned(), job.to_string().into());
        own.into()
    }
}

/// Lets the tool's own handler accept the order. Replies 202 with the job, or 200 if it has ended.
pub async fn order<C: Invocation, B: DeserializeOwned, R: IntoReply>(
    call: &C,
    order: JobOrder,
    tools_own: impl AsyncFnOnce(&C, B) -> Result<R, ApiError>,
) -> Result<Reply, ApiError> {
    let random = call.cx().transport.random();
    let job = enqueue::job_id("jobId", order.job_id, call.idempotency_key(), random)?;
    let body = body::typed(&order.into_own(job))?;
    let own = tools_own(call, body).await?.into_reply()?;
    shown(call, job, own).await
}

/// The reply to an accepted order. It is the same for all tools, so a function contains it once.
#[inline(never)]
async fn shown<C: Invocation>(call: &C, job: JobId, own: Reply) -> Result<Reply, ApiError> {
    let (cx, user) = (call.cx(), call.user()?);
    let shown = once_if_lost(async || cx.db().job_show_v1(user, job).await).await;
    // The order stands. With this id, a client that chose none can ask for its job.
    let mut shown =
        shown.map_err(|error| ApiError::from(error).with_field("jobId", job.to_string()))?;
    if let ReplyBody::Json(own) = own.body {
        let beside =
            BESIDE.iter().filter_map(|name| Some(((*name).to_owned(), own.get(name)?.clone())));
        shown.extend(beside);
    }
    let is_final = shown.get("completedAt").is_some_and(|at| !at.is_null());
    Reply::with_status(if is_final { 200 } else { 202 }, shown)
}

#[cfg(test)]
mod tests {
    use super::JobOrder;
    use crate::core::body;
    use crate::core::id::JobId;
    use serde_json::{Value, json};

    fn own(order: Value) -> Value {
        body::typed::<JobOrder>(&order).unwrap().into_own(JobId::from_random(1))
    }

    #[test]
    fn only_the_tools_own_input_comes_from_the_input() {
        let id = JobId::from_random(1);
        let input = json!({"prompt": "x", "jobId": "y", "job_id": "z", "retryHistoryId": id,
            "onBehalfOf": id, "maxCredits": 7, "session_id": "s"});
        assert_eq!(own(json!({"tool": "t", "input": input})), json!({"prompt": "x", "jobId": id}));
        let order = json!({"input": {}, "sessionId": "s", "maxCredits": 3, "onBehalfOf": id});
        assert_eq!(own(order), json!({"jobId": id, "sessionId": "s", "maxCredits": 3}));
    }

    #[test]
    fn an_order_without_an_input_names_the_field() {
        for order in [json!({}), json!({"input": null}), json!({"input": []})] {
            let refused = body::typed::<JobOrder>(&order).err().unwrap();
            assert_eq!(refused.fields["field"], "input");
        }
    }
}
