//! What workers may do to a step: every call with its success, its refusal as stale, and its
//! replay.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, requeue_args};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

#[tokio::test]
async fn a_claim_takes_no_more_than_the_limit_and_gives_a_new_run() {
    let db = Database::fresh().await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        let user = db.user(60).await;
        jobs.push(db.order(user, UPSCALER, 1).await);
    }
    let rows = db.call("step_claim_v1", json!({ "p_provider": PROVIDER, "p_limit": 2 })).await;
    assert_eq!(rows.len(), 2);
    assert_has!(rows[0], { "job_id": jobs[0], "run": 1, "step": 1 });
    assert_has!(rows[0], { "tool": UPSCALER, "attempts": 0 });
    assert_eq!(rows[0]["input"]["body"]["step"], 1);
    assert_eq!(db.claim(PROVIDER, 10).await.len(), 1, "one of three slots was left");
    assert!(db.claim(PROVIDER, 10).await.is_empty());
    assert_eq!(db.job(jobs[0]).await["status"], "starting");
    assert!(db.claim("no-such-provider", 10).await.is_empty());
    assert!(db.claim(PROVIDER, -1).await.is_empty());
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_tool_whose_steps_may_run_for_weeks_keeps_nobody_waiting() {
    let db = Database::fresh().await;
    db.set_tool(UPSCALER, "run_timeout = '30 days'").await;
    let (_, job) = db.upscale().await;
    let rows = db.call("step_claim_v1", json!({ "p_provider": PROVIDER, "p_limit": 2 })).await;
    assert_has!(rows[0], { "job_id": job, "run_ms": i32::MAX });
}

#[tokio::test]
async fn no_step_is_claimed_at_a_disabled_provider_or_before_not_before() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    db.exec("update providers set enabled = false").await;
    assert!(db.claim(PROVIDER, 3).await.is_empty());
    db.exec("update providers set enabled = true").await;
    let attempt = db.claim_one(PROVIDER).await;
    assert_eq!(db.requeue(attempt, "capacity", 60_000).await["outcome"], "queued");
    assert!(db.claim(PROVIDER, 3).await.is_empty(), "the step's delay is not over");
    db.age(job, "61 seconds").await;
    assert_eq!(db.claim_one(PROVIDER).await, StepRun { run: 2, ..attempt });
}

#[tokio::test]
async fn a_claimed_synchronous_step_is_running_at_once() {
    let db = Database::open().await;
    let (_, job) = db.ordered(100, CARDS, 1).await;
    let attempt = db.claim_one("gemini").await;
    let (row, step) = (db.job(job).await, db.step(job, 1).await);
    assert_eq!(
        (&row["status"], &step["status"], &step["attempts"]),
        (&json!("running"), &json!("running"), &json!(1))
    );
    assert!(!row["started_at"].is_null() && !step["lease_until"].is_null());
    assert!(!db.sent(attempt).await, "there is nothing to submit twice");
}

#[tokio::test]
async fn step_sent_v1_applies_once_and_only_to_the_current_run() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.claim_one(PROVIDER).await;
    assert!(!db.sent(StepRun { run: 0, ..attempt }).await);
    assert!(!db.sent(StepRun { run: 2, ..attempt }).await);
    assert!(db.sent(attempt).await);
    assert!(!db.sent(attempt).await, "sent already: do not submit");
    let step = db.step(job, 1).await;
    assert_eq!(step["attempts"], 1);
    assert!(!db.job(job).await["started_at"].is_null());
    assert!(!db.sent(StepRun { job: Uuid::new_v4(), ..attempt }).await);
}

#[tokio::test]
async fn step_started_v1_keeps_the_task_or_owes_its_cancel() {
    let db = Database::fresh().await;
    let (user, _) = (db.user(120).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "t1").await;
    assert_eq!(db.started(attempt, "t1").await, "running", "repeated");
    assert_eq!(db.job(job).await["status"], "running");

    // A step that is cancelled between its submit and the answer owes its provider one cancel of
    // the task.
    db.cancel_by_admin(job).await;
    assert_eq!(db.started(attempt, "t1").await, "stale", "its cancel is owed already");
    let second = db.order(user, UPSCALER, 1).await;
    let attempt = db.submit(PROVIDER).await;
    db.cancel_by_admin(second).await;
    assert_eq!(db.started(attempt, "t2").await, "cancel_due");
    assert_eq!(db.started(attempt, "t2").await, "stale");
    db.assert_cancel_due(second, "t2", 1).await;
    assert_eq!(db.started(StepRun { job: Uuid::new_v4(), ..attempt }, "t3").await, "stale");
    assert_eq!(db.started(attempt, "").await, "stale");
    db.assert_cancelled(second, 60).await;
}

#[tokio::test]
async fn step_started_v1_and_step_done_v2_refuse_another_steps_task() {
    let db = Database::fresh().await;
    let (one, two) = (db.user(60).await, db.user(60).await);
    db.order(one, UPSCALER, 1).await;
    let job = db.order(two, UPSCALER, 1).await;
    db.run(PROVIDER, "t1").await;
    let attempt = db.submit(PROVIDER).await;
    assert_eq!(db.started(attempt, "t1").await, "stale");
    assert_eq!(db.done(attempt, "t1").await["outcome"], "stale");
    assert_eq!(db.step(job, 1).await["provider_task_id"], json!(null));
    db.assert_healthy().await;
}

/// A step whose submit had no answer before an admin cancelled its job.
async fn closed_before_its_answer(db: &Database) -> StepRun {
    let _ = db.admin().await;
    let (_, job) = db.upscale().await;
    let attempt = db.submit(PROVIDER).await;
    db.cancel_by_admin(job).await;
    attempt
}

/// Asserts that calls with a closed step's arguments change nothing for a task of another step.
async fn assert_cannot_touch(db: &Database, closed: StepRun, task: &str) {
    let (owes, events) = (
        "select coalesce(jsonb_agg(provider_cancel_due order by job_id, step), '[]')
            from job_steps",
        "select count(*) from job_events",
    );
    let before = (db.value(owes).await, db.int(events).await);
    assert_eq!(db.started(closed, task).await, "stale", "{task} is another step's task");
    assert_eq!(db.done(closed, task).await["outcome"], "stale", "{task} is another step's task");
    assert_eq!(
        (db.value(owes).await, db.int(events).await),
        before,
        "{task}: no cancel debt and no event is recorded"
    );
}

#[tokio::test]
async fn a_closed_step_owes_no_cancel_for_another_steps_task() {
    let db = Database::fresh().await;
    let (one, two) = (db.user(60).await, db.user(60).await);
    let closed = closed_before_its_answer(&db).await;

    // The task of another user, first at work and then ended.
    let live = db.order(one, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "at-work").await;
    assert_cannot_touch(&db, closed, "at-work").await;
    assert_eq!(db.fail(attempt, "PROVIDER_FAILED").await["outcome"], "failed");
    assert_cannot_touch(&db, closed, "at-work").await;
    db.assert_failed(live, "PROVIDER_FAILED", 60).await;

    // A task whose cancel another step owes stays with that step.
    let other = closed_before_its_answer(&db).await;
    assert_eq!(db.started(other, "owed").await, "cancel_due");
    assert_cannot_touch(&db, closed, "owed").await;
    // A step that still waits for the answer of its submit does not take the task either.
    let waits = db.order(two, UPSCALER, 1).await;
    let attempt = db.submit(PROVIDER).await;
    assert_cannot_touch(&db, attempt, "owed").await;
    assert_eq!(db.step(waits, 1).await["provider_task_id"], json!(null));

    let due: Vec<_> =
        db.due(PROVIDER).await.into_iter().filter(|due| due["due"] == "cancel").collect();
    assert_eq!(due.len(), 1, "{due:?}");
    assert_has!(due[0], { "job_id": other.job, "task_id": "owed" });

    // A task that no other step has is the caller's: the answer to its submit came late.
    assert_eq!(db.started(closed, "its-own").await, "cancel_due");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_step_of_a_try_on_owes_no_cancel_for_the_next_steps_task() {
    let db = Database::fresh().await;
    let user = db.user(200).await;
    db.order(user, TRY_ON, 2).await;
    let first = db.run("replicate", "first").await;
    assert_eq!(db.done(first, "first").await["outcome"], "copy");
    assert_eq!(db.complete(first).await["outcome"], "completed");
    let second = db.run("replicate", "second").await;
    assert_eq!((second.job, second.step), (first.job, 2));
    assert_cannot_touch(&db, first, "second").await;
    assert_cannot_touch(&db, second, "first").await;
    assert_eq!(db.done(second, "second").await["outcome"], "copy");
}

#[tokio::test]
async fn step_started_v1_announces_a_webhook_that_came_first() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    db.order(user, UPSCALER, 1).await;
    let attempt = db.submit(PROVIDER).await;
    let record = async || db.record_webhook(attempt, "t1", json!({ "taskId": "t1" })).await;
    let first = record().await;
    assert_eq!(first["recorded"], true);
    let again = record().await;
    assert_has!(again, { "recorded": false, "inbox_id": first["inbox_id"] });
    let answer = db.ask("step_started_v1", attempt.with(json!({ "p_task_id": "t1" }))).await;
    assert_has!(answer, { "outcome": "running", "webhook_waiting": true });
    for _ in 0..2 {
        let args = json!({ "p_inbox_id": first["inbox_id"] });
        assert_eq!(db.ask("webhook_applied_v1", args).await["applied"], true);
    }
    let answer = db.ask("step_started_v1", attempt.with(json!({ "p_task_id": "t1" }))).await;
    assert_eq!(answer["webhook_waiting"], false);
}

#[tokio::test]
async fn a_capacity_refusal_counts_no_attempt_and_a_transient_failure_counts_one() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    for _ in 0..5 {
        db.probe_is_due().await;
        let attempt = db.submit(PROVIDER).await;
        assert_eq!(db.requeue(attempt, "capacity", 0).await["outcome"], "queued");
        assert_eq!(db.requeue(attempt, "capacity", 0).await["outcome"], "stale");
    }
    // The step was refused before it was sent: its attempts stay 0.
    db.probe_is_due().await;
    let attempt = db.claim_one(PROVIDER).await;
    db.requeue(attempt, "capacity", 0).await;
    let step = db.step(job, 1).await;
    assert_has!(step, { "attempts": 0, "status": "queued", "run": 6 });
    assert_eq!(db.job(job).await["status"], "queued");
    for outcome in ["queued", "queued", "failed"] {
        db.probe_is_due().await;
        let attempt = db.submit(PROVIDER).await;
        let answer = db.requeue(attempt, "transient", 0).await;
        assert_eq!(answer["outcome"], outcome);
        assert_eq!(answer["refunded"], if outcome == "failed" { 60 } else { 0 });
    }
    db.assert_failed(job, "PROVIDER_FAILED", 60).await;
    assert_eq!(db.balance(user).await, 60);
    let error = db.refusal(
        "step_requeue_v1",
        attempt.with(json!({
        "p_kind": "else", "p_delay_ms": 0, "p_error_code": "TIMEOUT", "p_error_message": "no." })),
    );
    assert_eq!(error.await.state, "PT400");
}

#[tokio::test]
async fn a_retry_beyond_the_deadline_fails_the_step_at_once() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.submit(PROVIDER).await;
    assert_eq!(db.requeue(attempt, "capacity", 3_600_000).await["outcome"], "failed");
    db.assert_failed(job, "PROVIDER_FAILED", 60).await;
}

#[tokio::test]
async fn a_heartbeat_renews_the_lease_until_the_deadline() {
    let db = Database::open().await;
    let (_, job) = db.ordered(100, CARDS, 1).await;
    let attempt = db.claim_one("gemini").await;
    let beat = db.ask("step_heartbeat_v1", attempt.args()).await;
    assert_eq!(beat["applied"], true);
    assert!((80_000..=90_000).contains(&beat["lease_ms"].as_i64().unwrap()), "{beat}");
    assert_eq!(
        db.ask("step_heartbeat_v1", StepRun { run: 9, ..attempt }.args()).await["applied"],
        false
    );

    db.set_steps(job, "deadline_at = clock_timestamp() + interval '5 seconds'").await;
    let beat = db.ask("step_heartbeat_v1", attempt.args()).await;
    assert!(beat["lease_ms"].as_i64().unwrap() <= 5_000, "never past the deadline: {beat}");
    db.age(job, "6 seconds").await;
    assert_eq!(
        db.ask("step_heartbeat_v1", attempt.args()).await["applied"],
        false,
        "a lost lease is not won back"
    );
}

#[tokio::test]
async fn step_done_v2_frees_the_slot_and_gives_the_copy_to_one_caller() {
    let db = Database::fresh().await;
    db.exec("update providers set max_concurrent = 1").await;
    let (one, two) = (db.user(60).await, db.user(60).await);
    let job = db.order(one, UPSCALER, 1).await;
    db.order(two, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "t1").await;
    assert!(db.claim(PROVIDER, 1).await.is_empty());
    let expected = json!({ "outcome": "copy", "run": 1, "result": null, "may_start": 1 });
    assert_eq!(db.done(attempt, "t1").await, expected, "the request names no result");
    assert_eq!(db.done(attempt, "t1").await["outcome"], "stale", "another caller has the copy");
    assert_eq!(db.claim(PROVIDER, 1).await.len(), 1, "the slot is free before the copy ends");
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
    let row = db.job(job).await;
    assert!(row["output_url"].as_str().unwrap().ends_with("1-1.png"));
    db.assert_completed(job, 0).await;
    assert_eq!(db.done(attempt, "t1").await["outcome"], "late");
    assert_eq!(db.complete(attempt).await["outcome"], "late");
    assert_eq!(db.fail(attempt, "TIMEOUT").await["outcome"], "stale");
    assert_eq!(db.entries(job).await, [-60]);
}

#[tokio::test]
async fn step_done_v2_is_stale_for_a_step_that_is_not_at_work() {
    let db = Database::open().await;
    let (_, job) = db.ordered(1000, TRY_ON, 2).await;
    let step = |step, run| StepRun { job, step, run };
    assert_eq!(db.done(step(1, 0), "t1").await["outcome"], "stale", "never claimed");
    assert_eq!(db.done(step(1, 1), "t1").await["outcome"], "stale", "a run that does not exist");
    assert_eq!(db.done(step(2, 0), "t1").await["outcome"], "stale", "the step is blocked");
    assert_eq!(db.done(step(3, 0), "t1").await["outcome"], "stale");
    db.run("replicate", "t1").await;
    assert_eq!(db.done(step(1, 1), "other").await["outcome"], "stale", "not this run's task");
    assert_eq!(db.complete(step(2, 0)).await["outcome"], "stale");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_success_of_an_older_run_is_taken_and_the_newer_one_cancelled() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let first = db.submit(PROVIDER).await;
    db.requeue(first, "transient", 0).await;
    let second = db.run(PROVIDER, "t2").await;
    let taken = db.done(first, "t1").await;
    assert_eq!(taken, json!({ "outcome": "copy", "run": 3, "result": null, "may_start": 0 }));
    assert_eq!(
        db.done(first, "t1").await["outcome"],
        "stale",
        "a repeated call takes no lease away"
    );
    assert_eq!(
        db.done(second, "t2").await["outcome"],
        "stale",
        "the newer run's success comes second"
    );
    assert_eq!(db.complete(second).await["outcome"], "stale");
    let step = db.step(job, 1).await;
    assert_eq!(step["provider_task_id"], "t1");
    assert_eq!(step["provider_cancel_due"], json!([{ "task_id": "t2", "run": 2 }]));
    assert_eq!(db.complete(StepRun { run: 3, ..first }).await["outcome"], "completed");
    db.assert_completed(job, 0).await;
    db.age(job, "1 minute").await;
    assert_eq!(db.due(PROVIDER).await.len(), 1, "the newer task's cancel is still owed");
}

#[tokio::test]
async fn a_success_of_a_requeued_run_is_taken() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.submit(PROVIDER).await;
    db.requeue(attempt, "transient", 60_000).await;
    // The provider answered 503 and worked all the same: its picture must be paid.
    let taken = db.done(attempt, "t1").await;
    assert_eq!(taken["outcome"], "copy");
    let run = taken["run"].as_i64().unwrap();
    assert_eq!(db.complete(StepRun { run, ..attempt }).await["outcome"], "completed");
    db.assert_completed(job, 0).await;
}

#[tokio::test]
async fn a_webhook_of_a_run_that_was_requeued_is_found_by_the_healers() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let first = db.submit(PROVIDER).await;
    db.requeue(first, "transient", 0).await;
    db.record_webhook(first, "t1", json!({})).await;
    assert!(db.due(PROVIDER).await.is_empty(), "its own request is at work");
    db.exec("update webhook_inbox set received_at = received_at - interval '31 seconds'").await;
    assert_has!(db.due(PROVIDER).await[0], { "due": "inbox", "run": 1, "task_id": "t1" });
    let second = db.submit(PROVIDER).await;
    assert_has!(db.due(PROVIDER).await[0], { "due": "inbox", "run": 1, "task_id": "t1" });
    let run = db.done(first, "t1").await["run"].as_i64().unwrap();
    assert!(db.due(PROVIDER).await.is_empty());
    assert_eq!(db.complete(second).await["outcome"], "stale");
    assert_eq!(db.complete(StepRun { run, ..first }).await["outcome"], "completed");
    db.assert_completed(job, 0).await;
    assert!(db.due(PROVIDER).await.is_empty());
}

/// A provider that calls the wrong webhook names a task of somebody else.
#[tokio::test]
async fn a_run_that_was_requeued_takes_no_task_but_its_own() {
    for is_retried_by_admin in [false, true] {
        let db = Database::fresh().await;
        let (_, job) = db.upscale().await;
        let attempt = db.run(PROVIDER, "t1").await;
        if is_retried_by_admin {
            db.age(job, "1 day").await;
            let (admin, new) = (db.admin().await, Uuid::new_v4());
            let retry = requeue_args(admin, "upscaler_jobs", job, false, new);
            db.ask("job_requeue_v1", retry).await;
            db.exec("update job_steps set provider_cancel_due = '[]'").await;
        } else {
            db.requeue(attempt, "transient", 60_000).await;
        }
        assert_eq!(db.done(attempt, "t2").await["outcome"], "stale");
        assert_eq!(db.step(job, 1).await["provider_task_id"], Value::Null);
        assert_eq!(
            db.done(attempt, "t1").await["outcome"],
            "copy",
            "it was interrupted, then made"
        );
    }
}

#[tokio::test]
async fn a_success_after_a_cancel_is_recorded_and_changes_nothing() {
    let db = Database::fresh().await;
    let _ = db.admin().await;
    let (_, job) = db.upscale().await;
    let attempt = db.run(PROVIDER, "t1").await;
    db.cancel_by_admin(job).await;
    db.assert_cancel_due(job, "t1", 1).await;
    for _ in 0..2 {
        assert_eq!(db.done(attempt, "t1").await["outcome"], "late");
    }
    let events = format!(
        "select count(*) from job_events where job_id = '{job}' and event = 'late_success'"
    );
    assert_eq!(db.int(&events).await, 1);
    assert_eq!(
        db.step(job, 1).await["provider_cancel_due"],
        json!([]),
        "a finished task needs no cancel"
    );
    assert_eq!(db.complete(attempt).await["outcome"], "late");
    db.assert_cancelled(job, 60).await;
    assert!(db.job(job).await["output_url"].is_null());
}

#[tokio::test]
async fn a_failure_returns_the_credits_once_and_owes_no_cancel() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    let attempt = db.run(PROVIDER, "t1").await;
    assert_eq!(db.fail(StepRun { run: 2, ..attempt }, "TIMEOUT").await["outcome"], "stale");
    let answer = db.fail(attempt, "PROVIDER_REJECTED").await;
    assert_eq!(answer, json!({ "outcome": "failed", "job_status": "failed", "refunded": 60 }));
    assert_eq!(db.fail(attempt, "PROVIDER_REJECTED").await["outcome"], "stale");
    assert_eq!(db.balance(user).await, 60);
    db.assert_failed(job, "PROVIDER_REJECTED", 60).await;
    let (row, step) = (db.job(job).await, db.step(job, 1).await);
    assert_eq!(
        row["error_message"],
        "PROVIDER_REJECTED: it did not work. 60 credits were returned."
    );
    assert!(step["error_message"].as_str().unwrap().starts_with("PROVIDER_REJECTED: "), "{step:#}");
    assert_eq!(step["provider_cancel_due"], json!([]));
}

#[tokio::test]
async fn step_cancelled_v1_removes_a_cancel_debt() {
    let db = Database::fresh().await;
    let _ = db.admin().await;
    let (_, job) = db.upscale().await;
    db.run(PROVIDER, "t1").await;
    db.cancel_by_admin(job).await;
    let owed = db.due(PROVIDER).await;
    assert_eq!(owed.len(), 1);
    assert_has!(owed[0], { "due": "cancel", "task_id": "t1", "run": 1 });
    assert!(db.due(PROVIDER).await.is_empty(), "reserved for a moment");
    for task in ["other", "t1", "t1"] {
        let remaining = db
            .ask("step_cancelled_v1", json!({ "p_job_id": job, "p_step": 1, "p_task_id": task }))
            .await["remaining"]
            .clone();
        assert_eq!(remaining, i32::from(task == "other"));
    }
    db.age(job, "1 minute").await;
    assert!(db.due(PROVIDER).await.is_empty());
}

#[tokio::test]
async fn steps_get_v1_returns_the_steps_that_exist_whatever_the_jobs_row_says() {
    let db = Database::open().await;
    let (_, job) = db.ordered(100, CARDS, 3).await;
    db.exec(&format!("update jobs set total_steps = 2147483647 where id = '{job}'")).await;
    let rows = db.call("steps_get_v1", json!({ "p_job_id": job })).await;
    let steps: Vec<_> = rows.iter().map(|row| row["step"].as_i64().unwrap()).collect();
    assert_eq!(steps, [1, 2, 3]);
    assert_has!(rows[0], { "job_id": job, "status": "queued", "done": false, "sent": false });
    assert!(db.call("steps_get_v1", json!({ "p_job_id": Uuid::new_v4() })).await.is_empty());
}

#[tokio::test]
async fn step_get_v1_shows_the_state_of_a_step() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    assert!(
        db.call("step_get_v1", json!({ "p_job_id": Uuid::new_v4(), "p_step": 1 })).await.is_empty()
    );
    let attempt = db.run(PROVIDER, "t1").await;
    let args = json!({ "p_job_id": job, "p_step": 1 });
    let row = db.ask("step_get_v1", args.clone()).await;
    assert_has!(row, { "status": "running", "sent": true, "done": false, "task_id": "t1" });
    db.done(attempt, "t1").await;
    let row = db.ask("step_get_v1", args).await;
    assert_has!(row, { "done": true, "output": { "files": ["t1"] } });
}

#[tokio::test]
async fn step_requeue_v1_is_stale_once_the_provider_finished() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.run(PROVIDER, "t1").await;
    assert_eq!(db.done(attempt, "t1").await["outcome"], "copy");
    for kind in ["capacity", "transient"] {
        assert_eq!(db.requeue(attempt, kind, 0).await["outcome"], "stale");
    }
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
    db.assert_completed(job, 0).await;
}

#[tokio::test]
async fn an_early_webhooks_copier_keeps_its_lease() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let attempt = db.submit(PROVIDER).await;
    // The webhook arrives before the answer to the submit.
    assert_eq!(db.done(attempt, "t1").await["outcome"], "copy");
    assert_eq!(db.started(attempt, "t1").await, "running");
    assert_eq!(db.done(attempt, "t1").await["outcome"], "stale", "one copier at a time");
    // The worker that copies dies, and a healer continues the copy.
    db.age(job, "91 seconds").await;
    let due = db.due(PROVIDER).await;
    assert_eq!((due.len(), &due[0]["due"]), (1, &json!("copy")));
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
}
