//! What turns bad reaches the operator's receiver, from a scheduled function and from the gateway.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use xtask::stack::StackOptions;

/// Takes what is posted to it on a port of its own, and refuses it while `away`.
#[derive(Clone, Default)]
struct Inbox {
    taken: Arc<Mutex<Vec<Value>>>,
    is_away: Arc<Mutex<bool>>,
}

impl Inbox {
    fn messages(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    async fn serve(self, listener: std::net::TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut chunk = [0; 4096];
            while let Ok(read) = stream.read(&mut chunk).await {
                text.push_str(&String::from_utf8_lossy(&chunk[..read]));
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                if read == 0 || body.is_some_and(|body| body.ends_with('}')) {
                    break;
                }
            }
            let is_away = *self.is_away.lock().unwrap();
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            if let (false, Ok(message)) = (is_away, serde_json::from_str(body)) {
                self.taken.lock().unwrap().push(message);
            }
            let status = if is_away { "503 Away" } else { "204 Taken" };
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n");
            let _ = stream.write_all(format!("{answer}\r\n").as_bytes()).await;
        }
    }
}

/// The functions that send what is owed.
const SCHEDULED: [&str; 5] = [
    "cleanup-stale-generations",
    "cleanup-stale-jobs",
    "process-generation-tasks-banana",
    "replicate-async-worker",
    "replicate-prediction-checker",
];

/// Gives these functions the address of that receiver.
fn telling(
    functions: &'static [&str],
    listener: &std::net::TcpListener,
) -> impl FnOnce(&mut StackOptions) + use<> {
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    move |options| {
        for function in functions {
            let own = options.overrides.entry((*function).to_owned()).or_default();
            own.insert("ALERT_WEBHOOK_URL".to_owned(), Some(url.clone()));
        }
    }
}

#[test]
fn each_scheduled_function_sends_what_is_owed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let set = telling(&SCHEDULED, &listener);
    e2e::run_apart(set, async |world| {
        let inbox = Inbox::default();
        tokio::spawn(inbox.clone().serve(listener));
        for function in SCHEDULED {
            let owed = format!(
                "insert into unstuck.messages_owed (kind, \"to\", body)
                 values ('alert', 'alerts', '{{\"state\": \"bad\", \"message\": \"{function}\"}}')"
            );
            world.db().exec(&owed).await;
            world.call(function).by_service().json(&json!({})).ok().await;
            let told = async || {
                let messages = inbox.messages();
                messages.iter().any(|message| message["message"] == function).then_some(())
            };
            world.until(function, told).await;
        }
        assert_eq!(inbox.messages().len(), SCHEDULED.len(), "each once");
    });
}

#[test]
fn a_function_with_a_setting_of_its_own_shows_in_health() {
    let set = |options: &mut StackOptions| {
        let own = options.overrides.entry("runninghub-pose-changer".to_owned()).or_default();
        own.insert("WEBHOOK_SECRET".to_owned(), Some("another".repeat(6)));
    };
    e2e::run_apart(set, async |world| {
        world.sweep().await;
        world.get("health").send().await.expect(200);
        let names = "select count(*) from unstuck_private.settings_differing
                     where name = 'WEBHOOK_SECRET'";
        let compared = async || (world.db().int(names).await == 1).then_some(());
        world.until("the settings are compared", compared).await;
        let all = "select count(*) from unstuck_private.settings_differing";
        assert_eq!(world.db().int(all).await, 1, "and nothing else differs");
    });
}

#[test]
fn a_receiver_is_told_once_when_something_turns_bad_and_once_when_it_is_good_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let set = telling(&["gateway", "cleanup-stale-jobs"], &listener);
    e2e::run_apart(set, async |world| {
        let inbox = Inbox::default();
        tokio::spawn(inbox.clone().serve(listener));
        world.sweep().await;
        assert_eq!(inbox.messages(), Vec::<Value>::new());
        *inbox.is_away.lock().unwrap() = true;
        world.db().exec("update unstuck.sweeps set stuck = 3").await;
        let tried = async || {
            world.get("health").send().await;
            let tried = "select count(*) from unstuck.messages_owed where tries > 0";
            (world.db().int(tried).await == 1).then_some(())
        };
        world.until("the receiver was tried", tried).await;
        *inbox.is_away.lock().unwrap() = false;
        let told = async |count: usize| {
            let told = async || {
                world.db().exec("update unstuck.messages_owed set due_at = now()").await;
                world.sweep().await;
                (inbox.messages().len() >= count).then_some(())
            };
            world.until("the receiver is told", told).await;
        };
        told(1).await;
        assert_has!(inbox.messages()[0], { "state": "bad", "code": "stuck", "subject": "stuck" });
        world
            .db()
            .exec("update unstuck_private.alert_states set since = since - interval '2 minutes'")
            .await;
        told(2).await;
        let messages = inbox.messages();
        assert_has!(messages[1], { "state": "good", "text": "[good again] No job is stuck." });
        assert_ne!(messages[0]["id"], messages[1]["id"]);
        let owed = "select count(*) from unstuck.messages_owed where sent_at is null";
        assert_eq!(world.db().int(owed).await, 0);
    });
}
