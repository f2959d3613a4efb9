//! Messages to the app's back end: one for each end of a job, sent at least once, and for a day at
//! most.

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, UPSCALER, WEBSITE};
use unstuck_tests::{Database, Session, assert_has};
use uuid::Uuid;

async fn due(db: &Session) -> Vec<Value> {
    db.call("ends_due_v1", json!({})).await
}

async fn reported(db: &Session, message: &Value, is_taken: bool) {
    let args = json!({ "p_id": message["id"], "p_is_taken": is_taken });
    db.call("message_sent_v1", args).await;
}

/// Moves every time of the owed messages back by the interval.
async fn later(db: &Session, interval: &str) {
    db.exec(&format!(
        "update messages_owed set due_at = due_at - interval '{interval}',
           created_at = created_at - interval '{interval}',
           given_up_at = given_up_at - interval '{interval}'"
    ))
    .await;
}

async fn job_is_cancelled(db: &Session) -> (Uuid, Uuid) {
    let (user, job) = db.upscale().await;
    db.cancel(user, job).await.unwrap();
    (user, job)
}

#[tokio::test]
async fn nothing_is_owed_where_nobody_is_told() {
    let db = Database::fresh().await;
    job_is_cancelled(&db).await;
    assert_eq!(db.count("messages_owed").await, 0);
    assert_eq!(due(&db).await, Vec::<Value>::new());
    job_is_cancelled(&db).await;
    assert_eq!(db.count("messages_owed").await, 1, "messages are written from the first call on");
    db.exec("update unstuck_private.healer_marks set seen_at = seen_at - interval '1 day'").await;
    job_is_cancelled(&db).await;
    assert_eq!(
        db.count("messages_owed").await,
        1,
        "no message is written when no function has called for a day"
    );
}

#[tokio::test]
async fn each_end_is_owed_once_as_its_owner_sees_the_job() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    due(&db).await;
    let user = db.user(1_000).await;
    let completed = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "a").await;
    db.done(attempt, "a").await;
    db.complete(attempt).await;
    let failed = db.order(user, CARDS, 1).await;
    let attempt = db.claim_one("gemini").await;
    db.fail(attempt, "CONTENT_REFUSED").await;
    let swept = db.order(user, WEBSITE, 1).await;
    db.age(swept, "11 minutes").await;
    db.sweep().await;
    let cancelled = db.order(user, UPSCALER, 1).await;
    db.cancel(user, cancelled).await.unwrap();
    db.sweep().await;
    let messages = due(&db).await;
    let types: Vec<&str> =
        messages.iter().map(|message| message["body"]["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["job.completed", "job.failed", "job.failed", "job.cancelled"]);
    for (message, job) in messages.iter().zip([completed, failed, swept, cancelled]) {
        let args = json!({ "p_user_id": user, "p_job_id": job });
        let mut shown = db.ask("job_show_v1", args).await["job_show_v1"].clone();
        shown["userId"] = json!(user);
        assert_eq!(message["body"]["data"], shown);
        assert_eq!(message["body"]["timestamp"], shown["completedAt"]);
    }
    assert_eq!(due(&db).await, Vec::<Value>::new(), "one caller has them for a minute");
    for message in &messages {
        reported(&db, message, true).await;
    }
    later(&db, "1 hour").await;
    assert_eq!(due(&db).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_rolled_back_or_was_never_ordered_is_not_told() {
    let db = Database::fresh().await;
    due(&db).await;
    let (user, job) = db.upscale().await;
    db.exec("begin").await;
    db.cancel(user, job).await.unwrap();
    assert_eq!(db.count("messages_owed").await, 1);
    db.exec("rollback").await;
    assert_eq!(db.count("messages_owed").await, 0);
    let page = db.page(user).await;
    page.exec("insert into upscaler_jobs (status, input_file_name) values ('queued', 'in.png')")
        .await;
    db.exec(
        "update jobs set created_at = created_at - interval '10 minutes',
           deadline_at = deadline_at - interval '10 minutes' where status = 'pending'",
    )
    .await;
    db.sweep().await;
    assert_eq!(db.count("jobs where error_code = 'ORPHANED'").await, 1);
    assert_eq!(db.count("messages_owed").await, 0);
}

#[tokio::test]
async fn a_receiver_that_is_away_is_asked_ever_more_seldom_and_given_up_after_a_day() {
    let db = Database::fresh().await;
    due(&db).await;
    job_is_cancelled(&db).await;
    let (mut tries, mut pauses) = (0, Vec::new());
    let mut last = 0;
    for minute in 0..24 * 60 {
        for message in due(&db).await {
            tries += 1;
            pauses.push(minute - last);
            last = minute;
            reported(&db, &message, false).await;
        }
        later(&db, "1 minute").await;
        // The time that this loop takes makes the message no older.
        db.exec(&format!(
            "update unstuck.messages_owed
             set created_at = clock_timestamp() - interval '{} minutes'",
            minute + 1
        ))
        .await;
    }
    assert!((24..40).contains(&tries), "{tries} tries: {pauses:?}");
    assert!(pauses.windows(2).skip(1).all(|pair| pair[0] <= pair[1] + 1), "{pauses:?}");
    let watched = async || {
        db.rows(
            "select subject, is_bad, words from unstuck_private.watched(clock_timestamp())
             where subject like 'receiver%' order by subject",
        )
        .await
    };
    let away = watched().await;
    assert_has!(away[0], { "subject": "receiver", "is_bad": true,
        "words": "Your receiver has not taken the ends of 1 jobs for an hour." });
    assert_has!(away[1], { "subject": "receiver:given_up", "is_bad": false });
    later(&db, "1 minute").await;
    assert_eq!(due(&db).await, Vec::<Value>::new());
    assert_eq!(db.count("messages_owed where given_up_at is not null").await, 1);
    let given_up = watched().await;
    assert_has!(given_up[0], { "subject": "receiver", "is_bad": false });
    assert_has!(given_up[1], { "subject": "receiver:given_up", "is_bad": true,
        "words": "The ends of 1 jobs were given up: your receiver did not take them for a day." });
    let alerts = db.call("alerts_due_v1", json!({})).await;
    let codes: Vec<&Value> = alerts.iter().map(|alert| &alert["body"]["code"]).collect();
    assert!(codes.contains(&&json!("ends_given_up")), "{alerts:?}");
    later(&db, "61 minutes").await;
    assert_has!(watched().await[1], { "is_bad": false });
    later(&db, "40 days").await;
    let pruned = db.rows("select * from unstuck_private.prune_old_rows(clock_timestamp())").await;
    assert_eq!(db.count("messages_owed where kind = 'job_end'").await, 0, "{pruned:?}");
}

#[tokio::test]
async fn a_message_goes_to_one_of_many_callers_and_once_more_where_that_one_died() {
    let db = Database::fresh().await;
    due(&db).await;
    job_is_cancelled(&db).await;
    let sessions = db.sessions(6).await;
    let all = futures::future::join_all(sessions.iter().map(due)).await;
    let messages: Vec<Value> = all.into_iter().flatten().collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    later(&db, "61 seconds").await;
    let repeated = due(&db).await;
    assert_eq!(repeated[0], messages[0], "the receiver knows it by its id");
}

#[tokio::test]
async fn an_erased_user_is_told_of_no_more() {
    let db = Database::fresh().await;
    due(&db).await;
    let (user, _) = job_is_cancelled(&db).await;
    job_is_cancelled(&db).await;
    let admin = db.admin().await;
    let args = json!({ "p_actor": admin, "p_user_id": user, "p_reason": "asked" });
    db.ask("user_erase_v1", args).await;
    assert_eq!(db.count("messages_owed").await, 1);
    assert_eq!(db.count(&format!("messages_owed where user_id = '{user}'")).await, 0);
}
