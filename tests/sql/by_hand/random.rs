//! Rows drawn by lot, beside good ones. `UNSTUCK_BY_HAND_ROWS` and `UNSTUCK_BY_HAND_SEED` choose
//! others.

use serde_json::{Value, json};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

use super::{cron, edge, stale};

const GOOD: usize = 100;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A database with rows by lot and good stale jobs among them.
async fn world(rows: usize) -> (Database, Vec<Uuid>) {
    let db = Database::fresh().await;
    db.exec("update tools set enabled = true").await;
    let (rows, seed) =
        (setting("UNSTUCK_BY_HAND_ROWS", rows), setting("UNSTUCK_BY_HAND_SEED", 0.17_f64));
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

/// Runs each of the statements that `of` makes, and undoes them all; only refusals may be raised.
async fn try_each(db: &Session, what: &str, of: &str) {
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
    assert_eq!(row["raised"], 0, "{what}: {row}");
    db.exec("rollback").await;
}

async fn try_reads(db: &Session) {
    let views = "select format('select * from unstuck.%I limit 100', viewname) from pg_views
        where schemaname = 'unstuck'";
    try_each(db, "views, as owner", views).await;
    let user = db.row("select user_id from jobs group by 1 order by count(*) desc limit 1").await;
    let user = user["user_id"].as_str().unwrap().parse().unwrap();
    for caller in [user, db.admin().await] {
        db.exec("begin").await;
        for view in db.rows("select viewname from pg_views where schemaname = 'unstuck'").await {
            db.exec("savepoint here").await;
            db.become_caller("authenticated", Some(caller)).await;
            let sql =
                format!("select * from unstuck.{} limit 100", view["viewname"].as_str().unwrap());
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
        ("job_get_v1", "%L", "id", "from jobs order by id limit 150"),
        (
            "generation_get_v1",
            "%L, %L, %L",
            "user_id, tool, id",
            "from jobs where tool like 'generate%' limit 50",
        ),
        ("queue_check_v1", "%L", "provider", providers),
        ("steps_waiting_v1", "%L", "provider", providers),
        ("health_v1", "", "", ""),
    ] {
        try_each(db, function, &each_call(function, arguments, columns, from)).await;
    }
    let positions =
        "select format('select * from unstuck_private.provider_positions(%L)', provider)
        from providers";
    try_each(db, "provider_positions", positions).await;
}

/// A query for calls of a function, each with the columns of a row as arguments.
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
    let (db, good) = world(2000).await;
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
    // Money is where the ledger says, whatever was closed.
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
    let (db, _) = world(500).await;
    try_reads(&db).await;
    let admin = db.admin().await;
    let tables = "from jobs join tools using (tool)";
    let users = "from (select distinct user_id from jobs) u";
    let requeue = format!("''{admin}'', %L, %L, false, gen_random_uuid()");
    for (function, arguments, columns, from) in [
        ("user_active_v1", "%L", "user_id", users),
        ("user_heal_v1", "%L", "user_id", users),
        ("session_cancel_v1", "%L, ''session'', ''{}''", "user_id", users),
        ("job_cancel_v1", "%L, %L, %L", "user_id, table_name, id", tables),
        ("generation_retry_v1", "%L, %L", "id, tool", "from jobs"),
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
    ] {
        try_each(&db, function, &each_call(function, arguments, columns, from)).await;
    }
    for quarantined in [false, true] {
        if quarantined {
            cron(&db).await;
        }
        let live = format!("{tables} where completed_at is null");
        let arguments = format!("''{admin}'', %L, %L, ''by hand''");
        let of = each_call("job_cancel_admin_v1", &arguments, "table_name, id", &live);
        try_each(&db, "job_cancel_admin_v1", &of).await;
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
