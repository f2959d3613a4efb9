//! Random rows beside good ones. `UNSTUCK_BY_HAND_ROWS` and `UNSTUCK_BY_HAND_SEED` choose others.

use serde_json::{Value, json};
use unstuck_tests::{Database, Session, sources};
use uuid::Uuid;

use super::{cron, edge, stale};

const GOOD: usize = 100;
const SEEDS: [f64; 2] = [0.17, 0.62];

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A database with random rows and some good stale jobs.
async fn world(rows: usize, seed: f64) -> (Database, Vec<Uuid>) {
    let db = Database::fresh().await;
    db.exec("update tools set enabled = true").await;
    let (rows, seed) =
        (setting("UNSTUCK_BY_HAND_ROWS", rows), setting("UNSTUCK_BY_HAND_SEED", seed));
    db.exec(&format!("set by_hand.rows = {rows}; set by_hand.seed = {seed}")).await;
    db.exec(include_str!("rows.sql")).await;
    let live = db.count("jobs where completed_at is null").await;
    assert!(live > rows as i64 / 3, "only {live} live rows of {rows}");
    let mut good = Vec::new();
    for _ in 0..GOOD {
        good.push(stale(&db, Uuid::new_v4()).await);
    }
    db.exec("analyze").await;
    (db, good)
}

/// Runs each of the statements that `of` makes and undoes them all. Each must succeed or be
/// refused; returns what was raised besides.
async fn try_each(db: &Session, what: &str, of: &str) -> Option<String> {
    db.exec("begin").await;
    db.exec(
        "create function pg_temp.try_each(p_of text)
            returns table (tried int, raised int, first text) language plpgsql as $$
         declare v_sql text;
         begin
           tried := 0;
           raised := 0;
           for v_sql in execute p_of loop
             tried := tried + 1;
             begin
               execute v_sql;
             exception when others then
               if sqlstate not like 'PT%' then
                 raised := raised + 1;
                 first := coalesce(first, concat(sqlstate, ' ', sqlerrm, ' in ', v_sql));
               end if;
             end;
           end loop;
           return next;
         end $$",
    )
    .await;
    let row = db.row(&format!("select * from pg_temp.try_each($of${of}$of$)")).await;
    println!("{what}: {row}");
    assert!(row["tried"].as_i64() > Some(0), "{what}: nothing to try");
    db.exec("rollback").await;
    (row["raised"] != 0).then(|| format!("{what}: {row}"))
}

async fn try_reads(db: &Session) {
    let views = "select format('select * from unstuck.%I', viewname) from pg_views
        where schemaname = 'unstuck'";
    assert_eq!(try_each(db, "views, as owner", views).await, None);
    let user = db.row("select user_id from jobs group by 1 order by count(*) desc limit 1").await;
    let user = user["user_id"].as_str().unwrap().parse().unwrap();
    for caller in [user, db.admin().await] {
        db.exec("begin").await;
        for view in db.rows("select viewname from pg_views where schemaname = 'unstuck'").await {
            db.exec("savepoint here").await;
            db.become_caller("authenticated", Some(caller)).await;
            let sql = format!("select * from unstuck.{}", view["viewname"].as_str().unwrap());
            if let Err(error) = db.try_rows(&sql).await {
                assert_eq!(error.state, "42501", "{sql}: {error}");
            }
            db.exec("rollback to here").await;
        }
        db.exec("rollback").await;
        db.become_owner().await;
    }
    let providers = "from providers";
    for (function, arguments, columns, from) in [
        ("job_get_v1", "%L", "id", "from jobs"),
        (
            "generation_get_v1",
            "%L, %L, %L",
            "user_id, tool, id",
            "from jobs where tool like 'generate%'",
        ),
        ("step_get_v1", "%L, %L", "job_id, step", "from job_steps"),
        ("queue_check_v1", "%L", "provider", providers),
        ("steps_waiting_v1", "%L", "provider", providers),
        ("health_v1", "", "", ""),
        ("health_v2", "", "", ""),
        ("metrics_v1", "", "", ""),
    ] {
        let of = each_call(function, arguments, columns, from);
        assert_eq!(try_each(db, function, &of).await, None);
    }
    let positions =
        "select format('select * from unstuck_private.provider_positions(%L)', provider)
        from providers";
    assert_eq!(try_each(db, "provider_positions", positions).await, None);
}

/// A query that makes one call of a function for each row, with the row's columns as arguments.
fn each_call(function: &str, arguments: &str, columns: &str, from: &str) -> String {
    let comma = if columns.is_empty() { "" } else { ", " };
    format!("select format('select * from unstuck.{function}({arguments})'{comma}{columns}) {from}")
}

async fn assert_all_closed(db: &Session, good: &[Uuid], label: &str) {
    for job in good {
        let row = db.job(*job).await;
        let seen = (&row["status"], &row["credits_refunded"]);
        assert_eq!(seen, (&json!("failed"), &json!(60)), "{label}: {row}");
    }
}

#[tokio::test]
async fn the_first_pass_among_random_rows_closes_every_good_job() {
    let (db, good) = world(10_000, SEEDS[0]).await;
    // So many rows may need more time than a healer takes for one pass.
    for (file, limit) in
        [("sweep/jobs_sweep_v1", "6 seconds"), ("sweep/cleanup_all_stale_ai_jobs", "20 seconds")]
    {
        let sql = sources::read(format!("supabase/schemas/{file}.sql"));
        assert!(sql.contains(limit), "{file}");
        db.exec(&sql.replace(limit, "1 hour")).await;
    }
    db.exec("begin").await;
    edge(&db).await;
    assert_all_closed(&db, &good, "edge").await;
    db.exec("rollback").await;
    cron(&db).await;
    assert_all_closed(&db, &good, "pg_cron").await;
    let finished = db.row("select * from sweeps order by id desc limit 1").await;
    assert!(
        !finished["stuck"].is_null() && !finished["violations"].is_null(),
        "the report could be made: {finished}"
    );
    try_reads(&db).await;
    // Every balance is the sum of its ledger, whatever was closed.
    let wrong = "select a.user_id, a.balance, sum(e.amount) from credit_accounts a
        join credit_entries e using (user_id)
         where not exists (select from credit_entries x where x.user_id = a.user_id
         and x.kind in ('debit', 'refund') and x.balance_after = 0)
         group by 1, 2 having a.balance <> sum(e.amount)";
    assert_eq!(db.rows(wrong).await, Vec::<Value>::new());
    edge(&db).await;
    cron(&db).await;
}

#[tokio::test]
async fn no_read_healer_or_admin_call_raises_on_random_rows() {
    for seed in SEEDS {
        let (db, _) = world(500, seed).await;
        try_reads(&db).await;
        try_calls(&db).await;
        try_cancels(&db).await;
    }
}

/// Calls the functions of users, healers and workers.
async fn try_calls(db: &Session) {
    let admin = db.admin().await;
    let tables = "from jobs join tools using (tool)";
    let users = "from (select distinct user_id from jobs) u";
    let requeue = format!("''{admin}'', %L, %L, false, gen_random_uuid()");
    let erase = format!("''{admin}'', %L, ''asked for it''");
    let (step, steps) = ("job_id, step, run", "from job_steps");
    let mut raised = Vec::new();
    for (function, arguments, columns, from) in [
        ("user_active_v1", "%L", "user_id", users),
        ("user_heal_v1", "%L", "user_id", users),
        ("session_cancel_v1", "%L, ''session'', ''{}''", "user_id", users),
        ("job_cancel_v1", "%L, %L, %L", "user_id, table_name, id", tables),
        ("generation_retry_v1", "%L, %L", "id, tool", "from jobs"),
        ("generation_put_back_v1", "%L, %L", "job_id, run", steps),
        ("generations_stale_v1", "1000", "", "from generate_series(1, 2)"),
        (
            "steps_due_v1",
            "%L, 1000, %L",
            "provider, p_all",
            "from providers, unnest(array[true, false]) p_all",
        ),
        ("step_claim_v1", "%L, 1000", "provider", "from providers"),
        ("jobs_sweep_v1", "0, %s", "n", "from unnest(array[10, 100, 20000]) n"),
        ("cleanup_all_stale_ai_jobs", "", "", "from generate_series(1, 2)"),
        ("job_requeue_v1", &requeue, "table_name, id", tables),
        ("step_sent_v1", "%L, %L, %L", step, steps),
        ("step_started_v1", "%L, %L, %L, ''new task''", step, steps),
        ("step_heartbeat_v1", "%L, %L, %L", step, steps),
        ("step_requeue_v1", "%L, %L, %L, ''capacity'', 0, ''PROVIDER_FAILED'', ''a''", step, steps),
        (
            "step_requeue_v1",
            "%L, %L, %L, ''transient'', 9, ''PROVIDER_FAILED'', ''a''",
            step,
            steps,
        ),
        ("step_checked_v1", "%L, %L, %L, ''running''", step, steps),
        ("step_checked_v1", "%L, %L, %L, ''no_answer''", step, steps),
        ("step_fail_v1", "%L, %L, %L, ''PROVIDER_FAILED'', ''a''", step, steps),
        ("step_done_v2", "%L, %L, %L, ''its task'', ''{}''", step, steps),
        ("step_complete_v2", "%L, %L, %L, ''{}'', ''u''", step, steps),
        ("step_cancelled_v1", "%L, %L, ''t''", "job_id, step", steps),
        (
            "webhook_record_v2",
            "%L, %L, %L, %L, ''t'', ''key'', ''{}''",
            "provider, job_id, step, run",
            steps,
        ),
        ("user_erase_v1", &erase, "user_id", users),
    ] {
        raised.extend(try_each(db, function, &each_call(function, arguments, columns, from)).await);
    }
    assert!(raised.is_empty(), "{raised:#?}");
}

/// Cancels every live job as an admin, before and after healers have quarantined some.
async fn try_cancels(db: &Session) {
    let admin = db.admin().await;
    let tables = "from jobs join tools using (tool)";
    for quarantined in [false, true] {
        if quarantined {
            cron(db).await;
        }
        let live = format!("{tables} where completed_at is null");
        let arguments = format!("''{admin}'', %L, %L, ''by hand''");
        let of = each_call("job_cancel_admin_v1", &arguments, "table_name, id", &live);
        assert_eq!(try_each(db, "job_cancel_admin_v1", &of).await, None);
        let cancel = format!(
            "select c.status {tables} cross
                join lateral job_cancel_admin_v1('{admin}', table_name, id, 'by hand') c
                where completed_at is null"
        );
        db.exec("begin").await;
        let live = db.count("jobs where completed_at is null").await;
        assert_eq!(db.rows(&cancel).await.len() as i64, live);
        assert_eq!(db.count("jobs where completed_at is null").await, 0);
        db.exec("rollback").await;
    }
}
