//! Healers do not wait for locks: rows that another connection has locked are left to the next
//! pass, and all others are healed.

use std::time::Duration;

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, UPSCALER, WEBSITE};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

/// The rows that a forgotten session of an SQL editor may hold.
const HELD: [(&str, &str); 3] =
    [("credit_accounts", "user_id"), ("jobs", "user_id"), ("job_steps", "job_id")];

/// A user's job that the next pass heals, of three kinds.
#[derive(Debug, Clone, Copy)]
enum Healed {
    Overdue,
    /// A card with no attempt left.
    Exhausted,
    /// A website with no attempt left, which only `cleanup-stale-generations` closes.
    Website,
}

impl Healed {
    async fn job(self, db: &Session) -> (Uuid, Uuid) {
        let late = "lease_until = clock_timestamp() - interval '1 second', attempts = 3";
        let (tool, provider) = match self {
            Self::Overdue => (UPSCALER, None),
            Self::Exhausted => (CARDS, Some("gemini")),
            Self::Website => (WEBSITE, Some("llm")),
        };
        let (user, job) = db.ordered(200, tool, 1).await;
        match provider {
            None => db.age(job, "11 minutes").await,
            Some(provider) => {
                assert_eq!(db.claim_one(provider).await.job, job);
                db.set_steps(job, late).await;
            }
        }
        (user, job)
    }

    async fn heal(self, db: &Session) {
        match self {
            Self::Overdue | Self::Exhausted => drop(db.sweep().await),
            Self::Website => drop(db.call("generations_stale_v1", json!({ "p_limit": 9 })).await),
        }
    }
}

async fn is_failed(db: &Session, job: Uuid) -> bool {
    db.job(job).await["status"] == "failed"
}

async fn heals_around_a_lock(healed: Healed) {
    let db = Database::open().await;
    let holder = db.connect().await;
    for (table, key) in HELD {
        let (user, locked) = healed.job(&db).await;
        let (_, other) = healed.job(&db).await;
        let id = if key == "job_id" { locked } else { user };
        holder.exec(&format!("begin; select from {table} where {key} = '{id}' for update")).await;
        let pass = tokio::time::timeout(Duration::from_secs(60), healed.heal(&db));
        pass.await.unwrap_or_else(|_| panic!("{healed:?} waits for a lock of {table}"));
        assert!(is_failed(&db, other).await, "{healed:?}, {table}: the other job is healed");
        assert!(!is_failed(&db, locked).await, "{healed:?}, {table}: the locked one is not");
        assert_eq!(db.job(locked).await["quarantined_at"], Value::Null, "{healed:?}, {table}");
        holder.exec("rollback").await;
        healed.heal(&db).await;
        assert!(is_failed(&db, locked).await, "{healed:?}, {table}: the next pass heals it");
        assert_eq!(db.balance(user).await, 200);
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn c26_a_locked_overdue_job_stops_no_healer() {
    heals_around_a_lock(Healed::Overdue).await;
}

#[tokio::test]
async fn c26_a_locked_card_without_attempts_stops_no_healer() {
    heals_around_a_lock(Healed::Exhausted).await;
}

#[tokio::test]
async fn c26_a_locked_website_stops_no_healer() {
    heals_around_a_lock(Healed::Website).await;
}

/// The sweep requeues steps whose worker died; one of them is locked.
#[tokio::test]
async fn c26_a_locked_step_to_requeue_stops_no_healer() {
    let db = Database::open().await;
    let holder = db.connect().await;
    for (table, key) in HELD {
        let (user, locked) = db.ordered(200, CARDS, 1).await;
        let (_, other) = db.ordered(200, CARDS, 1).await;
        assert_eq!(db.claim("gemini", 5).await.len(), 2);
        db.age_all("91 seconds").await;
        let id = if key == "job_id" { locked } else { user };
        holder.exec(&format!("begin; select from {table} where {key} = '{id}' for update")).await;
        let pass = tokio::time::timeout(Duration::from_secs(60), db.sweep());
        pass.await.unwrap_or_else(|_| panic!("the sweep waits for a lock of {table}"));
        assert_eq!(db.step(other, 1).await["status"], "queued", "{table}");
        assert_eq!(db.step(locked, 1).await["status"], "running", "{table}");
        holder.exec("rollback").await;
        db.sweep().await;
        assert_eq!(db.step(locked, 1).await["status"], "queued", "{table}");
        for job in [locked, other] {
            db.cancel_by_admin(job).await;
        }
    }
    db.assert_healthy().await;
}
