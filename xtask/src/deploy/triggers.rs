//! What starts a Worker beside its callers: crons, the queue that it consumes, its own address.
//! None of it belongs to a version, so each version's message says it.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cloudflare::{CloudQueue, Cloudflare, Exposure};
use super::deployment::Deployment;
use crate::function::{Consumer, Function};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Triggers {
    pub(super) crons: Vec<String>,
    pub(super) consumes: Option<Consumed>,
    /// Whether the Worker has an address on workers.dev.
    pub(super) address: bool,
}

/// The queue that a Worker consumes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Consumed {
    pub(super) queue: String,
    #[serde(flatten)]
    pub(super) how: Consumer,
}

impl Triggers {
    pub(super) fn of(function: &Function, deployment: &Deployment) -> Self {
        let queue = || deployment.queue(&function.name);
        Self {
            crons: function.crons.clone(),
            consumes: function.consumer.map(|how| Consumed { queue: queue(), how }),
            address: function.assets.is_some(),
        }
    }

    /// What of these a Worker lacks, in words; nothing if all is so.
    pub(super) async fn lacking(
        &self,
        cloud: &Cloudflare,
        queues: &[CloudQueue],
        worker: &str,
    ) -> Result<Vec<&'static str>> {
        let mut lacking = Vec::new();
        let sorted = |mut crons: Vec<String>| {
            crons.sort();
            crons
        };
        if sorted(cloud.crons(worker).await?) != sorted(self.crons.clone()) {
            lacking.push("crons");
        }
        if cloud.exposure(worker).await? != self.exposure() {
            lacking.push("address");
        }
        let is_right = |queue: &CloudQueue| {
            let ours = queue.consumers.iter().find(|known| known.worker() == Some(worker));
            let wanted = self.consumes.as_ref().filter(|wanted| wanted.queue == queue.name);
            match (ours, wanted) {
                (Some(ours), Some(wanted)) => ours.settings == wanted.how.into(),
                (None, None) => true,
                _ => false,
            }
        };
        let made = |wanted: &Consumed| queues.iter().any(|queue| queue.name == wanted.queue);
        if !queues.iter().all(is_right) || !self.consumes.iter().all(made) {
            lacking.push("queue consumer");
        }
        Ok(lacking)
    }

    /// Sets them all. The queue must exist.
    pub(super) async fn set(&self, cloud: &Cloudflare, worker: &str) -> Result<()> {
        for queue in cloud.queues().await? {
            match self.consumes.as_ref().filter(|wanted| wanted.queue == queue.name) {
                Some(wanted) => cloud.set_consumer(&queue, worker, wanted.how.into()).await?,
                None => {
                    let ours = queue.consumers.iter();
                    for known in ours.filter(|known| known.worker() == Some(worker)) {
                        cloud.remove_consumer(&queue, &known.consumer_id).await?;
                    }
                }
            }
        }
        cloud.set_crons(worker, &self.crons).await?;
        cloud.set_exposure(worker, self.exposure()).await
    }

    fn exposure(&self) -> Exposure {
        Exposure { enabled: self.address, previews_enabled: false }
    }
}
