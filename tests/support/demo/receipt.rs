//! What the demo shows of one job: its states with times, its credits, its result file. Read from
//! the database and, for the result, from its public URL.

use std::path::PathBuf;

use serde_json::Value;

use super::results_dir;
use super::stories::Purchase;
use crate::e2e::World;
use crate::e2e::order::download;

/// Width and height of a picture, in pixels.
pub(super) type PictureSize = (u32, u32);

pub(super) struct Receipt {
    pub(super) person: &'static str,
    /// Seconds since the job was ordered, and the state it came into.
    pub(super) states: Vec<(f64, String)>,
    pub(super) status: String,
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) charged: i64,
    pub(super) refunded: i64,
    pub(super) message: Option<String>,
    pub(super) result: Option<ResultFile>,
}

pub(super) struct ResultFile {
    pub(super) path: PathBuf,
    pub(super) from: PictureSize,
    pub(super) to: PictureSize,
}

impl Receipt {
    /// Reads the receipt of a final job and checks what every receipt must satisfy.
    pub(super) async fn read(world: &World, purchase: &Purchase) -> Self {
        let job = purchase.order.job;
        let states = world
            .db()
            .rows(&format!(
                "select extract(epoch from e.at - min(e.at) over ())::float8 as seconds, e.to_status
                 from unstuck.job_events e
                 where e.job_id = '{job}' and e.step is null and e.to_status is not null
                 order by e.id"
            ))
            .await;
        let row = world
            .db()
            .row(&format!("select * from unstuck.job_receipts where job_id = '{job}'"))
            .await;
        let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name}: {row}"));
        let receipt = Self {
            person: purchase.person,
            states: states.iter().map(state).collect(),
            status: row["status"].as_str().expect("a status").to_owned(),
            before: purchase.before,
            after: world.balance(&purchase.order.user).await,
            charged: number("credits_charged"),
            refunded: number("credits_refunded"),
            message: row["error_message"].as_str().map(str::to_owned),
            result: match row["output_url"].as_str() {
                Some(url) => Some(ResultFile::fetch(world, purchase, url).await),
                None => None,
            },
        };
        assert_eq!(
            receipt.before - receipt.after,
            receipt.charged - receipt.refunded,
            "what {} paid by the account and by the receipt",
            receipt.person
        );
        assert_eq!(
            receipt.status == "completed",
            receipt.result.is_some(),
            "a job has a result exactly if it is completed; this one is {}",
            receipt.status
        );
        receipt
    }
}

fn state(row: &Value) -> (f64, String) {
    let seconds = row["seconds"].as_f64().expect("seconds");
    (seconds, row["to_status"].as_str().expect("a state").to_owned())
}

impl ResultFile {
    /// Downloads the result as a browser would, keeps it, and compares its size with the upload's.
    async fn fetch(world: &World, purchase: &Purchase, url: &str) -> Self {
        let (job, user) = (purchase.order.job, purchase.order.user.id);
        let place = format!("/storage/v1/object/public/results/{user}/{job}/");
        assert!(url.contains(&place), "the result is not in the app's storage: {url}");
        let bytes = download(world, url).await;
        let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png);
        let picture = picture.expect("the result is a PNG");
        let (from, to) = (purchase.size, (picture.width(), picture.height()));
        assert_eq!(to, (from.0 * 2, from.1 * 2), "{}×{} became {}×{}", from.0, from.1, to.0, to.1);
        let path = results_dir(world).join(format!("{}-{job}.png", purchase.person));
        std::fs::write(&path, &bytes).expect("the result can be kept");
        Self { path, from, to }
    }
}
