//! Alerts reach the operator's receiver, from a scheduled function and from the gateway.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::receiver::HttpReceiver;
use unstuck_tests::e2e::{self, World};
use xtask::stack::StackOptions;

/// The functions that send owed messages.
const SCHEDULED: [&str; 5] = [
    "cleanup-stale-generations",
    "cleanup-stale-jobs",
    "process-generation-tasks-banana",
    "replicate-async-worker",
    "replicate-prediction-checker",
];

/// Sets the receiver's address in these functions.
fn telling(
    functions: &'static [&str],
    receiver: &HttpReceiver,
) -> impl FnOnce(&mut StackOptions) + use<> {
    let url = receiver.url("/hook");
    move |options| {
        for function in functions {
            let own = options.overrides.entry((*function).to_owned()).or_default();
            own.insert("ALERT_WEBHOOK_URL".to_owned(), Some(url.clone()));
        }
    }
}

/// Runs statements under the lock of the function that compares the alarms with what was sent: it
/// locks the same rows in another order.
async fn change_alerts(world: &World, statements: &str) {
    let lock = "select pg_advisory_xact_lock(hashtextextended('unstuck_private.alerts_owe', 0))";
    world.db().exec(&format!("{lock}; {statements}")).await;
}

#[test]
fn each_scheduled_function_sends_what_is_owed() {
    let receiver = HttpReceiver::start();
    let set = telling(&SCHEDULED, &receiver);
    e2e::run_apart(set, async |world| {
        for function in SCHEDULED {
            let owed = format!(
                "insert into unstuck.messages_owed (kind, \"to\", body)
                 values ('alert', 'alerts', '{{\"state\": \"bad\", \"message\": \"{function}\"}}')"
            );
            world.db().exec(&owed).await;
            world.call(function).by_service().json(&json!({})).ok().await;
            let told = async || {
                let messages = receiver.taken();
                messages.iter().any(|message| message["message"] == function).then_some(())
            };
            world.until(function, told).await;
        }
        assert_eq!(receiver.taken().len(), SCHEDULED.len(), "each once");
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
    let receiver = HttpReceiver::start();
    let set = telling(&["gateway", "cleanup-stale-jobs"], &receiver);
    e2e::run_apart(set, async |world| {
        world.sweep().await;
        assert_eq!(receiver.taken(), Vec::<Value>::new());
        receiver.answers("503 Away");
        world.db().exec("update unstuck.sweeps set stuck = 3").await;
        let tried = async || {
            world.get("health").send().await;
            let tried = "select count(*) from unstuck.messages_owed where tries > 0";
            (world.db().int(tried).await == 1).then_some(())
        };
        world.until("the receiver was tried", tried).await;
        receiver.answers("204 Taken");
        let told = async |count: usize| {
            let told = async || {
                world.until_messages_rest().await;
                world.db().exec("update unstuck.messages_owed set due_at = now()").await;
                world.sweep().await;
                (receiver.taken().len() >= count).then_some(())
            };
            world.until("the receiver is told", told).await;
        };
        told(1).await;
        assert_has!(receiver.taken()[0], { "state": "bad", "code": "stuck", "subject": "stuck" });
        let later = "update unstuck_private.alert_states set since = since - interval '2 minutes'";
        change_alerts(world, later).await;
        told(2).await;
        world.until_messages_rest().await;
        let messages = receiver.taken();
        assert_has!(messages[1], { "state": "good", "text": "[good again] No job is stuck." });
        assert_ne!(messages[0]["id"], messages[1]["id"]);
        let owed = "select count(*) from unstuck.messages_owed where sent_at is null";
        assert_eq!(world.db().int(owed).await, 0);
    });
}

#[test]
fn a_receiver_that_is_down_for_an_hour_gets_each_message_once_when_it_is_back() {
    let receiver = HttpReceiver::start();
    let set = telling(&["gateway", "cleanup-stale-jobs"], &receiver);
    e2e::run_apart(set, async |world| {
        let db = world.db();
        // One minute passes, and then a sweep sends the messages that are due.
        let minute = async || {
            world.until_messages_rest().await;
            change_alerts(
                world,
                "update unstuck_private.alert_states set since = since - interval '1 minute',
                   told_at = told_at - interval '1 minute',
                   told_bad_at = told_bad_at - interval '1 minute';
                 update unstuck.messages_owed set due_at = due_at - interval '1 minute'
                 where sent_at is null",
            )
            .await;
            world.sweep().await;
            let due = "select count(*) from unstuck.messages_owed
                       where sent_at is null and due_at <= clock_timestamp()";
            let tried = async || (db.int(due).await == 0).then_some(());
            world.until("whatever is due was tried", tried).await;
        };
        let left = async |coins: i64| {
            let args = json!({ "p_provider": "replicate", "p_amounts": { "coins": coins } });
            db.call("provider_balance_v1", args).await;
        };
        minute().await;
        assert_eq!(receiver.received().len(), 0, "nothing is bad");

        receiver.answers("503 Away");
        world.set_provider("replicate", "balance_least = '{\"coins\": 500}'").await;
        left(120).await;
        for passed in 1..=60 {
            match passed {
                10 => {
                    let alarm = json!({ "p_provider": "gemini", "p_tool": null, "p_about": null,
                        "p_code": "802", "p_detail": null });
                    db.call("provider_alarm_v1", alarm).await;
                }
                30 => left(900).await,
                45 => db.exec("delete from unstuck.provider_alarms").await,
                _ => {}
            }
            minute().await;
        }
        assert_eq!(receiver.taken().len(), 0);
        assert!(receiver.received().len() < 4 * 60, "later after each try");

        receiver.answers("204 Taken");
        for _ in 0..60 {
            minute().await;
        }
        let mut told: Vec<String> = receiver
            .taken()
            .iter()
            .map(|message| format!("{} {}", message["subject"], message["state"]).replace('"', ""))
            .collect();
        told.sort();
        let once = [
            "provider:gemini:alarm bad",
            "provider:gemini:alarm good",
            "provider:replicate:balance bad",
            "provider:replicate:balance good",
        ];
        assert_eq!(told, once);
        let mut ids: Vec<String> =
            receiver.taken().iter().map(|message| message["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), once.len(), "each by an id of its own");
        assert_eq!(db.int("select count(*) from unstuck.messages_owed").await, 4);
    });
}
