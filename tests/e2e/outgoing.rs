//! Outgoing webhooks: the app's back end is told of each end of a job, signed and at least once,
//! whatever it answers.

use shared::core::standard_webhooks::verify;
use shared::core::webhook::Signature;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::receiver::{HttpReceiver, ReceivedRequest};
use unstuck_tests::e2e::{self, World};

const OLD: &str = "whsec_b2xkIHNlY3JldA==";
const NEW: &str = "a new secret";

fn is_signed_by(request: &ReceivedRequest, secret: &str) -> bool {
    let signature = Signature {
        id: request.header("webhook-id"),
        timestamp: request.header("webhook-timestamp"),
        entries: request.header("webhook-signature"),
        ..Signature::default()
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    verify(secret, &signature, &request.body, now).unwrap()
}

/// Makes each owed message due, and lets a sweep send it.
async fn sent(world: &World) {
    world.until_messages_rest().await;
    world.db().exec("update unstuck.messages_owed set due_at = now() where sent_at is null").await;
    world.sweep().await;
}

/// Sends owed messages until the back end has received so many requests.
async fn told(world: &World, back_end: &HttpReceiver, count: usize) -> Vec<ReceivedRequest> {
    let told = async || {
        sent(world).await;
        Some(back_end.received()).filter(|told| told.len() >= count)
    };
    world.until("the back end is told", told).await
}

#[test]
fn each_end_is_told_signed_until_the_back_end_takes_it() {
    let back_end = HttpReceiver::start();
    let url = back_end.url("/hook?key=secret");
    let set = |options: &mut xtask::stack::StackOptions| {
        let own = options.overrides.entry("cleanup-stale-jobs".to_owned()).or_default();
        own.insert("OUTGOING_WEBHOOK_URL".to_owned(), Some(url.clone()));
        own.insert("OUTGOING_WEBHOOK_SECRETS".to_owned(), Some(format!("{OLD},{NEW}")));
    };
    e2e::run_apart(set, async |world| {
        back_end.answers("200 Taken");
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
        assert!(is_signed_by(message, OLD) && is_signed_by(message, NEW), "{message:?}");
        assert!(!is_signed_by(message, "another secret"));
        let body = message.json();
        assert_eq!(body["type"], "job.completed");
        let seen = world.get(&format!("jobs/{}", order.job)).by(&order.user).ok().await;
        assert_eq!(body["data"]["outputs"], seen["outputs"]);
        assert_has!(body["data"], { "id": order.job, "userId": order.user.id,
            "status": "completed", "creditsCharged": 60 });
        let secrets = [OLD, NEW, world.stack().info().service_role_key.as_str()];
        assert!(secrets.iter().all(|secret| !message.body.contains(secret)));
        sent(world).await;
        world.until_messages_rest().await;
        assert_eq!(back_end.received().len(), 1, "what was taken is told once");
        // After any answer but a success the message is sent once more, with the same id.
        let hang = serde_json::json!({ "runninghub": { "all": true, "hang": true } });
        world.script(hang).await;
        let cancelled = Order::running(world).await;
        world.admin_cancels("upscaler_jobs", cancelled.job).await;
        for answer in ["500 Broken", "302 Moved\r\nlocation: /taken"] {
            back_end.answers(answer);
            let count = back_end.received().len() + 1;
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
        let messages = back_end.received();
        let ids: Vec<String> =
            messages.iter().skip(1).map(|told| told.header("webhook-id")).collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
        assert!(messages.iter().all(|told| told.head.starts_with("POST /hook?key=secret ")));
        assert_eq!(messages[messages.len() - 1].json()["type"], "job.cancelled");
        assert!(!world.functions_log().contains("key=secret"), "the log names no address");
    });
}
