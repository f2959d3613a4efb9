//! What happens when a clock runs out, state by state, as the SQL healer sees it (no provider is
//! asked).

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, CHAIN, StepRun, UPSCALER, VIDEO, WEBSITE};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq)]
enum StaleState {
    /// An older client's own row, unpaid.
    Pending,
    Queued,
    /// A tool that is more patient.
    VideoQueued,
    /// Put back by a worker, its time still to come.
    QueuedForLater,
    /// A chain whose second step waits.
    ChainWaiting,
    /// Handed over and not sent, with no rescue left.
    StartingRescued,
    Unknown,
    Running,
    /// Finished there, not stored here.
    Undelivered,
    /// A synchronous step with no attempt left.
    Exhausted,
    Website,
    /// Cards of which one was delivered and the others wait.
    CardsPartly,
    CardsNone,
    RunningWithoutSteps,
    QueuedWithoutSteps,
    /// A5: far in the future, whatever its age.
    DeadlineForged,
    DeadlineForgedWithoutSteps,
}

/// (state, still left alone at this age, closed at this age, status, code, what comes back)
type DeadlineCase =
    (StaleState, &'static str, &'static str, &'static str, Option<&'static str>, i64);

const TABLE: &[DeadlineCase] = &[
    (StaleState::Pending, "110 seconds", "121 seconds", "cancelled", Some("ORPHANED"), 0),
    (StaleState::Queued, "595 seconds", "601 seconds", "failed", Some("QUEUE_TIMEOUT"), 60),
    (StaleState::VideoQueued, "3595 seconds", "3601 seconds", "failed", Some("QUEUE_TIMEOUT"), 120),
    (StaleState::QueuedForLater, "650 seconds", "661 seconds", "failed", Some("QUEUE_TIMEOUT"), 60),
    (StaleState::ChainWaiting, "595 seconds", "601 seconds", "failed", Some("TIMEOUT"), 80),
    (StaleState::StartingRescued, "20 seconds", "26 seconds", "failed", Some("TIMEOUT"), 60),
    (StaleState::Unknown, "775 seconds", "781 seconds", "failed", Some("TIMEOUT"), 60),
    (StaleState::Running, "775 seconds", "781 seconds", "failed", Some("TIMEOUT"), 60),
    (
        StaleState::Undelivered,
        "1195 seconds",
        "1201 seconds",
        "failed",
        Some("DELIVERY_FAILED"),
        60,
    ),
    (StaleState::Exhausted, "85 seconds", "91 seconds", "failed", Some("TIMEOUT"), 10),
    // Its own cleanup has three minutes past the deadline to call the function again.
    (StaleState::Website, "775 seconds", "781 seconds", "failed", Some("TIMEOUT"), 50),
    (StaleState::CardsPartly, "595 seconds", "601 seconds", "completed", None, 20),
    (StaleState::CardsNone, "595 seconds", "601 seconds", "failed", Some("QUEUE_TIMEOUT"), 30),
    (StaleState::RunningWithoutSteps, "595 seconds", "601 seconds", "failed", Some("TIMEOUT"), 60),
    (StaleState::QueuedWithoutSteps, "595 seconds", "601 seconds", "failed", Some("TIMEOUT"), 60),
    (
        StaleState::DeadlineForged,
        "1195 seconds",
        "1201 seconds",
        "failed",
        Some("QUEUE_TIMEOUT"),
        60,
    ),
    (
        StaleState::DeadlineForgedWithoutSteps,
        "595 seconds",
        "601 seconds",
        "failed",
        Some("TIMEOUT"),
        60,
    ),
];

/// A row written by hand, with its debit, and without steps.
async fn raw_job(db: &Session, user: Uuid, status: &str, more: &str) -> Uuid {
    let job = Uuid::new_v4();
    let (columns, values) = if more.is_empty() {
        ("", String::new())
    } else {
        (", deadline_at, expires_at", format!(", {more}, {more}"))
    };
    db.exec(&format!(
        "insert into unstuck.jobs (id, tool, user_id, status, credits_charged{columns})
            values ('{job}', '{UPSCALER}', '{user}', '{status}', 60{values});
         insert into unstuck.credit_entries (user_id, job_id, kind, amount)
         values ('{user}', '{job}', 'debit', -60)"
    ))
    .await;
    job
}

async fn put(db: &Session, state: StaleState) -> Uuid {
    let user = db.user(1000).await;
    let task = &format!("{state:?}");
    let far = "clock_timestamp() + interval '1 year'";
    match state {
        StaleState::Pending => {
            let job = Uuid::new_v4();
            db.exec(&format!(
                "insert into unstuck.jobs (id, tool, user_id)
                values ('{job}', '{UPSCALER}', '{user}')"
            ))
            .await;
            job
        }
        StaleState::Queued => db.order(user, UPSCALER, 1).await,
        StaleState::VideoQueued => db.order(user, VIDEO, 1).await,
        StaleState::QueuedForLater => {
            let job = db.order(user, UPSCALER, 1).await;
            let attempt = db.claim_one("runninghub").await;
            db.requeue(attempt, "capacity", 60_000).await;
            job
        }
        StaleState::ChainWaiting => {
            let job = db.order(user, CHAIN, 2).await;
            let attempt = db.run("replicate", task).await;
            db.done(attempt, task).await;
            db.complete(attempt).await;
            job
        }
        StaleState::StartingRescued => {
            let job = db.order(user, UPSCALER, 1).await;
            db.claim_one("runninghub").await;
            db.exec("update unstuck.job_steps set rescues = 3").await;
            job
        }
        StaleState::Unknown => {
            let job = db.order(user, UPSCALER, 1).await;
            let attempt = db.claim_one("runninghub").await;
            assert!(db.sent(attempt).await);
            job
        }
        StaleState::Running | StaleState::Undelivered => {
            let job = db.order(user, UPSCALER, 1).await;
            let attempt = db.run("runninghub", task).await;
            if state == StaleState::Undelivered {
                db.done(attempt, task).await;
            }
            job
        }
        StaleState::Exhausted => {
            let job = db.order(user, CARDS, 1).await;
            db.claim_one("gemini").await;
            db.exec("update unstuck.job_steps set attempts = 3").await;
            job
        }
        StaleState::Website => {
            let job = db.order(user, WEBSITE, 1).await;
            db.claim_one("llm").await;
            job
        }
        StaleState::CardsPartly => {
            let job = db.order(user, CARDS, 3).await;
            let attempt = db.claim_one("gemini").await;
            db.complete(attempt).await;
            job
        }
        StaleState::CardsNone => db.order(user, CARDS, 3).await,
        StaleState::RunningWithoutSteps => raw_job(db, user, "running", "").await,
        StaleState::QueuedWithoutSteps => raw_job(db, user, "queued", "").await,
        StaleState::DeadlineForged => {
            let job = db.order(user, UPSCALER, 1).await;
            // What is moved back later must not move these: they are set anew by `forge`.
            forge(db, job, far).await;
            job
        }
        StaleState::DeadlineForgedWithoutSteps => raw_job(db, user, "queued", far).await,
    }
}

async fn forge(db: &Session, job: Uuid, at: &str) {
    db.exec(&format!(
        "update unstuck.jobs set deadline_at = {at}, expires_at = {at} where id = '{job}'"
    ))
    .await;
    db.exec(&format!("update unstuck.job_steps set deadline_at = {at} where job_id = '{job}'"))
        .await;
}

#[tokio::test]
async fn each_state_is_left_alone_before_its_time_and_closed_after_it() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    for &(state, before, after, status, code, refunded) in TABLE {
        let job = put(&db, state).await;
        let row = db.job(job).await;
        let user = unstuck_tests::shop::id(&row["user_id"]);
        let paid = db.balance(user).await;

        db.age(job, before).await;
        let swept = db.sweep().await;
        assert_eq!(swept["cleaned"], 0, "{state:?} at {before}: {swept}");
        if state == StaleState::DeadlineForged || state == StaleState::DeadlineForgedWithoutSteps {
            forge(&db, job, "clock_timestamp() + interval '1 day'").await;
        }

        db.age(job, &format!("{after}' - interval '{before}")).await;
        let swept = db.sweep().await;
        assert_has!(swept, {
            "cleaned": 1,
            "refunded_credits": refunded,
        }, "{state:?} at {after}: {swept}");
        assert_eq!(swept["remaining"], 0, "{state:?}");
        db.assert_closed(job, status, code, refunded).await;
        assert_eq!(db.balance(user).await, paid + refunded, "{state:?}");
        let again = db.sweep().await;
        assert_has!(again, { "cleaned": 0, "refunded_credits": 0, "requeued": 0 }, "{state:?}");
    }
}

#[tokio::test]
async fn the_message_names_the_minutes_and_the_credits() {
    let db = Database::fresh().await;
    let job = put(&db, StaleState::Running).await;
    db.age(job, "14 minutes").await;
    db.sweep().await;
    assert_eq!(
        db.job(job).await["error_message"],
        "TIMEOUT: no result after 14 minutes. 60 credits were returned."
    );
    assert_eq!(
        db.step(job, 1).await["provider_cancel_due"],
        json!([{ "task_id": "Running", "run": 1 }]),
        "told to stop by the next edge run"
    );
}

#[tokio::test]
async fn what_was_handed_over_and_never_sent_goes_back_three_times() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let job = db.order(user, UPSCALER, 1).await;
    for rescues in 1..=3 {
        let attempt = db.claim_one("runninghub").await;
        assert_eq!(attempt.run, rescues);
        db.age(job, "26 seconds").await;
        let swept = db.sweep().await;
        assert_has!(swept, { "requeued": 1, "cleaned": 0 });
        let step = db.step(job, 1).await;
        assert_has!(step, { "status": "queued", "rescues": rescues, "attempts": 0 });
        assert_eq!(db.job(job).await["status"], "queued");
        assert!(!db.sent(attempt).await, "the worker that lost its lease submits nothing");
    }
    db.claim_one("runninghub").await;
    db.age(job, "26 seconds").await;
    assert_eq!(db.sweep().await["cleaned"], 1);
    db.assert_closed(job, "failed", Some("TIMEOUT"), 60).await;
}

#[tokio::test]
async fn a_dead_synchronous_attempt_is_repeated_and_its_siblings_go_on() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(100).await;
    let job = db.order(user, CARDS, 2).await;
    let claimed = db.claim("gemini", 2).await;
    for attempts in 1..=3 {
        assert_eq!(db.step(job, 1).await["attempts"], attempts);
        db.age(job, "91 seconds").await;
        // The other card's worker lives.
        db.exec(&format!(
            "update unstuck.job_steps
            set lease_until = clock_timestamp() + interval '60 seconds' where job_id = '{job}'
            and step = 2"
        ))
        .await;
        let swept = db.sweep().await;
        if attempts < 3 {
            assert_eq!(swept["requeued"], 1);
            assert_eq!(db.claim("gemini", 5).await, [StepRun { job, step: 1, run: attempts + 1 }]);
        } else {
            assert_has!(swept, { "requeued": 0, "refunded_credits": 10 });
        }
    }
    assert_eq!(db.job(job).await["status"], "running");
    assert_eq!(db.balance(user).await, 90);
    db.complete(claimed[1]).await;
    db.assert_closed(job, "completed", None, 10).await;
}

#[tokio::test]
async fn a_website_whose_worker_died_is_left_for_its_own_cleanup() {
    let db = Database::fresh().await;
    let job = {
        db.open_all_tools().await;
        put(&db, StaleState::Website).await
    };
    db.age(job, "5 minutes").await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 0, "requeued": 0 });
    assert_eq!(db.step(job, 1).await["status"], "running");
}

#[tokio::test]
async fn a_row_with_steps_but_nothing_else_is_swept_whole() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    for (tool, provider, refunded) in [(UPSCALER, "runninghub", 60), (CARDS, "gemini", 60)] {
        let (user, job) = (db.user(60).await, Uuid::new_v4());
        db.exec(&format!(
            "insert into unstuck.jobs (id, tool, user_id, status, credits_charged, total_steps,
                created_at)
             values ('{job}', '{tool}', '{user}', 'running', 60, 2, clock_timestamp() - interval
             '3 hours');
             insert into unstuck.job_steps (job_id, step, status, provider)
             values ('{job}', 1, 'running', '{provider}');
             insert into unstuck.job_steps (job_id, step, provider)
             values ('{job}', 2, '{provider}');
             insert into unstuck.credit_entries (user_id, job_id, kind, amount)
             values ('{user}', '{job}', 'debit', -60)"
        ))
        .await;
        assert_eq!(db.sweep().await["cleaned"], 1, "{tool}");
        db.assert_closed(job, "failed", Some("TIMEOUT"), refunded).await;
        assert_eq!(db.balance(user).await, 60, "{tool}");
    }
}

#[tokio::test]
async fn a_step_by_hand_without_a_lease_does_not_outlive_its_time() {
    let db = Database::fresh().await;
    for (tool, status) in
        [(UPSCALER, "starting"), (CARDS, "starting"), (CARDS, "running"), (WEBSITE, "starting")]
    {
        let (user, job) = (db.user(60).await, Uuid::new_v4());
        db.exec(&format!(
            "insert into unstuck.jobs (id, tool, user_id, status, created_at)
             values ('{job}', '{tool}', '{user}', '{status}', clock_timestamp() - interval
             '11 minutes');
             insert into unstuck.job_steps (job_id, step, status) values ('{job}', 1, '{status}');
             insert into unstuck.credit_entries (user_id, job_id, kind, amount)
             values ('{user}', '{job}', 'debit', -60)"
        ))
        .await;
        assert_eq!(db.sweep().await["cleaned"], 1, "{tool} {status}");
        db.assert_closed(job, "failed", Some("TIMEOUT"), 60).await;
    }
}

#[tokio::test]
async fn a_paid_row_that_is_called_pending_waits_like_a_queued_one() {
    let db = Database::fresh().await;
    let user = db.user(120).await;
    for (steps, code) in [(0, "TIMEOUT"), (1, "QUEUE_TIMEOUT")] {
        let job = raw_job(&db, user, "pending", "").await;
        db.exec(&format!(
            "insert into unstuck.job_steps (job_id, step) select '{job}', n
                from generate_series(1, {steps}) n"
        ))
        .await;
        db.age(job, "9 minutes").await;
        assert_eq!(db.sweep().await["cleaned"], 0, "{steps} steps");
        db.age(job, "2 minutes").await;
        assert_eq!(db.sweep().await["cleaned"], 1, "{steps} steps");
        db.assert_closed(job, "failed", Some(code), 60).await;
        let message = format!("{code}: not started after 11 minutes. 60 credits were returned.");
        assert_eq!(db.job(job).await["error_message"], message);
    }
}

#[tokio::test]
async fn a_jobs_own_deadline_moved_back_counts() {
    let db = Database::fresh().await;
    let job = put(&db, StaleState::Running).await;
    for (by, cleaned) in [("2 minutes", 0), ("4 minutes", 1)] {
        db.exec(&format!(
            "update unstuck.jobs set deadline_at = clock_timestamp() - interval '{by}'
                where id = '{job}'"
        ))
        .await;
        assert_eq!(db.sweep().await["cleaned"], cleaned, "{by}");
    }
    db.assert_closed(job, "failed", Some("TIMEOUT"), 60).await;
    assert_ne!(db.step(job, 1).await["provider_cancel_due"], json!([]));
}

#[tokio::test]
async fn a_steps_own_deadline_moved_back_counts() {
    let db = Database::fresh().await;
    let job = put(&db, StaleState::Running).await;
    for (by, cleaned) in [("2 minutes", 0), ("4 minutes", 1)] {
        db.exec(&format!(
            "update unstuck.job_steps set deadline_at = clock_timestamp() - interval '{by}'
                where job_id = '{job}'"
        ))
        .await;
        assert_eq!(db.sweep().await["cleaned"], cleaned, "{by}");
    }
    db.assert_closed(job, "failed", Some("TIMEOUT"), 60).await;
}

#[tokio::test]
async fn a_live_job_whose_steps_all_ended_is_closed() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let job = db.order(user, UPSCALER, 1).await;
    db.exec("update unstuck.job_steps set status = 'failed', completed_at = clock_timestamp()")
        .await;
    db.age(job, "11 minutes").await;
    assert_eq!(db.sweep().await["cleaned"], 1);
    db.assert_closed(job, "failed", Some("QUEUE_TIMEOUT"), 60).await;
}

#[tokio::test]
async fn the_hard_limit_counts_from_an_admins_requeue() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(60).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "t1").await;
    db.age(job, "12 minutes").await;
    let args = json!({ "p_actor": admin, "p_table": "upscaler_jobs", "p_job_id": job,
        "p_charge": false, "p_new_job_id": Uuid::new_v4() });
    assert_eq!(db.ask("job_requeue_v1", args).await["retried"], true);
    db.age(job, "9 minutes").await;
    assert_eq!(db.sweep().await["cleaned"], 0, "its patience began anew");
    assert_eq!(db.claim_one("runninghub").await.run, attempt.run + 2);
}

#[tokio::test]
async fn the_legacy_healer_answers_for_every_table() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    for state in [StaleState::Running, StaleState::Running, StaleState::CardsPartly] {
        let job = put(&db, state).await;
        db.exec(&format!(
            "update unstuck.job_steps set provider_task_id = null where job_id = '{job}'"
        ))
        .await;
        db.age(job, "14 minutes").await;
    }
    let rows = db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    let mut names: Vec<&str> = rows.iter().filter_map(|row| row["table_name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "generation_history",
            "generation_jobs",
            "pose_changer_jobs",
            "replicate_tasks",
            "upscaler_jobs",
            "veste_ai_jobs",
            "video_upscaler_jobs"
        ]
    );
    let of = |rows: &[Value], table: &str| {
        rows.iter().find(|row| row["table_name"] == table).cloned().unwrap()
    };
    assert_eq!(
        of(&rows, "upscaler_jobs"),
        json!({ "table_name": "upscaler_jobs", "cancelled_count": 2, "refunded_credits": 120 })
    );
    assert_eq!(
        of(&rows, "generation_jobs"),
        json!({ "table_name": "generation_jobs", "cancelled_count": 1, "refunded_credits": 20 })
    );
    let again = db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    assert!(
        again.len() == 7
            && again.iter().all(|row| row["cancelled_count"] == 0 && row["refunded_credits"] == 0),
        "{again:?}"
    );
    db.assert_healthy().await;
}

#[tokio::test]
async fn the_fixed_intervals_come_from_one_place() {
    let db = Database::fresh().await;
    db.exec(
        "create or replace function unstuck_private.intervals()
         returns table (orphan interval, grace interval, sql_wait interval, lease interval,
         check_every interval)
         language sql stable as $$ select interval '1 s', interval '1 s', interval '1 s', interval
         '1 s', interval '1 s' $$",
    )
    .await;
    let job = put(&db, StaleState::Pending).await;
    db.age(job, "2 seconds").await;
    let unknown = put(&db, StaleState::Unknown).await;
    db.age(unknown, "602 seconds").await;
    assert_eq!(db.sweep().await["cleaned"], 2);
}
