//! Measures one sweep of 1,000, 10,000 and 100,000 stale jobs with refunds. Compares it with one
//! plain transaction that writes the same rows to the same tables, triggers included, and with a
//! sweep whose refunds go one by one to an app's wallet.

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use super::Bench;
use super::figures::Timings;
use crate::{paths, postgres};

const STALE: &str = "
insert into credit_accounts (user_id)
select ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid
from generate_series(0, 499) n;
insert into credit_entries (user_id, kind, amount, balance_after)
select user_id, 'grant', 100000000, 100000000
from credit_accounts
where user_id::text like '00000000-0000-4000-9000-%';
insert into jobs
  (tool, user_id, status, credits_charged, request_hash, queued_at, started_at, created_at,
   deadline_at, expires_at)
select 'runninghub-upscaler',
  ('00000000-0000-4000-9000-' || lpad(to_hex(n % 500), 12, '0'))::uuid,
  'running', 60, 'h', at, at + interval '1 min', at, at + interval '11 min', at + interval '20 min'
from (
  select n, now() - interval '40 min' + n * interval '1 ms' as at
  from generate_series(1, $JOBS) n
) o;
insert into job_steps
  (job_id, step, status, provider, run, share, sent_at, started_at, deadline_at)
select id, 1, 'running', 'runninghub', 1, 60, started_at, started_at, deadline_at
from jobs;
insert into credit_entries (user_id, job_id, kind, amount, balance_after)
select user_id, id, 'debit', -60, 0
from jobs;
update credit_accounts a
set balance = (select sum(amount) from credit_entries e where e.user_id = a.user_id);
";

const PLAIN: &str = "
begin;
update job_steps
set status = 'failed', error_code = 'TIMEOUT', error_message = 'no result after 29 minutes.',
  completed_at = now(), lease_until = null, checked_at = null;
insert into credit_entries (user_id, job_id, kind, amount, balance_after, reason)
select user_id, id, 'refund', 60, 1, 'TIMEOUT'
from jobs;
update credit_accounts a
set balance = a.balance + t.total
from (select user_id, sum(60) as total from jobs group by 1) t
where t.user_id = a.user_id;
update jobs
set status = 'failed', error_code = 'TIMEOUT', credits_refunded = 60, completed_at = now(),
  error_message = 'TIMEOUT: no result after 29 minutes. 60 credits were returned.';
commit;
";

/// The app's table, as in `supabase/hosts/template`, and its rows. An adapter can replace only an
/// empty wallet.
const BALANCES: &str = "
create table public.balances (user_id uuid primary key, balance bigint);
update credit_accounts
set balance = 0";
const MOVED: &str = "
insert into public.balances
select user_id, balance
from credit_accounts;
update credit_accounts
set balance = 0";

/// The holder of the balances.
#[derive(Clone, Copy)]
pub(super) enum Holder {
    BuiltIn,
    App,
}

pub(super) async fn run(bench: &Bench) -> Result<()> {
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>7} {:>12} {:>12}",
        "jobs", "sweep ms", "µs per job", "plain ms", "ratio", "app's ms", "µs per job"
    );
    for jobs in [1_000, 10_000, 100_000] {
        let mut plains = Timings::default();
        let mut sweeps = [Timings::default(), Timings::default()];
        for _ in 0..3 {
            for (holder, timings) in [Holder::BuiltIn, Holder::App].into_iter().zip(&mut sweeps) {
                let client = stale(bench, jobs, holder).await?;
                timings.take(sweep(&client, jobs)).await?;
            }
            let client = stale(bench, jobs, Holder::BuiltIn).await?;
            plains.take(client.batch_execute(PLAIN)).await?;
        }
        let plain = plains.median();
        let [sweep, of_app] = sweeps.map(|timings| timings.median());
        let each = |ms: f64| ms * 1000.0 / f64::from(jobs);
        println!(
            "{jobs:>8} {sweep:>12.0} {:>12.1} {plain:>12.0} {:>7.2} {of_app:>12.0} {:>12.1}",
            each(sweep),
            sweep / plain,
            each(of_app)
        );
    }
    println!(
        "medians of three interleaved runs; \
         plain = one transaction that writes the same rows to the same tables; \
         app's = a sweep whose refunds go to the wallet of supabase/hosts/template"
    );
    Ok(())
}

/// A fresh database with that many jobs past their deadline, paid from that wallet.
pub(super) async fn stale(bench: &Bench, jobs: i32, holder: Holder) -> Result<Client> {
    let client = postgres::connect(&bench.database("bench_sweep").await?).await?;
    if let Holder::App = holder {
        client.batch_execute(BALANCES).await?;
        postgres::apply(&client, &[paths::root().join("supabase/hosts/template/wallet.sql")])
            .await?;
    }
    client.batch_execute(&STALE.replace("$JOBS", &jobs.to_string())).await?;
    if let Holder::App = holder {
        client.batch_execute(MOVED).await?;
    }
    // A batch is one transaction, in which a vacuum cannot run.
    client.batch_execute("vacuum analyze").await?;
    client.batch_execute("checkpoint").await?;
    Ok(client)
}

/// Calls `jobs_sweep_v1` until all `jobs` have ended.
pub(super) async fn sweep(client: &Client, jobs: i32) -> Result<()> {
    let id: i64 =
        client.query_one("select sweep_id from sweep_begin_v1('bench')", &[]).await?.get(0);
    let mut cleaned = 0;
    while cleaned < jobs {
        let swept: i32 =
            client.query_one("select cleaned from jobs_sweep_v1($1, 100000)", &[&id]).await?.get(0);
        cleaned += swept;
        ensure!(swept > 0, "swept {cleaned} of {jobs} jobs");
    }
    Ok(())
}
