//! The client of one order: it uploads, orders, and repeats the same request where no answer came.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::{ClientHabit, OrderPlan, PlannedTool};
use crate::e2e::cards::Cards;
use crate::e2e::order::Order;
use crate::e2e::try_on::TryOn;
use crate::e2e::{FunctionAnswer, TestUser, World, website};

/// How often a request is repeated before the client gives up.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(250);

/// One order, ready to be sent.
pub(super) struct Buyer {
    pub(super) plan: OrderPlan,
    pub(super) user: TestUser,
    pub(super) job: Uuid,
    /// Its price in credits; everybody begins with [`website::CREDITS`].
    pub(super) price: i64,
    table: &'static str,
    target: String,
    body: Value,
}

impl Buyer {
    /// Makes a user and uploads the files that the order names.
    pub(super) async fn prepare(world: &World, plan: OrderPlan) -> Self {
        let count = |count: usize| i64::try_from(count).expect("a few");
        match plan.tool {
            PlannedTool::Media(tool) => {
                let Order { user, job, body, .. } = Order::by(world, tool).await;
                let target = format!("{}/run", tool.name);
                Self { plan, user, job, price: tool.price, table: tool.table, target, body }
            }
            PlannedTool::Cards(cards) => {
                let numbers: Vec<u8> = (0..12).take(cards).collect();
                let Cards { user, job, mut body } = Cards::new(world, &numbers).await;
                // The scripted rules find the order by its prompt, which contains the product's
                // name.
                body["productName"] = json!(format!("Bottle {job}"));
                let price = crate::e2e::cards::PRICE * count(cards);
                let target = crate::e2e::cards::CREATE.to_owned();
                Self { plan, user, job, price, table: "generation_jobs", target, body }
            }
            PlannedTool::TryOn(garments) => {
                let TryOn { user, job, body, .. } = TryOn::new(world, garments).await;
                let price = crate::e2e::try_on::PRICE * count(garments);
                let target = crate::e2e::try_on::START.to_owned();
                Self { plan, user, job, price, table: "replicate_tasks", target, body }
            }
            PlannedTool::Website => {
                let user = world.new_user(website::CREDITS).await;
                let job = Uuid::new_v4();
                let body = json!({ "jobId": job, "prompt": format!("A website for {job}") });
                let target = website::TOOL.to_owned();
                let table = website::TABLE;
                Self { plan, user, job, price: website::PRICE, table, target, body }
            }
        }
    }

    /// Sends the order until it is answered, and does what the plan's habit adds.
    pub(super) async fn order(&self, world: &World) {
        match self.plan.habit {
            ClientHabit::Waits => drop(self.until_answered(world, &self.target, &self.body).await),
            ClientHabit::OrdersTwice => {
                let twice = || self.until_answered(world, &self.target, &self.body);
                futures::join!(twice(), twice());
            }
            ClientHabit::Cancels => {
                self.until_answered(world, &self.target, &self.body).await;
                let body = json!({ "table": self.table, "jobId": self.job });
                let target = "runninghub-queue-manager/cancel";
                self.until_answered(world, target, &body).await;
            }
        }
    }

    /// Repeats a request whose answer was lost, or that the client was told to retry later.
    async fn until_answered(&self, world: &World, target: &str, body: &Value) -> FunctionAnswer {
        for _ in 0..TRIES {
            let answer = world.call(target).by(&self.user).json(body).try_send().await;
            match answer {
                Some(answer) if answer.status != 429 && answer.status < 500 => return answer,
                Some(answer) => {
                    assert_ne!(answer.status, 500, "{target}: {}", answer.text);
                }
                None => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{target} gives no answer to {body}");
    }
}
