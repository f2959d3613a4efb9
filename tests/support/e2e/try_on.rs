//! Try-ons as a client orders them, and what the tests of several functions read afterwards.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{FunctionCall, TestUser, World};
use serde_json::{Value, json};
use uuid::Uuid;

use super::order::download;
use crate::assert_has;

pub const START: &str = "replicate-async-start";
pub const WORKER: &str = "replicate-async-worker";
pub const CHECKER: &str = "replicate-prediction-checker";
pub const STATUS: &str = "replicate-async-status";
pub const TABLE: &str = "replicate_tasks";
/// The price of one garment.
pub const PRICE: i64 = 40;
pub const CREDITS: i64 = 1000;
pub const COLOURS: [[u8; 3]; 5] =
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]];
const CATEGORIES: [&str; 5] = ["upper_body", "lower_body", "dresses", "upper_body", "upper_body"];

/// An order of garments on a person, by a user of its own.
pub struct TryOn {
    pub user: TestUser,
    pub job: Uuid,
    pub body: Value,
    steps: usize,
}

impl TryOn {
    /// Uploads the person and the garments, garment n in colour n; nothing is ordered yet.
    pub async fn new(world: &World, garments: usize) -> Self {
        let user = world.new_user(CREDITS).await;
        let person = world.upload(&user, "person.png", "image/png", plain([90, 90, 90])).await;
        let mut worn = Vec::new();
        for (colour, category) in COLOURS.into_iter().zip(CATEGORIES).take(garments) {
            let image = world.upload(&user, "garment.png", "image/png", plain(colour)).await;
            worn.push(json!({ "image": image, "category": category }));
        }
        let job = Uuid::new_v4();
        let body = json!({ "job_id": job, "person_image": person, "garments": worn,
            "prompt_hints": "plain" });
        Self { user, job, body, steps: garments }
    }

    pub fn start<'a>(&self, world: &'a World) -> FunctionCall<'a> {
        world.call(START).by(&self.user).json(&self.body)
    }

    /// Enqueues a try-on without submitting it, as if the worker had died right after its order.
    pub async fn waiting(world: &World, garments: usize) -> Self {
        let try_on = Self::new(world, garments).await;
        let steps: Vec<Value> = (0..garments)
            .map(|number| {
                let worn = &try_on.body["garments"][number];
                let mut input = json!({ "garm_img": worn["image"], "category": worn["category"],
                        "garment_des": "plain" });
                if number == 0 {
                    input["human_img"] = try_on.body["person_image"].clone();
                    return json!({ "version": "shop/all", "input": input });
                }
                json!({ "version": "shop/all", "input": input, "previous_output_as": "human_img" })
            })
            .collect();
        let args = json!({ "p_user_id": try_on.user.id, "p_job_id": try_on.job, "p_tool": START,
            "p_session_id": null,
            "p_input": try_on.body, "p_request_hash": "waiting", "p_steps": steps });
        world.db().ask("job_enqueue_v1", args).await;
        try_on
    }

    /// Orders a try-on and waits until the provider has accepted its first step.
    pub async fn running(world: &World, garments: usize) -> Self {
        let try_on = Self::new(world, garments).await;
        try_on.start(world).ok().await;
        try_on.until_at_work(world, 1).await;
        try_on
    }

    pub async fn status(&self, world: &World) -> Value {
        world.get(&format!("{STATUS}?task_id={}", self.job)).by(&self.user).ok().await
    }

    pub async fn row(&self, world: &World) -> Value {
        world.job(self.job).await
    }

    pub async fn step(&self, world: &World, step: i32) -> Value {
        world.db().step(self.job, step.into()).await
    }

    /// Waits until the task of that step is recorded, and returns it.
    pub async fn until_at_work(&self, world: &World, step: i32) -> String {
        let look =
            async || self.step(world, step).await["provider_task_id"].as_str().map(str::to_owned);
        world.until(&format!("step {step} of {} is at work", self.job), look).await
    }

    pub async fn until_completed_step(&self, world: &World, step: i32) {
        let look = async || (self.step(world, step).await["status"] == "completed").then_some(());
        world.until(&format!("step {step} of {} is completed", self.job), look).await;
    }

    /// The requests that created a prediction for this job.
    pub async fn creates(&self, world: &World) -> Vec<Value> {
        let mut calls = world.submits_of(self.job).await;
        calls
            .retain(|call| call["method"] == "POST" && call["path"] == "/replicate/v1/predictions");
        calls
    }

    /// The webhook's address that the newest of these requests sent.
    pub async fn webhook(&self, world: &World) -> String {
        let creates = self.creates(world).await;
        let url = creates.last().and_then(|create| create["body"]["webhook"].as_str());
        url.expect("a create with a webhook's address").to_owned()
    }

    /// Waits until the job is completed; asserts that its last picture is delivered and shows every
    /// garment, and that each garment was made and paid once.
    pub async fn assert_completed(&self, world: &World) -> Value {
        let row = world.until_status(self.job, "completed").await;
        world.db().assert_closed(self.job, "completed", None, 0).await;
        let price = PRICE * i64::try_from(self.steps).expect("a few");
        assert_eq!(world.db().entries(self.job).await, [-price]);
        assert_eq!(self.creates(world).await.len(), self.steps, "one prediction for each garment");
        let status = self.status(world).await;
        assert_has!(status, {
            "status": "completed",
            "current_step": self.steps,
            "total_steps": self.steps,
        });
        let url = status["result_url"].as_str().expect("a result");
        let own = format!(
            "{}/storage/v1/object/public/results/{}/",
            world.stack().info().url,
            self.user.id
        );
        assert!(url.starts_with(&own), "{url}");
        let bytes = download(world, url).await;
        let picture = image::load_from_memory(&bytes).expect("a picture").to_rgb8();
        for colour in &COLOURS[..self.steps] {
            assert!(
                picture.pixels().any(|pixel| pixel.0 == *colour),
                "the garment of colour {colour:?} is not worn"
            );
        }
        row
    }

    /// Waits until the job has ended without a result; asserts that all is refunded and no picture
    /// is shown.
    pub async fn assert_returned(&self, world: &World, status: &str, code: &str) -> Value {
        let row = world.until_status(self.job, status).await;
        let price = PRICE * i64::try_from(self.steps).expect("a few");
        world.db().assert_closed(self.job, status, Some(code), price).await;
        assert_eq!(world.db().entries(self.job).await, [-price, price]);
        assert_eq!(world.balance(&self.user).await, CREDITS);
        let shown = self.status(world).await;
        assert_has!(shown, { "status": status, "result_url": null });
        row
    }
}

/// A small picture of one colour.
fn plain(colour: [u8; 3]) -> Vec<u8> {
    stand_ins::media::png(20, 16, |_, _| colour)
}

/// Calls a function as a service, over and over, until `moment` comes during a call, and then kills
/// workerd. A call that finds nothing due ends before the moment, and the next one follows.
pub async fn killed_during(world: &World, function: &str, moment: impl Future<Output = ()>) {
    let info = world.stack().info();
    let url = format!("{}/{function}", info.functions_url);
    let killed = AtomicBool::new(false);
    let calls = async {
        loop {
            let request = world.http().post(&url).bearer_auth(&info.service_role_key);
            let answer = request.send().await;
            let is_well = answer.is_ok_and(|answer| answer.status().is_success());
            if killed.load(Ordering::SeqCst) {
                assert!(!is_well, "the kill came too late to hurt");
                return;
            }
            assert!(is_well, "{function} fails before the runtime is killed");
        }
    };
    futures::join!(calls, async {
        moment.await;
        killed.store(true, Ordering::SeqCst);
        world.kill_workerd().await;
    });
}

/// Runs the checker once.
pub async fn check(world: &World) -> Value {
    world.call(CHECKER).by_service().ok().await
}

/// A prediction as the provider shows it.
pub async fn at_provider(world: &World, prediction: &str) -> Value {
    let url =
        format!("{}/replicate/v1/predictions/{prediction}", world.stack().info().providers_url);
    let answer = world.http().get(url).bearer_auth("r8_local_token").send().await;
    answer.expect("the provider answers").json().await.expect("a prediction")
}

pub async fn until_at_provider(world: &World, prediction: &str, status: &str) {
    let look = async || (at_provider(world, prediction).await["status"] == status).then_some(());
    world.until(&format!("{prediction} is {status} at the provider"), look).await;
}

/// Moves the submit of steps without an answer back by 61 seconds, so that the provider's list of
/// predictions is taken as complete.
pub async fn sent_a_while_ago(world: &World, job: Uuid) {
    let past = "interval '61 seconds'";
    let columns = format!(
        "sent_at = sent_at - {past}, lease_until = lease_until - {past}, checked_at = null"
    );
    world
        .db()
        .exec(&format!(
            "update unstuck.job_steps set {columns} where job_id = '{job}' and sent_at is not null"
        ))
        .await;
}
