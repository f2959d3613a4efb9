//! The operator is told what turns bad and what is good again: at least once, normally once, and
//! not for every short change.

use serde_json::{Value, json};
use unstuck_tests::shop::{TRY_ON, UPSCALER};
use unstuck_tests::{Database, Session, assert_has};

async fn due(db: &Session) -> Vec<Value> {
    db.call("alerts_due_v1", json!({})).await
}

async fn sent(db: &Session, message: &Value) {
    db.call("message_sent_v1", json!({ "p_id": message["id"], "p_is_taken": true })).await;
}

/// Records a finished sweep that counted so many stuck jobs.
async fn counted(db: &Session, stuck: i64) {
    db.exec(&format!(
        "insert into sweeps (source, finished_at, stuck, violations)
         values ('http', clock_timestamp(), {stuck}, 0)"
    ))
    .await;
}

/// Moves every time of the alerts and of their messages back by the interval.
async fn later(db: &Session, interval: &str) {
    db.exec(&format!(
        "update unstuck_private.alert_states set since = since - interval '{interval}',
           told_at = told_at - interval '{interval}',
           told_bad_at = told_bad_at - interval '{interval}';
         update messages_owed set due_at = due_at - interval '{interval}'"
    ))
    .await;
}

fn states(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["body"]["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_message_tells_what_turned_bad_and_one_what_is_good_again() {
    let db = Database::fresh().await;
    counted(&db, 0).await;
    assert_eq!(due(&db).await, Vec::<Value>::new());
    counted(&db, 2).await;
    let bad = due(&db).await;
    assert_eq!(states(&bad), ["bad"]);
    assert_has!(bad[0]["body"], { "subject": "stuck", "code": "stuck",
        "message": "2 jobs are past the deadline of every healer." });
    sent(&db, &bad[0]).await;
    later(&db, "1 hour").await;
    assert_eq!(due(&db).await, Vec::<Value>::new(), "what stays bad is told once");
    counted(&db, 0).await;
    assert_eq!(due(&db).await, Vec::<Value>::new(), "a moment is too short to count as good again");
    later(&db, "61 seconds").await;
    let good = due(&db).await;
    assert_eq!(states(&good), ["good"]);
    assert_has!(good[0]["body"], { "message": "No job is stuck." });
    assert_ne!(good[0]["id"], bad[0]["id"]);
    sent(&db, &good[0]).await;
    later(&db, "1 hour").await;
    assert_eq!(due(&db).await, Vec::<Value>::new());
    assert_eq!(db.count("messages_owed where sent_at is not null and tries = 1").await, 2);
}

#[tokio::test]
async fn a_hundred_flaps_in_a_minute_are_two_messages_at_most() {
    let db = Database::fresh().await;
    for flap in 0..100 {
        counted(&db, flap % 2).await;
        for message in due(&db).await {
            sent(&db, &message).await;
        }
        later(&db, "0.6 seconds").await;
    }
    counted(&db, 0).await;
    due(&db).await;
    later(&db, "2 minutes").await;
    due(&db).await;
    let told = db.rows("select body from messages_owed order by body ->> 'at'").await;
    assert_eq!(states(&told), ["bad", "good"], "the last message is true");
}

#[tokio::test]
async fn a_receiver_that_was_away_for_an_hour_gets_each_message_when_it_is_back() {
    let db = Database::fresh().await;
    counted(&db, 1).await;
    let mut tries = 0;
    for minute in 0..60 {
        if minute == 30 {
            counted(&db, 0).await;
        }
        for message in due(&db).await {
            tries += 1;
            let args = json!({ "p_id": message["id"], "p_is_taken": false });
            db.call("message_sent_v1", args).await;
        }
        later(&db, "1 minute").await;
    }
    assert!((10..60).contains(&tries), "{tries} tries: later after each, and never given up");
    later(&db, "5 minutes").await;
    let back = due(&db).await;
    let mut told = states(&back);
    told.sort_unstable();
    assert_eq!(told, ["bad", "good"]);
    for message in &back {
        sent(&db, message).await;
    }
    later(&db, "1 hour").await;
    assert_eq!(due(&db).await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_account_that_runs_low_is_told_once_and_once_when_there_is_enough() {
    let db = Database::fresh().await;
    counted(&db, 0).await;
    let left = async |amounts: Value| {
        let args = json!({ "p_provider": "runninghub", "p_amounts": amounts });
        db.call("provider_balance_v1", args).await;
        due(&db).await
    };
    let none = Vec::<Value>::new();
    assert_eq!(left(json!({ "coins": 1 })).await, none, "no least balance is set");
    db.exec("update providers set balance_least = '{\"coins\": 500, \"USD\": 2.5}'").await;
    assert_eq!(left(json!({ "coins": 500, "USD": 3 })).await, none);
    let low = left(json!({ "coins": 120, "USD": 3 })).await;
    assert_eq!(states(&low), ["bad"]);
    assert_has!(low[0]["body"], { "subject": "provider:runninghub:balance",
        "code": "provider_balance_low",
        "message": "runninghub: our account runs low: 120 coins, less than 500." });
    sent(&db, &low[0]).await;
    later(&db, "1 hour").await;
    assert_eq!(left(json!({ "coins": 80, "USD": 1 })).await, none, "it is told once");
    let degraded = db.ask("health_v2", json!({})).await["degraded"].clone();
    let words = "runninghub: our account runs low: 1 USD, less than 2.5; 80 coins, less than 500.";
    assert_eq!(degraded[0]["message"], words, "{degraded}");
    assert_eq!(left(json!({ "coins": 900, "USD": 3 })).await, none);
    later(&db, "61 seconds").await;
    let good = due(&db).await;
    assert_eq!(states(&good), ["good"]);
    assert_has!(good[0]["body"], { "message": "runninghub: enough is left on our account." });
    sent(&db, &good[0]).await;
    // A unit that the provider does not report, and a unit without a number, are never low.
    db.exec("update providers set balance_least = '{\"EUR\": 9, \"coins\": \"many\"}'").await;
    assert_eq!(left(json!({ "coins": 0 })).await, none);
}

#[tokio::test]
async fn a_message_goes_to_one_of_many_callers_and_to_another_where_that_one_died() {
    let db = Database::fresh().await;
    counted(&db, 1).await;
    let sessions = db.sessions(6).await;
    let all = futures::future::join_all(sessions.iter().map(due)).await;
    let messages: Vec<Value> = all.into_iter().flatten().collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(due(&db).await, Vec::<Value>::new());
    later(&db, "61 seconds").await;
    let repeated = due(&db).await;
    assert_eq!(repeated[0]["id"], messages[0]["id"], "the receiver knows it by its id");
}

#[tokio::test]
async fn in_quiet_hours_messages_wait_and_what_stays_bad_is_repeated_where_asked() {
    let db = Database::fresh().await;
    let until = |at: &str, from: i64, to: i64| {
        format!(
            "select to_char(unstuck_private.quiet_until('{at}', {from}, {to}) at time zone 'UTC',
             'DD HH24:MI')"
        )
    };
    for (at, from, to, expected) in [
        ("2026-01-01 23:30Z", 22, 7, "02 07:00"),
        ("2026-01-02 06:59Z", 22, 7, "02 07:00"),
        ("2026-01-02 07:00Z", 22, 7, "02 07:00"),
        ("2026-01-02 12:10Z", 22, 7, "02 12:10"),
        ("2026-01-02 12:10Z", 9, 17, "02 17:00"),
        ("2026-01-02 12:10Z", 5, 5, "02 12:10"),
    ] {
        assert_eq!(db.value(&until(at, from, to)).await, expected, "{at} {from}-{to}");
    }
    let hour = db.int("select extract(hour from now() at time zone 'UTC')::int").await;
    let quiet = json!({ "p_quiet_from": hour, "p_quiet_to": (hour + 2) % 24 });
    counted(&db, 1).await;
    assert_eq!(db.call("alerts_due_v1", quiet).await, Vec::<Value>::new());
    assert_eq!(db.count("messages_owed where due_at > now() + interval '1 hour'").await, 1);
    later(&db, "2 hours").await;
    let bad = due(&db).await;
    assert_eq!(states(&bad), ["bad"]);
    sent(&db, &bad[0]).await;
    let repeat = json!({ "p_repeat_minutes": 180 });
    assert_eq!(db.call("alerts_due_v1", repeat.clone()).await, Vec::<Value>::new());
    later(&db, "61 minutes").await;
    assert_eq!(states(&db.call("alerts_due_v1", repeat.clone()).await), ["still_bad"]);
    assert_eq!(db.call("alerts_due_v1", repeat).await, Vec::<Value>::new());
}

#[tokio::test]
async fn each_healer_that_stopped_is_named_and_the_others_are_not() {
    let db = Database::fresh().await;
    db.exec("select cleanup_all_stale_ai_jobs()").await;
    let begun = db.ask("sweep_begin_v1", json!({ "p_source": "cron" })).await;
    let end = json!({ "p_sweep_id": begun["sweep_id"], "p_delivered": 0, "p_cleaned": 0,
        "p_refunded_credits": 0 });
    assert_has!(db.ask("sweep_end_v1", end.clone()).await, { "ping_queues": true });
    assert_has!(db.ask("sweep_end_v1", end).await, { "ping_queues": false });
    let health = db.ask("health_v2", json!({})).await;
    for healer in ["edge_seconds", "sql_seconds"] {
        assert!(health[healer].as_i64().is_some_and(|seconds| seconds < 60), "{health}");
    }
    assert_has!(health, { "queues_seconds": null, "degraded": [], "stuck": 0, "violations": 0 });
    db.exec(
        "update unstuck_private.healer_marks set asked_at = asked_at - interval '11 minutes',
         seen_at = case when healer = 'edge' then seen_at - interval '4 minutes' else seen_at end",
    )
    .await;
    let health = db.ask("health_v2", json!({})).await;
    let said: Vec<Value> = health["degraded"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["subject"], row["message"]]))
        .collect();
    assert_eq!(
        said,
        [
            json!(["healer:edge", "The sweep of the Workers: last seen 4 minutes ago."]),
            json!(["healer:queues", "The consumers of the queues: never seen."]),
        ]
    );
    assert_eq!(states(&due(&db).await), ["bad", "bad"]);
    // This only healer was called by hand, without a schedule, so no alert expects its next call.
    db.exec("update unstuck_private.healer_marks set seen_at = '-infinity' where healer = 'sql'")
        .await;
    let probe = json!({ "p_function": "generate-website", "p_event": "queue" });
    db.call("event_seen_v1", probe).await;
    let health = db.ask("health_v2", json!({})).await;
    assert_eq!(health["queues_seconds"], 0);
    assert_eq!(health["degraded"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_provider_that_fails_more_than_half_is_named_and_so_are_lost_webhooks_and_alarms() {
    let db = Database::fresh().await;
    let user = db.user(100_000).await;
    for number in 0..20 {
        db.order(user, TRY_ON, 1).await;
        let run = db.claim_one("replicate").await;
        db.started(run, &format!("t{number}")).await;
        if number < 11 {
            db.fail(run, "PROVIDER_FAILED").await;
        } else {
            db.done(run, &format!("t{number}")).await;
            db.complete(run).await;
        }
    }
    let refused = db.order(user, UPSCALER, 1).await;
    db.cancel(user, refused).await.unwrap();
    db.exec("select cleanup_all_stale_ai_jobs()").await;
    db.exec("select provider_alarm_v1('gemini', null, null, '401 key expired', 'a job')").await;
    let degraded = db.ask("health_v2", json!({})).await["degraded"].clone();
    let said: Vec<(&str, &str)> = degraded
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["code"].as_str().unwrap(), row["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [
            ("provider_alarm", "gemini refused what only you can mend: 401 key expired"),
            ("provider_failing", "replicate: 11 of 20 steps failed within 15 minutes."),
            (
                "webhook_overdue",
                "replicate: 20 steps ended within 15 minutes, and no webhook came."
            ),
        ]
    );
}

#[tokio::test]
async fn settings_that_differ_are_named_until_they_agree() {
    let db = Database::fresh().await;
    counted(&db, 0).await;
    let compared = async |names: &str| {
        db.exec(&format!("select settings_compared_v1('{{{names}}}')")).await;
        db.ask("health_v2", json!({})).await["degraded"].clone()
    };
    assert_eq!(compared("").await, json!([]));
    let said = compared("WEBHOOK_SECRET,FUNCTIONS_URL").await;
    assert_has!(said[0], { "code": "settings_disagree",
        "message": "Not the same in all functions: FUNCTIONS_URL, WEBHOOK_SECRET." });
    assert_eq!(states(&due(&db).await), ["bad"]);
    let said = compared("FUNCTIONS_URL").await;
    assert_has!(said[0], { "message": "Not the same in all functions: FUNCTIONS_URL." });
    assert_eq!(compared("").await, json!([]));
}

#[tokio::test]
async fn what_was_bad_when_nobody_watched_it_any_more_is_told_good_once() {
    let db = Database::fresh().await;
    counted(&db, 0).await;
    db.call("ends_due_v1", json!({})).await;
    db.exec(
        "insert into messages_owed (kind, \"to\", body, created_at)
         values ('job_end', 'app', '{}', clock_timestamp() - interval '2 hours')",
    )
    .await;
    let bad = due(&db).await;
    assert_eq!(states(&bad), ["bad"]);
    assert_has!(bad[0]["body"], { "subject": "receiver" });
    sent(&db, &bad[0]).await;
    // No function asks for alerts any more, as if the receiver had been removed from the settings.
    db.exec("update unstuck_private.healer_marks set seen_at = seen_at - interval '2 days'").await;
    let repeat = json!({ "p_repeat_minutes": 1 });
    assert_eq!(db.call("alerts_due_v1", repeat.clone()).await, Vec::<Value>::new());
    later(&db, "61 seconds").await;
    let good = db.call("alerts_due_v1", repeat.clone()).await;
    assert_eq!(states(&good), ["good"]);
    assert_has!(good[0]["body"], { "subject": "receiver",
        "message": "Nobody watches this any more." });
    sent(&db, &good[0]).await;
    later(&db, "1 hour").await;
    assert_eq!(db.call("alerts_due_v1", repeat).await, Vec::<Value>::new());
}

#[tokio::test]
async fn nothing_of_alerts_is_for_anybody_but_the_service() {
    let db = Database::fresh().await;
    for role in ["anon", "authenticated"] {
        db.become_caller(role, None).await;
        let error = db.try_rows("select * from unstuck.messages_owed").await.unwrap_err();
        assert_eq!(error.state, "42501", "{role}");
        db.become_owner().await;
    }
}
