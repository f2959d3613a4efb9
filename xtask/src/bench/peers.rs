//! Compares pg-boss with Unstuck: orders, whole lives and the end of stale jobs, on the same server
//! in the same run. pg-boss moves no money, keeps no history and knows no provider.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::figures::{self, Timings};
use super::life::{BoundCall, LIFE};
use super::sweep::Holder;
use super::{Bench, sweep};
use crate::command::run_quiet;
use crate::{paths, postgres, tools};

/// The rounds are short and take turns, so that both sides meet the same load of the machine.
const SECONDS: f64 = 0.5;
const ROUNDS: u32 = 20;
const STALE: i32 = 10_000;
const SCRIPT: &str = "peers.mjs";

/// Users with credits, more than there are orders: each orders once, because of the exclusive
/// group.
const BUYERS: &str = "
insert into credit_accounts (user_id, balance)
select md5('buyer ' || n)::uuid, 1000
from generate_series(0, 99999) n;
insert into credit_entries (user_id, kind, amount, balance_after)
select user_id, 'grant', balance, balance
from credit_accounts";

/// The figures of one round, per second.
#[derive(Deserialize)]
struct PeerRound {
    ours: f64,
    theirs: f64,
}

#[derive(Deserialize)]
struct PeerRates {
    lives: Vec<PeerRound>,
    orders: Vec<PeerRound>,
}

#[derive(Deserialize)]
struct PeerSweep {
    ms: f64,
}

pub(super) async fn run(bench: &Bench) -> Result<()> {
    let peers = install()?;
    let new = rates(bench, &peers, false).await?;
    let used = rates(bench, &peers, true).await?;
    println!("pg-boss {}", version()?);
    figures::head("a second, one caller", &["Unstuck", "pg-boss", "ratio", "wanted"]);
    show("orders: job_enqueue_v2 | send", &new.orders, "≥ 1.0");
    show("orders, once durations were measured", &used.orders, "≥ 1.0");
    let lives = format!("lives: {} RPCs | send, fetch, complete", LIFE.len());
    show(&lives, &used.lives, "≥ 0.6");
    sweeps(bench, &peers).await?;
    println!(
        "ratio: Unstuck ÷ pg-boss; means of {ROUNDS} rounds in turn, {SECONDS} s each, medians of \
         three for stale jobs; both through the driver `pg` of Node with one connection and \
         without prepared statements"
    );
    Ok(())
}

/// Measures orders in new databases, where every job waits; before them whole lives, if
/// `with_lives`.
async fn rates(bench: &Bench, peers: &Path, with_lives: bool) -> Result<PeerRates> {
    let ours = bench.database("bench_peers").await?;
    let client = postgres::connect(&ours).await?;
    client.batch_execute(BUYERS).await?;
    client.batch_execute("vacuum analyze").await?;
    let theirs = bench.database("bench_boss").await?;
    let calls: Vec<BoundCall> = LIFE.into_iter().map(BoundCall::new).collect();
    let request = json!({
        "measure": "rates", "ours": ours, "theirs": theirs, "calls": calls,
        "withLives": with_lives, "seconds": SECONDS, "rounds": ROUNDS,
    });
    ask(peers, SCRIPT, &request)
}

fn show(name: &str, rounds: &[PeerRound], wanted: &str) {
    let count = f64::from(u32::try_from(rounds.len()).unwrap_or(u32::MAX));
    let ours = rounds.iter().map(|round| round.ours).sum::<f64>() / count;
    let theirs = rounds.iter().map(|round| round.theirs).sum::<f64>() / count;
    let ratio = format!("{:.2}", ours / theirs);
    figures::line(name, &[format!("{ours:.0}"), format!("{theirs:.0}"), ratio, wanted.to_owned()]);
}

/// Prints how long each side takes to end 10,000 stale jobs: ours with refunds to our wallet and to
/// an app's wallet, pg-boss by one call of `supervise`.
async fn sweeps(bench: &Bench, peers: &Path) -> Result<()> {
    let (mut ours, mut of_app) = (Timings::default(), Timings::default());
    let mut theirs = Timings::default();
    for _ in 0..3 {
        let client = sweep::stale(bench, STALE, Holder::BuiltIn).await?;
        ours.take(sweep::sweep(&client, STALE)).await?;
        let client = sweep::stale(bench, STALE, Holder::App).await?;
        of_app.take(sweep::sweep(&client, STALE)).await?;
        let database = bench.database("bench_boss").await?;
        let request = json!({ "measure": "expire", "theirs": database, "jobs": STALE });
        let PeerSweep { ms } = ask(peers, SCRIPT, &request)?;
        theirs.add(std::time::Duration::from_secs_f64(ms / 1000.0));
    }
    let [ours, of_app, theirs] = [ours, of_app, theirs].map(|timings| timings.median());
    let compare = |name: &str, [ours, theirs]: [f64; 2], decimals: usize, wanted: &str| {
        let cells = [ours, theirs].map(|figure| format!("{figure:.decimals$}"));
        let cells = [&cells[..], &[format!("{:.2}", ours / theirs), wanted.to_owned()]].concat();
        figures::line(name, &cells);
    };
    let each = |ours: f64| [ours, theirs].map(|ms| ms / f64::from(STALE));
    compare("ms for each of 10,000 stale jobs", each(ours), 3, "ours ≤ 0.20");
    compare("the same, refunds to an app's wallet", each(of_app), 3, "");
    Ok(())
}

pub(super) fn source(file: &str) -> PathBuf {
    paths::root().join("xtask/bench").join(file)
}

/// The version of pg-boss in package.json.
fn version() -> Result<String> {
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(source("package.json"))?)?;
    Ok(manifest["dependencies"]["pg-boss"].as_str().context("no pg-boss")?.to_owned())
}

/// Installs pg-boss in a folder of its own, and returns that folder.
pub(super) fn install() -> Result<PathBuf> {
    let dir = paths::local().join("bench/peers");
    std::fs::create_dir_all(&dir)?;
    for file in ["package.json", "package-lock.json", "peers.mjs", "edge.mjs"] {
        std::fs::copy(source(file), dir.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    tools::npm_ci(&dir)?;
    Ok(dir)
}

/// Runs a script with a request, and returns its answer.
pub(super) fn ask<T: DeserializeOwned>(dir: &Path, script: &str, request: &Value) -> Result<T> {
    let mut node = Command::new(paths::node_bin("node"));
    node.current_dir(dir).arg(script).arg(request.to_string());
    let answer = run_quiet(script, &mut node, "see the error below")?;
    serde_json::from_str(&answer).with_context(|| format!("not an answer: {answer}"))
}
