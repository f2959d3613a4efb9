//! Measures the size of each table after a year of traffic and of the passes that prune it. The
//! rows of each day are written with that day's dates and with the triggers off; then passes run
//! until nothing is left to prune.

use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::sizes::{self, TableSize};
use crate::postgres;

const JOBS_PER_DAY: i32 = 200;
const DAYS: i32 = 365;
const SHOWN: [i32; 5] = [30, 95, 185, 275, 365];

/// The traffic of day `$DAY` of the year, with `$JOBS` orders.
const TRAFFIC: &str = "
set session_replication_role = replica;
create temp table today as
select gen_random_uuid() as id, md5((n % 2000)::text)::uuid as user_id,
  timestamptz '2030-01-01' + ($DAY + n::float8 / $JOBS) * interval '1 day' as at,
  case when n % 20 = 0 then 'cancelled' when n % 7 = 0 then 'failed' else 'completed' end as status
from generate_series(0, $JOBS - 1) n;
insert into unstuck.credit_accounts (user_id)
select distinct user_id
from today
on conflict do nothing;
insert into unstuck.jobs
  (id, tool, user_id, status, credits_charged, credits_refunded, refund_rule, input, request_hash,
   output_url, queued_at, started_at, created_at, updated_at, deadline_at, expires_at,
   completed_at)
select id, 'runninghub-upscaler', user_id, status, 60,
  case status when 'completed' then 0 else 60 end, 'all',
  jsonb_build_object(
    'imageUrl', 'https://files.invalid/' || id, 'prompt', repeat('a word ', 40)
  ),
  md5(id::text), 'https://files.invalid/results/' || id, at, at, at, at + interval '5 min', at,
  at + interval '1 hour', at + interval '5 min'
from today;
insert into unstuck.job_steps
  (job_id, step, status, provider, provider_task_id, run, share, sent_at, started_at, deadline_at,
   input, output, output_url, completed_at)
select id, 1, status, 'runninghub', id::text, 1, 60, at, at, at + interval '10 min',
  jsonb_build_object('body', repeat('a request ', 60)), '{\"files\": 1}',
  'https://files.invalid/results/' || id, at + interval '5 min'
from today;
insert into unstuck.job_events (job_id, step, run, at, event, to_status, actor)
select id, 1, 1, at + n * interval '1 min', 'step_running', 'running', 'worker'
from today, generate_series(0, 5) n;
insert into unstuck.credit_entries
  (user_id, job_id, kind, amount, balance_after, reason, created_at)
select user_id, id, 'debit', -60, 1000, 'runninghub-upscaler', at
from today
union all
select user_id, id, 'refund', 60, 1000, 'PROVIDER_FAILED', at
from today
where status <> 'completed';
insert into unstuck.webhook_inbox
  (provider, job_id, step, run, task_id, dedup_key, body, received_at, applied_at)
select 'runninghub', id, 1, 1, id::text, id || '/' || n,
  jsonb_build_object('said', repeat('a result ', 60)), at, case when n = 1 then at end
from today, generate_series(1, 2) n;
-- Four passes a minute, and a tab that somebody closes.
insert into unstuck.sweeps (source, started_at, finished_at, stuck, violations)
select 'cron', at, at, 0, 0
from (
  select timestamptz '2030-01-01' + ($DAY + n / 5760.0) * interval '1 day' as at
  from generate_series(0, 5759) n
) p;
insert into unstuck.cancelled_requests (user_id, job_id, at)
select user_id, gen_random_uuid(), at
from today;
-- Rows of older clients that were never ordered.
insert into unstuck.jobs
  (tool, user_id, status, refund_rule, input, error_code, error_message, created_at, updated_at,
   deadline_at, expires_at, completed_at)
select 'runninghub-upscaler', user_id, 'cancelled', 'all',
  jsonb_build_object('prompt', repeat('a word ', 40)), 'ORPHANED', 'ORPHANED: never started.',
  at, at, at, at, at
from today;
insert into unstuck.job_events (job_id, at, event, to_status, actor)
select id, created_at, 'job_cancelled', 'cancelled', 'sweep'
from unstuck.jobs
where request_hash is null
  and created_at >= timestamptz '2030-01-01' + $DAY * interval '1 day';
-- What a provider refused, an hour each, and users whose turn could not be given at once.
insert into unstuck.provider_alarms (at, last_at, provider, tool, code, count)
select at, at, 'runninghub', 'runninghub-upscaler', 'refused', 1
from (
  select timestamptz '2030-01-01' + ($DAY + n / 24.0) * interval '1 day' as at
  from generate_series(0, 23) n
) a;
insert into unstuck_private.turns_owed (provider, user_id)
select distinct 'runninghub', user_id
from today
on conflict do nothing;
drop table today;
set session_replication_role = origin;
-- The day's claims give those turns.
select unstuck_private.owed_turns_give('runninghub') from generate_series(1, 2)";

const PASS: &str = "
select coalesce(sum(pruned), 0)::bigint, string_agg(error, '; ')
from unstuck_private.prune_old_rows(timestamptz '2030-01-02' + $1 * interval '1 day')";

pub(super) async fn run(bench: &Bench) -> Result<()> {
    let client = postgres::connect(&bench.database("bench_year").await?).await?;
    let (mut pruned, mut passes, mut pruning_ms, mut longest_ms) = (0_i64, 0_u32, 0.0_f64, 0.0_f64);
    let mut shown = Vec::new();
    for day in 0..DAYS {
        let sql =
            TRAFFIC.replace("$DAY", &day.to_string()).replace("$JOBS", &JOBS_PER_DAY.to_string());
        client.batch_execute(&sql).await?;
        loop {
            let began = Instant::now();
            let row = client.query_one(PASS, &[&f64::from(day)]).await?;
            let took_ms = began.elapsed().as_secs_f64() * 1000.0;
            let (rows, error): (i64, Option<String>) = (row.get(0), row.get(1));
            anyhow::ensure!(error.is_none(), "day {day}: {}", error.unwrap_or_default());
            passes += 1;
            pruned += rows;
            pruning_ms += took_ms;
            longest_ms = longest_ms.max(took_ms);
            if rows == 0 {
                break;
            }
        }
        // Autovacuum would do this.
        if day % 10 == 9 {
            client.batch_execute("vacuum analyze").await?;
        }
        if SHOWN.contains(&(day + 1)) {
            shown.push(sizes::tables(&client).await?);
        }
    }
    print(&shown);
    println!(
        "{JOBS_PER_DAY} jobs a day; {pruned} rows pruned by {passes} passes, {:.1} ms a pass, \
         the longest {longest_ms:.0} ms",
        pruning_ms / f64::from(passes)
    );
    Ok(())
}

fn print(shown: &[Vec<TableSize>]) {
    let days: String = SHOWN.iter().map(|day| format!("{:>20}", format!("day {day}"))).collect();
    println!("{:<38}{days}", "rows (MB)");
    for (at, table) in shown.first().into_iter().flatten().enumerate() {
        let sizes = shown.iter().filter_map(|tables| tables.get(at));
        let cells: String = sizes
            .map(|table| format!("{:>20}", format!("{} ({})", table.rows, table.bytes >> 20)))
            .collect();
        println!("{:<38}{cells}", table.name);
    }
}
