//! Rows that other hands wrote, and rows that other hands hold: whatever they look like, they stop
//! no healer, break no read, and an admin can close them.

mod held;
mod money;
mod random;

use serde_json::{Value, json};
use unstuck_tests::Session;
use unstuck_tests::shop::UPSCALER;
use uuid::Uuid;

/// A job at work since long ago, paid by a user who bought 60 credits; nothing else of it is wrong.
async fn stale(db: &Session, user: Uuid) -> Uuid {
    let job = Uuid::new_v4();
    db.grant(user, 60).await;
    db.exec(&format!(
        "insert into jobs (id, tool, user_id, status, credits_charged, started_at,
            created_at)
         values ('{job}', '{UPSCALER}', '{user}', 'running', 60, now() - interval '3 hours', now()
         - interval '3 hours');
         insert into job_steps (job_id, step, status, share, run, sent_at)
         values ('{job}', 1, 'running', 60, 1, now() - interval '3 hours');
         insert into credit_entries (user_id, job_id, kind, amount)
         values ('{user}', '{job}', 'debit', -60)"
    ))
    .await;
    job
}

async fn edge(db: &Session) -> Value {
    db.ask("jobs_sweep_v1", json!({ "p_sweep_id": 0, "p_limit": 20000 })).await
}

async fn cron(db: &Session) -> i64 {
    let rows = db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    assert_eq!(rows.len(), 7);
    rows.iter().filter_map(|row| row["cancelled_count"].as_i64()).sum()
}
