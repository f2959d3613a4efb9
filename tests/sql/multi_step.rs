//! Jobs of many steps from their order to their end: steps in a row, and parallel steps.

use serde_json::json;
use unstuck_tests::Database;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON};

#[tokio::test]
async fn each_step_of_a_try_on_is_given_the_previous_output() {
    let db = Database::open().await;
    let (user, job) = db.ordered(200, TRY_ON, 3).await;
    for step in 1..=3 {
        let rows =
            db.call("step_claim_v1", json!({ "p_provider": "replicate", "p_limit": 5 })).await;
        assert_eq!(rows.len(), 1, "one step at a time");
        assert_eq!(rows[0]["step"], step);
        let previous = if step == 1 {
            json!(null)
        } else {
            json!(format!("https://files.invalid/{job}/{}-1.png", step - 1))
        };
        assert_eq!(rows[0]["previous_output_url"], previous);
        assert_eq!(rows[0]["run_ms"], 600_000);
        let attempt = StepRun { job, step, run: 1 };
        let task = format!("t{step}");
        assert!(db.sent(attempt).await);
        db.started(attempt, &task).await;
        assert_eq!(db.job(job).await["current_step"], step);
        db.done(attempt, &task).await;
        let answer = db.complete(attempt).await;
        let status = if step == 3 { "completed" } else { "running" };
        let expected = json!({ "outcome": "completed", "job_status": status, "refunded": 0,
            "may_start": i64::from(step < 3) });
        assert_eq!(answer, expected);
        if step < 3 {
            assert_eq!(
                db.job(job).await["status"],
                "running",
                "a started job is not shown as queued"
            );
        }
    }
    db.assert_completed(job, 0).await;
    assert_eq!(db.balance(user).await, 80);
    assert!(db.job(job).await["output_url"].as_str().unwrap().ends_with("3-1.png"));
}

#[tokio::test]
async fn a_failed_try_on_refunds_everything_and_shows_no_output() {
    let db = Database::open().await;
    let (user, job) = db.ordered(200, TRY_ON, 3).await;
    let first = db.run("replicate", "t1").await;
    db.done(first, "t1").await;
    db.complete(first).await;
    let second = db.run("replicate", "t2").await;
    assert_eq!(
        db.fail(second, "PROVIDER_FAILED").await,
        json!({ "outcome": "failed", "job_status": "failed", "refunded": 120 })
    );
    assert_eq!(db.step_statuses(job).await, ["completed", "failed", "failed"]);
    db.assert_failed(job, "PROVIDER_FAILED", 120).await;
    assert_eq!(db.balance(user).await, 200);
}

#[tokio::test]
async fn a_step_runs_no_longer_than_its_job_may_live() {
    let db = Database::open().await;
    let (_, job) = db.ordered(200, TRY_ON, 2).await;
    db.set_job(job, "expires_at = clock_timestamp() + interval '90 seconds'").await;
    let rows = db.call("step_claim_v1", json!({ "p_provider": "replicate", "p_limit": 5 })).await;
    assert!(
        rows[0]["run_ms"].as_i64().is_some_and(|ms| (80_000..=90_000).contains(&ms)),
        "{rows:?}"
    );
}

#[tokio::test]
async fn steps_due_v1_gives_every_running_step_and_the_longest_unchecked_first() {
    let db = Database::open().await;
    let user = db.user(1_000).await;
    let mut jobs = Vec::new();
    for task in ["t1", "t2", "t3"] {
        jobs.push(db.order(user, TRY_ON, 1).await);
        db.run("replicate", task).await;
    }
    let lost = db.order(user, TRY_ON, 1).await;
    db.submit("replicate").await;
    let open = async |all: bool, limit: i64| {
        db.call(
            "steps_due_v1",
            json!({ "p_provider": "replicate", "p_limit": limit, "p_all": all }),
        )
        .await
    };
    assert!(open(false, 10).await.is_empty(), "signed webhooks tell, and nothing is overdue");
    // The checker does not run, so a lost webhook would be noticed after three minutes.
    db.age(jobs[0], "181 seconds").await;
    let due = open(false, 10).await;
    assert_eq!((due.len(), &due[0]["task_id"], &due[0]["due"]), (1, &json!("t1"), &json!("query")));
    assert!(open(false, 10).await.is_empty(), "once in three minutes");
    db.exec("update job_steps set checked_at = sent_at").await;
    let page = open(true, 2).await;
    assert_eq!(
        page.iter().map(|row| row["task_id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["t1", "t2"]
    );
    assert!(page.iter().all(|row| row["open"] == 3 && row["due"] == "query"), "{page:?}");
    assert_eq!(open(true, 2).await[0]["task_id"], "t3", "the step that was left over comes first");
    db.age(lost, "30 seconds").await;
    let row = open(true, 10).await.into_iter().find(|row| row["due"] == "inbox").unwrap();
    assert_has!(row, { "job_id": lost, "task_id": null });
    assert!(
        row["sent_seconds"].as_i64().is_some_and(|seconds| (30..60).contains(&seconds)),
        "{row}"
    );
    let since = format!(
        "select sent_at - interval '2 minutes' = '{}' from job_steps
            where job_id = '{lost}'",
        row["sent_since"].as_str().unwrap()
    );
    assert_eq!(db.value(&since).await, true);
}

#[tokio::test]
async fn each_failed_card_refunds_its_share_at_once() {
    let db = Database::open().await;
    let (user, job) = db.ordered(100, CARDS, 4).await;
    let claimed = db.claim("gemini", 10).await;
    assert_eq!(claimed.len(), 4);
    assert_eq!(db.complete(claimed[0]).await["job_status"], "running");
    assert_eq!(
        db.fail(claimed[1], "CONTENT_REFUSED").await,
        json!({ "outcome": "failed", "job_status": "running", "refunded": 10 })
    );
    assert_eq!(db.balance(user).await, 70, "its share comes back at once");
    assert_eq!(db.fail(claimed[1], "CONTENT_REFUSED").await["outcome"], "stale");
    assert_eq!(db.fail(claimed[2], "PROVIDER_FAILED").await["refunded"], 10);
    let answer = db.complete(claimed[3]).await;
    assert_has!(answer, { "outcome": "completed", "job_status": "completed" });
    db.assert_completed(job, 20).await;
    assert_eq!(db.balance(user).await, 80);
}

#[tokio::test]
async fn a_set_whose_last_card_fails_is_completed_with_the_others() {
    let db = Database::open().await;
    let (_, job) = db.ordered(100, CARDS, 2).await;
    let claimed = db.claim("gemini", 10).await;
    db.complete(claimed[0]).await;
    let answer = db.fail(claimed[1], "CONTENT_REFUSED").await;
    assert_eq!(answer, json!({ "outcome": "failed", "job_status": "completed", "refunded": 10 }));
    db.assert_completed(job, 10).await;
}

#[tokio::test]
async fn a_set_without_any_card_is_failed_and_refunded() {
    let db = Database::open().await;
    let (user, job) = db.ordered(100, CARDS, 3).await;
    for attempt in db.claim("gemini", 10).await {
        db.fail(attempt, "CONTENT_REFUSED").await;
    }
    db.assert_failed(job, "CONTENT_REFUSED", 30).await;
    assert_eq!(db.balance(user).await, 100);
}

#[tokio::test]
async fn a_cancel_keeps_the_delivered_cards_and_their_price() {
    let db = Database::open().await;
    let (user, _) = (db.user(100).await, db.admin().await);
    let job = db.order(user, CARDS, 3).await;
    let claimed = db.claim("gemini", 10).await;
    db.complete(claimed[0]).await;
    let answer = db.cancel_by_admin(job).await;
    assert_eq!(
        answer,
        json!({ "status": "cancelled", "refunded_credits": 20, "provider": "gemini" })
    );
    db.assert_cancelled(job, 20).await;
    assert_eq!(db.complete(claimed[1]).await["outcome"], "late");
    assert_eq!(db.balance(user).await, 90);
}

#[tokio::test]
async fn the_deadline_of_waiting_cards_is_put_off_while_a_sibling_works() {
    let db = Database::open().await;
    db.set_tool(CARDS, "run_timeout = '30 minutes'").await;
    let (_, job) = db.ordered(100, CARDS, 3).await;
    let first = db.claim_one("gemini").await;
    db.age(job, "11 minutes").await;
    db.exec(&format!(
        "update job_steps
        set lease_until = clock_timestamp() + interval '60 seconds' where job_id = '{job}'
        and step = 1"
    ))
    .await;
    assert_eq!(db.sweep().await["cleaned"], 0);
    assert_eq!(db.claim("gemini", 1).await.len(), 1, "the second card's deadline was put off");
    assert_eq!(db.complete(first).await["job_status"], "running");
    assert_eq!(db.sweep().await["cleaned"], 0);
    assert_eq!(db.claim("gemini", 1).await.len(), 1, "nor did the third's");
    db.assert_healthy().await;
}
