//! Builds the request that sends an alert, in the form of the receiver, which its URL tells.

use serde_json::{Map, Value, json};

use super::transport::HttpRequest;

const TIMEOUT_MS: u32 = 8_000;
/// Discord accepts 2,000 characters, the other receivers more.
const CHARS_MAX: usize = 1_900;

/// The service that receives the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AlertReceiver {
    Slack,
    Discord,
    Telegram,
    /// Any receiver of JSON.
    Plain,
}

impl AlertReceiver {
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match host.to_ascii_lowercase().as_str() {
            "hooks.slack.com" | "hooks.slack-gov.com" => AlertReceiver::Slack,
            "discord.com" | "discordapp.com" | "ptb.discord.com" | "canary.discord.com" => {
                AlertReceiver::Discord
            }
            "api.telegram.org" => AlertReceiver::Telegram,
            _ => AlertReceiver::Plain,
        }
    }
}

/// Builds the request that sends a message with this id to the receiver at `url`. The id is also in
/// the header `webhook-id`, so that a receiver of plain JSON can recognise a repeated message.
///
/// Sources: docs.slack.dev, "Sending messages using incoming webhooks"; docs.discord.com, "Execute
/// Webhook"; core.telegram.org/bots/api, "sendMessage".
pub fn request(url: &str, id: &str, message: &Map<String, Value>) -> HttpRequest {
    let receiver = AlertReceiver::of(url);
    let text = sentence(message);
    let mut body = match receiver {
        AlertReceiver::Plain => message.clone(),
        _ => Map::new(),
    };
    let mut add = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    match receiver {
        AlertReceiver::Slack => add("text", escaped(&text).into()),
        AlertReceiver::Discord => {
            add("content", text.into());
            add("allowed_mentions", json!({"parse": []}));
        }
        AlertReceiver::Telegram => {
            add("text", text.into());
            add("chat_id", query_value(url, "chat_id").into());
        }
        AlertReceiver::Plain => {
            add("text", text.into());
            add("id", id.into());
        }
    }
    HttpRequest {
        method: "POST",
        url: url.to_owned(),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("webhook-id".to_owned(), id.to_owned()),
        ],
        body: Some(Value::Object(body).to_string()),
        timeout_ms: TIMEOUT_MS,
    }
}

/// A sentence such as `[bad] The sweep of the Workers was last seen 4 minutes ago.`
fn sentence(message: &Map<String, Value>) -> String {
    let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let sign = match field("state") {
        "good" => "good again",
        "still_bad" => "still bad",
        _ => "bad",
    };
    format!("[{sign}] {}", field("message")).chars().take(CHARS_MAX).collect()
}

/// Escapes Slack's three control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn query_value<'u>(url: &'u str, name: &str) -> Option<&'u str> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next()?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::request;
    use serde_json::{Map, Value, json};

    fn body(url: &str) -> Value {
        let Value::Object(message) =
            json!({"state": "good", "code": "stuck", "message": "No <b> job & all"})
        else {
            unreachable!()
        };
        let request = request(url, "m1", &message);
        assert_eq!((request.method, request.url.as_str()), ("POST", url));
        assert!(request.headers.contains(&("webhook-id".to_owned(), "m1".to_owned())));
        serde_json::from_str(&request.body.unwrap()).unwrap()
    }

    #[test]
    fn each_receiver_gets_its_own_form() {
        assert_eq!(
            body("https://hooks.slack.com/services/T0/B0/x"),
            json!({"text": "[good again] No &lt;b&gt; job &amp; all"})
        );
        assert_eq!(
            body("https://discord.com/api/webhooks/1/x"),
            json!({"content": "[good again] No <b> job & all", "allowed_mentions": {"parse": []}})
        );
        assert_eq!(
            body("https://api.telegram.org/bot1:x/sendMessage?chat_id=-100&a=b"),
            json!({"chat_id": "-100", "text": "[good again] No <b> job & all"})
        );
        assert_eq!(
            body("https://alerts.example/in?discord.com"),
            json!({"id": "m1", "state": "good", "code": "stuck", "message": "No <b> job & all",
                "text": "[good again] No <b> job & all"})
        );
    }

    #[test]
    fn a_long_message_is_cut_where_discord_would_refuse_it() {
        let mut message = Map::new();
        message.insert("message".to_owned(), "ä".repeat(5_000).into());
        let request = request("https://discord.com/api/webhooks/1/x", "m", &message);
        let body: Value = serde_json::from_str(&request.body.unwrap()).unwrap();
        assert_eq!(body["content"].as_str().unwrap().chars().count(), 1_900);
    }
}
