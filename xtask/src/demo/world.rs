//! The running stack as its users see it: people who are signed in, a scheduler, a provider that can be told to
//! misbehave, and the owner's view of the database.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use super::picture::{self, Size};
use crate::keys::{User, random_hex};
use crate::paths;
use crate::stack::{Stack, StackOptions};

/// What every story may rely on ending within.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);
const TOOL: &str = "runninghub-upscaler";

pub(super) const SHORTENED: [&str; 3] = [
    "a running job is asked about at every sweep (30 s after it was last heard of)",
    "story 4: the provider has 2 s for a picture (10 min)",
    "story 9: a claim lapses after 2 s (25 s)",
];

/// The provider is asked at every sweep, however short ago it was heard of.
const ASK_AT_EVERY_SWEEP: &str = "
create or replace function unstuck_private.intervals()
returns table (orphan interval, grace interval, sql_wait interval, lease interval, check_every interval)
language sql stable as
$$ select interval '2 minutes', interval '2 minutes', interval '3 minutes', interval '90 seconds', interval '0 seconds' $$";

const USUAL_CLOCKS: &str = "update unstuck.tools set start_timeout = '25 seconds', run_timeout = '10 minutes' where tool = 'runninghub-upscaler'";

#[derive(Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) id: String,
    token: String,
}

/// An uploaded picture, and the job that is to be made of it.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) person: Person,
    pub(super) job: Uuid,
    pub(super) size: Size,
    /// Credits before anything was asked for.
    pub(super) before: i64,
    image_url: String,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// The body of an answer with this status.
    pub(super) fn expect(self, status: u16) -> Result<Value> {
        ensure!(
            self.status == status,
            "expected {status}, was answered {}: {}",
            self.status,
            self.body
        );
        Ok(self.body)
    }
}

pub(super) struct World {
    stack: Stack,
    http: Client,
    db: tokio_postgres::Client,
    people: Vec<Person>,
}

impl World {
    pub(super) async fn open() -> Result<Self> {
        let state_dir = paths::local().join("demo");
        let stack = Stack::start(StackOptions {
            state_dir: state_dir.clone(),
            ..StackOptions::for_tests()?
        })
        .await?;
        let results = state_dir.join("results");
        if results.exists() {
            std::fs::remove_dir_all(&results)?;
        }
        std::fs::create_dir_all(&results)?;
        let http = Client::builder().timeout(Duration::from_secs(60)).build()?;
        let db = stack.db().await?;
        db.batch_execute(ASK_AT_EVERY_SWEEP).await?;
        let mut world = Self { stack, http, db, people: Vec::new() };
        for user in world.stack.info().users.clone() {
            let person = world.sign_in(&user).await?;
            world.people.push(person);
        }
        Ok(world)
    }

    /// Every story starts from the usual behaviour of everything, with nothing under way.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.stack.check()?;
        self.script(json!({"reset": true})).await?;
        self.owner(USUAL_CLOCKS).await?;
        let live: i64 =
            self.number("select count(*) from unstuck.jobs where completed_at is null").await?;
        ensure!(live == 0, "{live} jobs of the story before are still live");
        Ok(())
    }

    pub(super) fn close(self) {
        self.stack.stop();
    }

    pub(super) fn url(&self) -> &str {
        &self.stack.info().url
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.stack.options().state_dir.join("log")
    }

    pub(super) fn results_dir(&self) -> PathBuf {
        self.stack.options().state_dir.join("results")
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    pub(super) fn db(&self) -> &tokio_postgres::Client {
        &self.db
    }

    /// `user1` … `user5`, `admin1`, `admin2`.
    pub(super) fn person(&self, name: &str) -> Result<Person> {
        let found = self.people.iter().find(|person| person.name == name);
        found.cloned().with_context(|| format!("nobody is called {name}"))
    }

    async fn sign_in(&self, user: &User) -> Result<Person> {
        let credentials = json!({"email": user.email, "password": user.password});
        let key = &self.stack.info().anon_key;
        let answer = self
            .send(Method::POST, "/auth/v1/token?grant_type=password", key, credentials)
            .await?
            .expect(200)?;
        let token = answer["access_token"].as_str().context("signing in gave no token")?;
        let name = user.email.split('@').next().unwrap_or_default();
        Ok(Person { name: name.to_owned(), id: user.id.clone(), token: token.to_owned() })
    }

    /// Uploads a picture under the id of a job that does not exist yet.
    pub(super) async fn upload(&self, name: &str) -> Result<Order> {
        let person = self.person(name)?;
        let job = Builder::from_u128(u128::from_str_radix(&random_hex(16)?, 16)?)
            .with_version(uuid::Version::Random)
            .into_uuid();
        let size = (120, 80);
        let object = format!("uploads/{}/{job}/{}.png", person.id, random_hex(16)?);
        let sign = format!("/storage/v1/object/upload/sign/{object}");
        let signed = self.send(Method::POST, &sign, &person.token, json!({})).await?.expect(200)?;
        let url = format!(
            "{}/storage/v1{}",
            self.url(),
            signed["url"].as_str().context("no upload URL")?
        );
        let upload = self
            .http
            .put(url)
            .header("content-type", "image/png")
            .body(picture::png(size)?)
            .send()
            .await?;
        ensure!(upload.status().is_success(), "the upload answered {}", upload.status());
        let before = self.balance(&person).await?;
        let image_url = format!("{}/storage/v1/object/public/{object}", self.url());
        Ok(Order { person, job, size, before, image_url })
    }

    /// Asks for the job of an uploaded picture.
    pub(super) async fn run(&self, order: &Order, session: &str) -> Result<Answer> {
        let body = json!({"jobId": order.job, "imageUrl": order.image_url, "sessionId": session});
        self.function(&order.person, &format!("{TOOL}/run"), body).await
    }

    /// Both in one: the state that the answer names is part of the story.
    pub(super) async fn ordered(&self, name: &str, status: &str) -> Result<Order> {
        let order = self.upload(name).await?;
        let body = self.run(&order, "demo").await?.expect(200)?;
        ensure!(body["status"] == status, "{name}'s run should be {status}: {body}");
        Ok(order)
    }

    pub(super) async fn status(&self, order: &Order) -> Result<Value> {
        let body = json!({"jobId": order.job});
        self.function(&order.person, &format!("{TOOL}/queue-status"), body).await?.expect(200)
    }

    pub(super) async fn function(
        &self,
        person: &Person,
        path: &str,
        body: Value,
    ) -> Result<Answer> {
        self.send(Method::POST, &format!("/functions/v1/{path}"), &person.token, body).await
    }

    /// One pass of the healer, called as an outside scheduler would.
    pub(super) async fn sweep(&self) -> Result<Value> {
        let secret = &self.stack.info().cron_secret;
        self.send(Method::POST, "/functions/v1/cleanup-stale-jobs", secret, json!({}))
            .await?
            .expect(200)
    }

    async fn send(&self, method: Method, path: &str, bearer: &str, body: Value) -> Result<Answer> {
        let request =
            self.http.request(method, format!("{}{path}", self.url())).bearer_auth(bearer);
        let request = request.header("apikey", &self.stack.info().anon_key).json(&body);
        let response = request.send().await.with_context(|| format!("{path} did not answer"))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body })
    }

    pub(super) async fn download(&self, url: &str) -> Result<Vec<u8>> {
        let response = self.http.get(url).send().await?.error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }

    /// Tells the provider how to behave.
    pub(super) async fn script(&self, script: Value) -> Result<()> {
        let url = format!("{}/__script", self.stack.info().providers_url);
        self.http.post(url).json(&script).send().await?.error_for_status()?;
        Ok(())
    }

    /// How often the provider was sent something about this job or task: `path` tells what.
    pub(super) async fn sent(&self, path: &str, about: &str) -> Result<usize> {
        let url = format!("{}/__log", self.stack.info().providers_url);
        let log: Vec<Value> = self.http.get(url).send().await?.json().await?;
        let of_it = |entry: &&Value| {
            entry["path"].as_str().is_some_and(|known| known.contains(path))
                && entry["body"].to_string().contains(about)
        };
        Ok(log.iter().filter(of_it).count())
    }

    pub(super) async fn submits(&self, order: &Order) -> Result<usize> {
        self.sent("/run/ai-app/", &order.job.to_string()).await
    }

    pub(super) async fn balance(&self, person: &Person) -> Result<i64> {
        let id: Uuid = person.id.parse()?;
        let row = self
            .db
            .query_one("select balance from unstuck.credit_accounts where user_id = $1", &[&id])
            .await?;
        Ok(row.get(0))
    }

    /// Does something as the database's owner.
    pub(super) async fn owner(&self, sql: &str) -> Result<()> {
        Ok(self.db.batch_execute(sql).await?)
    }

    pub(super) async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.db.query_one(sql, &[]).await?.get(0))
    }

    pub(super) async fn violations(&self) -> Result<Vec<String>> {
        let sql =
            "select concat_ws(' · ', invariant, subject, detail) from unstuck.invariant_violations";
        Ok(self.db.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Looks until the job is in this state, by its owner's own status call.
    pub(super) async fn becomes(&self, order: &Order, status: &str) -> Result<Value> {
        let began = Instant::now();
        loop {
            let seen = self.status(order).await?;
            if seen["status"] == status {
                return Ok(seen);
            }
            if began.elapsed() > PATIENCE {
                bail!("{}'s job should be {status} by now: {seen}", order.person.name);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Sweeps until a report or the world beside it satisfies; gives that report.
    pub(super) async fn sweep_until(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut(&Value) -> Result<bool>,
    ) -> Result<Value> {
        let began = Instant::now();
        loop {
            let report = self.sweep().await?;
            if is_so(&report).await? {
                return Ok(report);
            }
            if began.elapsed() > PATIENCE {
                bail!("{what} should have happened by now; the last sweep said {report}");
            }
            tokio::time::sleep(BETWEEN_LOOKS * 5).await;
        }
    }
}
