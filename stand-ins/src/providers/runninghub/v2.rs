//! The v2 API's wording: flat task objects, and refusals in two of the three shapes. Legacy envelopes are elsewhere.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::files::Files;
use super::super::provider::{Answer, Arrival};
use super::request::{self, Refusal};
use super::tasks::{State, Task};
use super::{Hub, legacy};

pub(super) fn started(task: &Task) -> Answer {
    Answer::json(200, &object(task, "RUNNING", "", "", Value::Null))
}

pub(super) fn query(hub: &Hub, arrival: &Arrival) -> Answer {
    if request::bearer_is_known(arrival, &hub.keys).is_none() {
        return refused(&Refusal::new(1002, "Invalid API key"));
    }
    let id = arrival.json().and_then(|body| request::task_id(&body));
    match id.and_then(|id| hub.tasks.get(id)) {
        Some(task) => Answer::json(200, &task_object(hub, &task)),
        None => refused_in_body(&Refusal::named(1004)),
    }
}

/// A wrong key is a plain 401, everything else is inside a 200.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let status = if refusal.code == 1002 { 401 } else { 200 };
    Answer { status, ..refused_in_body(refusal) }
}

pub(super) fn refused_in_body(refusal: &Refusal) -> Answer {
    // The code is text in this API.
    Answer::json(
        200,
        &json!({"errorCode": refusal.code.to_string(), "errorMessage": refusal.message}),
    )
}

pub(super) fn refused_by_status(status: u16) -> Answer {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    Answer::json(status, &json!({"status": status, "error": reason.unwrap_or("Error")}))
}

/// The task as it is now: the answer to a query, and a webhook's `eventData` in object form.
pub(super) fn task_object(hub: &Hub, task: &Task) -> Value {
    match &task.state {
        State::Queued => object(task, "QUEUED", "", "", Value::Null),
        State::Running => object(task, "RUNNING", "", "", Value::Null),
        State::Cancelled => object(task, "CANCEL", "", "", Value::Null),
        State::Success { file } => {
            let results = json!([{"url": hub.files.url(file), "outputType": Files::kind(file), "nodeId": "9", "text": null}]);
            object(task, "SUCCESS", "", "", results)
        }
        State::Failed { code, reason } => {
            object(task, "FAILED", &code.to_string(), reason, Value::Null)
        }
    }
}

fn object(
    task: &Task,
    status: &str,
    error_code: &str,
    error_message: &str,
    results: Value,
) -> Value {
    let failed_reason = match &task.state {
        State::Failed { reason, .. } => {
            json!({"node_id": "3", "node_name": "Upscale", "exception_message": reason})
        }
        _ => json!({}),
    };
    let is_final = !task.state.is_live();
    json!({
        "taskId": task.id_value(),
        "status": status,
        "errorCode": error_code,
        "errorMessage": error_message,
        "results": results,
        "clientId": "stand-in",
        "promptTips": legacy::prompt_tips(task),
        "failedReason": failed_reason,
        "usage": {
            "consumeMoney": null,
            "consumeCoins": is_final.then_some("3"),
            "taskCostTime": is_final.then(|| task.cost_s.to_string()),
            "thirdPartyConsumeMoney": null,
        },
    })
}
