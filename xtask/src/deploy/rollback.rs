//! Notes which versions were found good together, and goes back to them. A version holds code,
//! settings and secrets; its message names its triggers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::Deed;
use super::cloudflare::{Cloudflare, Release, Version};
use super::deployment::{Deployment, GATEWAY};
use super::journal::{self, VersionSet};
use super::plan::{current, in_order};
use super::triggers::Triggers;
use crate::command::say;
use crate::function::Function;

/// The existing Workers of the deployment by name, in the order of their bindings.
struct Workers {
    names: Vec<String>,
    releases: BTreeMap<String, Vec<Release>>,
    gateway: String,
}

impl Workers {
    async fn ask(
        cloud: &Cloudflare,
        deployment: &Deployment,
        functions: &[Function],
    ) -> Result<Self> {
        let existing = cloud.workers().await?;
        let order = in_order(functions)?;
        let names = order.iter().map(|function| deployment.worker(&function.name));
        let names: Vec<String> = names.filter(|name| existing.contains(name)).collect();
        let mut releases = BTreeMap::new();
        for name in &names {
            releases.insert(name.clone(), cloud.releases(name).await?);
        }
        Ok(Self { names, releases, gateway: deployment.worker(GATEWAY) })
    }

    fn releases(&self, worker: &str) -> &[Release] {
        self.releases.get(worker).map(Vec::as_slice).unwrap_or_default()
    }

    fn in_force(&self) -> VersionSet {
        VersionSet::of(self.names.iter().filter_map(|name| current(self.releases(name))))
    }
}

/// Notes that the versions in force now were found good.
pub async fn note_good(
    cloud: &Cloudflare,
    deployment: &Deployment,
    functions: &[Function],
) -> Result<()> {
    let workers = Workers::ask(cloud, deployment, functions).await?;
    let gateway = workers.releases(&workers.gateway);
    let live = workers.in_force();
    let version = current(gateway).context("there is no gateway to note it at")?;
    if journal::found_good(gateway).contains(&live) {
        return Ok(());
    }
    cloud.release(&workers.gateway, version, &live.good()).await
}

/// Goes back to the last versions that were found good, for all Workers and with their triggers. If
/// these are in force, it goes to the ones before.
pub async fn roll_back(
    cloud: &Cloudflare,
    deployment: &Deployment,
    functions: &[Function],
) -> Result<Vec<Deed>> {
    let workers = Workers::ask(cloud, deployment, functions).await?;
    let gateway = workers.releases(&workers.gateway);
    let versions = all_versions(cloud, &workers).await?;
    if let Some(begun) = journal::begun(gateway) {
        let goals = goals(&begun, &workers, &versions)?;
        let done = go(cloud, deployment, &workers, &begun, goals).await?;
        // The rollback had been interrupted and is finished now. If there was nothing to do, it was
        // complete.
        if !done.is_empty() {
            return Ok(done);
        }
    }
    let set = journal::before(gateway, &workers.in_force()).context(
        "no earlier deployment was found good: nothing was changed. `cargo xtask deploy` notes a \
         deployment when `doctor` finds it good",
    )?;
    let goals = goals(&set, &workers, &versions)?;
    go(cloud, deployment, &workers, &set, goals).await
}

async fn all_versions(
    cloud: &Cloudflare,
    workers: &Workers,
) -> Result<BTreeMap<String, Vec<Version>>> {
    let mut versions = BTreeMap::new();
    for name in &workers.names {
        versions.insert(name.clone(), cloud.versions(name).await?);
    }
    Ok(versions)
}

/// The goal for one Worker: a version with its triggers. A Worker that did not exist at that time
/// keeps its version and loses its triggers.
struct Goal {
    worker: String,
    version: Option<String>,
    triggers: Triggers,
}

fn goals(
    set: &VersionSet,
    workers: &Workers,
    versions: &BTreeMap<String, Vec<Version>>,
) -> Result<Vec<Goal>> {
    let mut goals = Vec::new();
    for worker in &workers.names {
        let known = versions.get(worker).map(Vec::as_slice).unwrap_or_default();
        let (version, triggers) = match known.iter().find(|version| set.has(&version.id)) {
            Some(version) => (Some(version.id.clone()), journal::triggers(version)?),
            None => (None, Triggers::default()),
        };
        goals.push(Goal { worker: worker.clone(), version, triggers });
    }
    let found = goals.iter().filter(|goal| goal.version.is_some()).count();
    if found < set.len() {
        bail!(
            "{} of the {} versions to go back to exist no more, or are of functions that this \
             checkout does not have; nothing was changed",
            set.len() - found,
            set.len()
        );
    }
    Ok(goals)
}

/// The gateway goes first: its release names all versions, so that a killed rollback can be
/// finished.
async fn go(
    cloud: &Cloudflare,
    deployment: &Deployment,
    workers: &Workers,
    set: &VersionSet,
    mut goals: Vec<Goal>,
) -> Result<Vec<Deed>> {
    let mut done = Vec::new();
    goals.sort_by_key(|goal| goal.worker != workers.gateway);
    for goal in &goals {
        let worker = &goal.worker;
        let Some(version) = goal.version.as_deref() else {
            continue;
        };
        let begun = journal::begun(workers.releases(&workers.gateway));
        let noted = *worker != workers.gateway || begun.as_ref() == Some(set);
        if current(workers.releases(worker)) == Some(version) && noted {
            continue;
        }
        say(format_args!("{worker}: back to the version {version}"));
        cloud.release(worker, version, &set.back()).await?;
        done.push(deed(deployment, format!("{worker}: back to the version {version}")));
    }
    let queues = cloud.queues().await?;
    for Goal { worker, triggers, .. } in &goals {
        let lacking = triggers.lacking(cloud, &queues, worker).await?;
        if !lacking.is_empty() {
            let what = format!("{worker}: set {}", lacking.join(", "));
            say(&what);
            triggers.set(cloud, worker, &lacking).await?;
            done.push(deed(deployment, what));
        }
    }
    Ok(done)
}

fn deed(deployment: &Deployment, what: String) -> Deed {
    Deed { what, undo: format!("cargo xtask deploy {}", deployment.name) }
}
