//! What the demo shows of one job: its states with their times, its credits, its result file. It is
//! read from the database, and the result from its public URL.

use std::path::PathBuf;

use serde_json::Value;

use stand_ins::media::{Mp4Tables, SHORT_CLIP};

use super::purchase::Sale;
use super::results_dir;
use crate::e2e::World;

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

/// What was ordered; the receipt compares the delivered file with it.
#[derive(Clone, Copy)]
pub(super) enum Sold {
    /// A picture of twice this size.
    Picture { from: PictureSize },
    /// The [`SHORT_CLIP`], enlarged.
    Video,
    /// A card of the ratio 4:5.
    Card,
}

pub(super) struct ResultFile {
    pub(super) path: PathBuf,
    /// What became of the order, such as "120×80 became 240×160".
    pub(super) what: String,
    /// Its size and kind, such as "240×160 PNG".
    pub(super) kind: String,
}

impl Receipt {
    /// Reads the receipt of a final job and asserts what must hold for every receipt.
    pub(super) async fn read(world: &World, sale: &Sale<'_>) -> Self {
        let job = sale.job;
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
            person: sale.person,
            states: states.iter().map(state).collect(),
            status: row["status"].as_str().expect("a status").to_owned(),
            before: sale.before,
            after: world.balance(sale.user).await,
            charged: number("credits_charged"),
            refunded: number("credits_refunded"),
            message: row["error_message"].as_str().map(str::to_owned),
            result: match row["output_url"].as_str() {
                Some(url) => Some(ResultFile::fetch(world, sale, url).await),
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
    /// Downloads the result from its public URL, stores it among the demo's results, and compares
    /// it with the order.
    async fn fetch(world: &World, sale: &Sale<'_>, url: &str) -> Self {
        let (job, user) = (sale.job, sale.user.id);
        let place = format!("/storage/v1/object/public/results/{user}/{job}/");
        assert!(url.contains(&place), "the result is not in the app's storage: {url}");
        let answer = world.http().get(url).send().await.expect("storage answers");
        assert_eq!(answer.status(), 200, "{url}");
        let bytes = answer.bytes().await.expect("a body");
        let ending = url.rsplit_once('.').map_or("", |(_, ending)| ending);
        let path = results_dir(world).join(format!("{}-{job}.{ending}", sale.person));
        std::fs::write(&path, &bytes).expect("the result can be kept");
        let (what, (width, height)) = sale.sold.compare(&bytes);
        Self { path, what, kind: format!("{width}×{height} {}", ending.to_uppercase()) }
    }
}

impl Sold {
    /// What became of the order, and the size of what was delivered.
    fn compare(self, bytes: &[u8]) -> (String, PictureSize) {
        let picture = || {
            let picture = image::load_from_memory(bytes).expect("the result is a picture");
            (picture.width(), picture.height())
        };
        let (from, to) = match self {
            Self::Card => {
                let (width, height) = picture();
                assert_eq!(width * 5, height * 4, "{width}×{height} is not a card of 4:5");
                return ("a card of 4:5".to_owned(), (width, height));
            }
            Self::Picture { from } => (from, picture()),
            Self::Video => {
                let size = |bytes: &[u8]| Mp4Tables::read(bytes).expect("a video").size;
                (size(SHORT_CLIP.original), size(bytes))
            }
        };
        assert_eq!(to, (from.0 * 2, from.1 * 2), "{}×{} became {}×{}", from.0, from.1, to.0, to.1);
        (format!("{}×{} became {}×{}", from.0, from.1, to.0, to.1), to)
    }
}
