//! Rows that other programs wrote or hold: whatever is in them, they stop no healer and break no
//! read, and an admin can close them.

mod held;
mod money;
mod random;

use serde_json::{Value, json};
use shared::flow::heal::sweep::JOBS_MAX;
use unstuck_tests::Session;
use unstuck_tests::shop::UPSCALER;
use uuid::Uuid;

async fn stale(db: &Session, user: Uuid) -> Uuid {
    db.grant(user, 60).await;
    let ago = "now() - interval '3 hours'";
    let times = [("credits_charged", "60"), ("started_at", ago), ("created_at", ago)];
    let job = db.insert_job(user, UPSCALER, "running", &times).await;
    let sent = [("share", "60"), ("run", "1"), ("sent_at", ago)];
    db.insert_step(job, 1, "running", &sent).await;
    db.insert_entry(user, Some(job), "debit", -60).await;
    job
}

/// One pass of the edge healer, with the limit that it uses.
async fn edge(db: &Session) -> Value {
    db.ask("jobs_sweep_v1", json!({ "p_sweep_id": 0, "p_limit": JOBS_MAX })).await
}

async fn cron(db: &Session) -> i64 {
    let rows = db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    assert_eq!(rows.len(), 7);
    rows.iter().filter_map(|row| row["cancelled_count"].as_i64()).sum()
}
