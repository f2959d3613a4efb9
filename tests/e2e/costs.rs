//! A job causes no more calls and rows than docs/costs.md says.

use std::collections::BTreeMap;

use serde_json::Value;
use unstuck_tests::e2e;
use unstuck_tests::e2e::World;
use unstuck_tests::e2e::cards::Cards;
use unstuck_tests::e2e::order::{Order, TOOLS};
use unstuck_tests::e2e::proxy::FrontDoorProxy;
use unstuck_tests::e2e::try_on::TryOn;
use unstuck_tests::e2e::website::{CREDITS, Website};
use uuid::Uuid;
use xtask::bench::cpu;

const PAGE: &str = include_str!("../../docs/costs.md");
/// How many jobs of each kind are measured; the page has the mean, rounded up.
const JOBS: u32 = 3;
/// The columns of the page: requests that Cloudflare counts, without the client's queries of a job;
/// messages of queues; calls of Postgres; calls of storage; calls of the provider; rows.
const COLUMNS: usize = 6;
/// On a busy machine a message may be handled late and then delivered a second time, which is no
/// cost of the job. So each column counts as the least of up to so many measurements.
const MEASUREMENTS: usize = 3;
/// A job's calls have ended when so many counts in a row are equal.
const QUIET_LOOKS: usize = 20;

/// What was counted since the functions started.
type Counts = [u64; COLUMNS];

/// The counts in the page's line of that kind of job.
fn of_page(kind: &str) -> Counts {
    let mut lines = PAGE.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let line = lines.find(|cells| cells.get(1) == Some(&kind));
    let line = line.unwrap_or_else(|| panic!("docs/costs.md has no line `{kind}`"));
    let number = |cell: &&str| cell.parse().unwrap_or_else(|_| panic!("{kind}: {cell}"));
    let numbers: Vec<u64> = line[2..].iter().take(COLUMNS).map(number).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{kind}: a column is missing"))
}

/// The order's body, with the files at the project's address that the functions know.
fn at_project(world: &World, project: &FrontDoorProxy, body: &Value) -> Value {
    let text = body.to_string().replace(&world.stack().info().url, &project.url);
    serde_json::from_str(&text).unwrap()
}

async fn counted(world: &World, project: &FrontDoorProxy) -> Counts {
    let (mut requests, mut messages) = (0, 0);
    for line in world.log_lines() {
        let from_outside = ["user", "public"].contains(&line["caller"].as_str().unwrap_or(""));
        requests += u64::from(line["event"] == "fetch" && from_outside);
        messages += u64::from(line["event"] == "queue");
    }
    let files = project.count("/storage/v1/") - project.count("/storage/v1/object/public/");
    let provider = world.provider_log().await.len();
    let rows = "(
        select id from unstuck.jobs
        union all select job_id from unstuck.job_steps
        union all select job_id from unstuck.job_events
        union all select job_id from unstuck.credit_entries where job_id is not null
        union all select job_id from unstuck.webhook_inbox) as written";
    let rows = world.db().int(&format!("select count(*) from {rows}")).await;
    let number = |count: usize| u64::try_from(count).unwrap();
    let rows = u64::try_from(rows).unwrap();
    let rpcs = number(project.count("/rest/v1/"));
    [requests, messages, rpcs, number(files), number(provider), rows]
}

/// Orders jobs one after the other, waits for the delivery of each, and compares the counts with
/// the page.
async fn compare(
    world: &World,
    project: &FrontDoorProxy,
    kind: &str,
    order: impl AsyncFn() -> Uuid,
) -> Result<(), String> {
    let finished = async || {
        let job = order().await;
        world.until_status(job, "completed").await;
    };
    // The first job starts the functions.
    finished().await;
    let (told, mut least) = (of_page(kind), [u64::MAX; COLUMNS]);
    let fits = |least: &Counts| least.iter().zip(told).all(|(found, told)| *found <= told);
    let mut measured = Vec::new();
    while measured.len() < MEASUREMENTS && !fits(&least) {
        let (before, cpu_before) = (quiet(world, project).await, cpu::by_program());
        for _ in 0..JOBS {
            finished().await;
        }
        let after = quiet(world, project).await;
        let found: Counts =
            std::array::from_fn(|at| (after[at] - before[at]).div_ceil(JOBS.into()));
        least = std::array::from_fn(|at| least[at].min(found[at]));
        let used = cpu::used(&cpu_before, &cpu::by_program());
        let cpu_ms = used.get("workerd").copied().unwrap_or_default() * 1000.0 / f64::from(JOBS);
        println!("{kind}: {found:?}, {cpu_ms:.0} ms of workerd");
        measured.push(found);
    }
    if fits(&least) {
        return Ok(());
    }
    Err(format!("{kind}: the least is {least:?} of {measured:?}, and the page says {told:?}"))
}

async fn quiet(world: &World, project: &FrontDoorProxy) -> Counts {
    let (mut last, mut same) = (counted(world, project).await, 0);
    let look = async || {
        let now = counted(world, project).await;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == QUIET_LOOKS).then_some(now)
    };
    world.until("nothing more is called", look).await
}

#[test]
fn a_job_calls_and_writes_no_more_than_the_page_of_costs_says() {
    e2e::run(async |world| {
        let project = FrontDoorProxy::start(world).await;
        let host = project.url.trim_start_matches("http://").to_owned();
        let vars = BTreeMap::from([
            ("SUPABASE_URL".to_owned(), Some(project.url.clone())),
            ("ALLOWED_INPUT_HOSTS".to_owned(), Some(host)),
        ]);
        let functions = xtask::function::all().unwrap();
        let of_all = functions.iter().map(|function| (function.name.clone(), vars.clone()));
        world.restart_workers(of_all.collect()).await;
        let world = &*world;
        let mut wrong = Vec::new();
        for tool in TOOLS {
            let order = async || {
                let mut order = Order::by(world, tool).await;
                order.body = at_project(world, &project, &order.body);
                order.run(world).ok().await;
                order.job
            };
            wrong.extend(compare(world, &project, tool.name, order).await.err());
        }
        for garments in [1, 3] {
            let order = async || {
                let mut try_on = TryOn::new(world, garments).await;
                try_on.body = at_project(world, &project, &try_on.body);
                try_on.start(world).ok().await;
                try_on.job
            };
            let kind = format!("try-on, {garments} garments").replace(" 1 garments", " 1 garment");
            wrong.extend(compare(world, &project, &kind, order).await.err());
        }
        for cards in [&[0_u8][..], &[0, 1, 2, 3, 4]] {
            let order = async || {
                let mut order = Cards::new(world, cards).await;
                order.body = at_project(world, &project, &order.body);
                order.create(world).send().await.expect(202);
                order.job
            };
            let kind = format!("cards, {}", cards.len());
            wrong.extend(compare(world, &project, &kind, order).await.err());
        }
        let order = async || {
            let user = world.new_user(CREDITS).await;
            Website::of(world, user, "generate-website", "a site").await.id
        };
        wrong.extend(compare(world, &project, "website", order).await.err());
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
