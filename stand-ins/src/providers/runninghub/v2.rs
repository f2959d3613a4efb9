//! Writes the answers of the v2 API: flat task objects, and refusals in two of the three shapes.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::files::ProviderFiles;
use super::super::provider::{Arrival, ProviderAnswer};
use super::request::{self, RunningHubRefusal};
use super::tasks::{RunningHubState, RunningHubTask};
use super::{RunningHubShared, legacy};

pub(super) fn started(task: &RunningHubTask) -> ProviderAnswer {
    ProviderAnswer::json(200, &object(task, "RUNNING", "", "", Value::Null))
}

pub(super) fn query(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    if request::bearer_is_known(arrival, &hub.keys).is_none() {
        return refused(&RunningHubRefusal::new(1002, "Invalid API key"));
    }
    let id = arrival.json().and_then(|body| request::task_id(&body));
    match id.and_then(|id| hub.tasks.get(id)) {
        Some(task) => {
            let mut shown = task_object(hub, &task);
            if hub.tasks.is_first_told(task.id) {
                shown["results"] = Value::Null;
            }
            ProviderAnswer::json(200, &shown)
        }
        None => refused_in_body(&RunningHubRefusal::named(1004)),
    }
}

/// Refuses a wrong key with a plain 401, and everything else within a 200.
pub(super) fn refused(refusal: &RunningHubRefusal) -> ProviderAnswer {
    let status = if refusal.code == 1002 { 401 } else { 200 };
    ProviderAnswer { status, ..refused_in_body(refusal) }
}

pub(super) fn refused_in_body(refusal: &RunningHubRefusal) -> ProviderAnswer {
    // In this API the code is text.
    ProviderAnswer::json(
        200,
        &json!({"errorCode": refusal.code.to_string(), "errorMessage": refusal.message}),
    )
}

pub(super) fn refused_by_status(status: u16) -> ProviderAnswer {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    ProviderAnswer::json(status, &json!({"status": status, "error": reason.unwrap_or("Error")}))
}

/// The task as it is now, for the answer to a query and for a webhook's `eventData` in object form.
pub(super) fn task_object(hub: &RunningHubShared, task: &RunningHubTask) -> Value {
    match &task.state {
        RunningHubState::Queued => object(task, "QUEUED", "", "", Value::Null),
        RunningHubState::Running => object(task, "RUNNING", "", "", Value::Null),
        RunningHubState::Cancelled => object(task, "CANCEL", "", "", Value::Null),
        RunningHubState::Success { files } => {
            let results = files.iter().map(|file| {
                json!({
                    "url": hub.files.url(file),
                    "outputType": ProviderFiles::kind(file),
                    "nodeId": "9",
                    "text": null,
                })
            });
            object(task, "SUCCESS", "", "", results.collect())
        }
        RunningHubState::Failed { code, reason } => {
            object(task, "FAILED", &code.to_string(), reason, Value::Null)
        }
    }
}

fn object(
    task: &RunningHubTask,
    status: &str,
    error_code: &str,
    error_message: &str,
    results: Value,
) -> Value {
    let failed_reason = match &task.state {
        RunningHubState::Failed { reason, .. } => {
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
