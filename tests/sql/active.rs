//! Does this user have a live job? One user, a real job in each of its states, and orphans beside
//! it, in every order.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{UPSCALER, VIDEO, enqueue_args};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

async fn active(db: &Session, user: Uuid) -> Value {
    db.ask("user_active_v1", json!({ "p_user_id": user })).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RealJob {
    None,
    Queued,
    /// Refused for capacity, to be tried again later.
    PutBack,
    Starting,
    /// Sent, and no answer came.
    Unknown,
    Running,
    /// Finished there, not stored here.
    Copying,
    /// At work by somebody's own SQL, without a step.
    ByHand,
    Completed,
    Failed,
    Cancelled,
}

impl RealJob {
    const ALL: [Self; 11] = [
        Self::None,
        Self::Queued,
        Self::PutBack,
        Self::Starting,
        Self::Unknown,
        Self::Running,
        Self::Copying,
        Self::ByHand,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// What the job is shown as; nothing where there is none that lives.
    fn status(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Completed | Self::Failed | Self::Cancelled => None,
            Self::Queued | Self::PutBack => Some("queued"),
            Self::Starting | Self::Unknown => Some("starting"),
            Self::Running | Self::Copying | Self::ByHand => Some("running"),
        }
    }

    async fn put(self, db: &Session, user: Uuid) -> Option<Uuid> {
        let job = match self {
            Self::None => return None,
            Self::ByHand => {
                let job = Uuid::new_v4();
                row(db, user, job, UPSCALER, "running", "0 seconds").await;
                return Some(job);
            }
            _ => match db
                .try_call("job_enqueue_v1", enqueue_args(user, Uuid::new_v4(), UPSCALER, 1))
                .await
            {
                Ok(rows) => unstuck_tests::shop::id(&rows[0]["job_id"]),
                Err(error) => panic!("an orphan blocks nobody: {error}"),
            },
        };
        let task = job.to_string();
        match self {
            Self::Queued => {}
            Self::Cancelled => drop(db.cancel(user, job).await.unwrap()),
            _ => {
                let attempt = db.claim_one(PROVIDER).await;
                if self == Self::PutBack {
                    db.requeue(attempt, "capacity", 60_000).await;
                } else if self != Self::Starting {
                    assert!(db.sent(attempt).await);
                    if self != Self::Unknown {
                        db.started(attempt, &task).await;
                    }
                    match self {
                        Self::Copying => drop(db.done(attempt, &task).await),
                        Self::Completed => drop(db.complete(attempt).await),
                        Self::Failed => drop(db.fail(attempt, "PROVIDER_FAILED").await),
                        _ => {}
                    }
                }
            }
        }
        Some(job)
    }
}

/// (tool, word, age): how orphans are left behind. What is younger than two minutes may be on its
/// way.
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

async fn row(db: &Session, user: Uuid, job: Uuid, tool: &str, status: &str, age: &str) {
    db.exec(&format!(
        "insert into unstuck.jobs (id, tool, user_id, status, created_at)
         values ('{job}', '{tool}', '{user}', '{status}', clock_timestamp() - interval '{age}')"
    ))
    .await;
}

async fn leave(db: &Session, user: Uuid, orphans: &[Orphan]) -> Vec<(Uuid, Orphan)> {
    let mut left = Vec::new();
    for orphan in orphans {
        let job = Uuid::new_v4();
        row(db, user, job, orphan.0, orphan.1, orphan.2).await;
        left.push((job, *orphan));
    }
    left
}

#[tokio::test]
async fn an_orphan_never_hides_a_real_job_and_never_blocks() {
    let db = Database::fresh().await;
    db.exec(
        "update unstuck.tools set enabled = true; update unstuck.providers
        set max_concurrent = 10000",
    )
    .await;
    for real in RealJob::ALL {
        for orphans in ORPHANS {
            // All orphans first, all after, or some before and some after.
            for before in [orphans.len(), 0, orphans.len() / 2] {
                let case = format!("{real:?}, {before} orphans before it, of {orphans:?}");
                let user = db.user(60).await;
                let (early, late) = orphans.split_at(before);
                let mut left = leave(&db, user, early).await;
                let job = real.put(&db, user).await;
                left.extend(leave(&db, user, late).await);
                let (stored, balance) = (stored(&db, job).await, db.balance(user).await);

                for _ in 0..2 {
                    let answer = active(&db, user).await;
                    // A row by hand that says `queued` is shown while it may be a real one, where
                    // nothing else is.
                    let by_hand = left
                        .iter()
                        .find(|(_, orphan)| *orphan == YOUNG_BY_HAND)
                        .map(|(job, _)| *job);
                    let shown = real
                        .status()
                        .map(|status| (job, status))
                        .or(by_hand.map(|job| (Some(job), "queued")));
                    assert_eq!(answer["has_active_job"], shown.is_some(), "{case}");
                    assert_eq!(
                        answer["active_job_id"],
                        json!(shown.and_then(|(job, _)| job)),
                        "{case}"
                    );
                    assert_eq!(
                        answer["active_status"],
                        json!(shown.map(|(_, status)| status)),
                        "{case}"
                    );
                    let placed = matches!(real, RealJob::Queued | RealJob::PutBack);
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
                // Out of the way of the next: positions and slots are everybody's.
                db.exec(&format!(
                    "delete from unstuck.jobs where user_id = '{user}'; delete
                    from unstuck.credit_entries where user_id = '{user}'"
                ))
                .await;
            }
        }
    }
    db.assert_healthy().await;
}

async fn stored(db: &Session, job: Option<Uuid>) -> Value {
    match job {
        Some(job) => {
            db.row(&format!(
                "select status, credits_charged, credits_refunded,
            completed_at, error_code from unstuck.jobs where id = '{job}'"
            ))
            .await
        }
        None => Value::Null,
    }
}

#[tokio::test]
async fn a_user_without_a_live_job_is_free() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let none = json!({ "has_active_job": false, "active_tool": null, "active_table": null,
        "active_job_id": null, "active_status": null, "position": null });
    assert_eq!(active(&db, user).await, none);
    let job = db.order(user, UPSCALER, 1).await;
    let expected = json!({ "has_active_job": true, "active_tool": UPSCALER,
        "active_table": "upscaler_jobs", "active_job_id": job, "active_status": "queued",
        "position": 1 });
    assert_eq!(active(&db, user).await, expected);
    db.age(job, "11 minutes").await;
    assert_eq!(active(&db, user).await, none, "healed first");
    assert_eq!(db.balance(user).await, 60);
}

#[tokio::test]
async fn what_runs_is_told_before_what_waits() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(1000).await;
    let (first, second) = (db.order(user, UPSCALER, 1).await, db.order(user, VIDEO, 1).await);
    db.exec(&format!(
        "update unstuck.tools set exclusive_group = 'runninghub' where provider = '{PROVIDER}'"
    ))
    .await;
    db.exec(&format!(
        "update unstuck.jobs set queued_at = queued_at + interval '1 second' where id = '{first}'"
    ))
    .await;
    assert_eq!(db.run(PROVIDER, "t1").await.job, second);
    let seen = active(&db, user).await;
    assert_has!(seen, { "active_job_id": second, "active_status": "running" });
    assert_eq!(seen["active_table"], "video_upscaler_jobs");
}

#[tokio::test]
async fn a_paid_row_is_no_orphan_however_long_it_waits() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let job = db.order(user, UPSCALER, 1).await;
    db.age(job, "3 minutes").await;
    assert_eq!(active(&db, user).await["active_job_id"], json!(job));
    // Nor is one that is free of charge.
    db.exec("update unstuck.tools set credit_cost = 0, queue_ttl = '1 hour'").await;
    let user = db.user(0).await;
    let free = db.order(user, UPSCALER, 1).await;
    db.age(free, "30 minutes").await;
    assert_eq!(active(&db, user).await["active_job_id"], json!(free));
}

#[tokio::test]
async fn a_row_by_hand_counts_as_the_users_live_job() {
    let db = Database::fresh().await;
    let (user, job) = (db.user(60).await, Uuid::new_v4());
    row(&db, user, job, UPSCALER, "running", "0 seconds").await;
    let error = db.refusal("job_enqueue_v1", enqueue_args(user, Uuid::new_v4(), UPSCALER, 1)).await;
    assert_eq!(
        (error.message.as_str(), &error.detail["activeJobId"]),
        ("active_job_exists", &json!(job))
    );
    assert_eq!(active(&db, user).await["active_job_id"], json!(job));
}
