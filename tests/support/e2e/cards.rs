//! What the tests of cards share: an order, its answer, and what must hold when its job is final.

use super::world::png;
use super::{FunctionCall, TestUser, World};
use serde_json::{Value, json};
use uuid::Uuid;

pub const CREATE: &str = "create-generation-job-banana";
pub const PROCESS: &str = "process-generation-tasks-banana";
/// The function that calls the provider.
pub const PLACED: &str = "placed-run";
/// The price of one card.
pub const PRICE: i64 = 10;

/// One order of cards by a user of its own.
pub struct Cards {
    pub user: TestUser,
    pub job: Uuid,
    pub body: Value,
}

impl Cards {
    /// Makes a user and uploads the product's picture; nothing is ordered yet.
    pub async fn new(world: &World, cards: &[u8]) -> Self {
        let user = world.new_user(1_000).await;
        Self::of(world, user, cards).await
    }

    /// Like [`Cards::new`], for that user.
    pub async fn of(world: &World, user: TestUser, cards: &[u8]) -> Self {
        let url = world.upload(&user, "product.png", "image/png", png(40, 30)).await;
        let job = Uuid::new_v4();
        let body = json!({
            "jobId": job, "productName": "Steel bottle", "productImages": [{ "url": url,
            "type": "front" }],
            "selectedCards": cards, "aspectRatio": "4:5",
        });
        Self { user, job, body }
    }

    pub async fn ordered(world: &World, cards: &[u8]) -> Self {
        let order = Self::new(world, cards).await;
        let answer = order.create(world).send().await.expect(202);
        assert_eq!(answer["totalCards"], cards.len(), "{answer}");
        order
    }

    pub fn create<'a>(&self, world: &'a World) -> FunctionCall<'a> {
        world.call(CREATE).by(&self.user).json(&self.body)
    }

    /// The job as its owner sees it.
    pub async fn seen(&self, world: &World) -> Value {
        world.get(&format!("{CREATE}?jobId={}", self.job)).by(&self.user).ok().await
    }

    /// Waits until the owner sees that status; asserts the balance, the refund and the stored
    /// pictures.
    pub async fn until_over(&self, world: &World, status: &str, finished: usize) -> Value {
        let seen = world
            .until(&format!("{} is {status}", self.job), async || {
                Some(self.seen(world).await).filter(|seen| seen["status"] == status)
            })
            .await;
        let tasks = seen["tasks"].as_array().expect("tasks").clone();
        assert_eq!(seen["completedCards"], finished, "{seen:#}");
        let (cards, done) = (i64::try_from(tasks.len()).unwrap(), i64::try_from(finished).unwrap());
        assert_eq!(seen["creditsRefunded"], (cards - done) * PRICE, "{seen:#}");
        assert_eq!(world.balance(&self.user).await, 1_000 - done * PRICE);
        let place = format!(
            "{}/storage/v1/object/public/results/{}/{}/",
            world.stack().info().url,
            self.user.id,
            self.job
        );
        for (task, number) in tasks.iter().zip(1..) {
            let url = task["imageUrl"].as_str();
            assert_eq!(url.is_some(), task["status"] == "completed", "{task}");
            if let Some(url) = url {
                assert!(url.starts_with(&format!("{place}{number}-")), "{task}");
                let bytes = super::order::download_as(world, url, "image/jpeg").await;
                assert!(url.ends_with(".jpg"), "{task}");
                let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg)
                    .expect("a JPEG, whatever the model calls it");
                assert_eq!((picture.width(), picture.height()), (256, 320), "a card of 4:5");
            }
        }
        assert_eq!(self.stored(world).len(), finished, "no picture is stored twice");
        seen
    }

    /// The names of the objects in storage for this job.
    pub fn stored(&self, world: &World) -> Vec<String> {
        let folder =
            world.stack().storage_dir().join(format!("results/{}/{}", self.user.id, self.job));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// How many calls the provider received for one card of this job.
    pub async fn calls_of(&self, world: &World, card: u8) -> usize {
        let (prompt, folder) = (prompt_of(card), format!("/{}/", self.user.id));
        let log = world.provider_calls(":generateContent").await;
        let mine = |entry: &&Value| {
            let body = entry["body"].to_string();
            body.contains(&prompt) && body.contains(&folder)
        };
        log.iter().filter(mine).count()
    }

    pub async fn steps(&self, world: &World) -> Vec<Value> {
        world
            .db()
            .rows(&format!(
                "select * from unstuck.job_steps where job_id = '{}' order by step",
                self.job
            ))
            .await
    }
}

/// The beginning of a card's request, by which rules match it.
pub fn prompt_of(card: u8) -> String {
    format!("Product card {card} (")
}

/// Takes the queue of hints from every function, as if the platform's queue were down.
pub async fn queue_is_off(world: &mut World) {
    let off = || [("GEMINI_HINTS".to_owned(), None)].into();
    let producers = [
        CREATE,
        PROCESS,
        PLACED,
        "cleanup-stale-jobs",
        "admin-cancel-job",
        "runninghub-queue-manager",
    ];
    world.restart_workers(producers.map(|name| (name.to_owned(), off())).into()).await;
}
