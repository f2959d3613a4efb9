//! Writes the answers of the older API: HTTP 200 with `{code, msg, data}` in every case.

use serde_json::{Map, Value, json};

use super::super::files::ProviderFiles;
use super::super::provider::{Arrival, ProviderAnswer};
use super::RunningHubShared;
use super::request::{self, RunningHubApi, RunningHubRefusal};
use super::tasks::{RunningHubState, RunningHubTask};

/// The beginning of the ids of the apps that exist here, and the nodes that each app has.
const OWN_APPS: &str = "19000000000000000";
const OWN_NODES: [(&str, &str); 6] =
    [("1", "image"), ("1", "video"), ("2", "image"), ("2", "value"), ("3", "value"), ("4", "text")];

pub(super) fn started(task: &RunningHubTask) -> ProviderAnswer {
    good(&json!({
        "netWssUrl": null,
        "taskId": task.id_value(),
        "clientId": "stand-in",
        "taskStatus": "RUNNING",
        "promptTips": prompt_tips(task),
    }))
}

/// The tips as JSON within a text. Node errors announce a failure although the code is 0.
pub(super) fn prompt_tips(task: &RunningHubTask) -> String {
    let node_errors = task.behaviour.node_errors.clone().unwrap_or_else(|| json!({}));
    json!({"result": true, "error": null, "outputs_to_execute": ["9"], "node_errors": node_errors})
        .to_string()
}

/// The data of this answer is a single word.
pub(super) fn status(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    about_task(hub, arrival, |task| {
        let word = match task.state {
            RunningHubState::Queued => "QUEUED",
            RunningHubState::Running => "RUNNING",
            RunningHubState::Success { .. } => "SUCCESS",
            RunningHubState::Failed { .. } | RunningHubState::Cancelled => "FAILED",
        };
        good(&Value::from(word))
    })
}

pub(super) fn outputs(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    about_task(hub, arrival, |task| ProviderAnswer::json(200, &outputs_envelope(hub, task, false)))
}

pub(super) fn cancel(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    about_task(hub, arrival, |task| {
        // This path is for workflows. A client of the API reports that it does not know the task of
        // an AI app, which is what the v2 API starts. A script may make it know the task.
        if task.submit.api == RunningHubApi::V2 && !task.behaviour.cancellable {
            return refused(&RunningHubRefusal::named(807));
        }
        // A cancel of a task that has ended gets the same answer.
        hub.tasks.finish(task.id, RunningHubState::Cancelled);
        good(&Value::Null)
    })
}

pub(super) fn account(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    // Only this path spells the name of the key in lower case.
    match request::legacy_body(arrival, &hub.keys, "apikey") {
        Err(refusal) => refused(&refusal),
        Ok((_, key)) => good(&json!({
            "remainCoins": "100000",
            "currentTaskCounts": hub.tasks.live(&key).to_string(),
            "remainMoney": null,
            "currency": null,
            "apiType": "NORMAL",
        })),
    }
}

/// How an app is called: a command as text, which contains the app's list of nodes. It costs
/// nothing.
pub(super) fn call_demo(hub: &RunningHubShared, arrival: &Arrival) -> ProviderAnswer {
    let query = arrival.path.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    };
    if !hub.keys.iter().any(|key| key == value("apiKey")) {
        return refused(&RunningHubRefusal::named(802));
    }
    let app = value("webappId");
    if !app.starts_with(OWN_APPS) && !hub.apps.iter().any(|own| own == app) {
        return refused(&RunningHubRefusal::named(901));
    }
    let nodes = OWN_NODES.map(|(node, field)| {
        json!({"nodeId": node, "fieldName": field, "fieldValue": "", "description": field})
    });
    let body = json!({"webappId": app, "apiKey": "…", "nodeInfoList": nodes});
    good(&json!({"url": format!("curl --request POST --data-raw '{body}'")}))
}

pub(super) fn refused(refusal: &RunningHubRefusal) -> ProviderAnswer {
    ProviderAnswer::json(200, &envelope(refusal.code, &refusal.message, &Value::Null))
}

pub(super) fn good(data: &Value) -> ProviderAnswer {
    ProviderAnswer::json(200, &envelope(0, "success", data))
}

/// The answer of `outputs`, where the cost is text; in a webhook it is a number.
pub(super) fn outputs_envelope(
    hub: &RunningHubShared,
    task: &RunningHubTask,
    in_webhook: bool,
) -> Value {
    let cost =
        if in_webhook { Value::from(task.cost_s) } else { Value::from(task.cost_s.to_string()) };
    let named =
        |code: i64, data: &Value| envelope(code, &RunningHubRefusal::named(code).message, data);
    match &task.state {
        RunningHubState::Queued => named(813, &Value::Null),
        RunningHubState::Running => named(804, &json!({"netWssUrl": null})),
        RunningHubState::Success { files } => {
            let listed = files.iter().map(|file| {
                json!({
                    "fileUrl": hub.files.url(file),
                    "fileType": ProviderFiles::kind(file),
                    "taskCostTime": cost,
                    "nodeId": "9",
                    "consumeMoney": null,
                    "consumeCoins": "3",
                    "thirdPartyConsumeMoney": null,
                })
            });
            envelope(0, "success", &listed.collect())
        }
        RunningHubState::Failed { reason, .. } => named(805, &failed_reason(reason)),
        RunningHubState::Cancelled => named(805, &failed_reason("RunningHubTask was cancelled")),
    }
}

fn failed_reason(reason: &str) -> Value {
    json!({"failedReason": {
        "node_id": "3",
        "node_name": "Upscale",
        "exception_type": "RuntimeError",
        "exception_message": reason,
        "traceback": "[]",
        "current_inputs": "{}",
        "current_outputs": "{}",
    }})
}

fn about_task(
    hub: &RunningHubShared,
    arrival: &Arrival,
    answer: impl FnOnce(&RunningHubTask) -> ProviderAnswer,
) -> ProviderAnswer {
    let (body, key) = match request::legacy_body(arrival, &hub.keys, "apiKey") {
        Ok(read) => read,
        Err(refusal) => return refused(&refusal),
    };
    match request::task_id(&Value::Object(body)) {
        None | Some(0) => refused(&RunningHubRefusal::named(301)),
        Some(id) => match hub.tasks.get(id).filter(|task| task.submit.key == key) {
            Some(task) => answer(&task).about(id.to_string()),
            None => refused(&RunningHubRefusal::named(807)),
        },
    }
}

fn envelope(code: i64, message: &str, data: &Value) -> Value {
    let mut envelope = Map::new();
    envelope.insert("code".to_owned(), Value::from(code));
    envelope.insert("msg".to_owned(), Value::from(message));
    envelope.insert("data".to_owned(), data.clone());
    Value::Object(envelope)
}
