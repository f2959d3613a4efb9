//! Reads what the Cloudflare account has of a deployment, for `doctor`, and finds Workers that
//! belong to no function of the checkout. The settings are not read here: the functions report
//! those.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::cloudflare::Cloudflare;
use super::deployment::{DEPLOYMENT_ID, Deployment, GATEWAY};
use super::journal::{self, VersionTag};
use super::plan::current;
use super::triggers::Triggers;
use crate::function::Function;

/// A deployment, and the account in which it is examined.
#[derive(Clone)]
pub struct DeploymentAccount {
    pub cloud: Cloudflare,
    pub deployment: Deployment,
}

/// What the account has of the deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// The Workers whose version in force was made by somebody else.
    pub changed: Vec<String>,
    /// Worker → the triggers that differ from those in its version's message.
    pub lacking: BTreeMap<String, Vec<&'static str>>,
    /// The Workers of the deployment that belong to no function of the checkout.
    pub strays: Vec<String>,
    /// Whether the last release was a rollback.
    pub rolled_back: bool,
}

impl DeploymentAccount {
    pub async fn look(&self, functions: &[Function]) -> Result<AccountState> {
        let Self { cloud, deployment } = self;
        let existing = cloud.workers().await?;
        let queues = cloud.queues().await?;
        let mut asked = JoinSet::new();
        for function in functions {
            let worker = deployment.worker(&function.name);
            if !existing.contains(&worker) {
                continue;
            }
            let (cloud, queues) = (cloud.clone(), queues.clone());
            let of_checkout = Triggers::of(function, deployment);
            asked.spawn(async move {
                let releases = cloud.releases(&worker).await?;
                let version = match current(&releases) {
                    Some(id) => Some(cloud.version(&worker, id).await?),
                    None => None,
                };
                let ours = version.filter(|version| VersionTag::of(version).is_some());
                let noted = ours.as_ref().and_then(|version| journal::triggers(version).ok());
                let triggers = noted.unwrap_or(of_checkout);
                let lacking = triggers.lacking(&cloud, &queues, &worker).await?;
                Ok::<_, anyhow::Error>((worker, ours.is_some(), lacking, releases))
            });
        }
        let mut state = AccountState {
            strays: strays(cloud, deployment, functions, &existing).await?,
            ..AccountState::default()
        };
        while let Some(answer) = asked.join_next().await {
            let (worker, ours, lacking, releases) = answer.context("asking Cloudflare")??;
            if worker == deployment.worker(GATEWAY) {
                state.rolled_back = journal::begun(&releases).is_some();
            }
            if !ours {
                state.changed.push(worker.clone());
            }
            if !lacking.is_empty() {
                state.lacking.insert(worker, lacking);
            }
        }
        state.changed.sort();
        Ok(state)
    }
}

/// The Workers that this deployment made and that belong to no function of the checkout.
pub(super) async fn strays(
    cloud: &Cloudflare,
    deployment: &Deployment,
    functions: &[Function],
    existing: &[String],
) -> Result<Vec<String>> {
    let own = |name: &String| functions.iter().any(|own| deployment.worker(&own.name) == *name);
    let id = deployment.vars.get(DEPLOYMENT_ID).unwrap_or(&deployment.name);
    let mut strays = Vec::new();
    for name in existing.iter().filter(|name| name.starts_with(&deployment.prefix) && !own(name)) {
        let versions = cloud.versions(name).await?;
        let mut tags = versions.iter().filter_map(VersionTag::of);
        if tags.any(|tag| tag.deployment == *id) {
            strays.push(name.clone());
        }
    }
    Ok(strays)
}

/// The command that removes such a Worker.
pub fn removal(stray: &str) -> String {
    format!("npx wrangler delete --name {stray}")
}
