//! Lets many users order pictures through the public origin of the whole local stack, and measures
//! how long they wait, how busy the provider's slots are and what that costs.
//!
//! A user looks at a job as `web/client.js` does. No cron fires but the sweep, every 20 s.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::cpu::{self, CpuSeconds};
use super::figures::{self, Timings};
use super::shopper::Shopper;
use crate::stack::{Stack, StackOptions};
use crate::tools;

const USERS: usize = 60;
const PICTURES: usize = 3;
/// What the provider takes at the same time.
const SLOTS: u32 = 3;
/// A limit that is much too high: the provider refuses what is more than its slots.
const LIMIT_TOO_HIGH: u32 = 50;
const WORK_MS: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(900);
const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// The shortest and the longest pause between two looks at a job.
const LOOK_MS: u64 = 700;
const LOOK_MS_MAX: u64 = 3_000;

/// What differs between the measurements.
struct LoadPlan {
    name: &'static str,
    limit: u32,
    /// Otherwise each task fails when its work is done, so that there is nothing to copy.
    with_results: bool,
}

/// What was measured.
struct LoadFigures {
    took: Duration,
    /// Those that ended as they should.
    jobs: usize,
    lost: usize,
    violations: i32,
    answers: Timings,
    ends: Timings,
    cpu: CpuSeconds,
}

impl LoadFigures {
    fn jobs_per_second(&self) -> f64 {
        count(self.jobs) / self.took.as_secs_f64()
    }

    /// Of the time of all slots, the part in which the provider worked.
    fn busy(&self) -> f64 {
        let work_s = Duration::from_millis(WORK_MS).as_secs_f64() * count(self.jobs);
        work_s / (f64::from(SLOTS) * self.took.as_secs_f64())
    }
}

fn count(jobs: usize) -> f64 {
    f64::from(u32::try_from(jobs).unwrap_or(u32::MAX))
}

pub(super) async fn run() -> Result<()> {
    tools::setup()?;
    println!(
        "{USERS} users × {PICTURES} pictures, each ordered when the last is delivered; the \
         provider takes {SLOTS} at a time and works {WORK_MS} ms"
    );
    let plans = [
        LoadPlan { name: "right limit", limit: SLOTS, with_results: true },
        LoadPlan { name: "no results to copy", limit: SLOTS, with_results: false },
        LoadPlan { name: "limit of 50", limit: LIMIT_TOO_HIGH, with_results: true },
    ];
    let (mut names, mut measured) = (Vec::new(), Vec::new());
    for plan in &plans {
        match measure(plan).await {
            Ok(found) => {
                names.push(plan.name);
                measured.push(found);
            }
            // What was measured before is shown all the same.
            Err(error) => println!("{}: {error:#}", plan.name),
        }
    }
    show(&names, &measured);
    ensure!(measured.len() == plans.len(), "a measurement failed");
    Ok(())
}

fn show(names: &[&str], measured: &[LoadFigures]) {
    figures::head("", names);
    let line = |name: &str, cell: &dyn Fn(&LoadFigures) -> String| {
        figures::line(name, &measured.iter().map(cell).collect::<Vec<_>>());
    };
    line("not delivered", &|found| found.lost.to_string());
    line("violations of invariants", &|found| found.violations.to_string());
    line("slots at work (wanted: ≥ 0.85)", &|found| format!("{:.2}", found.busy()));
    line("jobs a second", &|found| format!("{:.2}", found.jobs_per_second()));
    let right = measured.first().map(LoadFigures::jobs_per_second).unwrap_or_default();
    line("as a share of the right limit's (≥ 0.9)", &|found| {
        format!("{:.2}", found.jobs_per_second() / right)
    });
    line("order to answer, ms (p95)", &|found| figures::cell(&found.answers));
    line("order to delivered, ms (p95)", &|found| figures::cell(&found.ends));
    let programs: Vec<&String> =
        measured.first().map(|found| found.cpu.keys().collect()).unwrap_or_default();
    for program in programs {
        let seconds = |found: &LoadFigures| found.cpu.get(program).copied().unwrap_or_default();
        if measured.iter().any(|found| seconds(found) >= 0.1) {
            line(&format!("CPU ms a job: {program}"), &|found| {
                format!("{:.0}", seconds(found) * 1000.0 / count(found.jobs))
            });
        }
    }
}

async fn measure(plan: &LoadPlan) -> Result<LoadFigures> {
    let stack = Stack::start(StackOptions { fsync: true, ..StackOptions::for_tests()? }).await?;
    let http = Client::builder().timeout(Duration::from_secs(60)).build()?;
    let mut rule = json!({ "all": true, "work_ms": WORK_MS });
    if !plan.with_results {
        rule["fail"] = "out of memory".into();
    }
    let script = json!({ "runninghub": [{ "capacity": SLOTS }, rule] });
    let scripted = http.post(format!("{}/__script", stack.info().providers_url)).json(&script);
    scripted.send().await?.error_for_status()?;
    let db = stack.db().await?;
    let limit = "update unstuck.providers set max_concurrent = $1 where provider = 'runninghub'";
    db.execute(limit, &[&i32::try_from(plan.limit)?]).await?;
    // Nothing is refused or given up for its time in the queue.
    db.batch_execute("update unstuck.tools set queue_ttl = '1 hour'").await?;
    let mut shoppers = Vec::new();
    for _ in 0..USERS {
        shoppers.push(Shopper::new(&stack, &db, &http).await?);
    }
    let mut shopping = JoinSet::new();
    let cpu_before = cpu::by_program();
    let (began, began_at) = (Instant::now(), SystemTime::now());
    for shopper in shoppers {
        let (http, url) = (http.clone(), stack.info().functions_url.clone());
        shopping.spawn(async move { shop(&http, &url, &shopper).await });
    }
    let mut orders = Vec::new();
    tokio::select! {
        shopped = async {
            while let Some(bought) = shopping.join_next().await {
                orders.extend(bought??);
            }
            anyhow::Ok(())
        } => shopped?,
        () = sweeps(&stack) => bail!("the sweeps never end"),
        () = tokio::time::sleep(PATIENCE) => bail!("not done in {PATIENCE:?}"),
    }
    println!("{}: {} jobs in {:.1?}", plan.name, orders.len(), began.elapsed());
    let cpu = cpu::used(&cpu_before, &cpu::by_program());
    let ended = ended(&db, plan).await?;
    let (mut answers, mut ends) = (Timings::default(), Timings::default());
    for order in &orders {
        answers.add(order.answered);
        if let Some(end) = ended.get(&order.job) {
            ends.add(end.duration_since(order.sent_at).unwrap_or_default());
        }
    }
    let last = ended.values().max().context("no job ended as it should")?;
    Ok(LoadFigures {
        took: last.duration_since(began_at)?,
        jobs: ended.len(),
        lost: orders.len() - ended.len(),
        violations: violations(&stack, &db).await?,
        answers,
        ends,
        cpu,
    })
}

/// When each job ended, by the clock that this process reads too.
async fn ended(db: &tokio_postgres::Client, plan: &LoadPlan) -> Result<HashMap<Uuid, SystemTime>> {
    let wanted = if plan.with_results { "completed" } else { "failed" };
    let sql = "
        select id, extract(epoch from completed_at)::float8
        from unstuck.jobs
        where status = $1";
    let rows = db.query(sql, &[&wanted]).await?;
    let at = |row: &tokio_postgres::Row| {
        (row.get(0), SystemTime::UNIX_EPOCH + Duration::from_secs_f64(row.get(1)))
    };
    Ok(rows.iter().map(at).collect())
}

/// What a last sweep finds.
async fn violations(stack: &Stack, db: &tokio_postgres::Client) -> Result<i32> {
    stack.sweep().await?;
    let last = "
        select violations
        from unstuck.sweeps
        where finished_at is not null
        order by id desc
        limit 1";
    let found: Option<i32> = db.query_one(last, &[]).await?.get(0);
    found.context("the last sweep could not count violations")
}

/// What the cron of `cleanup-stale-jobs` does.
async fn sweeps(stack: &Stack) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        // The next one comes soon.
        let _ = stack.sweep().await;
    }
}

/// One order of a user.
struct PlacedOrder {
    job: Uuid,
    sent_at: SystemTime,
    answered: Duration,
}

/// Orders one picture after the other.
async fn shop(http: &Client, functions_url: &str, shopper: &Shopper) -> Result<Vec<PlacedOrder>> {
    let tool = format!("{functions_url}/runninghub-upscaler");
    let mut orders = Vec::new();
    for _ in 0..PICTURES {
        let job = Uuid::new_v4();
        let body = json!({ "jobId": job, "sessionId": "bench", "imageUrl": shopper.image_url });
        let (sent_at, began) = (SystemTime::now(), Instant::now());
        let order = http.post(format!("{tool}/run")).bearer_auth(&shopper.token).json(&body);
        let answer = order.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "an order was answered {status}: {text}");
        orders.push(PlacedOrder { job, sent_at, answered: began.elapsed() });
        until_ended(http, &format!("{tool}/queue-status"), shopper, job).await?;
    }
    Ok(orders)
}

/// Looks at the job soon after a change, then less and less often.
async fn until_ended(http: &Client, url: &str, shopper: &Shopper, job: Uuid) -> Result<()> {
    let mut before = (Value::Null, Value::Null);
    let mut wait_ms = LOOK_MS;
    loop {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let look = http.get(format!("{url}?jobId={job}")).bearer_auth(&shopper.token);
        let seen: Value = look.send().await?.error_for_status()?.json().await?;
        let status = seen["status"].as_str().unwrap_or_default();
        if ["completed", "failed", "cancelled"].contains(&status) {
            return Ok(());
        }
        let now = (seen["status"].clone(), seen["position"].clone());
        wait_ms = if now == before { (wait_ms * 3 / 2).min(LOOK_MS_MAX) } else { LOOK_MS };
        before = now;
    }
}
