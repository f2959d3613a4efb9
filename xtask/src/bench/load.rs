//! Lets many users order pictures through the public origin of the whole local stack. Measures how
//! long they wait, how busy the provider's slots are and how much CPU time it costs.
//!
//! No cron fires except the sweep, every 20 s. In one plan the workers are killed several times:
//! every job must end delivered or refunded all the same.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client as Database;

use super::cpu::{self, CpuSeconds};
use super::figures::{self, Timings};
use super::shopper::{PlacedOrder, Shopper};
use crate::stack::{Stack, StackOptions};
use crate::tools;

const USERS: usize = 60;
const PICTURES: usize = 3;
/// The number of tasks that the provider accepts at the same time.
const SLOTS: u32 = 3;
/// A limit that is much too high: the provider refuses the tasks beyond its slots.
const LIMIT_TOO_HIGH: u32 = 50;
const WORK_MS: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(900);
const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// The name of the plan with which the others are compared.
const RIGHT: &str = "right limit";

/// The parameters of one measurement.
struct LoadPlan {
    name: &'static str,
    limit: u32,
    /// If false, each task fails at its end, so that there is nothing to copy.
    with_results: bool,
    /// The moments at which workerd is killed, in seconds.
    kills: &'static [u64],
}

const PLANS: [LoadPlan; 4] = [
    LoadPlan { name: RIGHT, limit: SLOTS, with_results: true, kills: &[] },
    LoadPlan { name: "nothing to copy", limit: SLOTS, with_results: false, kills: &[] },
    LoadPlan { name: "limit of 50", limit: LIMIT_TOO_HIGH, with_results: true, kills: &[] },
    LoadPlan { name: "kills", limit: SLOTS, with_results: true, kills: &[4, 10, 16, 22] },
];

/// The figures of one measurement.
struct LoadFigures {
    plan: &'static LoadPlan,
    /// The time from the first claim until the last slot was freed.
    took: Duration,
    jobs: JobEnds,
    violations: i32,
    /// The number of requests that had no answer and were repeated.
    repeated: usize,
    slot: SlotTimes,
    answers: Timings,
    ends: Timings,
    cpu: CpuSeconds,
}

/// The number of jobs by how they ended.
struct JobEnds {
    delivered: usize,
    refunded: usize,
    /// Jobs that were neither delivered nor refunded in full.
    lost: usize,
}

/// The average times of a slot in the life of a job, in ms.
struct SlotTimes {
    claimed_to_sent: f64,
    sent_to_accepted: f64,
    accepted_to_freed: f64,
}

impl LoadFigures {
    /// The jobs that ended as they should. In a plan with kills, a refund counts too.
    fn good(&self) -> usize {
        let JobEnds { delivered, refunded, .. } = self.jobs;
        match (self.plan.kills, self.plan.with_results) {
            ([], true) => delivered,
            ([], false) => refunded,
            _ => delivered + refunded,
        }
    }

    fn jobs_per_second(&self) -> f64 {
        count(self.good()) / self.took.as_secs_f64()
    }

    /// The time of all slots for each job, in ms.
    fn slot_ms(&self) -> f64 {
        f64::from(SLOTS) * self.took.as_secs_f64() * 1000.0 / count(self.good())
    }

    /// The share of the slots' time in which the provider worked.
    fn busy(&self) -> f64 {
        Duration::from_millis(WORK_MS).as_secs_f64() * 1000.0 / self.slot_ms()
    }

    /// The parts of a slot's time for each job, in ms: it is free, its step is claimed but not
    /// sent, sent but not accepted, accepted but not freed. If the limit is too high, more steps
    /// than slots are live, and the first part may be negative.
    fn slot_parts(&self) -> [f64; 4] {
        let SlotTimes { claimed_to_sent, sent_to_accepted, accepted_to_freed } = self.slot;
        let free = self.slot_ms() - claimed_to_sent - sent_to_accepted - accepted_to_freed;
        [free, claimed_to_sent, sent_to_accepted, accepted_to_freed]
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
    let mut measured = Vec::new();
    for plan in &PLANS {
        match measure(plan).await {
            Ok(found) => measured.push(found),
            // The measurements before it are shown all the same.
            Err(error) => println!("{}: {error:#}", plan.name),
        }
    }
    show(&measured);
    ensure!(measured.len() == PLANS.len(), "a measurement failed");
    let is_sound = |found: &LoadFigures| found.jobs.lost == 0 && found.violations == 0;
    ensure!(measured.iter().all(is_sound), "jobs were lost, or invariants violated");
    Ok(())
}

fn show(measured: &[LoadFigures]) {
    figures::head("", &measured.iter().map(|found| found.plan.name).collect::<Vec<_>>());
    let line = |name: &str, cell: &dyn Fn(&LoadFigures) -> String| {
        figures::line(name, &measured.iter().map(cell).collect::<Vec<_>>());
    };
    line("delivered", &|found| found.jobs.delivered.to_string());
    line("refunded", &|found| found.jobs.refunded.to_string());
    line("neither (wanted: 0)", &|found| found.jobs.lost.to_string());
    line("violations of invariants (0)", &|found| found.violations.to_string());
    line("requests that were repeated", &|found| found.repeated.to_string());
    line("slots at work (≥ 0.85)", &|found| format!("{:.2}", found.busy()));
    line("jobs a second", &|found| format!("{:.2}", found.jobs_per_second()));
    if let Some(right) = measured.iter().find(|found| found.plan.name == RIGHT) {
        line("as a share of the right limit's (≥ 0.9)", &|found| {
            format!("{:.2}", found.jobs_per_second() / right.jobs_per_second())
        });
    }
    let parts = ["free", "claimed to sent", "sent to accepted", "accepted to freed"];
    for (at, part) in parts.iter().enumerate() {
        line(&format!("a slot, ms a job: {part}"), &|found| {
            format!("{:.0}", found.slot_parts()[at])
        });
    }
    line("order to answer, ms (p95)", &|found| figures::cell(&found.answers));
    line("order to delivered, ms (p95)", &|found| figures::cell(&found.ends));
    let programs: Vec<&String> =
        measured.first().map(|found| found.cpu.keys().collect()).unwrap_or_default();
    for program in programs {
        let seconds = |found: &LoadFigures| found.cpu.get(program).copied().unwrap_or_default();
        if measured.iter().any(|found| seconds(found) >= 0.1) {
            line(&format!("CPU ms a job: {program}"), &|found| {
                format!("{:.0}", seconds(found) * 1000.0 / count(found.good()))
            });
        }
    }
}

async fn measure(plan: &'static LoadPlan) -> Result<LoadFigures> {
    let stack = Stack::start(StackOptions { fsync: true, ..StackOptions::for_tests()? }).await?;
    let http = Client::builder().timeout(Duration::from_secs(60)).build()?;
    let db = stack.db().await?;
    prepare(plan, &stack, &db, &http).await?;
    // The first picture starts the functions' isolates, so it is not measured.
    Shopper::new(&stack, &db, &http).await?.shop(&http, &stack.info().functions_url, 1).await?;
    let mut shoppers = Vec::new();
    for _ in 0..USERS {
        shoppers.push(Shopper::new(&stack, &db, &http).await?);
    }
    let mut shopping = JoinSet::new();
    let cpu_before = cpu::by_program();
    let (began, began_at) = (Instant::now(), SystemTime::now());
    for shopper in shoppers {
        let (http, url) = (http.clone(), stack.info().functions_url.clone());
        shopping.spawn(async move { shopper.shop(&http, &url, PICTURES).await });
    }
    let mut orders = Vec::new();
    tokio::select! {
        shopped = async {
            while let Some(bought) = shopping.join_next().await {
                orders.extend(bought??);
            }
            anyhow::Ok(())
        } => shopped?,
        killed = kills(&stack, plan.kills) => killed?,
        () = sweeps(&stack) => bail!("the sweeps never end"),
        () = tokio::time::sleep(PATIENCE) => bail!("not done in {PATIENCE:?}"),
    }
    println!("{}: {} jobs in {:.1?}", plan.name, orders.len(), began.elapsed());
    let cpu = cpu::used(&cpu_before, &cpu::by_program());
    let violations = violations(&stack, &db).await?;
    let (mut ends, mut answers) = (Timings::default(), Timings::default());
    let jobs = ended(&db, &orders, &mut ends).await?;
    orders.iter().for_each(|order| answers.add(order.answered));
    let (slot, took) = slot_times(&db, began_at).await?;
    Ok(LoadFigures {
        plan,
        took,
        jobs,
        violations,
        repeated: orders.iter().map(|order| order.repeated).sum(),
        slot,
        answers,
        ends,
        cpu,
    })
}

async fn prepare(plan: &LoadPlan, stack: &Stack, db: &Database, http: &Client) -> Result<()> {
    let mut rule = json!({ "all": true, "work_ms": WORK_MS });
    if !plan.with_results {
        rule["fail"] = "out of memory".into();
    }
    let script = json!({ "runninghub": [{ "capacity": SLOTS }, rule] });
    let scripted = http.post(format!("{}/__script", stack.info().providers_url)).json(&script);
    scripted.send().await?.error_for_status()?;
    let limit = "update unstuck.providers set max_concurrent = $1 where provider = 'runninghub'";
    db.execute(limit, &[&i32::try_from(plan.limit)?]).await?;
    // No job expires in the queue. A task whose end is lost ends at its deadline, which is short.
    let times = "update unstuck.tools set queue_ttl = '1 hour', run_timeout = '1 minute'";
    Ok(db.batch_execute(times).await?)
}

/// How the jobs of these orders ended, and how long after the order.
async fn ended(db: &Database, orders: &[PlacedOrder], ends: &mut Timings) -> Result<JobEnds> {
    let sql = "
        select status = 'completed',
          status in ('failed', 'cancelled') and credits_refunded = credits_charged,
          extract(epoch from completed_at)::float8
        from unstuck.jobs
        where id = $1";
    let mut found = JobEnds { delivered: 0, refunded: 0, lost: 0 };
    for order in orders {
        let row = db.query_opt(sql, &[&order.job]).await?;
        let state = row.as_ref().map(|row| (row.get(0), row.get(1)));
        match state {
            Some((true, _)) => found.delivered += 1,
            Some((_, true)) => found.refunded += 1,
            _ => found.lost += 1,
        }
        if let Some(seconds) = row.and_then(|row| row.get::<_, Option<f64>>(2)) {
            // The database and this process read the same clock.
            let end = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
            ends.add(end.duration_since(order.sent_at).unwrap_or_default());
        }
    }
    Ok(found)
}

/// The average times of the slots since then, and for how long there was work for them.
async fn slot_times(db: &Database, since: SystemTime) -> Result<(SlotTimes, Duration)> {
    let sql = "
        select coalesce(avg(extract(epoch from sent_at - claimed_at)), 0)::float8 * 1000,
          coalesce(avg(extract(epoch from started_at - sent_at)), 0)::float8 * 1000,
          coalesce(avg(extract(epoch from provider_done_at - started_at)), 0)::float8 * 1000,
          coalesce(extract(epoch from max(provider_done_at) - min(claimed_at)), 0)::float8
        from unstuck.job_steps
        where provider_done_at is not null
          and claimed_at >= $1";
    let row = db.query_one(sql, &[&since]).await?;
    let times = SlotTimes {
        claimed_to_sent: row.get(0),
        sent_to_accepted: row.get(1),
        accepted_to_freed: row.get(2),
    };
    Ok((times, Duration::try_from_secs_f64(row.get(3))?))
}

/// The number of violations that a last sweep finds.
async fn violations(stack: &Stack, db: &Database) -> Result<i32> {
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

/// Kills workerd at these moments, then waits for ever.
async fn kills(stack: &Stack, moments: &[u64]) -> Result<()> {
    let began = Instant::now();
    for seconds in moments {
        tokio::time::sleep(Duration::from_secs(*seconds).saturating_sub(began.elapsed())).await;
        stack.kill_workerd().await?;
    }
    std::future::pending().await
}

/// Sweeps at intervals, in place of the cron of `cleanup-stale-jobs`.
async fn sweeps(stack: &Stack) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        // The next sweep comes soon.
        let _ = stack.sweep().await;
    }
}
