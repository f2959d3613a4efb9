//! What RunningHub says when a task is over: unsigned, in one of two forms.

use std::sync::Arc;

use serde_json::{Value, json};

use super::request::Api;
use super::tasks::Task;
use super::{Hub, NAME, legacy, v2};
use crate::providers::script::WebhookForm;
use crate::providers::webhook_delivery::WebhookDelivery;

/// Delivers the webhook of a finished task, if it asked for one.
pub(super) async fn send(hub: Arc<Hub>, task: Task) {
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

fn body(hub: &Hub, task: &Task) -> Value {
    let form = task.behaviour.webhook_form.unwrap_or(match task.submit.api {
        Api::V2 => WebhookForm::Object,
        Api::Legacy => WebhookForm::String,
    });
    let data = match form {
        WebhookForm::Object => v2::task_object(hub, task),
        WebhookForm::String => Value::from(legacy::outputs_envelope(hub, task, true).to_string()),
    };
    json!({"event": "TASK_END", "taskId": task.id_value(), "eventData": data})
}
