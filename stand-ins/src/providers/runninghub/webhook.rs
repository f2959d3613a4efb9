//! Telling the caller that a task is over, unsigned as RunningHub does it, and every scripted way to get it wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::request::Api;
use super::tasks::Task;
use super::{Hub, NAME, legacy, v2};
use crate::clock;
use crate::providers::log::Delivery;
use crate::providers::script::{WebhookFault, WebhookForm};

const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Delivers the webhook of a finished task, if it asked for one.
pub(super) async fn tell(hub: Arc<Hub>, task: Task) {
    let Some(own) = task.submit.webhook_url.clone() else {
        return;
    };
    match task.behaviour.webhook {
        Some(WebhookFault::Lost) => {}
        None | Some(WebhookFault::Early) => deliver(&hub, &task, &own).await,
        Some(WebhookFault::Twice) => {
            deliver(&hub, &task, &own).await;
            deliver(&hub, &task, &own).await;
        }
        Some(WebhookFault::Late) => {
            tokio::time::sleep(LATE).await;
            deliver(&hub, &task, &own).await;
        }
        Some(WebhookFault::Forged) => deliver(&hub, &task, &with_wrong_token(&own)).await,
        Some(WebhookFault::Redirected) => {
            let other = hub.tasks.other_open(task.id).and_then(|other| other.submit.webhook_url);
            if let Some(url) = other {
                deliver(&hub, &task, &url).await;
            }
        }
    }
}

async fn deliver(hub: &Hub, task: &Task, url: &str) {
    let body = body(hub, task);
    for attempt in 1..=TRIES {
        if attempt > 1 {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        let answer = hub.client.post_json(url, body.to_string(), ANSWER_LIMIT).await;
        let (status, response) = match answer {
            Ok((status, response)) => (Some(status), response),
            Err(error) => (None, format!("{error:#}")),
        };
        hub.log.delivered(Delivery {
            at: clock::iso(clock::now_ms()),
            provider: NAME,
            url: url.to_owned(),
            body: body.clone(),
            attempt,
            status,
            response,
            task_id: task.id.to_string(),
        });
        if status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
    }
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

/// The same address with another last segment of the same length.
fn with_wrong_token(url: &str) -> String {
    let (path, token) = url.rsplit_once('/').unwrap_or((url, ""));
    let wrong: String = token.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    format!("{path}/{wrong}")
}

#[cfg(test)]
mod tests {
    use super::with_wrong_token;

    #[test]
    fn a_forged_token_differs_only_in_its_token() {
        assert_eq!(with_wrong_token("http://h/a/1/0/0a0f"), "http://h/a/1/0/1010");
    }
}
