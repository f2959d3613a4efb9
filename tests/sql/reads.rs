//! What callers and healers read: one job, a user's live job, the queue, health; and what a read
//! heals.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, id};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

fn get(user: Value, tool: Value, job: Uuid) -> Value {
    json!({ "p_user_id": user, "p_tool": tool, "p_job_id": job })
}

#[tokio::test]
async fn a_job_is_read_by_its_owner_and_the_service() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(100).await, db.user(60).await);
    let job = db.order(user, UPSCALER, 1).await;
    let row = db.ask("job_get_v1", get(json!(user), json!(UPSCALER), job)).await;
    assert_has!(row, { "status": "queued", "position": 1, "balance": 40 });
    assert_has!(row, { "table_name": "upscaler_jobs", "credits_charged": 60, "total_steps": 1 });
    assert!(row["eta_seconds"].as_i64().unwrap() > 0);
    assert_eq!(db.ask("job_get_v1", get(json!(null), json!(null), job)).await["status"], "queued");
    let in_table = |table: &str| json!({ "p_job_id": job, "p_table": table });
    assert_eq!(db.ask("job_get_v1", in_table("upscaler_jobs")).await["status"], "queued");
    let error = db.refusal("job_get_v1", in_table("nothing")).await;
    assert_eq!((error.state.as_str(), error.message.as_str()), ("PT400", "bad_request"));
    for args in [
        get(json!(other), json!(UPSCALER), job),
        get(json!(user), json!(CARDS), job),
        get(json!(user), json!(UPSCALER), Uuid::new_v4()),
        in_table("veste_ai_jobs"),
    ] {
        let error = db.refusal("job_get_v1", args).await;
        assert_eq!(error.reason(), ("PT404", "not_found"));
    }
}

#[tokio::test]
async fn reading_an_overdue_job_heals_it() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    db.age(job, "11 minutes").await;
    let row = db.ask("job_get_v1", get(json!(user), json!(UPSCALER), job)).await;
    assert_has!(row, {
        "status": "failed",
        "error_code": "QUEUE_TIMEOUT",
        "credits_refunded": 60,
        "balance": 60,
    });
    db.assert_healthy().await;
}

#[tokio::test]
async fn user_heal_v1_touches_no_other_users_job() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(60).await, db.user(60).await);
    let (mine, theirs) = (db.order(user, UPSCALER, 1).await, db.order(other, UPSCALER, 1).await);
    db.age_all("11 minutes").await;
    assert_eq!(
        db.ask("user_heal_v1", json!({ "p_user_id": user })).await,
        json!({ "healed": 1, "refunded_credits": 60 })
    );
    assert_eq!(
        db.ask("user_heal_v1", json!({ "p_user_id": user })).await,
        json!({ "healed": 0, "refunded_credits": 0 })
    );
    assert_eq!(
        (&db.job(mine).await["status"], &db.job(theirs).await["status"]),
        (&json!("failed"), &json!("queued"))
    );
    db.order(user, UPSCALER, 1).await;
}

#[tokio::test]
async fn queue_check_v1_counts_slots_and_waiting_steps() {
    let db = Database::fresh().await;
    for _ in 0..5 {
        let user = db.user(60).await;
        db.order(user, UPSCALER, 1).await;
    }
    db.claim(PROVIDER, 2).await;
    let row = db.ask("queue_check_v1", json!({ "p_provider": PROVIDER })).await;
    assert_has!(row, {
        "max_concurrent": 3,
        "running": 2,
        "slots_available": 1,
        "total_queued": 3,
    });
    assert_has!(row, { "queued_by_tool": { UPSCALER: 3 }, "enabled": true, "last_sweep_at": null });
    assert!(row["oldest_queued_seconds"].is_i64());
    assert!(db.call("queue_check_v1", json!({ "p_provider": "none" })).await.is_empty());
    db.exec("update providers set max_concurrent = 1").await;
    let row = db.ask("queue_check_v1", json!({ "p_provider": PROVIDER })).await;
    assert_eq!(row["slots_available"], 0, "a limit lowered while full");
    db.assert_healthy().await;
}

#[tokio::test]
async fn health_reads_what_the_last_sweep_stored() {
    let db = Database::fresh().await;
    let none = json!({
        "last_sweep_seconds": null,
        "stuck": null,
        "violations": null,
        "wrong_deployment": false,
    });
    assert_eq!(db.health().await, none);
    let sweep = db.begin_sweep().await;
    assert_eq!(db.health().await, none, "begun is not finished");
    let end =
        json!({ "p_sweep_id": sweep, "p_delivered": 1, "p_cleaned": 2, "p_refunded_credits": 60 });
    assert_eq!(
        db.ask("sweep_end_v1", end).await,
        json!({ "stuck": 0, "violations": 0, "remaining": 0, "ping_queues": true,
            "ask_balances": true })
    );
    let row = db.row("select * from sweeps").await;
    assert_has!(row, { "delivered": 1, "cleaned": 2, "refunded_credits": 60 });

    let (_, job) = db.upscale().await;
    db.age(job, "16 minutes").await;
    db.set_job(job, "credits_charged = 59").await;
    let sweep = db.ask("sweep_begin_v1", json!({ "p_source": "http" })).await["sweep_id"].clone();
    let ended = json!({ "stuck": 1, "violations": 1, "remaining": 1, "ping_queues": false,
        "ask_balances": false });
    assert_eq!(db.end_sweep(&sweep).await, ended, "both were asked for a moment ago");
    db.exec("update sweeps set finished_at = finished_at - interval '5 minutes'").await;
    let health = db.health().await;
    assert!(health["last_sweep_seconds"].as_i64().unwrap() >= 300);
    assert_has!(health, { "stuck": 1, "violations": 1 });
}

#[tokio::test]
async fn steps_due_v1_reserves_the_steps_that_a_healer_must_query() {
    let db = Database::open().await;
    db.exec("update providers set max_concurrent = 10").await;
    let user = db.user(1000).await;
    let due = async |provider: &str| {
        let rows = db.due(provider).await;
        rows.iter()
            .map(|row| {
                (
                    row["due"].as_str().unwrap().to_owned(),
                    id(&row["job_id"]),
                    row["overdue"] == true,
                )
            })
            .collect::<Vec<_>>()
    };

    // Unsigned webhooks are only hints, so a running step is queried every 30 s.
    let running = db.order(user, UPSCALER, 1).await;
    db.run(PROVIDER, "t1").await;
    assert!(due(PROVIDER).await.is_empty());
    db.age(running, "31 seconds").await;
    let row = db.due(PROVIDER).await;
    assert_has!(row[0], { "task_id": "t1", "tool": UPSCALER, "user_id": user, "run": 1 });
    assert!(due(PROVIDER).await.is_empty(), "reserved");
    db.age(running, "31 seconds").await;
    assert_eq!(due(PROVIDER).await, [("query".to_owned(), running, false)]);
    db.age(running, "10 minutes").await;
    assert_eq!(due(PROVIDER).await, [("query".to_owned(), running, true)]);
    db.exec("delete from jobs").await;

    // A step that was sent without an answer: a webhook in the inbox may name its task.
    let unknown = db.order(user, UPSCALER, 1).await;
    let attempt = db.submit(PROVIDER).await;
    assert!(due(PROVIDER).await.is_empty(), "the submit may still be on its way");
    db.age(unknown, "26 seconds").await;
    assert_eq!(due(PROVIDER).await, [("inbox".to_owned(), unknown, false)]);
    db.record_webhook(attempt, "t2", json!({ "hello": 1 })).await;
    db.age(unknown, "31 seconds").await;
    let row = db.due(PROVIDER).await;
    assert_has!(row[0], { "due": "inbox", "task_id": "t2" });
    db.exec("delete from jobs").await;

    // The provider has finished and the result is not stored: the lease of the copy has expired.
    let copy = db.order(user, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "t3").await;
    db.done(attempt, "t3").await;
    assert!(due(PROVIDER).await.is_empty());
    db.age(copy, "91 seconds").await;
    let row = db.due(PROVIDER).await;
    assert_has!(row[0], { "due": "copy", "output": { "files": ["t3"] } });
    assert!(due(PROVIDER).await.is_empty(), "reserved");
    assert_eq!(db.done(attempt, "t3").await["outcome"], "stale", "the healer has the lease");
    assert_eq!(db.ask("step_heartbeat_v1", attempt.args()).await["applied"], true);
    assert_eq!(db.complete(attempt).await["outcome"], "completed");

    // Signed webhooks are waited for three minutes; synchronous providers are never queried.
    let chain = db.order(user, TRY_ON, 1).await;
    db.run("replicate", "t4").await;
    db.age(chain, "170 seconds").await;
    assert!(due("replicate").await.is_empty());
    db.age(chain, "2 minutes").await;
    assert_eq!(due("replicate").await, [("query".to_owned(), chain, false)]);
    assert!(due("replicate").await.is_empty(), "once in three minutes");
    db.age(chain, "310 seconds").await;
    assert_eq!(due("replicate").await, [("query".to_owned(), chain, true)]);
    let cards = db.order(user, CARDS, 1).await;
    db.claim_one("gemini").await;
    db.age(cards, "20 minutes").await;
    assert!(due("gemini").await.is_empty() && due("none").await.is_empty());
}

#[tokio::test]
async fn a_page_of_due_steps_is_no_longer_than_asked() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    for task in ["t1", "t2", "t3"] {
        db.order(user, UPSCALER, 1).await;
        db.run(PROVIDER, task).await;
    }
    db.age_all("40 seconds").await;
    let mut seen = Vec::new();
    for rows in [2, 1, 0] {
        let due = db.call("steps_due_v1", json!({ "p_provider": PROVIDER, "p_limit": 2 })).await;
        assert_eq!(due.len(), rows);
        seen.extend(due.iter().map(|row| id(&row["job_id"])));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

/// After a query of the provider: (answer, age in seconds, outcome).
const CHECKED: &[(&str, &str, &str)] = &[
    // Half a minute below each bound, because a round takes time by itself.
    ("running", "570 seconds", "waiting"),
    ("no_answer", "570 seconds", "waiting"),
    ("running", "601 seconds", "failed"),
    ("no_answer", "601 seconds", "waiting"),
    ("no_answer", "690 seconds", "waiting"),
    ("no_answer", "721 seconds", "failed"),
];

#[tokio::test]
async fn step_checked_v1_fails_a_step_past_its_deadline_after_one_grace() {
    let db = Database::fresh().await;
    for (index, &(answer, age, outcome)) in CHECKED.iter().enumerate() {
        let (_, job) = db.upscale().await;
        let task = format!("t{index}");
        let attempt = db.run(PROVIDER, &task).await;
        db.age(job, age).await;
        let row = db.checked(attempt, answer).await;
        assert_eq!(row["outcome"], outcome, "{answer} at {age}");
        assert_eq!(row["refunded"], if outcome == "failed" { 60 } else { 0 });
        if outcome == "failed" {
            db.assert_failed(job, "TIMEOUT", 60).await;
            db.assert_cancel_due(job, &task, 1).await;
            let again = db.checked(attempt, answer).await;
            assert_eq!(again["outcome"], "stale");
        }
        db.exec("update providers set max_concurrent = max_concurrent + 1").await;
    }
}

#[tokio::test]
async fn step_checked_v1_gives_no_grace_to_a_submit_without_an_answer() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.submit(PROVIDER).await;
    db.age(job, "590 seconds").await;
    let checked = async |answer: &str, run: i64| {
        let about = StepRun { run, ..attempt };
        db.try_call("step_checked_v1", about.with(json!({ "p_answer": answer }))).await
    };
    assert_eq!(checked("no_answer", 1).await.unwrap()[0]["outcome"], "waiting");
    assert_eq!(checked("no_answer", 2).await.unwrap()[0]["outcome"], "stale");
    assert_eq!(checked("else", 1).await.unwrap_err().state, "PT400");
    db.age(job, "11 seconds").await;
    assert_eq!(checked("no_answer", 1).await.unwrap()[0]["outcome"], "failed");
    db.assert_failed(job, "TIMEOUT", 60).await;
}

#[tokio::test]
async fn step_checked_v1_does_not_fail_a_finished_step() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.run(PROVIDER, "t1").await;
    db.done(attempt, "t1").await;
    db.age(job, "11 minutes").await;
    assert_eq!(db.checked(attempt, "running").await["outcome"], "stale");
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
}

#[tokio::test]
async fn steps_by_hand_hold_slots() {
    let db = Database::fresh().await;
    db.exec(&format!(
        "with job as (insert into jobs (tool, user_id, status)
            select '{UPSCALER}', gen_random_uuid(), 'running' from generate_series(1, 4)
            returning id)
         insert into job_steps (job_id, step, status) select id, 1, 'running' from job"
    ))
    .await;
    assert_eq!(db.violated().await, ["slots_within_limit"]);
    db.set_slots("runninghub", 4).await;
    db.assert_healthy().await;
    db.set_slots("runninghub", 1).await;
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_cancelled_request_that_runs_is_a_violation() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    db.exec(&format!(
        "insert into cancelled_requests (user_id, job_id) values ('{user}', '{job}')"
    ))
    .await;
    assert_eq!(db.violated().await, ["cancelled_request_never_runs"]);
    db.cancel(user, job).await.unwrap();
    db.assert_healthy().await;
}

#[tokio::test]
async fn waiting_is_a_violation_after_four_minutes_with_a_free_slot() {
    let db = Database::open().await;
    db.exec("update providers set max_concurrent = 1").await;
    // The job has waited for long, but the slot is free only now.
    let (first, second) = (db.user(60).await, db.user(60).await);
    let job = db.order(first, UPSCALER, 1).await;
    let waiting = db.order(second, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "t1").await;
    assert_eq!(attempt.job, job);
    db.age_all("5 minutes").await;
    db.complete(attempt).await;
    db.assert_healthy().await;
    db.age(job, "4 minutes").await;
    assert_eq!(db.violated().await, ["work_waits_for_a_reason"]);
    db.cancel(second, waiting).await.unwrap();
    // The second step of a try-on, which was blocked until now.
    let chain = db.order(db.user(80).await, TRY_ON, 2).await;
    let attempt = db.run("replicate", "p1").await;
    db.age(chain, "5 minutes").await;
    db.complete(attempt).await;
    db.set_slots("replicate", 9).await;
    db.assert_healthy().await;
}
