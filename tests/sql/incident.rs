//! The incident: 72 jobs are stuck for ever, 33 of them without `started_at`, because a cleanup
//! never ran. One sweep closes them all and refunds each user exactly what the ledger shows; a bad
//! row among them stops nothing.

use std::collections::BTreeMap;

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{UPSCALER, id};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

/// (tool, provider, price)
const TOOLS: &[(&str, &str, i64)] = &[
    ("runninghub-upscaler", "runninghub", 60),
    ("runninghub-video-upscaler", "runninghub", 120),
    ("runninghub-pose-changer", "runninghub", 61),
    ("runninghub-veste-ai", "runninghub", 7),
    ("create-generation-job-banana", "gemini", 50),
    ("replicate-async-start", "replicate", 80),
    ("generate-website", "llm", 50),
    ("generate-php-website", "llm", 0),
];

struct Incident {
    /// The sum of all refunds.
    owed: i64,
    /// The balance of each user after the refunds.
    expected: BTreeMap<Uuid, i64>,
}

async fn incident(db: &Session) -> Incident {
    let users: Vec<Uuid> = (0..10).map(|_| Uuid::new_v4()).collect();
    let (mut jobs, mut owed) = (Vec::new(), BTreeMap::<Uuid, i64>::new());
    for number in 0..72 {
        let (tool, provider, price) = TOOLS[number % TOOLS.len()];
        let user = users[number % users.len()];
        let steps = if tool.contains("banana") { 5 } else { 1 + number % 2 };
        let hours = 2 + number % 100;
        let ago = format!("now() - interval '{hours} hours'");
        let status = ["running", "starting", "queued"][number % 3];
        let (price_sql, steps_sql) = (price.to_string(), steps.to_string());
        let columns = [
            ("credits_charged", &*price_sql),
            ("total_steps", &steps_sql),
            ("created_at", &ago),
            ("started_at", if number < 33 { "null" } else { &ago }),
        ];
        db.insert_entry(user, None, "grant", 200).await;
        let job = db.insert_job(user, tool, status, &columns).await;
        if price > 0 {
            db.insert_entry(user, Some(job), "debit", -price).await;
        }
        // Every fourth job has no steps. The steps of the others have the job's status, and of each
        // set of cards one was delivered long ago.
        if number % 4 != 0 {
            for step in 1..=steps as i64 {
                let delivered = tool.contains("banana") && step == 1;
                let status = if delivered {
                    "completed"
                } else if step > 1 {
                    "queued"
                } else {
                    status
                };
                let task = format!("'task-{number}-{step}'");
                let provider = format!("'{provider}'");
                let sent =
                    [("provider", &*provider), ("provider_task_id", &task), ("sent_at", &ago)];
                db.insert_step(job, step, status, &sent).await;
            }
        }
        let kept = if tool.contains("banana") && number % 4 != 0 { price / 5 } else { 0 };
        *owed.entry(user).or_default() += price - kept;
        jobs.push(job);
    }
    let without_start = db.count("jobs where started_at is null").await;
    assert_eq!((jobs.len(), without_start), (72, 33));
    let mut expected = BTreeMap::new();
    for (user, owed) in &owed {
        expected.insert(*user, db.balance(*user).await + owed);
    }
    Incident { owed: owed.values().sum(), expected }
}

impl Incident {
    /// Asserts that each user has the balance that the ledger owed at the beginning.
    async fn assert_returned(&self, db: &Session) {
        for (user, expected) in &self.expected {
            assert_eq!(db.balance(*user).await, *expected, "{user}");
        }
    }
}

#[tokio::test]
async fn one_sweep_closes_all_and_returns_exactly() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 72, "remaining": 0, "requeued": 0 });
    assert_eq!(swept["refunded_credits"], incident.owed);
    incident.assert_returned(&db).await;
    assert_eq!(
        db.count(
            "jobs where status not in ('completed', 'failed')
            or completed_at is null"
        )
        .await,
        0
    );
    assert_eq!(db.count("job_steps where completed_at is null").await, 0);
    db.assert_healthy().await;

    let again = db.sweep().await;
    assert_has!(again, { "cleaned": 0, "refunded_credits": 0 });
    incident.assert_returned(&db).await;
}

#[tokio::test]
async fn cleanup_all_stale_ai_jobs_alone_closes_and_returns_the_same() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let rows = db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    assert_eq!(rows.iter().filter_map(|row| row["cancelled_count"].as_i64()).sum::<i64>(), 72);
    incident.assert_returned(&db).await;
    db.assert_healthy().await;
}

#[tokio::test]
async fn sweeps_of_small_pages_close_and_return_the_same() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let mut cleaned = 0;
    for _ in 0..11 {
        let sweep = db.begin_sweep().await;
        let swept = db.sweep_page(&sweep, 7).await;
        cleaned += swept["cleaned"].as_i64().unwrap();
        assert_eq!(swept["remaining"], 72 - cleaned);
    }
    assert_eq!(cleaned, 72);
    incident.assert_returned(&db).await;
    db.assert_healthy().await;
}

/// A job of a new user whose row says that 60 credits were refunded, while the ledger has only the
/// debit.
async fn bad_row(db: &Session, status: &str, age: &str) -> (Uuid, Uuid) {
    let user = Uuid::new_v4();
    let (ago, key) = (format!("now() - interval '{age}'"), format!("'runninghub:{user}'"));
    db.insert_entry(user, None, "grant", 120).await;
    let columns = [
        ("credits_charged", "60"),
        ("credits_refunded", "60"),
        ("exclusive_key", &*key),
        ("created_at", &ago),
    ];
    let job = db.insert_job(user, UPSCALER, status, &columns).await;
    let task = format!("'task-{job}'");
    let columns = [
        ("provider", "'runninghub'"),
        ("provider_task_id", &*task),
        ("share", "60"),
        ("sent_at", &ago),
    ];
    db.insert_step(job, 1, status, &columns).await;
    db.insert_entry(user, Some(job), "debit", -60).await;
    (user, job)
}

#[tokio::test]
async fn a_bad_row_is_quarantined_and_stops_nothing() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    // The row is older than all others, so it comes first.
    let (user, bad) = bad_row(&db, "running", "1000 hours").await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 72, "remaining": 0 });
    incident.assert_returned(&db).await;

    let row = db.job(bad).await;
    assert!(!row["quarantined_at"].is_null(), "{row:#}");
    assert_eq!(db.entries(bad).await, [-60], "no money moves on a guess");
    let event = db
        .row(&format!("select * from job_events where job_id = '{bad}' and event = 'quarantined'"))
        .await;
    assert!(event["detail"]["reason"].as_str().unwrap().contains("ledger"), "{event}");
    let violations = db.violations().await;
    assert!(violations.iter().all(|row| row["subject"] == json!(bad)), "{violations:?}");
    for invariant in ["quarantined", "job_money_equals_ledger"] {
        assert!(
            violations.iter().any(|row| row["invariant"] == invariant),
            "{invariant}: {violations:?}"
        );
    }
    let again = db.sweep().await;
    assert_has!(again, { "cleaned": 0, "refunded_credits": 0 });
    assert_eq!(db.count("job_events where event = 'quarantined'").await, 1);

    // The user is not blocked and may order. An admin's cancel ends the job and refunds what the
    // ledger shows.
    assert_eq!(db.active(user).await["has_active_job"], false);
    db.order(user, UPSCALER, 1).await;
    assert_eq!(db.cancel_by_admin(bad).await["refunded_credits"], 60);
    db.assert_cancelled(bad, 60).await;
}

#[tokio::test]
async fn a_bad_row_holds_no_slot_and_is_never_run() {
    let db = Database::fresh().await;
    let mut bad = Vec::new();
    for status in ["running", "running", "starting", "queued"] {
        bad.push(bad_row(&db, status, "30 hours").await.1);
    }
    assert_eq!(db.sweep().await["cleaned"], 0);
    let mut good = Vec::new();
    for _ in 0..3 {
        let user = db.user(60).await;
        good.push(db.order(user, UPSCALER, 1).await);
    }
    let mut claimed: Vec<Uuid> =
        db.claim("runninghub", 10).await.iter().map(|attempt| attempt.job).collect();
    claimed.sort();
    good.sort();
    assert_eq!(claimed, good, "three bad rows do not freeze a queue of three");
    // The tasks that the provider may still work on are owed a cancel.
    let owed: Vec<Uuid> = db.due("runninghub").await.iter().map(|row| id(&row["job_id"])).collect();
    assert!(bad[..3].iter().all(|job| owed.contains(job)), "{owed:?}");
}

#[tokio::test]
async fn a_page_of_bad_rows_hides_no_stale_job() {
    let db = Database::fresh().await;
    for _ in 0..5 {
        bad_row(&db, "queued", "30 hours").await;
    }
    let (_, job) = db.upscale().await;
    db.age(job, "11 minutes").await;
    let sweep = db.begin_sweep().await;
    let swept = db.sweep_page(&sweep, 3).await;
    assert_eq!(swept["cleaned"], 1, "{swept}");
    assert_eq!(db.job(job).await["status"], "failed");
}

#[tokio::test]
async fn a_sweep_pages_past_jobs_that_must_wait_and_counts_what_remains() {
    let db = Database::fresh().await;
    // More jobs than a page whose results the provider may still deliver, all of them older than
    // the jobs that are due.
    db.exec(&format!(
        "insert into jobs (tool, user_id, status, started_at, created_at, deadline_at,
            expires_at)
         select '{UPSCALER}', gen_random_uuid(), 'running', now() - interval '11 min', now() -
         interval '11 min', now() - interval '1 min', now() + interval '9 min'
         from generate_series(1, 150);
         insert into job_steps (job_id, step, status, provider, run, sent_at, deadline_at)
         select id, 1, 'running', 'runninghub', 1, now() - interval '11 min', deadline_at
         from jobs;
         insert into jobs (tool, user_id, status, created_at, deadline_at)
         select '{UPSCALER}', gen_random_uuid(), 'running', now() - interval '1 min', now() -
         interval '1 second' from generate_series(1, 250)"
    ))
    .await;
    let sweep = db.begin_sweep().await;
    for (cleaned, remaining) in [(100, 150), (100, 50), (50, 0), (0, 0)] {
        let swept = db.sweep_page(&sweep, 100).await;
        assert_has!(swept, { "cleaned": cleaned, "remaining": remaining });
    }
    assert_eq!(db.count("jobs where status = 'running'").await, 150);
}

#[tokio::test]
async fn a_row_that_fails_for_any_reason_is_quarantined_alone() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    // The balance is so large that no refund fits into it.
    let user = Uuid::new_v4();
    db.insert_entry(user, None, "grant", i64::MAX).await;
    let columns = [("credits_charged", "60"), ("created_at", "now() - interval '3 hours'")];
    let job = db.insert_job(user, UPSCALER, "running", &columns).await;
    db.insert_entry(user, Some(job), "debit", -60).await;
    db.insert_entry(user, None, "grant", 60).await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 72, "remaining": 0 });
    incident.assert_returned(&db).await;
    assert!(!db.job(job).await["quarantined_at"].is_null());
    let event = db
        .row(&format!(
            "select detail from job_events where job_id = '{job}' and event = 'quarantined'"
        ))
        .await;
    assert!(event["detail"]["reason"].as_str().unwrap().contains("out of range"), "{event}");
}
