//! Sends the app's back end messages about how jobs ended.

use super::Cx;
use crate::core::outgoing::EndReceiver;
use crate::core::transport::Transport;
use crate::db::alert::OwedMessage;
use crate::flow::join::join_all;
use serde_json::json;

/// The number of messages in one answer of the database, and of those that are sent at once.
const BATCH: u32 = 16;
const AT_ONCE: usize = 4;
/// The limits of one run.
const BATCHES: u32 = 10;
const FOR_MS: u64 = 15_000;

/// Sends the due messages, if a receiver is set. A fault is logged and fails nothing: an
/// undelivered message stays owed. The receiver's URL is a setting of the Workers, which the
/// database never sees and no log line shows.
pub async fn send_owed<T: Transport>(cx: &Cx<'_, T>) {
    let receiver = match EndReceiver::of(cx.config) {
        Ok(Some(receiver)) => receiver,
        Ok(None) => return,
        Err(error) => return cx.log_error("outgoing_error", &error, json!({"part": "settings"})),
    };
    let until_ms = cx.transport.now_ms() + FOR_MS;
    for _ in 0..BATCHES {
        let due = match cx.db().ends_due_v1(BATCH).await {
            Ok(due) => due,
            Err(error) => {
                return cx.log_error("outgoing_error", &error.into(), json!({"part": "due"}));
            }
        };
        let (taken, goes_on) = send_batch(cx, &receiver, &due, until_ms).await;
        cx.log_sent("job_end", due.len(), taken);
        if !goes_on || due.len() < BATCH as usize {
            return;
        }
    }
}

/// Returns the number of messages that were accepted, and whether the run continues.
async fn send_batch<T: Transport>(
    cx: &Cx<'_, T>,
    receiver: &EndReceiver<'_>,
    due: &[OwedMessage],
    until_ms: u64,
) -> (usize, bool) {
    let mut taken = 0;
    for some in due.chunks(AT_ONCE) {
        let answers = join_all(some.iter().map(|message| send(cx, receiver, message))).await;
        let taken_now = answers.iter().filter(|is_taken| **is_taken).count();
        taken += taken_now;
        // The receiver has accepted none of these messages, or the time is over. The other messages
        // stay owed.
        if taken_now == 0 || cx.transport.now_ms() > until_ms {
            return (taken, false);
        }
    }
    (taken, true)
}

/// Returns whether the receiver accepted the message. A redirect is not followed and counts as a
/// refusal.
async fn send<T: Transport>(
    cx: &Cx<'_, T>,
    receiver: &EndReceiver<'_>,
    OwedMessage { id, body }: &OwedMessage,
) -> bool {
    let request = receiver.request(id, body, cx.transport.now_ms() / 1_000);
    let answer = cx.transport.send(request).await.ok();
    let is_taken = answer.as_ref().is_some_and(|answer| answer.is_success());
    let delay_ms = answer.as_ref().and_then(|answer| answer.retry_after_ms());
    if !is_taken {
        let status = answer.map(|answer| answer.status);
        cx.log("outgoing_refused", json!({"level": "error", "message": id, "status": status}));
    }
    if let Err(error) = cx.db().message_sent_v1(id, is_taken, delay_ms).await {
        // The message becomes due again in a minute. The receiver recognises a repetition by its
        // id.
        cx.log_error("outgoing_error", &error.into(), json!({"part": "sent", "message": id}));
    }
    is_taken
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
