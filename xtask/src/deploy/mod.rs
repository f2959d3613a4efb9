//! `cargo xtask deploy <name>` brings a deployment up or changes what differs; `--rollback` goes
//! back.
//!
//! * account: [`account`] reads what it has of the deployment, for `doctor`
//! * settings: [`deployment`] reads the two files, [`checks`] finds their faults (those of one
//!   value: [`values`]), [`fetch`] fetches missing values from the services
//! * database: [`project`] brings it up
//! * Workers: [`plan`] compares and acts, [`wrangler`] deploys one function, [`triggers`] sets what
//!   starts it, [`cloudflare`] calls the API
//! * history: [`journal`] keeps notes on versions, [`rollback`] goes back by them

pub mod account;
mod checks;
pub mod cloudflare;
pub mod deployment;
pub mod fetch;
mod files;
mod journal;
pub mod plan;
pub mod project;
pub mod rollback;
mod triggers;
pub(crate) mod values;
mod wrangler;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::command::say;
use crate::doctor::{self, DoctorTarget};
use crate::{build, function, paths};
use cloudflare::Cloudflare;
use deployment::{Deployment, FetchedSetting};
use fetch::ServiceAddresses;
use plan::CloudPlan;
use project::{BringUp, ProjectAct, bring_up};

/// Something that was done, and the command that undoes it.
#[derive(Clone, Debug)]
pub struct Deed {
    pub what: String,
    pub undo: String,
}

/// What `deploy` should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeployWish {
    /// Change what differs.
    BringUp,
    /// Change what differs, in a database that names another deployment as its owner.
    TakeOver,
    /// Only report what differs.
    Plan,
    /// Go back to the last deployment that was found good.
    RollBack,
}

/// The folder of the deployments' files.
pub fn folder() -> PathBuf {
    paths::root().join("deploy")
}

/// The whole task. Everything is checked before anything is changed.
pub async fn task(name: &str, wish: DeployWish) -> Result<()> {
    let services = ServiceAddresses::default();
    let mut deployment = Deployment::complete(&folder(), name, &services).await?;
    for FetchedSetting { name, from } in &deployment.fetched {
        say(format_args!("{name}: {from}"));
    }
    let cloud = Cloudflare::connect_for(&mut deployment).await?;
    let functions = function::all()?;
    if wish == DeployWish::RollBack {
        tell(&rollback::roll_back(&cloud, &deployment, &functions).await?);
        return be_examined(&deployment, true).await;
    }
    let dirs: Vec<PathBuf> = functions.iter().map(|function| function.dir.clone()).collect();
    if std::env::var_os("UNSTUCK_SKIP_BUILD").is_none() {
        build::functions(&dirs)?;
    }
    let made = deployment.make_secrets()?;
    let plan = CloudPlan::make(&cloud, &deployment, &functions).await?;
    let how = BringUp { take_over: wish == DeployWish::TakeOver, ..BringUp::default() };
    // A refusal by the database is reported before anything is changed.
    let lacking = bring_up(&deployment, BringUp { plan_only: true, ..how.clone() }).await?;
    if wish == DeployWish::Plan {
        made.iter().for_each(|name| say(format_args!("{name}: make it")));
        tell_project("to do", &lacking);
        plan.words().iter().for_each(say);
        say(format_args!("{} Workers are as they should be", plan.unchanged));
        plan.words_of_strays().iter().for_each(say);
        return Ok(());
    }
    deployment.keep_secrets(&folder(), &made)?;
    // Old functions run on a newer database, but new functions do not run on an older one, so the
    // database is first.
    tell_project("done", &bring_up(&deployment, how).await?);
    let (unchanged, strays) = (plan.unchanged, plan.words_of_strays());
    let done = plan.carry_out(&cloud, &deployment).await?;
    tell(&done);
    say(format_args!("{unchanged} Workers were as they should be"));
    strays.iter().for_each(say);
    say(format_args!("{name} is at {}", deployment.gateway_url()?));
    be_examined(&deployment, false).await?;
    rollback::note_good(&cloud, &deployment, &functions).await
}

/// Runs `doctor` at the end. A new version takes some seconds to reach all places; what a Worker
/// does by itself, such as a cron, takes minutes.
async fn be_examined(deployment: &Deployment, rolled_back: bool) -> Result<()> {
    const UNTIL_EVERYWHERE: Duration = Duration::from_secs(40);
    const PATIENCE: Duration = Duration::from_secs(180);
    const PAUSE: Duration = Duration::from_secs(10);
    let target = DoctorTarget { rolled_back, ..DoctorTarget::of_deployment(deployment)? };
    let begin = Instant::now();
    // Any lack at the first look may be due to the new version not being everywhere yet.
    let mut is_first = true;
    loop {
        let found = doctor::check(&target).await?;
        let lacking: Vec<_> = found.iter().filter(|finding| !finding.ok).collect();
        let may_pass = lacking.iter().all(|finding| finding.may_pass);
        let patience = if may_pass { PATIENCE } else { UNTIL_EVERYWHERE };
        let is_late = !is_first && begin.elapsed() + PAUSE > patience;
        if lacking.is_empty() || is_late {
            doctor::report(&found);
            return doctor::refuse_lacks(&found);
        }
        let (count, pause) = (lacking.len(), PAUSE.as_secs());
        say(format_args!("doctor: {count} lacking so far, asking once more in {pause} s"));
        tokio::time::sleep(PAUSE).await;
        is_first = false;
    }
}

/// Prints what was done in the database or would be done, how to undo it, and what is left to a
/// person.
fn tell_project(done: &str, acts: &[ProjectAct]) {
    for act in acts {
        let state = if act.done { done } else { "as it was" };
        match (&act.by_hand, &act.undo) {
            (Some(by_hand), _) => say(format_args!("left to you: {}: {by_hand}", act.what)),
            (None, Some(undo)) => say(format_args!("{state}: {} (to undo: {undo})", act.what)),
            (None, None) => say(format_args!("{state}: {}", act.what)),
        }
    }
}

/// Prints what was done and how to undo it.
fn tell(done: &[Deed]) {
    if done.is_empty() {
        say("nothing differed, nothing was changed");
    }
    for Deed { what, undo } in done {
        say(format_args!("done: {what} (to undo: {undo})"));
    }
}
