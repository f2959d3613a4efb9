//! Measures the life of one picture through the RPCs that the Workers call for it: the number of
//! calls, the time of each on an idle server, and the rows that a life leaves in the database.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::figures::{self, Timings};
use super::{Bench, cpu, sizes};
use crate::postgres;

const LIVES: i32 = 1_000;
const USERS: i32 = 40;
/// The number of callers. One claim takes as many steps, so that it leaves no caller's job waiting.
const CALLERS: i32 = 4;

/// The calls of one life, in order. `{job}`, `{user}` and `{task}` are those of the life. A call
/// begins with the name of its RPC.
pub(super) const LIFE: [&str; 6] = [
    "job_enqueue_v2({user}, {job}, 'runninghub-upscaler', 'page',
      '{\"imageUrl\": \"https://files.invalid/uploads/in.png\", \"resolution\": 2048}',
      'a hash of sixty-four letters, as the order of a picture has it..', '[{\"app\": \"standard\",
      \"nodes\": [{\"nodeId\": \"2\", \"fieldName\": \"image\", \"fieldValue\":
      \"https://files.invalid/uploads/in.png\"}], \"result\": {\"kind\": \"image\"}}]', true)",
    "step_sent_v1({job}, 1, 1)",
    "step_started_v1({job}, 1, 1, {task})",
    "webhook_record_v2('runninghub', {job}, 1, 1, {task}, {task}, '{\"event\": \"TASK_END\",
      \"eventData\": {\"status\": \"SUCCESS\", \"results\": [{\"url\":
      \"https://results.invalid/0123456789abcdef\", \"outputType\": \"png\"}]}}')",
    "step_done_v2({job}, 1, 1, {task}, '{\"files\": [{\"url\":
      \"https://results.invalid/0123456789abcdef\", \"type\": \"png\", \"node\": \"9\"}]}')",
    "step_complete_v2({job}, 1, 1, '{\"files\": [{\"url\":
      \"https://results.invalid/0123456789abcdef\", \"type\": \"png\", \"node\": \"9\"}]}',
      'https://files.invalid/results/0123456789abcdef.png')",
];

/// Claims the waiting steps, including that of this job.
const CLAIM_LEFT: &str = "select job_id from step_claim_v1('runninghub', 4)";

/// The same writes as in [`LIFE`] by functions without any rule. `$1`, `$2` and `$3` are as in
/// [`NAMES`].
const PLAIN: &str = include_str!("../../bench/plain.sql");
const PLAIN_CALLS: [&str; 6] = [
    "plain_order($2, $1, $3)",
    "plain_sent($2, $1, $3)",
    "plain_started($2, $1, $3)",
    "plain_webhook($2, $1, $3)",
    "plain_done($2, $1, $3)",
    "plain_complete($2, $1, $3)",
];

/// The names in braces that a call may contain.
const NAMES: [&str; 3] = ["job", "user", "task"];

/// Grants all [`USERS`] enough credits.
pub(super) const GRANTS: &str = "
select credit_grant_v1(md5('buyer ' || n)::uuid, 100000000, 'bench', 'buyer ' || n)
from generate_series(0, 39) n";

pub(super) async fn run(bench: &Bench) -> Result<()> {
    let client = postgres::connect(&bench.database("bench_life").await?).await?;
    client.batch_execute(GRANTS).await?;
    // The planner gets statistics of the first rows. After the checkpoint each page is written to
    // the log as a whole only once.
    live(&client, 0..USERS).await?;
    client.batch_execute("analyze").await?;
    client.batch_execute("checkpoint").await?;
    let sizes_before = sizes::tables(&client).await?;
    let log_before = log_position(&client).await?;
    let cpu_before = cpu::by_program();
    let (calls, whole) = live(&client, USERS..USERS + LIVES).await?;
    let cpu = cpu::used(&cpu_before, &cpu::by_program());
    let log = log_position(&client).await? - log_before;

    figures::head("RPC", &["ms", "p95"]);
    let show = |name: &str, times: &Timings| {
        let cells = [times.median(), times.p95()].map(|ms| format!("{ms:.2}"));
        figures::line(name, &cells);
    };
    for (call, times) in LIFE.iter().zip(&calls) {
        show(name(call), times);
    }
    show("a whole life", &whole);
    show("beside it: nothing", &repeated(&client, "select 1").await?);
    client.batch_execute("create table plain (id bigint generated always as identity)").await?;
    show("beside it: one row", &repeated(&client, "insert into plain default values").await?);
    let made = calls.iter().map(Timings::count).sum::<usize>() as f64 / f64::from(LIVES);
    println!("{made:.2} RPCs a life (wanted: ≤ 6); {LIVES} lives, one after the other\n");
    left_behind(&client, &sizes_before).await?;
    println!("WAL: {} bytes a life", log / i64::from(LIVES));
    let cpu_ms = cpu.get("postgres").copied().unwrap_or_default() * 1000.0 / f64::from(LIVES);
    println!("CPU of the server: {cpu_ms:.1} ms a life\n");
    let (plain_order, plain_life) = plain_lives(&client).await?;
    show("the rows of an order, no rules", &plain_order);
    show("the rows of a life, no rules", &plain_life);
    side_by_side(bench).await
}

/// The times of the plain writes of an order, and of a whole life.
async fn plain_lives(client: &Client) -> Result<(Timings, Timings)> {
    client.batch_execute(PLAIN).await?;
    client.batch_execute("set session_replication_role = replica").await?;
    let mut statements = Vec::new();
    for call in PLAIN_CALLS {
        statements.push(client.prepare(&format!("select {call}")).await?);
    }
    let user: Uuid = client.query_one("select md5('buyer 0')::uuid", &[]).await?.get(0);
    let (mut orders, mut lives) = (Timings::default(), Timings::default());
    for _ in 0..LIVES {
        let job = Uuid::new_v4();
        let task = format!("plain {job}");
        let values: [&(dyn ToSql + Sync); 3] = [&job, &user, &task];
        let began = Instant::now();
        for statement in &statements {
            client.query(statement, &values).await?;
            if lives.count() == orders.count() {
                orders.add(began.elapsed());
            }
        }
        lives.add(began.elapsed());
    }
    client.batch_execute("set session_replication_role = origin").await?;
    Ok((orders, lives))
}

/// Prints the lives per second of one caller and of several.
async fn side_by_side(bench: &Bench) -> Result<()> {
    for callers in [1, CALLERS] {
        let url = bench.database("bench_life").await?;
        let client = postgres::connect(&url).await?;
        client.batch_execute(GRANTS).await?;
        client.batch_execute("update providers set max_concurrent = 100").await?;
        live(&client, 0..USERS).await?;
        client.batch_execute("analyze").await?;
        let began = Instant::now();
        let mut lives = JoinSet::new();
        for caller in 0..callers {
            let client = postgres::connect(&url).await?;
            // Each caller has users of its own.
            let own = (USERS + caller..USERS + LIVES).step_by(usize::try_from(callers)?);
            lives.spawn(async move { live(&client, own).await });
        }
        while let Some(lived) = lives.join_next().await {
            lived??;
        }
        let rate = f64::from(LIVES) / began.elapsed().as_secs_f64();
        println!("lives a second, {callers} callers: {rate:.0}");
    }
    Ok(())
}

/// Runs these lives one after the other. Returns the times of each call of [`LIFE`], and of whole
/// lives.
async fn live(
    client: &Client,
    lives: impl Iterator<Item = i32>,
) -> Result<(Vec<Timings>, Timings)> {
    let mut statements = Vec::new();
    for call in LIFE {
        let call = BoundCall::new(call);
        statements.push((client.prepare(&call.text).await?, call.values));
    }
    let (mut calls, mut whole) = (vec![Timings::default(); LIFE.len()], Timings::default());
    let user = "select md5('buyer ' || $1::int % 40)::uuid";
    for life in lives {
        let user: Uuid = client.query_one(user, &[&life]).await?.get(0);
        let job = Uuid::new_v4();
        let task = format!("1900000000{life:09}");
        let began = Instant::now();
        for ((statement, names), times) in statements.iter().zip(&mut calls) {
            let value = |name: &&str| -> &(dyn ToSql + Sync) {
                match *name {
                    "job" => &job,
                    "user" => &user,
                    _ => &task,
                }
            };
            let values: Vec<_> = names.iter().map(value).collect();
            let rows = times.take(client.query(statement, &values)).await?;
            let is_order = names.contains(&"user");
            if is_order && rows.iter().all(|row| row.get::<_, Option<Value>>("claimed").is_none()) {
                // If another order held the provider's lock, a worker claims the step in a call of
                // its own.
                times.take(client.query(CLAIM_LEFT, &[])).await?;
            }
        }
        whole.add(began.elapsed());
        let ended = "select status from jobs where id = $1";
        let status: String = client.query_one(ended, &[&job]).await?.get(0);
        ensure!(status == "completed", "the life ended {status}");
    }
    Ok((calls, whole))
}

/// A call of [`LIFE`] with the names replaced by `$1`, `$2` and so on.
#[derive(Serialize)]
pub(super) struct BoundCall {
    text: String,
    /// The names that `$1`, `$2` and so on stand for.
    values: Vec<&'static str>,
}

impl BoundCall {
    pub(super) fn new(call: &str) -> Self {
        let braced = |name: &str| format!("{{{name}}}");
        let values: Vec<_> =
            NAMES.into_iter().filter(|name| call.contains(&braced(name))).collect();
        let numbered = values.iter().zip(1..).fold(call.to_owned(), |text, (name, number)| {
            text.replace(&braced(name), &format!("${number}"))
        });
        Self { text: format!("select * from {numbered}"), values }
    }
}

fn name(call: &str) -> &str {
    call.split('(').next().unwrap_or_default()
}

/// The times of a statement that is none of our RPCs.
async fn repeated(client: &Client, sql: &str) -> Result<Timings> {
    let statement = client.prepare(sql).await?;
    let mut times = Timings::default();
    for _ in 0..LIVES {
        times.take(client.query(&statement, &[])).await?;
    }
    Ok(times)
}

async fn log_position(client: &Client) -> Result<i64> {
    let position = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
    Ok(client.query_one(position, &[]).await?.get(0))
}

/// Prints the rows and bytes that a life left in each table, after an audit.
async fn left_behind(client: &Client, before: &[sizes::TableSize]) -> Result<()> {
    let audit = "
        select (
          select violations
          from sweep_end_v1(s.sweep_id, 0, 0, 0)
        )
        from sweep_begin_v1('bench') s";
    for _ in 0..20 {
        client.query(audit, &[]).await?;
    }
    client.batch_execute("vacuum").await?;
    figures::head("left of a life", &["rows", "bytes"]);
    let lives = f64::from(LIVES);
    let mut whole = (0, 0);
    for after in sizes::tables(client).await? {
        let Some(old) = before.iter().find(|old| old.name == after.name) else { continue };
        let (rows, bytes) = (after.rows - old.rows, after.bytes - old.bytes);
        // Only tables that grow with the lives are shown, not the sweeps' own rows.
        if rows >= i64::from(LIVES) / 2 {
            whole = (whole.0 + rows, whole.1 + bytes);
            show_left(&after.name, (rows, bytes), lives);
        }
    }
    show_left("all", whole, lives);
    Ok(())
}

fn show_left(name: &str, (rows, bytes): (i64, i64), lives: f64) {
    let each = [rows as f64, bytes as f64].map(|count| format!("{:.1}", count / lives));
    figures::line(name, &each);
}
