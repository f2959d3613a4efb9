//! Measures the audit of a sweep, the admin's list of violations and a user's page, with 500,000
//! jobs and a ledger of 600,000 entries.

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use super::Bench;
use super::figures::Timings;
use crate::postgres;

/// Writes the rows with the triggers off. The rows agree with each other, and none waits for an
/// audit.
const TOWN: &str = "
set session_replication_role = replica;
insert into credit_entries (user_id, kind, amount, balance_after, created_at)
select md5('user ' || n % 10000)::uuid, 'grant', 1000, 0, now() - interval '1 year'
from generate_series(1, 100000) n;
insert into jobs
  (id, tool, user_id, status, credits_charged, refund_rule, request_hash, created_at, queued_at,
   started_at, updated_at, completed_at, deadline_at, expires_at, input)
select md5('job ' || n)::uuid, 'runninghub-upscaler', md5('user ' || n % 10000)::uuid, 'completed',
  60, 'all', 'h', at, at, at, at, at, at, at, '{\"imageUrl\": \"https://files.invalid/in.png\"}'
from (
  select n, now() - n * interval '1 minute' as at
  from generate_series(1, 500000) n
) o;
insert into job_steps
  (job_id, step, status, provider, run, share, claimed_at, sent_at, started_at, provider_done_at,
   completed_at, deadline_at)
select id, 1, 'completed', 'runninghub', 1, 60, started_at, started_at, started_at, completed_at,
  completed_at, deadline_at
from jobs;
insert into credit_entries (user_id, job_id, kind, amount, balance_after, created_at)
select user_id, id, 'debit', -60, 0, created_at
from jobs;
insert into credit_entries (user_id, kind, amount, balance_after)
select user_id, 'grant', 10000, 0
from (select distinct user_id from credit_entries) u;
insert into credit_accounts (user_id, balance)
select user_id, sum(amount)
from credit_entries
group by user_id
on conflict (user_id) do update set balance = excluded.balance;
set session_replication_role = origin;
";

const VIOLATIONS: &str = "
update jobs
set credits_charged = credits_charged - 1
where id in (select md5('job ' || n)::uuid from generate_series(1, 100) n);
";

/// The measured user has 150 waiting sets of seven cards.
const CARDS: &str = "
insert into jobs (tool, user_id, status, total_steps, deadline_at, expires_at, request_hash)
select 'create-generation-job-banana', md5('user 1')::uuid, 'queued', 7,
  now() + interval '1 hour', now() + interval '1 hour', 'h'
from generate_series(1, 150);
insert into job_steps (job_id, step, status, provider, deadline_at)
select id, step, 'queued', 'gemini', now() + interval '1 hour'
from jobs
cross join generate_series(1, 7) as step
where status = 'queued';
";

const AS_USER: &str = "
select set_config(
  'request.jwt.claims', json_build_object('sub', md5('user 1')::uuid)::text, false
);
set role authenticated;
";

const AS_ADMIN: &str = "
insert into user_roles values (md5('admin')::uuid, 'admin') on conflict do nothing;
select set_config(
  'request.jwt.claims', json_build_object('sub', md5('admin')::uuid)::text, false
);
set role authenticated;
";

const OWN: &str = "user_id = md5('user 1')::uuid";
const END: &str = "select * from sweep_end_v1((select max(id) from sweeps), 0, 0, 0)";
const LIST: &str = "select * from invariant_violations";

pub(super) async fn run(bench: &Bench) -> Result<()> {
    let client = postgres::connect(&bench.database("bench_audit").await?).await?;
    client.batch_execute(TOWN).await?;
    client.batch_execute("vacuum analyze").await?;
    client.batch_execute("select sweep_begin_v1('bench')").await?;
    println!(
        "500,000 jobs, {} entries",
        count(&client, "select count(*) from credit_entries").await?
    );
    println!("{:<58} {:>8}", "", "ms");
    for jobs in [0, 10, 100, 1_400] {
        let name = format!("a pass's report, {jobs} jobs changed since the last");
        timed(&client, &name, END, &touched(jobs)).await?;
    }
    // Runs audits until the list is empty.
    client.batch_execute("select unstuck_private.audit('1 minute')").await?;
    client.batch_execute(VIOLATIONS).await?;
    client.batch_execute(END).await?;
    ensure!(
        count(&client, "select count(*) from violations_found").await? == 100,
        "100 violations"
    );
    client.batch_execute(AS_ADMIN).await?;
    timed(&client, "the admin's list, 100 violations", LIST, "").await?;
    let hundred = format!("reset role; {} {AS_ADMIN}", touched(100));
    timed(&client, "the same, 100 jobs changed since the last audit", LIST, &hundred).await?;
    client.batch_execute("reset role").await?;
    client.batch_execute(CARDS).await?;
    client.batch_execute("analyze").await?;
    timed(&client, "one computation of the queue", "select unstuck_private.caller_positions()", "")
        .await?;
    client.batch_execute(AS_USER).await?;
    for view in ["generation_jobs", "generation_tasks", "job_receipts"] {
        let name = format!("{view}, 150 sets of cards, 1,050 cards waiting");
        timed(&client, &name, &format!("select * from {view} where {OWN}"), "").await?;
    }
    println!("medians of five; the server is this machine's, whatever else runs on it");
    Ok(())
}

/// Changes that many jobs all over the table, then changes them back.
fn touched(jobs: i32) -> String {
    format!(
        "update jobs set credits_refunded = 1 - credits_refunded, credits_charged = 60
         where id in (select md5('job ' || 200 + n * 350)::uuid from generate_series(1, {jobs}) n);
         update jobs set credits_refunded = 0
         where credits_refunded = 1
           and id in (select md5('job ' || 200 + n * 350)::uuid from generate_series(1, {jobs}) n);"
    )
}

async fn timed(client: &Client, name: &str, sql: &str, before: &str) -> Result<()> {
    let mut times = Timings::default();
    for _ in 0..5 {
        client.batch_execute(before).await?;
        times.take(client.query(sql, &[])).await?;
    }
    println!("{name:<58} {:>8.1}", times.median());
    Ok(())
}

async fn count(client: &Client, sql: &str) -> Result<i64> {
    Ok(client.query_one(sql, &[]).await?.get(0))
}
