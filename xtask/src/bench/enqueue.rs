//! Measures paid jobs per second through `job_enqueue_v2` with 1, 10 and 50 callers. Compares them
//! with plain single-row inserts by as many callers.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio_postgres::Client;

use super::Bench;
use crate::postgres;

const FOR: Duration = Duration::from_secs(3);

/// Allows a user several live jobs of a tool, and makes the table for the plain inserts.
const PREPARE: &str = "
update tools set exclusive_group = null;
create table plain
  (id uuid primary key, user_id uuid, input jsonb, created_at timestamptz default now())";
/// An order by the user $1.
pub(super) const ENQUEUE: &str = "
select status
from job_enqueue_v2(
  $1, gen_random_uuid(), 'runninghub-upscaler', 's', '{\"imageUrl\": \"x\"}', 'h', '[{}]', false
)";
const INSERT: &str = "
insert into plain (id, user_id, input)
values (gen_random_uuid(), $1, '{\"imageUrl\": \"x\"}')";

pub(super) async fn run(bench: &Bench) -> Result<()> {
    println!("{:>8} {:>14} {:>14} {:>7}", "callers", "enqueue/s", "insert/s", "ratio");
    for callers in [1, 10, 50] {
        let url = bench.database("bench_enqueue").await?;
        let owner = postgres::connect(&url).await?;
        owner.batch_execute(PREPARE).await?;
        let (mut enqueue, mut insert) = (0.0, 0.0);
        for _ in 0..2 {
            enqueue += rate(&url, callers, ENQUEUE).await? / 2.0;
            insert += rate(&url, callers, INSERT).await? / 2.0;
        }
        println!("{callers:>8} {enqueue:>14.0} {insert:>14.0} {:>7.2}", enqueue / insert);
    }
    println!(
        "each caller is a user of its own; \
         a job is a debit, a job row, a step and their history in one transaction"
    );
    Ok(())
}

async fn rate(url: &str, callers: usize, sql: &'static str) -> Result<f64> {
    let mut clients = Vec::new();
    for caller in 0..callers {
        let client = postgres::connect(url).await?;
        let user =
            uuid::Uuid::from_u128(0x0000_0000_0000_4000_9000_0000_0000_0000 + caller as u128);
        let grant = "select 1 from credit_grant_v1($1::uuid, 100000000, 'bench', $1::uuid::text)";
        client.query(grant, &[&user]).await?;
        clients.push((client, user));
    }
    let began = Instant::now();
    let workers: Vec<_> =
        clients.into_iter().map(|(client, user)| tokio::spawn(work(client, user, sql))).collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await??;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

async fn work(client: Client, user: uuid::Uuid, sql: &str) -> Result<u32> {
    let statement = client.prepare(sql).await?;
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < FOR {
        client.execute(&statement, &[&user]).await?;
        done += 1;
    }
    Ok(done)
}
