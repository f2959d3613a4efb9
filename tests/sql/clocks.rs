//! What the SQL healer does with a job past its deadline, for each state. It queries no provider.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, VIDEO, WEBSITE, id, requeue_args};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq)]
enum StaleState {
    /// An older client's own row, unpaid.
    Pending,
    Queued,
    /// A tool whose jobs may wait longer.
    VideoQueued,
    /// Requeued by a worker with a delay.
    QueuedForLater,
    /// A try-on whose second step waits.
    TryOnWaiting,
    /// Claimed but never sent, and requeued for that as often as allowed.
    StartingRescued,
    /// Sent, and the provider has not answered.
    Unknown,
    Running,
    /// Finished at the provider, not copied into our storage yet.
    Undelivered,
    /// A synchronous step with no attempt left.
    Exhausted,
    Website,
    /// One card is delivered and the others wait.
    CardsPartly,
    CardsNone,
    RunningWithoutSteps,
    QueuedWithoutSteps,
    /// A deadline far in the future, which the job's age does not allow.
    DeadlineForged,
    DeadlineForgedWithoutSteps,
}

use StaleState::*;

/// (state, an age in seconds at which the job is left alone, an age at which it is closed, status,
/// code, refunded credits)
type DeadlineCase = (StaleState, i64, i64, &'static str, Option<&'static str>, i64);

const TABLE: &[DeadlineCase] = &[
    (Pending, 110, 121, "cancelled", Some("ORPHANED"), 0),
    (Queued, 595, 601, "failed", Some("QUEUE_TIMEOUT"), 60),
    (VideoQueued, 3595, 3601, "failed", Some("QUEUE_TIMEOUT"), 120),
    (QueuedForLater, 650, 661, "failed", Some("QUEUE_TIMEOUT"), 60),
    (TryOnWaiting, 595, 601, "failed", Some("TIMEOUT"), 80),
    (StartingRescued, 20, 26, "failed", Some("TIMEOUT"), 60),
    (Unknown, 775, 781, "failed", Some("TIMEOUT"), 60),
    (Running, 775, 781, "failed", Some("TIMEOUT"), 60),
    (Undelivered, 1195, 1201, "failed", Some("DELIVERY_FAILED"), 60),
    (Exhausted, 85, 91, "failed", Some("TIMEOUT"), 10),
    // `cleanup-stale-generations` has three minutes after the deadline to call the function again.
    (Website, 775, 781, "failed", Some("TIMEOUT"), 50),
    (CardsPartly, 595, 601, "completed", None, 20),
    (CardsNone, 595, 601, "failed", Some("QUEUE_TIMEOUT"), 30),
    (RunningWithoutSteps, 595, 601, "failed", Some("TIMEOUT"), 60),
    (QueuedWithoutSteps, 595, 601, "failed", Some("TIMEOUT"), 60),
    (DeadlineForged, 1195, 1201, "failed", Some("QUEUE_TIMEOUT"), 60),
    (DeadlineForgedWithoutSteps, 595, 601, "failed", Some("TIMEOUT"), 60),
];

/// Writes a job and its debit of 60 credits by hand; the row says that it was charged, and it has
/// no steps.
async fn charged_job(db: &Session, user: Uuid, status: &str, more: &[(&str, &str)]) -> Uuid {
    let more = [&[("credits_charged", "60")], more].concat();
    let job = db.insert_job(user, UPSCALER, status, &more).await;
    db.insert_entry(user, Some(job), "debit", -60).await;
    job
}

/// Makes a job in that state, of a new user.
async fn put(db: &Session, state: StaleState) -> Uuid {
    let user = db.user(1000).await;
    let task = &format!("{state:?}");
    let far = "clock_timestamp() + interval '1 year'";
    let (tool, steps) = match state {
        Pending => return db.insert_job(user, UPSCALER, "pending", &[]).await,
        RunningWithoutSteps => return charged_job(db, user, "running", &[]).await,
        QueuedWithoutSteps => return charged_job(db, user, "queued", &[]).await,
        DeadlineForgedWithoutSteps => {
            let forged = [("deadline_at", far), ("expires_at", far)];
            return charged_job(db, user, "queued", &forged).await;
        }
        VideoQueued => (VIDEO, 1),
        TryOnWaiting => (TRY_ON, 2),
        Website => (WEBSITE, 1),
        Exhausted => (CARDS, 1),
        CardsPartly | CardsNone => (CARDS, 3),
        _ => (UPSCALER, 1),
    };
    let job = db.order(user, tool, steps).await;
    match state {
        QueuedForLater => {
            db.requeue(db.claim_one("runninghub").await, "capacity", 60_000).await;
        }
        TryOnWaiting => {
            let attempt = db.run("replicate", task).await;
            db.done(attempt, task).await;
            db.complete(attempt).await;
        }
        StartingRescued => {
            db.claim_one("runninghub").await;
            db.set_steps(job, "rescues = 3").await;
        }
        Unknown => drop(db.submit("runninghub").await),
        Running | Undelivered => {
            let attempt = db.run("runninghub", task).await;
            if state == Undelivered {
                db.done(attempt, task).await;
            }
        }
        Exhausted => {
            db.claim_one("gemini").await;
            db.set_steps(job, "attempts = 3").await;
        }
        Website => drop(db.claim_one("llm").await),
        CardsPartly => drop(db.complete(db.claim_one("gemini").await).await),
        DeadlineForged => forge(db, job, far).await,
        _ => {}
    }
    job
}

/// Writes every deadline of a job by hand.
async fn forge(db: &Session, job: Uuid, at: &str) {
    db.set_job(job, &format!("deadline_at = {at}, expires_at = {at}")).await;
    db.set_steps(job, &format!("deadline_at = {at}")).await;
}

#[tokio::test]
async fn a_job_in_each_state_is_closed_at_its_deadline_and_not_before() {
    let db = Database::open().await;
    for &(state, before, after, status, code, refunded) in TABLE {
        let job = put(&db, state).await;
        let user = id(&db.job(job).await["user_id"]);
        let paid = db.balance(user).await;

        db.age(job, &format!("{before} seconds")).await;
        let swept = db.sweep().await;
        assert_eq!(swept["cleaned"], 0, "{state:?} at {before} s: {swept}");
        // `age` moved the forged deadlines back too.
        if matches!(state, DeadlineForged | DeadlineForgedWithoutSteps) {
            forge(&db, job, "clock_timestamp() + interval '1 day'").await;
        }

        db.age(job, &format!("{} seconds", after - before)).await;
        let swept = db.sweep().await;
        assert_has!(
            swept,
            { "cleaned": 1, "refunded_credits": refunded, "remaining": 0 },
            "{state:?} at {after} s"
        );
        db.assert_closed(job, status, code, refunded).await;
        assert_eq!(db.balance(user).await, paid + refunded, "{state:?}");
        let again = db.sweep().await;
        assert_has!(again, { "cleaned": 0, "refunded_credits": 0, "requeued": 0 }, "{state:?}");
    }
}

#[tokio::test]
async fn the_error_message_of_a_timeout_names_the_minutes_and_the_credits() {
    let db = Database::fresh().await;
    let job = put(&db, Running).await;
    db.age(job, "14 minutes").await;
    db.sweep().await;
    let expected = "TIMEOUT: no result after 14 minutes. 60 credits were returned.";
    assert_eq!(db.job(job).await["error_message"], expected);
    db.assert_cancel_due(job, "Running", 1).await;
}

#[tokio::test]
async fn a_claimed_step_that_was_never_sent_is_requeued_three_times() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
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
    db.assert_failed(job, "TIMEOUT", 60).await;
}

#[tokio::test]
async fn a_dead_synchronous_attempt_is_retried_while_its_siblings_go_on() {
    let db = Database::open().await;
    let (user, job) = db.ordered(100, CARDS, 2).await;
    let claimed = db.claim("gemini", 2).await;
    for attempts in 1..=3 {
        assert_eq!(db.step(job, 1).await["attempts"], attempts);
        db.age(job, "91 seconds").await;
        // The other card's worker is alive.
        db.exec(&format!(
            "update job_steps
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
    db.assert_completed(job, 10).await;
}

#[tokio::test]
async fn a_website_whose_worker_died_is_left_to_its_own_cleanup() {
    let db = Database::open().await;
    let job = put(&db, Website).await;
    db.age(job, "5 minutes").await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 0, "requeued": 0 });
    assert_eq!(db.step(job, 1).await["status"], "running");
}

const THREE_HOURS_AGO: (&str, &str) = ("created_at", "clock_timestamp() - interval '3 hours'");

#[tokio::test]
async fn a_job_by_hand_whose_steps_have_no_times_is_closed_with_all_of_them() {
    let db = Database::open().await;
    for (tool, provider) in [(UPSCALER, "'runninghub'"), (CARDS, "'gemini'")] {
        let user = db.user(60).await;
        let two_steps = [("total_steps", "2"), ("credits_charged", "60"), THREE_HOURS_AGO];
        let job = db.insert_job(user, tool, "running", &two_steps).await;
        for (step, status) in [(1, "running"), (2, "queued")] {
            db.insert_step(job, step, status, &[("provider", provider)]).await;
        }
        db.insert_entry(user, Some(job), "debit", -60).await;
        assert_eq!(db.sweep().await["cleaned"], 1, "{tool}");
        db.assert_failed(job, "TIMEOUT", 60).await;
        assert_eq!(db.balance(user).await, 60, "{tool}");
    }
}

#[tokio::test]
async fn a_step_by_hand_without_a_lease_is_failed_past_its_deadline() {
    let db = Database::fresh().await;
    let created = [("created_at", "clock_timestamp() - interval '11 minutes'")];
    for (tool, status) in
        [(UPSCALER, "starting"), (CARDS, "starting"), (CARDS, "running"), (WEBSITE, "starting")]
    {
        let user = db.user(60).await;
        let job = db.insert_job(user, tool, status, &created).await;
        db.insert_step(job, 1, status, &[]).await;
        db.insert_entry(user, Some(job), "debit", -60).await;
        assert_eq!(db.sweep().await["cleaned"], 1, "{tool} {status}");
        db.assert_failed(job, "TIMEOUT", 60).await;
    }
}

#[tokio::test]
async fn a_paid_pending_job_waits_as_long_as_a_queued_one() {
    let db = Database::fresh().await;
    let user = db.user(120).await;
    for (has_step, code) in [(false, "TIMEOUT"), (true, "QUEUE_TIMEOUT")] {
        let job = charged_job(&db, user, "pending", &[]).await;
        if has_step {
            db.insert_step(job, 1, "queued", &[]).await;
        }
        for (by, cleaned) in [("9 minutes", 0), ("2 minutes", 1)] {
            db.age(job, by).await;
            assert_eq!(db.sweep().await["cleaned"], cleaned, "{code} {by}");
        }
        db.assert_failed(job, code, 60).await;
        let message = format!("{code}: not started after 11 minutes. 60 credits were returned.");
        assert_eq!(db.job(job).await["error_message"], message);
    }
}

#[tokio::test]
async fn a_deadline_of_the_job_or_of_its_step_that_was_moved_back_counts() {
    for of_job in [true, false] {
        let db = Database::fresh().await;
        let job = put(&db, Running).await;
        for (by, cleaned) in [("2 minutes", 0), ("4 minutes", 1)] {
            let deadline = format!("deadline_at = clock_timestamp() - interval '{by}'");
            if of_job {
                db.set_job(job, &deadline).await;
            } else {
                db.set_steps(job, &deadline).await;
            }
            assert_eq!(db.sweep().await["cleaned"], cleaned, "of the job: {of_job}, {by}");
        }
        db.assert_failed(job, "TIMEOUT", 60).await;
        assert_ne!(db.step(job, 1).await["provider_cancel_due"], json!([]));
    }
}

#[tokio::test]
async fn a_live_job_whose_steps_all_ended_is_closed() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    db.exec("update job_steps set status = 'failed', completed_at = clock_timestamp()").await;
    db.age(job, "11 minutes").await;
    assert_eq!(db.sweep().await["cleaned"], 1);
    db.assert_failed(job, "QUEUE_TIMEOUT", 60).await;
}

#[tokio::test]
async fn the_hard_limit_of_a_job_counts_from_an_admins_requeue() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (_, job) = db.upscale().await;
    let attempt = db.run("runninghub", "t1").await;
    db.age(job, "12 minutes").await;
    let args = requeue_args(admin, "upscaler_jobs", job, false, Uuid::new_v4());
    assert_eq!(db.ask("job_requeue_v1", args).await["retried"], true);
    db.age(job, "9 minutes").await;
    assert_eq!(db.sweep().await["cleaned"], 0, "the ten minutes begin with the requeue");
    assert_eq!(db.claim_one("runninghub").await.run, attempt.run + 2);
}

#[tokio::test]
async fn cleanup_all_stale_ai_jobs_counts_what_it_closed_of_every_table() {
    let db = Database::open().await;
    for state in [Running, Running, CardsPartly] {
        let job = put(&db, state).await;
        db.set_steps(job, "provider_task_id = null").await;
        db.age(job, "14 minutes").await;
    }
    for closed in [true, false] {
        let counts = [
            ("generation_history", 0, 0),
            ("generation_jobs", 1, 20),
            ("pose_changer_jobs", 0, 0),
            ("replicate_tasks", 0, 0),
            ("upscaler_jobs", 2, 120),
            ("veste_ai_jobs", 0, 0),
            ("video_upscaler_jobs", 0, 0),
        ];
        let expected = counts.map(|(table, count, credits)| {
            let (count, credits) = if closed { (count, credits) } else { (0, 0) };
            json!({ "table_name": table, "cancelled_count": count, "refunded_credits": credits })
        });
        let rows = "select * from cleanup_all_stale_ai_jobs() order by table_name";
        assert_eq!(db.rows(rows).await, expected);
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn every_fixed_interval_comes_from_the_function_intervals() {
    let db = Database::fresh().await;
    db.exec(
        "create or replace function unstuck_private.intervals()
         returns table (orphan interval, grace interval, sql_wait interval, lease interval,
         check_every interval)
         language sql stable as $$ select interval '1 s', interval '1 s', interval '1 s', interval
         '1 s', interval '1 s' $$",
    )
    .await;
    let job = put(&db, Pending).await;
    db.age(job, "2 seconds").await;
    let unknown = put(&db, Unknown).await;
    db.age(unknown, "602 seconds").await;
    assert_eq!(db.sweep().await["cleaned"], 2);
}
