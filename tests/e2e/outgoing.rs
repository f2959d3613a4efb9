//! The app's back end is told of each end of a job: signed, at least once, whatever it answers.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use shared::core::standard_webhooks::verify;
use shared::core::webhook::Signature;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::{self, World};

const OLD: &str = "whsec_b2xkIHNlY3JldA==";
const NEW: &str = "a new secret";

/// One request as it came.
#[derive(Clone, Debug)]
struct ToldEnd {
    head: String,
    body: String,
}

impl ToldEnd {
    fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found =
            lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        found.next_back().unwrap_or_default().to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn is_signed_by(&self, secret: &str) -> bool {
        let signature = Signature {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            entries: self.header("webhook-signature"),
            ..Signature::default()
        };
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        verify(secret, &signature, &self.body, now).unwrap()
    }
}

/// The app's back end, which answers as it is told to.
#[derive(Clone, Default)]
struct BackEnd {
    told: Arc<Mutex<Vec<ToldEnd>>>,
    answer: Arc<Mutex<String>>,
}

impl BackEnd {
    fn answers(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    fn told(&self) -> Vec<ToldEnd> {
        self.told.lock().unwrap().clone()
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
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let told = ToldEnd { head: head.to_owned(), body: body.to_owned() };
                self.told.lock().unwrap().push(told);
            }
            let answer = self.answer.lock().unwrap().clone();
            let rest = "connection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\n{rest}").as_bytes()).await;
        }
    }
}

/// Whatever waits is due now, and a scheduled function sends it.
async fn sent(world: &World) {
    world.db().exec("update unstuck.messages_owed set due_at = now() where sent_at is null").await;
    world.sweep().await;
}

/// Sends until so many requests have come.
async fn told(world: &World, back_end: &BackEnd, count: usize) -> Vec<ToldEnd> {
    let told = async || {
        sent(world).await;
        Some(back_end.told()).filter(|told| told.len() >= count)
    };
    world.until("the back end is told", told).await
}

#[test]
fn each_end_is_told_signed_until_the_back_end_takes_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?key=secret", listener.local_addr().unwrap());
    let set = |options: &mut xtask::stack::StackOptions| {
        let own = options.overrides.entry("cleanup-stale-jobs".to_owned()).or_default();
        own.insert("OUTGOING_WEBHOOK_URL".to_owned(), Some(url.clone()));
        own.insert("OUTGOING_WEBHOOK_SECRETS".to_owned(), Some(format!("{OLD},{NEW}")));
    };
    e2e::run_apart(set, async |world| {
        let back_end = BackEnd::default();
        back_end.answers("200 Taken");
        tokio::spawn(back_end.clone().serve(listener));
        let asked = async || {
            world.sweep().await;
            let asked = "unstuck_private.healer_marks where healer = 'receiver'";
            (world.db().count(asked).await == 1).then_some(())
        };
        world.until("the database knows of a receiver", asked).await;
        let order = Order::running(world).await;
        order.assert_completed(world).await;
        let messages = told(world, &back_end, 1).await;
        let message = &messages[0];
        assert!(message.is_signed_by(OLD) && message.is_signed_by(NEW), "{message:?}");
        assert!(!message.is_signed_by("another secret"));
        let body = message.json();
        assert_eq!(body["type"], "job.completed");
        let seen = world.get(&format!("jobs/{}", order.job)).by(&order.user).ok().await;
        assert_eq!(body["data"]["outputs"], seen["outputs"]);
        assert_has!(body["data"], { "id": order.job, "userId": order.user.id,
            "status": "completed", "creditsCharged": 60 });
        let secrets = [OLD, NEW, world.stack().info().service_role_key.as_str()];
        assert!(secrets.iter().all(|secret| !message.body.contains(secret)));
        sent(world).await;
        assert_eq!(back_end.told().len(), 1, "what was taken is told once");
        // Whatever else it answers, it is told once more, by the same id.
        let hang = serde_json::json!({ "runninghub": { "all": true, "hang": true } });
        world.script(hang).await;
        let cancelled = Order::running(world).await;
        world.admin_cancels("upscaler_jobs", cancelled.job).await;
        for answer in ["500 Broken", "302 Moved\r\nlocation: /taken"] {
            back_end.answers(answer);
            let count = back_end.told().len() + 1;
            told(world, &back_end, count).await;
        }
        let owed = "messages_owed where sent_at is null and tries >= 2";
        assert_eq!(world.count(owed).await, 1, "a redirect takes nothing, and nobody follows it");
        back_end.answers("204 Taken");
        let taken = async || {
            sent(world).await;
            (world.count("messages_owed where sent_at is null").await == 0).then_some(())
        };
        world.until("the back end has taken it", taken).await;
        let messages = back_end.told();
        let ids: Vec<String> =
            messages.iter().skip(1).map(|told| told.header("webhook-id")).collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
        assert!(messages.iter().all(|told| told.head.starts_with("POST /hook?key=secret ")));
        assert_eq!(messages[messages.len() - 1].json()["type"], "job.cancelled");
        assert!(!world.functions_log().contains("key=secret"), "the log names no address");
    });
}
