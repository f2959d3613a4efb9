//! Measures the cost of a request at the edge, and of the first request.
//!
//! `edge` compares the list of `jobs` with its twin in TypeScript, and the gateway with a bare hop
//! in JavaScript, in one workerd. `cold` starts each function in a process of its own. Both read
//! the CPU time of that process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{figures, peers};
use crate::function::wrangler::COMPATIBILITY_DATE;
use crate::keys::{self, LocalKeys};
use crate::workers::{self, Local};
use crate::{build, stack, tools};

/// The calls of one round, the number of rounds, and the jobs in each list.
const CALLS: u32 = 1_500;
const ROUNDS: u32 = 10;
const JOBS: u32 = 5;
const COLD_ROUNDS: u32 = 5;

/// CPU microseconds per call, one figure for each round.
#[derive(Deserialize)]
struct EdgeFigures {
    jobs: Vec<f64>,
    gateway: Vec<f64>,
    twin: Vec<f64>,
    hop: Vec<f64>,
}

#[derive(Deserialize)]
struct ColdFigures {
    name: String,
    /// CPU milliseconds, and elapsed milliseconds.
    cpu: Vec<f64>,
    ms: Vec<f64>,
}

pub(super) fn edge() -> Result<()> {
    let measure = Measure::prepare(&["jobs", "gateway"])?;
    let user = Uuid::new_v4();
    let token = keys::sign_hs256(&measure.keys.jwt_secret, &keys::user_claims(user));
    let found: EdgeFigures = measure.ask(&json!({
        "measure": "edge", "token": token, "calls": CALLS, "rounds": ROUNDS, "jobs": JOBS,
    }))?;
    let hop_of = |through: &[f64]| -> Vec<f64> {
        through.iter().zip(&found.jobs).map(|(through, alone)| through - alone).collect()
    };
    let (gateway_hop, bare_hop) = (hop_of(&found.gateway), hop_of(&found.hop));
    figures::head("CPU of workerd for one call", &["µs", "ratio", "wanted"]);
    for (name, ours, beside, wanted) in [
        ("the twin: Hono, jose, postgrest-js", &found.twin, &found.twin, ""),
        ("the function | the twin", &found.jobs, &found.twin, "≤ 0.95"),
        ("through the gateway | the twin", &found.gateway, &found.twin, "≤ 1.20"),
        ("through a bare hop | the twin", &found.hop, &found.twin, ""),
        ("the gateway's hop | a bare hop", &gateway_hop, &bare_hop, "≤ 1.25"),
    ] {
        let ratio = median(ours) / median(beside);
        let cells = [format!("{:.0}", median(ours)), format!("{ratio:.2}"), wanted.to_owned()];
        figures::line(name, &cells);
    }
    println!("medians of {ROUNDS} rounds in turn, {CALLS} calls each, eight at a time");
    Ok(())
}

pub(super) fn cold() -> Result<()> {
    let names: Vec<String> =
        crate::function::all()?.into_iter().map(|function| function.name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let measure = Measure::prepare(&names)?;
    let found: Vec<ColdFigures> =
        measure.ask(&json!({ "measure": "cold", "rounds": COLD_ROUNDS }))?;
    let bare = found.first().context("no figures")?;
    figures::head("start to first answer", &["CPU ms", "above bare", "ms", "above bare"]);
    for each in &found {
        let more = |ours: &[f64], bare: &[f64]| {
            [format!("{:.0}", median(ours)), format!("{:.0}", median(ours) - median(bare))]
        };
        let cells = [more(&each.cpu, &bare.cpu), more(&each.ms, &bare.ms)].concat();
        figures::line(&each.name, &cells);
    }
    println!("medians of {COLD_ROUNDS} starts in turn; `bare` is a worker that does nothing");
    Ok(())
}

/// The inputs of the measuring script.
struct Measure {
    keys: LocalKeys,
    config: Value,
    dir: PathBuf,
}

impl Measure {
    /// Builds these functions, and gives them local values of their settings.
    fn prepare(names: &[&str]) -> Result<Self> {
        tools::setup()?;
        let dirs: Vec<PathBuf> =
            names.iter().map(|name| build::find(name)).collect::<Result<_>>()?;
        if std::env::var_os("UNSTUCK_SKIP_BUILD").is_none() {
            build::functions(&dirs)?;
        }
        let dir = peers::install()?;
        let keys = LocalKeys::load(&dir)?;
        let port_base = stack::free_port_base()?;
        let local = Local {
            port_base,
            keys: &keys,
            state_dir: &dir,
            cron: false,
            extra_functions: &[],
            overrides: &BTreeMap::new(),
        };
        let workers = workers::some(&local, names)?;
        let config = json!({
            "functions": workers, "dir": dir, "source": peers::source(""),
            "compatibilityDate": COMPATIBILITY_DATE, "databasePort": port_base + 1,
        });
        Ok(Self { keys, config, dir })
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, request: &Value) -> Result<T> {
        let mut asked = self.config.clone();
        if let (Some(asked), Some(request)) = (asked.as_object_mut(), request.as_object()) {
            asked.extend(request.clone());
        }
        peers::ask(&self.dir, "edge.mjs", &asked)
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
