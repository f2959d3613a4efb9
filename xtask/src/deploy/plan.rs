//! Compares a deployment's settings with what Cloudflare has, and removes the differences. Each run
//! asks Cloudflare what is in force, so that a deploy which was killed continues where it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use super::Deed;
use super::account::{removal, strays};
use super::cloudflare::{CloudQueue, Cloudflare, Release};
use super::deployment::Deployment;
use super::journal::VersionTag;
use super::wrangler::Upload;
use crate::command::say;
use crate::function::Function;

/// One change at Cloudflare.
enum CloudAct {
    MakeQueue(String),
    Upload { upload: Upload, why: &'static str },
    SetTriggers { upload: Upload, lacking: Vec<&'static str> },
}

impl fmt::Display for CloudAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeQueue(name) => write!(f, "queue {name}: make it"),
            Self::Upload { upload, why } => write!(f, "{}: {why}", upload.worker),
            Self::SetTriggers { upload, lacking } => {
                write!(f, "{}: set {}", upload.worker, lacking.join(", "))
            }
        }
    }
}

/// The changes in their order; empty if nothing differs.
pub struct CloudPlan {
    acts: Vec<CloudAct>,
    /// The number of Workers without a difference.
    pub unchanged: usize,
    /// The Workers of this deployment that belong to no function of the checkout. They are left
    /// alone.
    pub strays: Vec<String>,
}

/// What is in force for one Worker.
struct InForce {
    tag: Option<VersionTag>,
    /// Whether any of its versions was made by this deployment.
    ours: bool,
    /// Whether one version has all traffic.
    whole: bool,
    lacking: Vec<&'static str>,
}

impl CloudPlan {
    /// Compares. Fails if others own Workers or queues under our names, and names all of them.
    pub async fn make(
        cloud: &Cloudflare,
        deployment: &Deployment,
        functions: &[Function],
    ) -> Result<Self> {
        let mut uploads = Vec::new();
        for function in in_order(functions)? {
            uploads.push(Upload::of(function, deployment, functions)?);
        }
        let queues = cloud.queues().await?;
        let existing = cloud.workers().await?;
        let mut in_force = survey(cloud, &queues, &uploads, &existing).await?;
        let faults = foreign(&uploads, &in_force, &queues);
        if !faults.is_empty() {
            let list = faults.iter().map(|fault| format!("\n  - {fault}")).collect::<String>();
            bail!("another owner has names of this deployment; nothing was changed:{list}");
        }
        let mut acts: Vec<CloudAct> = queue_names(deployment, functions)
            .into_iter()
            .filter(|name| !queues.iter().any(|queue| queue.name == *name))
            .map(CloudAct::MakeQueue)
            .collect();
        let count = uploads.len();
        let changed = uploads.into_iter().filter_map(|upload| {
            let known = in_force.remove(&upload.worker);
            difference(upload, known)
        });
        let before = acts.len();
        acts.extend(changed);
        let unchanged = count - (acts.len() - before);
        let strays = strays(cloud, deployment, functions, &existing).await?;
        Ok(Self { acts, unchanged, strays })
    }

    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    /// The changes in words.
    pub fn words(&self) -> Vec<String> {
        self.acts.iter().map(ToString::to_string).collect()
    }

    /// Lines about the Workers that are left alone.
    pub fn words_of_strays(&self) -> Vec<String> {
        let words = |name: &String| {
            format!(
                "the Worker {name} is of this deployment and of no function of this checkout; it \
                 is left alone (to remove it: {})",
                removal(name)
            )
        };
        self.strays.iter().map(words).collect()
    }

    /// Makes all changes and returns them. Prints its progress.
    pub async fn carry_out(self, cloud: &Cloudflare, deployment: &Deployment) -> Result<Vec<Deed>> {
        let (mut done, count) = (Vec::new(), self.acts.len());
        for (number, act) in self.acts.into_iter().enumerate() {
            say(format_args!("{} of {count}: {act}", number + 1));
            let what = act.to_string();
            let undo = match &act {
                CloudAct::MakeQueue(name) => {
                    cloud.make_queue(name).await?;
                    format!("npx wrangler queues delete {name}")
                }
                CloudAct::Upload { upload, why } => {
                    upload.run(deployment, &cloud.base).await?;
                    match *why {
                        NEW => format!("npx wrangler delete --name {}", upload.worker),
                        _ => format!("cargo xtask deploy {} --rollback", deployment.name),
                    }
                }
                CloudAct::SetTriggers { upload, lacking } => {
                    upload.triggers.set(cloud, &upload.worker, lacking).await?;
                    format!("cargo xtask deploy {} --rollback", deployment.name)
                }
            };
            done.push(Deed { what, undo });
        }
        Ok(done)
    }
}

const NEW: &str = "deploy it, it is new";

fn difference(upload: Upload, known: Option<InForce>) -> Option<CloudAct> {
    let Some(known) = known else {
        return Some(CloudAct::Upload { upload, why: NEW });
    };
    let why = match &known.tag {
        _ if !known.whole => Some("deploy it, another version has a part of its traffic"),
        None => Some("deploy it, somebody else changed it"),
        Some(tag) if *tag == upload.tag => None,
        Some(tag) if tag.settings == upload.tag.settings => Some("deploy it, its code changed"),
        Some(tag) if tag.code == upload.tag.code => Some("deploy it, its settings changed"),
        Some(_) => Some("deploy it, its code and settings changed"),
    };
    match why {
        Some(why) => Some(CloudAct::Upload { upload, why }),
        None if known.lacking.is_empty() => None,
        None => Some(CloudAct::SetTriggers { upload, lacking: known.lacking }),
    }
}

/// Asks what is in force for each existing Worker.
async fn survey(
    cloud: &Cloudflare,
    queues: &[CloudQueue],
    uploads: &[Upload],
    existing: &[String],
) -> Result<BTreeMap<String, InForce>> {
    let mut asked = JoinSet::new();
    for upload in uploads.iter().filter(|upload| existing.contains(&upload.worker)) {
        let (cloud, queues) = (cloud.clone(), queues.to_vec());
        let (worker, triggers) = (upload.worker.clone(), upload.triggers.clone());
        let owner = upload.tag.deployment.clone();
        asked.spawn(async move {
            let releases = cloud.releases(&worker).await?;
            let shares = releases.first().map(|newest| newest.versions.clone());
            let shares = shares.unwrap_or_default();
            let tag = match shares.first() {
                Some(share) => VersionTag::of(&cloud.version(&worker, &share.version_id).await?),
                None => None,
            };
            let is_ours =
                |tag: &Option<VersionTag>| tag.as_ref().is_some_and(|tag| tag.deployment == owner);
            let ours = is_ours(&tag) || {
                let earlier = cloud.versions(&worker).await?;
                earlier.iter().any(|version| is_ours(&VersionTag::of(version)))
            };
            let lacking = triggers.lacking(&cloud, &queues, &worker).await?;
            Ok::<_, anyhow::Error>((
                worker,
                InForce { tag, ours, whole: shares.len() == 1, lacking },
            ))
        });
    }
    let mut in_force = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        let (worker, known) = answer.context("asking Cloudflare")??;
        in_force.insert(worker, known);
    }
    Ok(in_force)
}

/// The version with the largest share of a Worker's traffic.
pub(super) fn current(releases: &[Release]) -> Option<&str> {
    let versions = releases.first()?.versions.iter();
    let most = versions.max_by(|one, other| one.percentage.total_cmp(&other.percentage));
    most.map(|share| share.version_id.as_str())
}

/// The Workers and queues that have our names but are not ours.
fn foreign(
    uploads: &[Upload],
    in_force: &BTreeMap<String, InForce>,
    queues: &[CloudQueue],
) -> Vec<String> {
    let mut faults = Vec::new();
    for upload in uploads {
        let worker = &upload.worker;
        if in_force.get(worker).is_some_and(|known| !known.ours) {
            let owner = in_force.get(worker).and_then(|known| known.tag.as_ref());
            let owner = owner.map_or_else(
                || "it was not made by `cargo xtask deploy`".to_owned(),
                |tag| format!("it is of the deployment {}", tag.deployment),
            );
            faults
                .push(format!("the Worker {worker}: {owner}; set another `prefix`, or delete it"));
        }
        let consumed = upload.triggers.consumes.iter();
        let consumed =
            consumed.filter_map(|wanted| queues.iter().find(|queue| queue.name == wanted.queue));
        for queue in consumed {
            let others = queue.consumers.iter().map(|other| other.worker().unwrap_or("a puller"));
            for other in others.filter(|other| other != worker) {
                faults.push(format!(
                    "the queue {}: {other} consumes it; set another `prefix`, or remove it there",
                    queue.name
                ));
            }
        }
    }
    faults
}

fn queue_names(deployment: &Deployment, functions: &[Function]) -> BTreeSet<String> {
    let sent = functions.iter().flat_map(|function| &function.producers);
    let consumed = functions.iter().filter(|function| function.consumer.is_some());
    let names = sent.map(|to| to.queue.as_str()).chain(consumed.map(|of| of.name.as_str()));
    names.map(|name| deployment.queue(name)).collect()
}

/// The functions, each after those to which it is bound.
pub(super) fn in_order(functions: &[Function]) -> Result<Vec<&Function>> {
    let mut left: Vec<&Function> = functions.iter().collect();
    let (mut placed, mut order) = (BTreeSet::new(), Vec::new());
    while !left.is_empty() {
        let ready = |function: &&Function| {
            let mut called = function.services.values().filter(|name| **name != function.name);
            called.all(|name| placed.contains(name.as_str()))
        };
        let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(ready);
        if now.is_empty() {
            let names: Vec<&str> = later.iter().map(|function| function.name.as_str()).collect();
            bail!("these functions are bound to each other in a circle: {}", names.join(", "));
        }
        placed.extend(now.iter().map(|function| function.name.as_str()));
        order.extend(now);
        left = later;
    }
    Ok(order)
}
