//! Sends the webhook of a finished task: unsigned, in one of two forms.

use std::sync::Arc;

use serde_json::{Value, json};

use super::request::RunningHubApi;
use super::tasks::RunningHubTask;
use super::{NAME, RunningHubShared, legacy, v2};
use crate::providers::script::WebhookForm;
use crate::providers::webhook_delivery::WebhookDelivery;

/// Delivers the webhook of a finished task, if it asked for one.
pub(super) async fn send(hub: Arc<RunningHubShared>, task: RunningHubTask) {
    let Some(own) = task.submit.webhook_url.clone() else {
        return;
    };
    let other = hub.tasks.other_open(task.id).and_then(|other| other.submit.webhook_url);
    let delivery = WebhookDelivery {
        client: &hub.client,
        log: &hub.log,
        provider: NAME,
        task_id: task.id.to_string(),
        body: body(&hub, &task),
        headers: Vec::new(),
    };
    delivery.send(task.behaviour.webhook, &own, other).await;
}

fn body(hub: &RunningHubShared, task: &RunningHubTask) -> Value {
    let form = task.behaviour.webhook_form.unwrap_or(match task.submit.api {
        RunningHubApi::V2 => WebhookForm::Object,
        RunningHubApi::Legacy => WebhookForm::String,
    });
    let data = match form {
        WebhookForm::Object => v2::task_object(hub, task),
        WebhookForm::String => Value::from(legacy::outputs_envelope(hub, task, true).to_string()),
    };
    json!({"event": "TASK_END", "taskId": task.id_value(), "eventData": data})
}
