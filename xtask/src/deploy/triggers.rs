//! The triggers of a Worker: its crons, the queue that it consumes, and its own address. They
//! belong to no version, so the message of each version notes them.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cloudflare::{CloudQueue, Cloudflare, Exposure};
use super::deployment::Deployment;
use crate::function::{Consumer, Function};

const CRONS: &str = "crons";
const ADDRESS: &str = "address";
const CONSUMER: &str = "queue consumer";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Triggers {
    pub(super) crons: Vec<String>,
    pub(super) consumes: Option<Consumed>,
    /// Whether the Worker has an address on workers.dev.
    pub(super) address: bool,
}

/// The queue that a Worker consumes, and how it does so.
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

    /// The triggers that a Worker lacks, in words; empty if there are none.
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
            lacking.push(CRONS);
        }
        if cloud.exposure(worker).await? != self.exposure() {
            lacking.push(ADDRESS);
        }
        let made = |wanted: &Consumed| queues.iter().any(|queue| queue.name == wanted.queue);
        let is_right = |queue: &CloudQueue| self.consumes_rightly(queue, worker);
        if !queues.iter().all(is_right) || !self.consumes.iter().all(made) {
            lacking.push(CONSUMER);
        }
        Ok(lacking)
    }

    /// Whether a Worker's consumption of the queue, or the lack of it, is as wanted.
    fn consumes_rightly(&self, queue: &CloudQueue, worker: &str) -> bool {
        let ours = queue.consumers.iter().find(|known| known.worker() == Some(worker));
        let wanted = self.consumes.as_ref().filter(|wanted| wanted.queue == queue.name);
        match (ours, wanted) {
            (Some(ours), Some(wanted)) => ours.settings == wanted.how.into(),
            (None, None) => true,
            _ => false,
        }
    }

    /// Sets the triggers that a Worker lacks, and no others. The queue must exist.
    pub(super) async fn set(
        &self,
        cloud: &Cloudflare,
        worker: &str,
        lacking: &[&str],
    ) -> Result<()> {
        if lacking.contains(&CONSUMER) {
            for queue in cloud.queues().await? {
                if !self.consumes_rightly(&queue, worker) {
                    self.set_consumer(cloud, &queue, worker).await?;
                }
            }
        }
        if lacking.contains(&CRONS) {
            cloud.set_crons(worker, &self.crons).await?;
        }
        if lacking.contains(&ADDRESS) {
            cloud.set_exposure(worker, self.exposure()).await?;
        }
        Ok(())
    }

    async fn set_consumer(
        &self,
        cloud: &Cloudflare,
        queue: &CloudQueue,
        worker: &str,
    ) -> Result<()> {
        if let Some(wanted) = self.consumes.as_ref().filter(|wanted| wanted.queue == queue.name) {
            return cloud.set_consumer(queue, worker, wanted.how.into()).await;
        }
        let ours = queue.consumers.iter().filter(|known| known.worker() == Some(worker));
        for known in ours {
            cloud.remove_consumer(queue, &known.consumer_id).await?;
        }
        Ok(())
    }

    fn exposure(&self) -> Exposure {
        Exposure { enabled: self.address, previews_enabled: false }
    }
}
