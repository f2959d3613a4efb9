//! Fills a queue as on a busy day: the provider is at its limit, and many jobs of different users
//! wait for it.

use anyhow::Result;
use tokio_postgres::Client;

/// The waiting job `n` belongs to the user `waiting n`; `$OWN` further ones belong to the user
/// `waiting own`. 200 jobs are completed, so that durations are known, and each slot has a job. The
/// time to live in the queue is long enough for all jobs.
const ROWS: &str = "
update tools set queue_ttl = '100 days' where provider = 'runninghub';
create temp table ordered as
select
  n,
  md5('job ' || n)::uuid as id,
  md5('waiting ' || case when n > $JOBS then 'own' else n::text end)::uuid as user_id,
  case when n > 0 then 'queued' when n > -slots then 'running' else 'completed' end as status,
  now() - interval '10 min' + n * interval '1 ms' as at,
  case when n <= 0 then now() - interval '5 min' end as started_at,
  case when n <= -slots then now() - interval '4 min' + n * interval '1 s' end as completed_at
from (select max_concurrent as slots from providers where provider = 'runninghub') p,
  generate_series(-200 - slots, $JOBS + $OWN) n;
insert into credit_accounts (user_id, balance)
select user_id, 1000000 - 60 * count(*)
from ordered
group by user_id;
insert into credit_entries (user_id, kind, amount, balance_after)
select distinct user_id, 'grant', 1000000, 1000000
from ordered;
insert into jobs (
  id, tool, user_id, session_id, status, credits_charged, exclusive_key, input, request_hash,
  queued_at, created_at, started_at, completed_at, deadline_at, expires_at
)
select id, 'runninghub-upscaler', user_id, 'bench', status, 60,
  case when n <= $JOBS then 'runninghub:' || user_id end,
  '{\"imageUrl\": \"https://files.invalid/in.png\"}', 'h',
  at, at, started_at, completed_at, now() + interval '1 hour', now() + interval '100 days'
from ordered
order by n;
insert into credit_entries (user_id, job_id, kind, amount, balance_after, reason)
select user_id, id, 'debit', -60,
  1000000 - 60 * row_number() over (partition by user_id order by n), 'runninghub-upscaler'
from ordered;
insert into job_steps (
  job_id, step, status, provider, provider_task_id, run, attempts, share, input, claimed_at,
  sent_at, started_at, provider_done_at, completed_at, deadline_at
)
select id, 1, status, 'runninghub', case when n <= 0 then 'task ' || n end, (n <= 0)::int,
  (n <= 0)::int, 60, jsonb_build_object('body', repeat('a request ', 40)), started_at, started_at,
  started_at, completed_at, completed_at, now() + interval '1 hour'
from ordered
order by n;
drop table ordered";

/// Fills a fresh database with `jobs` waiting jobs of as many users, and `own` jobs of one more
/// user. The tables are vacuumed and analyzed, as autovacuum does soon after so many inserts: an
/// index-only scan needs pages that are known to be visible.
pub(super) async fn fill(client: &Client, jobs: i32, own: i32) -> Result<()> {
    let rows = ROWS.replace("$JOBS", &jobs.to_string()).replace("$OWN", &own.to_string());
    client.batch_execute(&rows).await?;
    // A batch is one transaction, in which a vacuum cannot run.
    client.batch_execute("vacuum analyze").await?;
    Ok(())
}
