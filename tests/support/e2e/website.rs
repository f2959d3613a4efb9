//! Websites as a client orders them, and what the tests of several functions read afterwards.

use super::{FunctionCall, TestUser, World};
use crate::assert_has;
use serde_json::{Value, json};
use uuid::Uuid;

pub const TABLE: &str = "generation_history";
pub const TOOL: &str = "generate-website";
pub const PRICE: i64 = 50;
pub const CREDITS: i64 = 1000;

/// A website that was ordered.
pub struct Website {
    pub user: TestUser,
    pub tool: &'static str,
    pub id: Uuid,
}

impl Website {
    /// Orders a website by a new user.
    pub async fn order(world: &World, prompt: &str) -> Self {
        let user = world.new_user(CREDITS).await;
        Self::of(world, user, TOOL, prompt).await
    }

    pub async fn of(world: &World, user: TestUser, tool: &'static str, prompt: &str) -> Self {
        let id = Uuid::new_v4();
        let body = json!({ "prompt": prompt, "jobId": id });
        let answer = world.call(tool).by(&user).json(&body).send().await.expect(202);
        assert_has!(answer, { "historyId": id, "status": "pending" });
        Self { user, tool, id }
    }

    /// The website as its owner sees it.
    pub async fn get(&self, world: &World) -> Value {
        world.get(&format!("{}?id={}", self.tool, self.id)).by(&self.user).ok().await
    }

    pub async fn until(&self, world: &World, status: &str) -> Value {
        let what = format!("website {} is {status}", self.id);
        let url = format!("{}?id={}", self.tool, self.id);
        let look = async || {
            let answer = world.get(&url).by(&self.user).send().await;
            // A busy machine's database may have no time for a read; a client repeats it.
            let answer = Some(answer).filter(|answer| answer.status != 503)?;
            Some(answer.expect(200)).filter(|seen| seen["status"] == status)
        };
        world.until(&what, look).await
    }

    pub async fn step(&self, world: &World) -> Value {
        world.db().step(self.id, 1).await
    }

    /// The calls that the model received for this website; they contain its prompt.
    pub async fn asked(world: &World, prompt: &str) -> Vec<Value> {
        let mut log = world.provider_calls("/llm/").await;
        log.retain(|entry| entry["body"].to_string().contains(prompt));
        log
    }

    /// Waits until the attempt `run` has the step, and the model was called for it.
    pub async fn until_running(&self, world: &World, run: i64) {
        let look = async || {
            let step = self.step(world).await;
            let calls = world.provider_calls("/llm/").await.len();
            let is_running = step["status"] == "running" && step["run"] == run;
            (is_running && i64::try_from(calls).is_ok_and(|calls| calls >= run)).then_some(())
        };
        world.until(&format!("attempt {run} of {}", self.id), look).await;
    }

    /// Expires the lease of the attempt that has the step.
    pub async fn lease_is_over(&self, world: &World) {
        let sql = "update unstuck.job_steps
            set lease_until = clock_timestamp() - interval '1 second' where job_id =";
        world.db().exec(&format!("{sql} '{}'", self.id)).await;
    }

    pub fn retry<'a>(&self, world: &'a World) -> FunctionCall<'a> {
        world.call(self.tool).json(&json!({ "retryHistoryId": self.id }))
    }

    /// Waits until the website is completed; asserts that it is paid once, after so many retries,
    /// and that its files are from the run in its row.
    pub async fn assert_completed(&self, world: &World, retries: i64) -> Value {
        let seen = self.until(world, "completed").await;
        assert_has!(seen, { "retries": retries, "errorMessage": null });
        assert!(seen["files"].as_array().is_some_and(|files| !files.is_empty()), "{seen}");
        world.db().assert_closed(self.id, "completed", None, 0).await;
        let price = self.price(world).await;
        assert_eq!(world.db().entries(self.id).await, [-price]);
        let row = world.job(self.id).await;
        let url = row["output_url"].as_str().unwrap_or_default();
        let run = self.step(world).await["run"].clone();
        let place =
            format!("/storage/v1/object/public/results/{}/{}/1-{run}-", self.user.id, self.id);
        assert!(url.contains(&place), "{row:#}");
        seen
    }

    /// Waits until the website has failed; asserts that all is refunded and that the job's message
    /// begins with the code. Returns the message.
    pub async fn assert_returned(&self, world: &World, code: &str) -> String {
        let seen = self.until(world, "failed").await;
        let price = self.price(world).await;
        world.db().assert_closed(self.id, "failed", Some(code), price).await;
        assert_eq!(world.db().entries(self.id).await, [-price, price]);
        assert_has!(seen, { "files": [], "creditsRefunded": price });
        let message = seen["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert!(message.ends_with(&format!("{price} credits were returned.")), "{message}");
        message
    }

    async fn price(&self, world: &World) -> i64 {
        world
            .db()
            .int(&format!("select credit_cost from unstuck.tools where tool = '{}'", self.tool))
            .await
    }
}

/// Calls `cleanup-stale-generations` by its own address.
pub async fn clean_up(world: &World) -> Value {
    world.call("cleanup-stale-generations").by_service().ok().await
}

pub fn content<'a>(seen: &'a Value, path: &str) -> &'a str {
    let files = seen["files"].as_array().expect("files");
    let file = files
        .iter()
        .find(|file| file["path"] == path)
        .unwrap_or_else(|| panic!("no {path} in {seen}"));
    file["content"].as_str().expect("text")
}
