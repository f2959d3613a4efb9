//! What is told of one job: its states with times, its credits, its result file. Read from the database and, for the
//! result, by its public URL.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::picture::{self, Size};
use super::world::{Order, World};

pub(super) struct Receipt {
    pub(super) person: String,
    /// Seconds since the job was asked for, and the state it came into.
    pub(super) states: Vec<(f64, String)>,
    pub(super) status: String,
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) charged: i64,
    pub(super) refunded: i64,
    pub(super) message: Option<String>,
    pub(super) result: Option<File>,
}

pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) from: Size,
    pub(super) to: Size,
}

const STATES: &str = "
select extract(epoch from e.at - min(e.at) over ())::float8, e.to_status
from unstuck.job_events e where e.job_id = $1 and e.step is null and e.to_status is not null order by e.id";

const ROW: &str = "
select r.status, r.credits_charged, r.credits_refunded, r.error_message, r.output_url
from unstuck.job_receipts r where r.job_id = $1";

impl Receipt {
    /// Reads it and checks what every receipt must satisfy.
    pub(super) async fn read(world: &World, order: &Order) -> Result<Self> {
        let states = world.db().query(STATES, &[&order.job]).await?;
        let row = world.db().query_opt(ROW, &[&order.job]).await?;
        let row = row.with_context(|| format!("no receipt for job {}", order.job))?;
        let url: Option<String> = row.get(4);
        let receipt = Self {
            person: order.person.name.clone(),
            states: states.iter().map(|row| (row.get(0), row.get(1))).collect(),
            status: row.get(0),
            before: order.before,
            after: world.balance(&order.person).await?,
            charged: row.get(1),
            refunded: row.get(2),
            message: row.get(3),
            result: match url {
                Some(url) => Some(File::fetch(world, order, &url).await?),
                None => None,
            },
        };
        let paid = receipt.charged - receipt.refunded;
        ensure!(
            receipt.before - receipt.after == paid,
            "{} paid {paid} by the receipt, and {} by the account",
            receipt.person,
            receipt.before - receipt.after
        );
        ensure!(
            (receipt.status == "completed") == receipt.result.is_some(),
            "a job has a result exactly if it is completed; this one is {}",
            receipt.status
        );
        Ok(receipt)
    }
}

impl File {
    /// Downloads the result as a browser would, keeps it, and compares it with what was uploaded.
    async fn fetch(world: &World, order: &Order, url: &str) -> Result<Self> {
        let place = format!("/storage/v1/object/public/results/{}/{}/", order.person.id, order.job);
        ensure!(url.contains(&place), "the result is not in the app's storage: {url}");
        let bytes = world.download(url).await?;
        let to = picture::size(&bytes)?;
        let (width, height) = order.size;
        ensure!(to == (width * 2, height * 2), "{width}×{height} became {}×{}", to.0, to.1);
        let path = world.results_dir().join(format!("{}-{}.png", order.person.name, order.job));
        std::fs::write(&path, &bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, from: order.size, to })
    }
}
