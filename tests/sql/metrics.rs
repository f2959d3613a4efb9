//! `metrics_v1`: its values are those of the database, and it scans no table.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER};
use unstuck_tests::{Database, Session};

async fn fold(db: &Session) {
    db.exec("select unstuck_private.counters_fold(clock_timestamp())").await;
}

/// Each sample's value by its name and labels.
async fn samples(db: &Session) -> BTreeMap<String, f64> {
    let rows = db.call("metrics_v1", json!({})).await;
    let key = |row: &Value| format!("{}{}", row["name"].as_str().unwrap(), row["labels"]);
    rows.iter().map(|row| (key(row), row["value"].as_f64().unwrap())).collect()
}

fn sum(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    samples.iter().filter(|(key, _)| key.starts_with(&format!("{name}{{"))).map(|(_, v)| v).sum()
}

async fn busy(db: &Database) {
    let user = db.user(100_000).await;
    for number in 0..6 {
        db.order(user, TRY_ON, 1).await;
        let run = db.claim_one("replicate").await;
        assert!(db.sent(run).await);
        db.started(run, &format!("t{number}")).await;
        match number {
            0 => db.fail(run, "CONTENT_REFUSED").await,
            1 => db.fail(run, "PROVIDER_FAILED").await,
            _ => {
                db.done(run, &format!("t{number}")).await;
                db.complete(run).await
            }
        };
    }
    let cards = db.order(user, CARDS, 3).await;
    let waiting = db.order(user, UPSCALER, 1).await;
    db.cancel(user, cards).await.unwrap();
    db.cancel(user, waiting).await.unwrap();
    db.order(user, UPSCALER, 1).await;
    db.claim_one("runninghub").await;
    db.order(db.user(1000).await, UPSCALER, 1).await;
}

#[tokio::test]
async fn each_figure_is_that_of_the_database() {
    let db = Database::fresh().await;
    busy(&db).await;
    fold(&db).await;
    fold(&db).await;
    let found = samples(&db).await;
    let ended = "jobs where completed_at is not null";
    assert_eq!(sum(&found, "unstuck_jobs_ended_total"), db.count(ended).await as f64);
    for row in db
        .rows(
            "select jsonb_build_object('tool', tool, 'status', status,
               'code', lower(coalesce(error_code, '')))::text as labels, count(*)::int as jobs
             from jobs where completed_at is not null group by tool, status, error_code",
        )
        .await
    {
        let labels: Value = serde_json::from_str(row["labels"].as_str().unwrap()).unwrap();
        let key = format!("unstuck_jobs_ended_total{labels}");
        assert_eq!(found.get(&key).copied(), row["jobs"].as_f64(), "{key}");
    }
    for (name, sql) in [
        (
            "unstuck_credits_charged_total",
            "select sum(credits_charged)::int from jobs
            where completed_at is not null",
        ),
        (
            "unstuck_credits_refunded_total",
            "select sum(amount)::int from credit_entries
            where kind = 'refund'",
        ),
        ("unstuck_refunds_total", "select count(*) from jobs where credits_refunded > 0"),
        (
            "unstuck_provider_answers_total",
            "select count(*) from job_steps
            where completed_at is not null",
        ),
        (
            "unstuck_provider_attempts_total",
            "select sum(attempts)::int from job_steps
            where completed_at is not null",
        ),
        (
            "unstuck_job_wait_seconds_count",
            "select count(*) from jobs
            where completed_at is not null and started_at is not null",
        ),
        (
            "unstuck_job_duration_seconds_count",
            "select count(*) from jobs
            where status = 'completed'",
        ),
        (
            "unstuck_slots_in_use",
            "select count(*) from job_steps
            where unstuck_private.holds_slot(job_steps)",
        ),
        ("unstuck_steps_waiting", "select count(*) from job_steps where status = 'queued'"),
        ("unstuck_messages_owed", "select count(*) from messages_owed"),
    ] {
        assert_eq!(sum(&found, name), db.int(sql).await as f64, "{name}");
    }
    let duration = db
        .value(
            "select sum(extract(epoch from completed_at - started_at))::float8 from jobs
             where status = 'completed'",
        )
        .await
        .as_f64()
        .unwrap();
    assert!((sum(&found, "unstuck_job_duration_seconds_sum") - duration).abs() < 0.001);
    assert_eq!(
        found[r#"unstuck_job_duration_seconds_bucket{"le":"+Inf","tool":"replicate-async-start"}"#],
        4.0
    );
    let refused = json!({ "class": "content_refused", "provider": "replicate" });
    assert_eq!(found[&format!("unstuck_provider_answers_total{refused}")], 1.0);
}

#[tokio::test]
async fn healers_have_an_age_and_the_receiver_of_ends_is_none() {
    let db = Database::fresh().await;
    db.exec("select cleanup_all_stale_ai_jobs()").await;
    db.call("ends_due_v1", json!({})).await;
    let found = samples(&db).await;
    let aged: Vec<&String> =
        found.keys().filter(|name| name.starts_with("unstuck_healer_age_seconds")).collect();
    assert_eq!(aged, [r#"unstuck_healer_age_seconds{"healer":"sql"}"#]);
}

#[tokio::test]
async fn each_attempt_costs_what_the_tool_said_and_only_admins_see_it() {
    let db = Database::fresh().await;
    db.exec("update tools set provider_cost = 12.5 where tool = 'replicate-async-start'").await;
    busy(&db).await;
    fold(&db).await;
    db.exec("update tools set provider_cost = 20 where tool = 'replicate-async-start'").await;
    fold(&db).await;
    let attempts = db
        .int(
            "select sum(attempts)::int from job_steps
             join jobs on jobs.id = job_id
             where tool = 'replicate-async-start' and job_steps.completed_at is not null",
        )
        .await;
    assert_eq!(attempts, 6);
    let costs = "select tool, provider_cost::int, attempts::int, cost::float8 from tool_costs
                 where attempts > 0";
    let told = json!([{ "tool": TRY_ON, "provider_cost": 20, "attempts": 6, "cost": 75 }]);
    assert_eq!(json!(db.rows(costs).await), told, "what is counted keeps its cost");
    let changed = "admin_log where act = 'tool_changed' and \"to\" = '{\"provider_cost\": 20}'";
    assert_eq!(db.count(changed).await, 1);
    let (user, admin) = (db.user(0).await, db.admin().await);
    db.become_caller("authenticated", Some(user)).await;
    assert_eq!(db.rows(costs).await, [Value::Null; 0]);
    let refused = db.try_rows("select provider_cost from unstuck.tools").await.unwrap_err();
    assert_eq!(refused.state, "42501", "users do not see what we pay");
    db.become_owner().await;
    db.become_caller("authenticated", Some(admin)).await;
    assert_eq!(db.rows(costs).await.len(), 1);
}

#[tokio::test]
async fn what_a_provider_told_of_our_account_is_measured_and_shown_to_admins() {
    let db = Database::fresh().await;
    let told = json!({ "p_provider": "runninghub", "p_amounts": { "coins": 120, "USD": 3.5 } });
    db.call("provider_balance_v1", told).await;
    let nobody = json!({ "p_provider": "nobody", "p_amounts": { "coins": 1 } });
    db.call("provider_balance_v1", nobody).await;
    let found = samples(&db).await;
    let key = |unit: &str| {
        let labels = json!({ "provider": "runninghub", "unit": unit });
        format!("unstuck_provider_balance{labels}")
    };
    assert_eq!((found[&key("coins")], found[&key("USD")]), (120.0, 3.5));
    let shown = "select balance from provider_load where provider = 'runninghub'";
    assert_eq!(db.value(shown).await, json!({ "coins": 120, "USD": 3.5 }));
    let user = db.user(0).await;
    db.become_caller("authenticated", Some(user)).await;
    assert_eq!(db.rows(shown).await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_job_that_is_committed_late_is_counted_once_and_never_missed() {
    let db = Database::fresh().await;
    let user = db.user(1000).await;
    let (early, late) = (db.order(user, TRY_ON, 1).await, db.order(user, UPSCALER, 1).await);
    let slow = db.connect().await;
    slow.exec("begin").await;
    slow.ask(
        "job_cancel_v1",
        json!({ "p_user_id": user, "p_table": "upscaler_jobs", "p_job_id": late }),
    )
    .await;
    fold(&db).await;
    let other = db.user(100).await;
    let third = db.order(other, TRY_ON, 1).await;
    db.cancel(other, third).await.unwrap();
    fold(&db).await;
    let ended = async || sum(&samples(&db).await, "unstuck_jobs_ended_total");
    assert_eq!(ended().await, 0.0, "the counters stop before a transaction that may still write");
    slow.exec("commit").await;
    fold(&db).await;
    assert_eq!(ended().await, 2.0);
    fold(&db).await;
    assert_eq!(ended().await, 2.0);
    assert_eq!(db.job(early).await["status"], "queued");
}

/// Otherwise each page of a long backlog would copy all of it.
#[tokio::test]
async fn the_jobs_that_ended_are_part_of_the_query_that_reads_them() {
    let db = Database::fresh().await;
    db.exec(
        "create function pg_temp.plan() returns setof text language plpgsql as $$
         begin
           return query explain select j.completed_at
           from unstuck_private.jobs_ended(now() - interval '1 day', now()) j
           order by j.completed_at offset 20000 limit 1;
         end $$",
    )
    .await;
    let plan = db.texts("select pg_temp.plan()").await.join("\n");
    assert!(plan.contains("on jobs") && !plan.contains("Function Scan"), "{plan}");
}

#[tokio::test]
async fn every_sweep_keeps_the_counters_and_a_fault_of_theirs_undoes_none() {
    let db = Database::fresh().await;
    let user = db.user(100).await;
    let job = db.order(user, UPSCALER, 1).await;
    db.cancel(user, job).await.unwrap();
    db.exec("select cleanup_all_stale_ai_jobs()").await;
    assert_eq!(sum(&samples(&db).await, "unstuck_jobs_ended_total"), 1.0);
    db.exec("alter table unstuck_private.counters rename to counters_away").await;
    db.exec("select cleanup_all_stale_ai_jobs()").await;
    assert_eq!(db.count("sweeps where finished_at is null").await, 0);
}

/// A scrape reads counters, however many jobs have ended.
#[tokio::test]
async fn a_scrape_reads_no_ended_job() {
    let db = Database::fresh().await;
    busy(&db).await;
    fold(&db).await;
    db.exec(
        "set session_replication_role = replica;
         insert into jobs (tool, user_id, status, refund_rule, deadline_at, expires_at,
           completed_at, started_at, created_at, updated_at)
         select 'replicate-async-start', gen_random_uuid(), 'completed', 'all', now(), now(),
           now() - interval '1 day', now() - interval '1 day', now() - interval '1 day',
           now() - interval '1 day'
         from generate_series(1, 200000);
         set session_replication_role = origin;
         analyze jobs",
    )
    .await;
    let read = "select (seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
        from pg_stat_xact_user_tables where relid = 'unstuck.jobs'::regclass";
    db.exec("begin").await;
    let before = db.int(read).await;
    db.exec("select count(*) from unstuck.metrics_v1()").await;
    let jobs = db.int(read).await - before;
    db.exec("commit").await;
    assert!(jobs < 100, "{jobs} jobs of 200,000 are read");
}
