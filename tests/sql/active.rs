//! `user_active_v1`: a user's live job in each of its states, with orphans before and after it.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{UPSCALER, VIDEO};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

use RealJob::*;

/// The state of a user's job that is no orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RealJob {
    /// There is no job.
    Absent,
    Queued,
    /// Refused for capacity, to be retried later.
    Requeued,
    Starting,
    /// Sent, and no answer came.
    Unknown,
    Running,
    /// Finished at the provider, not yet copied into our storage.
    Copying,
    /// Inserted by hand as running, without a step.
    ByHand,
    Completed,
    Failed,
    Cancelled,
}

impl RealJob {
    const ALL: [Self; 11] = [
        Absent, Queued, Requeued, Starting, Unknown, Running, Copying, ByHand, Completed, Failed,
        Cancelled,
    ];

    /// The status that a user sees, or `None` if no job is live.
    fn status(self) -> Option<&'static str> {
        match self {
            Absent | Completed | Failed | Cancelled => None,
            Queued | Requeued => Some("queued"),
            Starting | Unknown => Some("starting"),
            Running | Copying | ByHand => Some("running"),
        }
    }

    async fn put(self, db: &Session, user: Uuid) -> Option<Uuid> {
        match self {
            Absent => return None,
            ByHand => return Some(db.insert_job(user, UPSCALER, "running", &[]).await),
            _ => {}
        }
        // An orphan does not block the user: the order is accepted.
        let job = db.order(user, UPSCALER, 1).await;
        let task = job.to_string();
        match self {
            Queued => {}
            Cancelled => drop(db.cancel(user, job).await.unwrap()),
            Starting => drop(db.claim_one(PROVIDER).await),
            Requeued => drop(db.requeue(db.claim_one(PROVIDER).await, "capacity", 60_000).await),
            Unknown => drop(db.submit(PROVIDER).await),
            _ => {
                let attempt = db.run(PROVIDER, &task).await;
                match self {
                    Copying => drop(db.done(attempt, &task).await),
                    Completed => drop(db.complete(attempt).await),
                    Failed => drop(db.fail(attempt, "PROVIDER_FAILED").await),
                    _ => {}
                }
            }
        }
        Some(job)
    }
}

/// The tool, status and age of a row that was never ordered. A row that is younger than two minutes
/// may still get its `/run`.
type Orphan = (&'static str, &'static str, &'static str);
const OLD: Orphan = (UPSCALER, "pending", "121 seconds");
const OLD_VIDEO: Orphan = (VIDEO, "pending", "3 hours");
const OLD_BY_HAND: Orphan = (UPSCALER, "queued", "121 seconds");
const YOUNG: Orphan = (UPSCALER, "pending", "110 seconds");
const YOUNG_VIDEO: Orphan = (VIDEO, "pending", "0 seconds");
const YOUNG_BY_HAND: Orphan = (UPSCALER, "queued", "110 seconds");

const ORPHANS: [&[Orphan]; 9] = [
    &[OLD],
    &[OLD_VIDEO],
    &[OLD_BY_HAND],
    &[YOUNG],
    &[YOUNG_VIDEO],
    &[OLD, OLD, OLD_VIDEO],
    &[OLD, YOUNG],
    &[OLD_BY_HAND, OLD_BY_HAND, YOUNG, OLD_VIDEO],
    &[YOUNG_BY_HAND],
];

async fn leave(db: &Session, user: Uuid, orphans: &[Orphan]) -> Vec<(Uuid, Orphan)> {
    let mut left = Vec::new();
    for &orphan in orphans {
        let (tool, status, age) = orphan;
        let created = format!("clock_timestamp() - interval '{age}'");
        left.push((db.insert_job(user, tool, status, &[("created_at", &created)]).await, orphan));
    }
    left
}

#[tokio::test]
async fn an_orphan_never_hides_a_real_job_and_never_blocks() {
    let db = Database::fresh().await;
    db.exec(
        "update tools set enabled = true; update providers
        set max_concurrent = 10000",
    )
    .await;
    for real in RealJob::ALL {
        for orphans in ORPHANS {
            // The orphans come before the job, after it, or some before and some after.
            for before in [orphans.len(), 0, orphans.len() / 2] {
                let case = format!("{real:?}, {before} orphans before it, of {orphans:?}");
                let user = db.user(60).await;
                let (early, late) = orphans.split_at(before);
                let mut left = leave(&db, user, early).await;
                let job = real.put(&db, user).await;
                left.extend(leave(&db, user, late).await);
                let (stored, balance) = (stored(&db, job).await, db.balance(user).await);

                for _ in 0..2 {
                    let answer = db.active(user).await;
                    // A young row by hand that is `queued` may be a real job, so it is shown if the
                    // user has no other job.
                    let by_hand = left.iter().find(|(_, orphan)| *orphan == YOUNG_BY_HAND);
                    let live = real.status().map(|status| (job, status));
                    let shown = live.or(by_hand.map(|(job, _)| (Some(*job), "queued")));
                    assert_has!(answer, {
                        "has_active_job": shown.is_some(),
                        "active_job_id": shown.and_then(|(job, _)| job),
                        "active_status": shown.map(|(_, status)| status),
                    }, "{case}");
                    let placed = matches!(real, Queued | Requeued);
                    assert_eq!(answer["position"].is_i64(), placed, "{case}: {answer}");
                }
                for (ghost, (_, word, age)) in left {
                    let row = db.job(ghost).await;
                    let expected =
                        if age == "121 seconds" || age == "3 hours" { "cancelled" } else { word };
                    assert_eq!(row["status"], expected, "{case}");
                    assert_eq!(row["error_code"] == "ORPHANED", expected == "cancelled", "{case}");
                }
                assert_eq!(
                    (self::stored(&db, job).await, db.balance(user).await),
                    (stored, balance),
                    "{case}"
                );
                // Delete the user's rows: in the next case they would count in positions and slots.
                db.exec(&format!(
                    "delete from jobs where user_id = '{user}'; delete
                    from credit_entries where user_id = '{user}'"
                ))
                .await;
            }
        }
    }
    db.assert_healthy().await;
}

async fn stored(db: &Session, job: Option<Uuid>) -> Value {
    let Some(job) = job else { return Value::Null };
    let columns = "status, credits_charged, credits_refunded, completed_at, error_code";
    db.row(&format!("select {columns} from jobs where id = '{job}'")).await
}

#[tokio::test]
async fn user_active_v1_heals_the_user_before_it_answers() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let none = json!({ "has_active_job": false, "active_tool": null, "active_table": null,
        "active_job_id": null, "active_status": null, "position": null });
    assert_eq!(db.active(user).await, none);
    let job = db.order(user, UPSCALER, 1).await;
    let expected = json!({ "has_active_job": true, "active_tool": UPSCALER,
        "active_table": "upscaler_jobs", "active_job_id": job, "active_status": "queued",
        "position": 1 });
    assert_eq!(db.active(user).await, expected);
    db.age(job, "11 minutes").await;
    assert_eq!(db.active(user).await, none, "healed first");
    assert_eq!(db.balance(user).await, 60);
}

#[tokio::test]
async fn a_user_is_healed_whatever_clock_ran_out() {
    let db = Database::fresh().await;
    let heal = async |user: Uuid| db.ask("user_heal_v1", json!({ "p_user_id": user })).await;
    let user = db.user(120).await;
    let job = db.order(user, UPSCALER, 1).await;
    db.claim_one(PROVIDER).await;
    assert_eq!(heal(user).await["healed"], 0);
    db.exec("update job_steps set lease_until = clock_timestamp()").await;
    heal(user).await;
    assert_eq!(db.step(job, 1).await["status"], "queued", "no worker submitted it");
    // The deadline was written by hand; the job is older than any job may be.
    db.exec(
        "update jobs set created_at = created_at - interval '9 days', deadline_at = 'infinity'",
    )
    .await;
    assert_eq!(heal(user).await["healed"], 1, "too old");
    assert_eq!(db.balance(user).await, 120);
    db.order(user, UPSCALER, 1).await;
    db.exec("update tools set run_timeout = '10000 years'").await;
    assert_eq!(
        db.active(user).await["active_status"],
        "queued",
        "a deadline that cannot be computed hides no other job"
    );
}

#[tokio::test]
async fn a_running_job_is_shown_rather_than_a_waiting_one() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    let (first, second) = (db.order(user, UPSCALER, 1).await, db.order(user, VIDEO, 1).await);
    db.exec(&format!(
        "update tools set exclusive_group = 'runninghub' where provider = '{PROVIDER}'"
    ))
    .await;
    db.set_job(first, "queued_at = queued_at + interval '1 second'").await;
    assert_eq!(db.run(PROVIDER, "t1").await.job, second);
    let seen = db.active(user).await;
    assert_has!(seen, { "active_job_id": second, "active_status": "running" });
    assert_eq!(seen["active_table"], "video_upscaler_jobs");
}

#[tokio::test]
async fn an_ordered_job_is_no_orphan_however_long_it_waits() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    db.age(job, "3 minutes").await;
    assert_eq!(db.active(user).await["active_job_id"], json!(job));
    // A job that is free of charge is no orphan either.
    db.exec("update tools set credit_cost = 0, queue_ttl = '1 hour'").await;
    let user = db.user(0).await;
    let free = db.order(user, UPSCALER, 1).await;
    db.age(free, "30 minutes").await;
    assert_eq!(db.active(user).await["active_job_id"], json!(free));
}

#[tokio::test]
async fn a_running_row_by_hand_counts_as_the_users_live_job() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let job = db.insert_job(user, UPSCALER, "running", &[]).await;
    let error = db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(error.message, "active_job_exists");
    assert_eq!(error.detail["activeJobId"], json!(job));
    assert_eq!(db.active(user).await["active_job_id"], json!(job));
}
