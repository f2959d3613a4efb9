//! The incident: 72 jobs stuck for ever, 33 of them with no `started_at`, and a cleanup that never
//! ran. One sweep closes them all and returns to each user exactly what the ledger shows; a bad row
//! among them stops nothing.

use std::collections::BTreeMap;

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{UPSCALER, id};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

/// (tool, provider, price); every fourth job has no steps at all.
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
    jobs: Vec<Uuid>,
    /// What each user gets back.
    owed: BTreeMap<Uuid, i64>,
}

async fn incident(db: &Session) -> Incident {
    let users: Vec<Uuid> = (0..10).map(|_| Uuid::new_v4()).collect();
    let mut incident =
        Incident { jobs: Vec::new(), owed: users.iter().map(|user| (*user, 0)).collect() };
    for number in 0..72 {
        let (tool, provider, price) = TOOLS[number % TOOLS.len()];
        let (job, user) = (Uuid::new_v4(), users[number % users.len()]);
        let steps = if tool.contains("banana") { 5 } else { 1 + number % 2 };
        let hours = 2 + number % 100;
        let started = if number < 33 {
            "null".to_owned()
        } else {
            format!("now() - interval '{hours} hours'")
        };
        let status = ["running", "starting", "queued"][number % 3];
        db.exec(&format!(
            "insert into credit_entries (user_id, kind, amount)
                values ('{user}', 'grant', 200);
             insert into jobs (id, tool, user_id, status, credits_charged, total_steps,
             created_at, started_at)
             values ('{job}', '{tool}', '{user}', '{status}', {price}, {steps}, now() - interval
             '{hours} hours', {started})"
        ))
        .await;
        if price > 0 {
            db.exec(&format!(
                "insert into credit_entries (user_id, job_id, kind, amount)
                values ('{user}', '{job}', 'debit', -{price})"
            ))
            .await;
        }
        // Some rows have no steps; the others' are as far as the job says, one of the cards
        // delivered long ago.
        if number % 4 != 0 {
            for step in 1..=steps {
                let delivered = tool.contains("banana") && step == 1;
                let status = if delivered {
                    "completed"
                } else if step > 1 {
                    "queued"
                } else {
                    status
                };
                db.exec(&format!(
                    "insert into job_steps (job_id, step, status, provider,
                        provider_task_id, sent_at)
                     values ('{job}', {step}, '{status}', '{provider}', 'task-{number}-{step}',
                     now() - interval '{hours} hours')"
                ))
                .await;
            }
        }
        let kept = if tool.contains("banana") && number % 4 != 0 { price / 5 } else { 0 };
        *incident.owed.get_mut(&user).unwrap() += price - kept;
        incident.jobs.push(job);
    }
    let without_start = db.count("unstuck.jobs where started_at is null").await;
    assert_eq!((incident.jobs.len(), without_start), (72, 33));
    incident
}

async fn balances(db: &Session, incident: &Incident) -> BTreeMap<Uuid, i64> {
    let mut balances = BTreeMap::new();
    for user in incident.owed.keys() {
        balances.insert(*user, db.balance(*user).await);
    }
    balances
}

fn in_credit(before: &BTreeMap<Uuid, i64>, incident: &Incident) -> BTreeMap<Uuid, i64> {
    before.iter().map(|(user, balance)| (*user, balance + incident.owed[user])).collect()
}

#[tokio::test]
async fn one_sweep_closes_all_and_returns_exactly() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let before = balances(&db, &incident).await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 72, "remaining": 0, "requeued": 0 });
    assert_eq!(swept["refunded_credits"], incident.owed.values().sum::<i64>());
    assert_eq!(balances(&db, &incident).await, in_credit(&before, &incident));
    assert_eq!(
        db.count(
            "unstuck.jobs where status not in ('completed', 'failed')
            or completed_at is null"
        )
        .await,
        0
    );
    assert_eq!(db.count("unstuck.job_steps where completed_at is null").await, 0);
    db.assert_healthy().await;

    let again = db.sweep().await;
    assert_has!(again, { "cleaned": 0, "refunded_credits": 0 });
    assert_eq!(balances(&db, &incident).await, in_credit(&before, &incident));
}

#[tokio::test]
async fn the_healer_without_an_edge_does_the_same() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let before = balances(&db, &incident).await;
    let rows = db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    assert_eq!(rows.iter().filter_map(|row| row["cancelled_count"].as_i64()).sum::<i64>(), 72);
    assert_eq!(balances(&db, &incident).await, in_credit(&before, &incident));
    db.assert_healthy().await;
}

#[tokio::test]
async fn small_pages_end_at_the_same_place() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let before = balances(&db, &incident).await;
    let mut cleaned = 0;
    for _ in 0..11 {
        let sweep = db.begin_sweep().await;
        let swept = db.sweep_page(&sweep, 7).await;
        cleaned += swept["cleaned"].as_i64().unwrap();
        assert_eq!(swept["remaining"], 72 - cleaned);
    }
    assert_eq!(cleaned, 72);
    assert_eq!(balances(&db, &incident).await, in_credit(&before, &incident));
    db.assert_healthy().await;
}

/// A row that says 60 were returned while the ledger has only the debit.
async fn bad_row(db: &Session, user: Uuid, status: &str, age: &str) -> Uuid {
    let job = Uuid::new_v4();
    db.exec(&format!(
        "insert into credit_entries (user_id, kind, amount) values ('{user}', 'grant', 120);
         insert into jobs (id, tool, user_id, status, credits_charged, credits_refunded,
         exclusive_key, created_at)
         values ('{job}', '{UPSCALER}', '{user}', '{status}', 60, 60, 'runninghub:{user}', now() -
         interval '{age}');
         insert into job_steps (job_id, step, status, provider, provider_task_id, share,
         sent_at)
         values ('{job}', 1, '{status}', 'runninghub', 'task-{job}', 60, now() - interval '{age}');
         insert into credit_entries (user_id, job_id, kind, amount)
         values ('{user}', '{job}', 'debit', -60)"
    ))
    .await;
    job
}

#[tokio::test]
async fn a_bad_row_is_quarantined_and_stops_nothing() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    // Older than all the others: it comes first.
    let user = Uuid::new_v4();
    let bad = bad_row(&db, user, "running", "1000 hours").await;
    let before = balances(&db, &incident).await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 72, "remaining": 0 });
    assert_eq!(balances(&db, &incident).await, in_credit(&before, &incident));

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
    assert_eq!(db.count("unstuck.job_events where event = 'quarantined'").await, 1);

    // Its user is free and may order; an operator's cancel ends it and returns what the ledger
    // shows.
    assert_eq!(db.active(user).await["has_active_job"], false);
    db.order(user, UPSCALER, 1).await;
    assert_eq!(db.cancel_as_admin(db.admin().await, bad).await.unwrap()["refunded_credits"], 60);
    db.assert_cancelled(bad, 60).await;
}

#[tokio::test]
async fn a_bad_row_holds_no_slot_and_is_never_run() {
    let db = Database::fresh().await;
    let mut bad = Vec::new();
    for status in ["running", "running", "starting", "queued"] {
        bad.push(bad_row(&db, Uuid::new_v4(), status, "30 hours").await);
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
    // What the provider may still be doing for them is told to stop.
    let owed: Vec<Uuid> = db.due("runninghub").await.iter().map(|row| id(&row["job_id"])).collect();
    assert!(bad[..3].iter().all(|job| owed.contains(job)), "{owed:?}");
}

#[tokio::test]
async fn pages_of_bad_rows_hide_no_others() {
    let db = Database::fresh().await;
    for _ in 0..5 {
        bad_row(&db, Uuid::new_v4(), "queued", "30 hours").await;
    }
    let (_, job) = db.upscale().await;
    db.age(job, "11 minutes").await;
    let sweep = db.begin_sweep().await;
    let swept = db.sweep_page(&sweep, 3).await;
    assert_eq!(swept["cleaned"], 1, "{swept}");
    assert_eq!(db.job(job).await["status"], "failed");
}

#[tokio::test]
async fn a_sweep_pages_past_what_must_wait_and_says_what_it_left() {
    let db = Database::fresh().await;
    // More than a page that the provider may still deliver, all of them older than what is due.
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
    assert_eq!(db.count("unstuck.jobs where status = 'running'").await, 150);
}

#[tokio::test]
async fn a_row_that_fails_for_any_reason_is_quarantined_alone() {
    let db = Database::fresh().await;
    let incident = incident(&db).await;
    let before = balances(&db, &incident).await;
    // A balance that no refund fits into any more.
    let (user, job) = (Uuid::new_v4(), Uuid::new_v4());
    db.exec(&format!(
        "insert into credit_entries (user_id, kind, amount)
            values ('{user}', 'grant', 9223372036854775807);
         insert into jobs (id, tool, user_id, status, credits_charged, created_at)
         values ('{job}', '{UPSCALER}', '{user}', 'running', 60, now() - interval '3 hours');
         insert into credit_entries (user_id, job_id, kind, amount)
         values ('{user}', '{job}', 'debit', -60);
         insert into credit_entries (user_id, kind, amount) values ('{user}', 'grant', 60)"
    ))
    .await;
    let swept = db.sweep().await;
    assert_has!(swept, { "cleaned": 72, "remaining": 0 });
    assert_eq!(balances(&db, &incident).await, in_credit(&before, &incident));
    assert!(!db.job(job).await["quarantined_at"].is_null());
    let event = db
        .row(&format!(
            "select detail from job_events where job_id = '{job}' and event = 'quarantined'"
        ))
        .await;
    assert!(event["detail"]["reason"].as_str().unwrap().contains("out of range"), "{event}");
}
