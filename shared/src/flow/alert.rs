//! Sends the operator alerts about what turned bad and what is good again.

use super::Cx;
use crate::core::alert;
use crate::core::transport::Transport;
use crate::db::alert::OwedMessage;
use serde_json::json;

/// Sends the due messages, if a receiver is set. A fault is logged and fails nothing: an
/// undelivered message stays owed, and a later call sends it. No log line shows the receiver's URL,
/// which is a secret.
pub async fn send_owed<T: Transport>(cx: &Cx<'_, T>) {
    let Some(url) = &cx.config.alert_webhook_url else { return };
    let (from, to) = match cx.config.alert_quiet_hours {
        Some((from, to)) => (Some(from), Some(to)),
        None => (None, None),
    };
    let db = cx.db();
    match db.alerts_due_v1(from, to, cx.config.alert_repeat_minutes).await {
        Ok(due) => {
            let mut taken = 0;
            for message in &due {
                // The receiver did not accept this message, so the others wait for a later run.
                if !send(cx, url, message).await {
                    break;
                }
                taken += 1;
            }
            cx.log_sent("alert", due.len(), taken);
        }
        Err(error) => cx.log_error("alert_error", &error.into(), json!({"part": "due"})),
    }
}

/// Returns whether the receiver accepted the message.
async fn send<T: Transport>(
    cx: &Cx<'_, T>,
    url: &str,
    OwedMessage { id, body }: &OwedMessage,
) -> bool {
    let answer = cx.transport.send(alert::request(url, id, body)).await.ok();
    let is_taken = answer.as_ref().is_some_and(|answer| answer.is_success());
    let delay_ms = answer.as_ref().and_then(|answer| answer.retry_after_ms());
    if !is_taken {
        let status = answer.map(|answer| answer.status);
        cx.log("alert_refused", json!({"level": "error", "message": id, "status": status}));
    }
    if let Err(error) = cx.db().message_sent_v1(id, is_taken, delay_ms).await {
        // The message becomes due again in a minute. The receiver recognises a repetition by its
        // id.
        cx.log_error("alert_error", &error.into(), json!({"part": "sent", "message": id}));
    }
    is_taken
}
