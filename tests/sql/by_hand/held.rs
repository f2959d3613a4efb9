//! Rows that somebody holds: whoever is healed, nobody waits for them; and no two calls of one user
//! wait for each other in a circle.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use unstuck_tests::Database;
use uuid::Uuid;

use super::{cron, edge, stale};

/// Far less than the rows are held; a call that waits would be heard of only then.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_lock_on_one_users_rows_delays_no_other_users_healing() {
    let db = Database::fresh().await;
    let (holder, healer) = (db.connect().await, db.connect().await);
    for held in ["account", "job", "step", "new account", "new key"] {
        for by_cron in [false, true] {
            let label = format!("{held}, {}", if by_cron { "pg_cron" } else { "edge" });
            let (user, new) = (db.user(0).await, Uuid::new_v4());
            let busy = stale(&db, user).await;
            // A user without an account, and one whose ledger by hand has none.
            db.exec(&format!(
                "insert into jobs (tool, user_id, created_at)
                    values ('runninghub-upscaler', '{new}', now() - interval '1 hour')"
            ))
            .await;
            if held == "new key" {
                db.exec(&format!(
                    "insert into credit_entries (user_id, job_id, kind, amount,
                        balance_after)
                     select user_id, id, 'debit', -60, 0 from jobs where user_id = '{new}'"
                ))
                .await;
            }
            let others = [stale(&db, db.user(0).await).await, stale(&db, db.user(0).await).await];
            holder.exec("begin").await;
            let sql = match held {
                "account" => {
                    format!("select from credit_accounts where user_id = '{user}' for update")
                }
                "job" => format!("select from jobs where id = '{busy}' for update"),
                "step" => {
                    format!("select from job_steps where job_id = '{busy}' for update")
                }
                _ => format!("insert into credit_accounts (user_id) values ('{new}')"),
            };
            holder.exec(&sql).await;
            let heal = async {
                if by_cron {
                    cron(&healer).await;
                } else {
                    edge(&healer).await;
                }
                healer.call("generations_stale_v1", json!({ "p_limit": 100 })).await;
                healer.due("runninghub").await;
            };
            tokio::time::timeout(PATIENCE, heal)
                .await
                .unwrap_or_else(|_| panic!("{label}: waited"));
            for other in others {
                assert_eq!(db.job(other).await["status"], "failed", "{label}");
            }
            let waits = matches!(held, "account" | "job" | "step");
            assert_eq!(db.job(busy).await["status"] == "running", waits, "{label}");
            // That user's own questions are answered too.
            let own = async {
                healer.active(user).await;
                healer.call("job_get_v1", json!({ "p_job_id": busy, "p_user_id": user })).await;
            };
            tokio::time::timeout(PATIENCE, own).await.unwrap_or_else(|_| panic!("{label}: waited"));
            holder.exec("rollback").await;
            cron(&db).await;
            assert_eq!(db.job(busy).await["status"], "failed", "{label}: the next pass");
            let open = "select count(*) from jobs where completed_at is null
                and quarantined_at is null";
            assert_eq!(db.int(open).await, 0, "{label}: the next pass");
            db.exec("delete from credit_entries; delete from jobs").await;
        }
    }
}

/// Every RPC beside every other on one user whose leases are all over, from ten connections.
/// `UNSTUCK_CIRCLE_SECONDS` runs it for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_calls_of_one_user_deadlock() {
    let db = Database::fresh().await;
    db.exec(
        "do $$ begin execute format('alter database %I set deadlock_timeout = ''100ms''',
            current_database()); end $$",
    )
    .await;
    db.exec(include_str!("calls.sql")).await;
    let (user, admin) = (db.user(1_000_000).await, db.admin().await);
    let span = std::env::var("UNSTUCK_CIRCLE_SECONDS")
        .ok()
        .and_then(|span| span.parse().ok())
        .unwrap_or(5);
    let until = Instant::now() + Duration::from_secs(span);
    let sessions = db.sessions(10).await;
    let callers = sessions.iter().map(async |session| {
        let (mut calls, mut errors) = (BTreeMap::<String, u32>::new(), Vec::new());
        while Instant::now() < until {
            match session
                .try_rows(&format!("select public.one_call('{user}', '{admin}') as name"))
                .await
            {
                Ok(rows) => *calls.entry(rows[0]["name"].to_string()).or_default() += 1,
                Err(error) => errors.push(error),
            }
        }
        (calls, errors)
    });
    let (mut calls, mut errors) = (BTreeMap::new(), Vec::new());
    for (made, failed) in futures::future::join_all(callers).await {
        for (name, count) in made {
            *calls.entry(name).or_insert(0) += count;
        }
        errors.extend(failed);
    }
    println!("{} calls: {calls:?}", calls.values().sum::<u32>());
    assert!(
        errors.is_empty(),
        "{} of {} calls failed: {}",
        errors.len(),
        calls.values().sum::<u32>(),
        errors[0]
    );
    assert!(calls.len() > 20, "only {calls:?}");
    let found = db.violations().await;
    // Credits given by older code near a refund are told, as they should be.
    assert!(found.iter().all(|row| row["invariant"] == "adjustment_beside_refund"), "{found:?}");
}
