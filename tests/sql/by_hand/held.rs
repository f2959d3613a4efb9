//! Rows that another transaction holds: no healer and no other user waits for them. And no two
//! calls of one user deadlock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use unstuck_tests::Database;
use unstuck_tests::shop::UPSCALER;
use uuid::Uuid;

use super::{cron, edge, stale};

/// Far less than the time for which the rows are held, so that a call that waits fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the rarest function may take to be drawn.
const LATEST: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_lock_on_one_users_rows_delays_no_other_users_healing() {
    let db = Database::fresh().await;
    let (holder, healer) = (db.connect().await, db.connect().await);
    for held in ["account", "job", "step", "new account", "new key"] {
        for by_cron in [false, true] {
            let label = format!("{held}, {}", if by_cron { "pg_cron" } else { "edge" });
            let (user, new) = (db.user(0).await, Uuid::new_v4());
            let busy = stale(&db, user).await;
            // A user without an account. In the case "new key" the user's ledger has an entry
            // written by hand, which made no account.
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
            // The calls of the user whose rows are held are answered too.
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

/// A healer's report of a step after its query of the provider, with the header that PostgREST
/// passes on.
#[tokio::test]
async fn a_healers_report_about_a_held_job_does_not_wait() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let (holder, healer) = (db.connect().await, db.connect().await);
    healer.exec(r#"set request.headers = '{"x-unstuck-caller": "healer"}'"#).await;
    let failure = json!({ "p_error_code": "PROVIDER_FAILED", "p_error_message": "no." });
    let requeue = json!({ "p_kind": "transient", "p_delay_ms": 0,
        "p_error_code": "PROVIDER_FAILED", "p_error_message": "busy." });
    let reports = [
        ("step_checked_v1", json!({ "p_answer": "running" })),
        ("step_fail_v1", failure.clone()),
        ("step_requeue_v1", requeue),
        ("step_complete_v2", json!({ "p_output": {}, "p_output_url": "u" })),
        ("step_done_v2", json!({ "p_task_id": "task", "p_output": {} })),
        ("step_started_v1", json!({ "p_task_id": "task" })),
    ];
    for (held, of_those) in [("account", 4), ("job", 6), ("step", 6)] {
        let user = db.user(60).await;
        let job = db.order(user, UPSCALER, 1).await;
        let attempt = db.run("runninghub", held).await;
        holder.exec("begin").await;
        let rows = match held {
            "account" => format!("credit_accounts where user_id = '{user}'"),
            "job" => format!("jobs where id = '{job}'"),
            _ => format!("job_steps where job_id = '{job}'"),
        };
        holder.exec(&format!("select from {rows} for update")).await;
        for (function, more) in &reports[..of_those] {
            let began = Instant::now();
            let answer = healer.try_call(function, attempt.with(more.clone())).await;
            let took = began.elapsed();
            assert!(took < Duration::from_secs(1), "{held}, {function}: waited {took:?}");
            match (answer, *function) {
                (Ok(rows), "step_checked_v1") => assert_eq!(rows[0]["outcome"], "waiting"),
                (answer, _) => assert_eq!(answer.unwrap_err().state, "55P03", "{function}"),
            }
        }
        if held == "step" {
            let args = json!({ "p_job_id": job, "p_step": 1, "p_task_id": held });
            assert_eq!(healer.refusal("step_cancelled_v1", args).await.state, "55P03");
        }
        holder.exec("rollback").await;
        assert_eq!(db.job(job).await["status"], "running", "{held}: nothing was done");
        let failed = healer.ask("step_fail_v1", attempt.with(failure.clone())).await;
        assert_eq!((&failed["outcome"], &failed["refunded"]), (&json!("failed"), &json!(60)));
    }
}

fn text(name: &Value) -> String {
    name.as_str().expect("a name").to_owned()
}

/// Calls every RPC beside every other for one user whose leases have all expired, from ten
/// connections. `UNSTUCK_CIRCLE_SECONDS` sets for how long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_calls_of_one_user_deadlock() {
    let db = Database::fresh().await;
    db.exec(
        "do $$ begin execute format('alter database %I set deadlock_timeout = ''100ms''',
            current_database()); end $$",
    )
    .await;
    db.exec(include_str!("calls.sql")).await;
    // Ten sessions queue for one account: a long wait is no deadlock.
    db.exec(
        "alter function unstuck_private.job_lock set lock_timeout = '1h';
         alter function unstuck_private.step_lock set lock_timeout = '1h';
         alter function unstuck.purchase_record_v1 set lock_timeout = '1h';
         alter function unstuck.user_erase_v1 set lock_timeout = '1h'",
    )
    .await;
    let (user, admin) = (db.user(1_000_000).await, db.admin().await);
    let span = std::env::var("UNSTUCK_CIRCLE_SECONDS")
        .ok()
        .and_then(|span| span.parse().ok())
        .unwrap_or(20);
    let until = Instant::now() + Duration::from_secs(span);
    let rpcs = "select distinct p.proname::text from pg_proc p
        where p.pronamespace = 'unstuck'::regnamespace
        and has_function_privilege('service_role', p.oid, 'execute')
        and p.prorettype <> 'trigger'::regtype
        and p.proname not in ('has_role', 'is_admin') order by 1";
    let rpcs = db.texts(rpcs).await;
    let called = Mutex::new(BTreeSet::new());
    // Which function is called is drawn, so one that is drawn seldom may come late.
    let goes_on = || {
        let all_called = called.lock().unwrap().len() >= rpcs.len();
        Instant::now() < until || (!all_called && Instant::now() < until + LATEST)
    };
    let sessions = db.sessions(10).await;
    let callers = sessions.iter().map(async |session| {
        let (mut calls, mut errors) = (BTreeMap::<String, u32>::new(), Vec::new());
        while goes_on() {
            match session
                .try_rows(&format!("select public.one_call('{user}', '{admin}') as name"))
                .await
            {
                Ok(rows) => {
                    let name = text(&rows[0]["name"]);
                    called.lock().unwrap().insert(name.clone());
                    *calls.entry(name).or_default() += 1;
                }
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
    let called: Vec<String> = calls.into_keys().collect();
    assert_eq!(called, rpcs, "every RPC is called");
    let found = db.violations().await;
    // Credits that older code gave near a refund are a violation, as they should be.
    assert!(found.iter().all(|row| row["invariant"] == "adjustment_beside_refund"), "{found:?}");
}
