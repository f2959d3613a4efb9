//! `cargo xtask bench world`: many random orders of all tools, with every fault that the stand-ins
//! can cause, and what became of them.
//!
//! The e2e tests run a small one. No order waits for a fixed delay of the product: [`hurry`] moves
//! the times of waiting steps back.
//!
//! * [`plan`]: which orders there are, and what goes wrong with each
//! * [`buyer`]: the client of one order
//! * [`report`]: what became of all of them, and what must hold

mod buyer;
mod plan;
mod report;

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, select};
use serde_json::{Value, json};

use crate::e2e::World;
use crate::e2e::cards::PROCESS;
use crate::e2e::order::intervals;
use crate::e2e::try_on::CHECKER;
use buyer::Buyer;
use plan::{OrderPlan, ProviderEnd};

/// How many orders are sent side by side.
const SIDE_BY_SIDE: usize = 12;
/// Slots at each provider: so many that orders rarely wait for one.
const SLOTS: i64 = 40;
/// A bench that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// How long storage answers 503, once in each `OUTAGE_PERIOD`.
const OUTAGE: Duration = Duration::from_millis(300);
const OUTAGE_PERIOD: Duration = Duration::from_secs(5);

/// Places the orders, heals until none is live, prints the report.
///
/// # Panics
/// If an order is stuck, an account is not exact, or less than 99 % of what the providers made is
/// delivered.
pub async fn run(world: &World, orders: usize, seed: u64) {
    let plans = plan::draw(orders, seed);
    println!("{orders} orders, seed {seed}");
    prepare(world).await;
    let began = Instant::now();
    let buyers: Vec<Buyer> = futures::stream::iter(plans)
        .map(|plan| Buyer::prepare(world, plan))
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    script(world, &buyers).await;
    println!("uploaded in {:.1?}", began.elapsed());
    let began = Instant::now();
    let all = async {
        let ordering = futures::stream::iter(&buyers)
            .for_each_concurrent(SIDE_BY_SIDE, |buyer| buyer.order(world));
        ordering.await;
        println!("ordered in {:.1?}", began.elapsed());
        until_all_are_over(world, &buyers, began).await;
    };
    let world_goes_on = async {
        futures::join!(heal(world), hurry(world), outages(world));
    };
    match select(Box::pin(all), Box::pin(world_goes_on)).await {
        Either::Left(((), _)) => {}
        Either::Right(_) => unreachable!("the world goes on for ever"),
    }
    world.storage_is_up().await;
    report::assert_all_is_well(world, &buyers, began.elapsed()).await;
}

async fn prepare(world: &World) {
    intervals(world, &[("check_every", "0 seconds"), ("lease", "20 seconds")]).await;
    let capacity = json!({ "capacity": SLOTS });
    world.script(json!({ "reset": true, "runninghub": capacity, "replicate": capacity })).await;
    let slots = format!("update unstuck.providers set max_concurrent = {SLOTS}");
    world.db().exec(&slots).await;
    let patient = "update unstuck.tools set queue_ttl = '1 hour', run_timeout = '1 hour'";
    world.db().exec(patient).await;
}

/// Sends the rules of each order to the stand-ins. Every rule matches the id of its job.
async fn script(world: &World, buyers: &[Buyer]) {
    for buyer in buyers {
        let OrderPlan { tool, trouble, .. } = &buyer.plan;
        let mut rules = trouble.rules.clone();
        for rule in &mut rules {
            rule["match"] = json!(buyer.job);
        }
        if !rules.is_empty() {
            world.script(json!({ tool.provider(): rules })).await;
        }
    }
}

/// Calls the scheduled functions one after the other, without end, in place of their crons.
async fn heal(world: &World) {
    loop {
        for function in ["cleanup-stale-jobs", CHECKER, PROCESS, "cleanup-stale-generations"] {
            world.call(function).by_service().send_and_forget().await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Moves back the times for which steps wait: the delay before a retry, the minute after a lost
/// submit before the provider's list of tasks is taken as complete, and the minute between two
/// trials of an open circuit.
async fn hurry(world: &World) {
    let retries = "
        update unstuck.job_steps set not_before = clock_timestamp()
        where status = 'queued' and not_before > clock_timestamp()";
    let lost = "
        update unstuck.job_steps s
        set sent_at = sent_at - interval '61 seconds',
            lease_until = lease_until - interval '61 seconds',
            checked_at = null
        from unstuck.providers p
        where p.provider = s.provider and not p.synchronous and s.completed_at is null
            and s.provider_task_id is null and s.sent_at < clock_timestamp() - interval '4 seconds'
            and s.sent_at > clock_timestamp() - interval '60 seconds'";
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for sql in [retries, lost] {
            // A concurrent transition may make this statement fail; the next round repeats it.
            let _ = world.db().try_exec(sql).await;
        }
        world.end_circuit_minutes().await;
    }
}

/// Makes storage fail for a moment, once in each `OUTAGE_PERIOD`.
async fn outages(world: &World) {
    loop {
        tokio::time::sleep(OUTAGE_PERIOD).await;
        world.storage_is_down(503).await;
        tokio::time::sleep(OUTAGE).await;
        world.storage_is_up().await;
    }
}

/// Waits until no job is live. First it waits for the jobs whose provider ends them, then it moves
/// the deadlines of the others into the past.
async fn until_all_are_over(world: &World, buyers: &[Buyer], began: Instant) {
    let hanging: Vec<String> = buyers
        .iter()
        .filter(|buyer| buyer.plan.trouble.end == ProviderEnd::Hangs)
        .map(|buyer| format!("'{}'", buyer.job))
        .collect();
    let live = "jobs where completed_at is null";
    let others = match hanging.is_empty() {
        true => live.to_owned(),
        false => format!("{live} and id not in ({})", hanging.join(", ")),
    };
    let mut told = 0;
    for (rows, is_overdue) in [(others.as_str(), false), (live, true)] {
        loop {
            let left = world.count(rows).await;
            if left == 0 {
                break;
            }
            if left / 100 != told {
                told = left / 100;
                println!("{left} jobs are live after {:.0?}", began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "stuck: {:#?}", stuck(world).await);
            if is_overdue {
                let sql = "
                    update unstuck.{} set deadline_at = clock_timestamp() - interval '1 second'
                    where completed_at is null and deadline_at > clock_timestamp()";
                for table in ["job_steps", "jobs"] {
                    let _ = world.db().try_exec(&sql.replace("{}", table)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn stuck(world: &World) -> Vec<Value> {
    world.db().rows("select * from unstuck.jobs where completed_at is null limit 5").await
}
