//! Sends the webhook of a finished task, with every scripted fault. Each provider makes the body
//! and the signature itself.

use std::time::Duration;

use super::log::{Delivery, Log};
use super::script::WebhookFault;
use crate::client::Client;
use crate::clock;

const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The webhook of one task.
pub(crate) struct WebhookDelivery<'a> {
    pub(crate) client: &'a Client,
    pub(crate) log: &'a Log,
    pub(crate) provider: &'static str,
    pub(crate) task_id: String,
    pub(crate) body: serde_json::Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl WebhookDelivery<'_> {
    /// Sends the webhook to the task's own address, unless the script names a fault. `other` is the
    /// address of another unfinished task.
    pub(crate) async fn send(&self, fault: Option<WebhookFault>, own: &str, other: Option<String>) {
        match fault {
            Some(WebhookFault::Lost) => {}
            None | Some(WebhookFault::Early) => self.deliver(own).await,
            Some(WebhookFault::Twice) => {
                self.deliver(own).await;
                self.deliver(own).await;
            }
            Some(WebhookFault::Late) => {
                tokio::time::sleep(LATE).await;
                self.deliver(own).await;
            }
            Some(WebhookFault::Forged) => self.deliver(&with_wrong_token(own)).await,
            Some(WebhookFault::Redirected) => {
                if let Some(url) = other {
                    self.deliver(&url).await;
                }
            }
        }
    }

    async fn deliver(&self, url: &str) {
        for attempt in 1..=TRIES {
            if attempt > 1 {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            let answer = self
                .client
                .post_json(url, &self.headers, self.body.to_string(), ANSWER_LIMIT)
                .await;
            let (status, response) = match answer {
                Ok((status, response)) => (Some(status), response),
                Err(error) => (None, format!("{error:#}")),
            };
            self.log.delivered(Delivery {
                at: clock::iso(clock::now_ms()),
                provider: self.provider,
                url: url.to_owned(),
                body: self.body.clone(),
                attempt,
                status,
                response,
                task_id: self.task_id.clone(),
            });
            if status.is_some_and(|status| (200..300).contains(&status)) {
                return;
            }
        }
    }
}

/// The same URL with another last segment of the same length.
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
