//! A real pg_cron as the second scheduler of the healer.

use unstuck_tests::Session;
use unstuck_tests::pg_cron::{self, PATIENCE, POLL};
use xtask::postgres;

/// 72 jobs of cards, 33 of them without `started_at`; every second one has a delivered card.
const STUCK: &str = "
create table stuck as
select gen_random_uuid() as id, md5('user ' || n % 20)::uuid as user_id, n % 2 = 0 as has_card,
  case when n > 33 then now() - make_interval(hours => n) end as started_at, now() -
  make_interval(hours => n + 1) as created_at
from generate_series(1, 72) as n;
insert into unstuck.credit_entries (user_id, kind, amount) select distinct user_id, 'grant', 5000
from stuck;
insert into unstuck.jobs (id, tool, user_id, status, credits_charged, total_steps, started_at,
created_at)
select id, 'create-generation-job-banana', user_id, 'running', 51, 5, started_at, created_at
from stuck;
insert into unstuck.credit_entries (user_id, job_id, kind, amount)
select user_id, id, 'debit', -51 from stuck;
insert into unstuck.job_steps (job_id, step, status, provider, share, completed_at)
select id, step, case when has_card and step = 1 then 'completed' else 'running' end, 'gemini',
case step when 1 then 11 else 10 end,
  case when has_card and step = 1 then created_at end
from stuck cross join generate_series(1, 5) as step";

const OPEN: &str = "select count(*) from unstuck.jobs where completed_at is null";

async fn assert_returned(db: &Session) {
    let wrong = "select s.id, j.status, j.credits_refunded from stuck s
        join unstuck.jobs j using (id)
        where (j.status, j.credits_refunded) <> (case when has_card then 'completed'
        else 'failed' end, case when has_card then 40 else 51 end)";
    assert_eq!(db.rows(wrong).await, Vec::<serde_json::Value>::new());
    let owed = db.int("select sum(case when has_card then 40 else 51 end) from stuck").await;
    assert_eq!(
        db.int("select sum(amount) from unstuck.credit_entries where kind = 'refund'").await,
        owed
    );
    db.assert_healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_cron_alone_heals_the_incident_and_beside_others_returns_nothing_twice() {
    let Some(server) = pg_cron::server("pg_cron beside the edge's healer").await else { return };
    let url = server.url("postgres");
    let db = Session::connect(&url).await;
    // The database's owner creates the extension, and our installation then finds it.
    db.exec("create extension pg_cron").await;
    postgres::install(&postgres::connect(&url).await.unwrap(), true).await.expect("our SQL");
    assert_eq!(db.count("cron.job where command like '%cleanup_all_stale_ai_jobs%'").await, 1);

    // Only pg_cron calls the healer.
    db.exec(STUCK).await;
    let healed = async {
        while db.int(OPEN).await > 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("pg_cron heals within two minutes");
    assert_returned(&db).await;
    assert!(db.count("unstuck.sweeps where source = 'sql' and cleaned = 72").await == 1);

    // pg_cron runs beside the edge's sweep and another call of its own function, in a new incident.
    db.exec(
        "drop table stuck; truncate unstuck.jobs cascade; truncate unstuck.credit_entries,
        unstuck.credit_accounts",
    )
    .await;
    db.exec(STUCK).await;
    let edge = async || drop(Session::connect(&url).await.sweep().await);
    let by_sql = "select * from unstuck.cleanup_all_stale_ai_jobs()";
    let sql = async || Session::connect(&url).await.exec(by_sql).await;
    tokio::join!(edge(), sql(), edge(), sql());
    while db.int(OPEN).await > 0 {
        edge().await;
    }
    assert_returned(&db).await;
}
