//! Measures the calls that read, join or claim from a queue of 100, 10,000 and 100,000 waiting
//! steps, and the reading of a user's 1,000 waiting jobs through an old name.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::figures::{self, Timings};
use super::{Bench, enqueue, waiting};
use crate::postgres;

const LINES: [i32; 3] = [100, 10_000, 100_000];
/// The rounds for each length of the queue: at least `ROUNDS_MIN`, and at most `ROUNDS` as long as
/// `FOR` is not over.
const ROUNDS: usize = 40;
const ROUNDS_MIN: usize = 5;
const FOR: Duration = Duration::from_secs(60);
const OWN: i32 = 1_000;
const OTHERS: i32 = 10_000;

const STATUS: &str = r#"
select "position"
from job_get_v1(md5('job ' || $1::int)::uuid, md5('waiting ' || $1::int)::uuid)"#;
const ACTIVE: &str = r#"
select "position"
from user_active_v1(md5('waiting ' || $1::int)::uuid)"#;
const CLAIM: &str = "
select job_id, step, run
from step_claim_v1('runninghub', 5)";
const FREE: &str = "
select outcome
from step_fail_v1($1, $2, $3, 'PROVIDER_FAILED', 'the bench needs the slot')";
const GRANT: &str = "
select 1
from credit_grant_v1($1::uuid, 1000, 'bench', $1::uuid::text)";
const AS_OWNER: &str = "
select set_config(
  'request.jwt.claims', json_build_object('sub', md5('waiting own')::uuid)::text, false
);
set role authenticated";
const OWN_ROWS: &str = "
select *
from upscaler_jobs
where user_id = md5('waiting own')::uuid";

/// A measured call: its name, and the limit of its median in milliseconds with 10,000 waiting
/// steps. With 100,000 steps the limit is 15 ms for each call.
const CALLS: [(&str, &str); 5] = [
    ("status of the job in the middle", "2"),
    ("status of the last job", "2"),
    ("check-user-active of the last job's user", "4"),
    ("claim of one step", "4"),
    ("enqueue", "3"),
];

pub(super) async fn run(bench: &Bench) -> Result<()> {
    let mut columns = Vec::new();
    for jobs in LINES {
        columns.push(line(bench, jobs).await.with_context(|| format!("{jobs} waiting"))?);
    }
    figures::head("waiting, one job a user", &["100", "10,000", "wanted", "100,000", "wanted"]);
    for (at, (name, wanted)) in CALLS.iter().enumerate() {
        let mut cells: Vec<String> =
            columns.iter().filter_map(|calls| calls.get(at)).map(figures::cell).collect();
        cells.insert(2, format!("≤ {wanted}"));
        cells.push("≤ 15".to_owned());
        figures::line(name, &cells);
    }
    let own = own_rows(bench).await?;
    figures::line(
        "upscaler_jobs, 1,000 own of 11,000 waiting",
        &[String::new(), figures::cell(&own), "≤ 50".to_owned()],
    );
    println!(
        "ms: median (95th percentile) of up to {ROUNDS} rounds, all calls in turn; the provider \
         works at its limit; vacuumed and analyzed after the rows were written"
    );
    Ok(())
}

/// The times of each of [`CALLS`] with that many waiting jobs.
async fn line(bench: &Bench, jobs: i32) -> Result<[Timings; 5]> {
    let client = postgres::connect(&bench.database("bench_queue").await?).await?;
    waiting::fill(&client, jobs, 0).await?;
    let client = Prepared::new(&client).await?;
    let mut times: [Timings; 5] = Default::default();
    let [middle, last, active, claim, enqueue] = &mut times;
    // One of the jobs that have a slot.
    let slot = "select job_id, step, run from job_steps where status = 'running' limit 1";
    let mut held = client.client.query_one(slot, &[]).await?;
    let began = Instant::now();
    for round in 0..ROUNDS {
        if round >= ROUNDS_MIN && began.elapsed() > FOR {
            break;
        }
        let half = (jobs / 2).max(1);
        let row = middle.take(client.one(&client.status, &[&half])).await?;
        ensure!(row.get::<_, Option<i32>>(0).is_some(), "the middle has no position");
        let row = last.take(client.one(&client.status, &[&jobs])).await?;
        ensure!(row.get::<_, Option<i32>>(0).is_some(), "the last has no position");
        active.take(client.one(&client.active, &[&jobs])).await?;
        let user = Uuid::new_v4();
        client.client.query(GRANT, &[&user]).await?;
        enqueue.take(client.one(&client.enqueue, &[&user])).await?;
        // One slot is freed and claimed for each order, so that the queue keeps its length.
        let (job, step, run): (Uuid, i32, i64) = (held.get(0), held.get(1), held.get(2));
        client.one(&client.free, &[&job, &step, &run]).await?;
        held = claim.take(client.one(&client.claim, &[])).await?;
    }
    Ok(times)
}

/// The calls as prepared statements, as PostgREST prepares them.
struct Prepared<'a> {
    client: &'a Client,
    status: Statement,
    active: Statement,
    claim: Statement,
    free: Statement,
    enqueue: Statement,
}

impl<'a> Prepared<'a> {
    async fn new(client: &'a Client) -> Result<Self> {
        Ok(Self {
            client,
            status: client.prepare(STATUS).await?,
            active: client.prepare(ACTIVE).await?,
            claim: client.prepare(CLAIM).await?,
            free: client.prepare(FREE).await?,
            enqueue: client.prepare(enqueue::ENQUEUE).await?,
        })
    }

    /// Returns the one row; no row, or several, is an error.
    async fn one(&self, call: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        Ok(self.client.query_one(call, values).await?)
    }
}

/// The times of reading 1,000 waiting jobs of one user through an old name, as that user.
async fn own_rows(bench: &Bench) -> Result<Timings> {
    let client = postgres::connect(&bench.database("bench_queue").await?).await?;
    client.batch_execute("update tools set exclusive_group = null").await?;
    waiting::fill(&client, OTHERS, OWN).await?;
    client.batch_execute(AS_OWNER).await?;
    let statement = client.prepare(OWN_ROWS).await?;
    let mut times = Timings::default();
    let began = Instant::now();
    for round in 0..ROUNDS {
        if round >= ROUNDS_MIN && began.elapsed() > FOR {
            break;
        }
        let rows = times.take(client.query(&statement, &[])).await?;
        ensure!(rows.len() == usize::try_from(OWN)?, "{} own rows", rows.len());
        let placed = rows.iter().filter(|row| row.get::<_, Option<i32>>("position").is_some());
        ensure!(placed.count() == rows.len(), "a waiting job has no position");
    }
    Ok(times)
}
