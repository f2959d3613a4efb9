//! The stack, its reset to the beginning, and what a test reads and waits for.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use uuid::Uuid;
use xtask::paths;
use xtask::stack::{Stack, StackOptions};
pub use xtask::workers::Overrides;

use super::TestUser;
use crate::session::Session;

/// The limit of every poll. It is generous: only a failure waits this long.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How long a stack may take to listen.
const STARTING: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(20);
/// A user's page may poll 600 times a minute, so a long wait polls more slowly.
const POLL_MAX: Duration = Duration::from_millis(250);
const PANICKING: &str = "tests/functions/panicking";

pub struct World {
    stack: Stack,
    http: reqwest::Client,
    db: Session,
    users: Mutex<HashMap<String, TestUser>>,
    /// `None` where the database is an app's: only one test uses such a world.
    beginning: Option<Beginning>,
    /// How many entries of the providers' log, and bytes of the functions' log, are of earlier
    /// tests.
    log_seen: usize,
    workers_log_seen: usize,
    violations_expected: bool,
    overridden: bool,
}

/// The reset empties these tables, and then grants 1,000 credits to every user.
const WALLETS: [&str; 2] = ["unstuck.credit_accounts", "unstuck.credit_entries"];

/// The SQL that restores the rows which a test may have changed.
struct Beginning(String);

impl World {
    pub(super) async fn start(change: impl FnOnce(&mut StackOptions)) -> Result<Self> {
        let mut options = StackOptions::for_tests()?;
        options.state_dir = state_dir(options.port_base);
        if paths::root().join(PANICKING).join("Cargo.toml").exists() {
            options.extra_functions = vec![PANICKING.into()];
        }
        change(&mut options);
        forget_ended_stacks();
        let is_apps = options.database.is_some();
        let stack = Stack::start(options).await?;
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let db = Session::connect(&stack.info().db_url).await;
        let beginning = if is_apps { None } else { Some(Beginning::of(&db).await) };
        Ok(Self {
            stack,
            http,
            db,
            users: Mutex::default(),
            beginning,
            log_seen: 0,
            workers_log_seen: 0,
            violations_expected: false,
            overridden: false,
        })
    }

    /// Resets the world: no jobs, 1,000 credits for each user, no rules for providers, and a sweep
    /// that has just ended.
    pub(super) async fn reset(&mut self) {
        self.violations_expected = false;
        if std::mem::take(&mut self.overridden) {
            let restarted = self.stack.restart_workers(BTreeMap::new()).await;
            restarted.expect("the functions start again");
        }
        self.script(json!({ "reset": true })).await;
        self.storage_is_up().await;
        self.reset_database().await;
        self.log_seen = self.whole_provider_log().await.len();
        self.workers_log_seen = self.workers_log().len();
    }

    async fn reset_database(&self) {
        let Some(beginning) = &self.beginning else { return };
        // Work that an earlier test left may hold locks for a moment and make the reset fail.
        let mut tries = 0;
        while let Err(error) = self.db.try_exec(beginning.sql()).await {
            tries += 1;
            assert!(tries < 10, "the database cannot be reset: {error}");
        }
        for user in &self.stack.info().users {
            self.db.grant(user.id.parse().expect("a user's id"), 1000).await;
        }
    }

    /// Asserts after a test that every process of the stack runs and every invariant holds.
    pub(super) async fn assert_unharmed(&mut self) {
        self.assert_running();
        let violations = self.violations().await;
        if !self.violations_expected {
            assert!(violations.is_empty(), "invariants: {violations:#?}");
        }
    }

    /// Asserts that no process of the stack has ended.
    pub fn assert_running(&mut self) {
        self.stack.check().expect("the whole stack still runs");
    }

    /// Tells the world that this test breaks invariants on purpose.
    pub fn expect_violations(&mut self) {
        self.violations_expected = true;
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A connection as the database's owner.
    pub fn db(&self) -> &Session {
        &self.db
    }

    /// Restarts the functions with other variables; the next test gets them with the usual ones.
    pub async fn restart_workers(&mut self, overrides: Overrides) {
        self.overridden = true;
        let restarted = self.stack.restart_workers(overrides).await;
        restarted.expect("the functions start again");
    }

    /// Stops the functions, as if the platform were down, until `restart_workers` or the next test.
    pub fn stop_workers(&mut self) {
        self.overridden = true;
        self.stack.stop_workers();
    }

    /// Kills workerd with every request in flight, and waits until a new one serves.
    pub async fn kill_workerd(&self) {
        let killed = self.stack.kill_workerd().await;
        killed.expect("a killed workerd comes up again");
    }

    /// Runs a function's scheduled handler to its end.
    pub async fn fire(&self, function: &str) {
        let fired = self.stack.fire(function).await;
        fired.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Runs one pass of the healer and returns its report.
    pub async fn sweep(&self) -> Value {
        self.call("cleanup-stale-jobs").by_service().ok().await
    }

    /// Sets rules for how the providers behave; they add up until the next test.
    pub async fn script(&self, script: Value) {
        let url = format!("{}/__script", self.stack.info().providers_url);
        let answer = self.http.post(url).json(&script).send().await;
        let answer = answer.expect("the providers' stand-ins answer");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "script {script}: {status} {text}");
    }

    /// The actor of the first claim of a job's first step: `user` is the order itself, `worker` a
    /// claim.
    pub async fn first_claim(&self, job: Uuid) -> Value {
        let actor = format!(
            "select actor from unstuck.job_events where job_id = '{job}' and step = 1
                and to_status = 'starting' order by id limit 1"
        );
        self.db().value(&actor).await
    }

    /// Ends the provider's work on the running tasks whose submit contains `text`, such as the id
    /// of a job; waits for at least one. When this returns, the provider has their results.
    pub async fn finish(&self, text: impl std::fmt::Display) {
        let what = format!("the provider works on {text}");
        self.until(&what, async || self.finish_now(&text).await.then_some(())).await;
    }

    /// Like [`World::finish`], without waiting for a task. Returns whether any task was running.
    pub async fn finish_now(&self, text: impl std::fmt::Display) -> bool {
        let url = format!("{}/__finish", self.stack.info().providers_url);
        let request = json!({ "match": text.to_string() });
        let answer = self.http.post(url).json(&request).send().await;
        let status = answer.expect("the providers' stand-ins answer").status();
        assert!(status.is_success() || status == 404, "finish {request}: {status}");
        status.is_success()
    }

    /// Makes storage answer every request with this status, until the next test or `storage_is_up`.
    pub async fn storage_is_down(&self, status: u16) {
        self.storage(&json!({ "down": true, "status": status })).await;
    }

    pub async fn storage_is_up(&self) {
        self.storage(&json!({ "down": false })).await;
    }

    async fn storage(&self, wanted: &Value) {
        let url = format!("{}/__storage", self.stack.info().url);
        let answer = self.http.post(url).json(wanted).send().await;
        assert!(answer.expect("the front door answers").status().is_success());
    }

    /// The requests that the providers received during this test, newest last.
    pub async fn provider_log(&self) -> Vec<Value> {
        let mut log = self.whole_provider_log().await;
        log.drain(..self.log_seen.min(log.len()));
        log
    }

    /// The submits of a job during this test. They contain the job's id in the webhook's address.
    pub async fn submits_of(&self, job: Uuid) -> Vec<Value> {
        let mut log = self.provider_log().await;
        log.retain(|entry| entry["body"].to_string().contains(&job.to_string()));
        log
    }

    /// The requests of this test whose path contains `path`.
    pub async fn provider_calls(&self, path: &str) -> Vec<Value> {
        let mut log = self.provider_log().await;
        log.retain(|entry| entry["path"].as_str().is_some_and(|found| found.contains(path)));
        log
    }

    async fn whole_provider_log(&self) -> Vec<Value> {
        self.provider_list("__log").await
    }

    /// Webhooks sent since the stack started, newest last, with what the receiver answered.
    pub async fn deliveries(&self) -> Vec<Value> {
        self.provider_list("__deliveries").await
    }

    async fn provider_list(&self, path: &str) -> Vec<Value> {
        let url = format!("{}/{path}", self.stack.info().providers_url);
        let answer = self.http.get(url).send().await;
        let answer = answer.expect("the providers' stand-ins answer");
        answer.json().await.expect("a list")
    }

    /// Changes columns of a provider, such as `enabled = false`.
    pub async fn set_provider(&self, provider: &str, columns: &str) {
        let sql = format!("update unstuck.providers set {columns} where provider = '{provider}'");
        self.db.exec(&sql).await;
    }

    /// Ends the minute until the next trial of each open circuit.
    pub async fn end_circuit_minutes(&self) {
        for table in ["providers", "tools"] {
            let past = "circuit_open_until = clock_timestamp() - interval '1 second'";
            let open = "circuit_open_until > clock_timestamp()";
            self.db.exec(&format!("update unstuck.{table} set {past} where {open}")).await;
        }
    }

    /// Closes every circuit and clears the faults that count towards one.
    pub async fn close_circuits(&self) {
        for table in ["providers", "tools"] {
            let closed = "account_faults = 0, circuit_open_until = null";
            self.db.exec(&format!("update unstuck.{table} set {closed}")).await;
        }
    }

    /// Changes columns of a tool.
    pub async fn set_tool(&self, tool: &str, columns: &str) {
        self.db.exec(&format!("update unstuck.tools set {columns} where tool = '{tool}'")).await;
    }

    /// How many rows a table of ours has, such as `jobs where completed_at is null`.
    pub async fn count(&self, rows: &str) -> i64 {
        self.db.int(&format!("select count(*) from unstuck.{rows}")).await
    }

    /// Cancels a live job as an admin. Returns the answer, which must be good.
    pub async fn admin_cancels(&self, table: &str, job: Uuid) -> Value {
        let (admin, body) = (self.admin(1).await, json!({ "table": table, "jobId": job }));
        self.call("admin-cancel-job").by(&admin).json(&body).ok().await
    }

    /// The row of a job.
    pub async fn job(&self, id: Uuid) -> Value {
        self.db.job(id).await
    }

    pub async fn balance(&self, user: &TestUser) -> i64 {
        self.db.balance(user.id).await
    }

    pub async fn violations(&self) -> Vec<Value> {
        self.db.violations().await
    }

    /// Uploads a picture of that size as a client does. Returns its URL.
    pub async fn upload_png(&self, user: &TestUser, width: u32, height: u32) -> String {
        self.upload(user, "in.png", "image/png", png(width, height)).await
    }

    /// Uploads bytes by a signed upload into the user's own folder. Returns their URL.
    pub async fn upload(
        &self,
        user: &TestUser,
        name: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> String {
        self.upload_to(user, Uuid::new_v4(), name, content_type, bytes).await
    }

    /// Like [`World::upload`], into the folder of that job.
    pub async fn upload_to(
        &self,
        user: &TestUser,
        job: Uuid,
        name: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> String {
        let storage = format!("{}/storage/v1", self.stack.info().url);
        let path = format!("uploads/{}/{job}/{name}", user.id);
        let request =
            self.http.post(format!("{storage}/object/upload/sign/{path}")).bearer_auth(&user.token);
        let signed: Value = body_of(request).await;
        let url = signed["url"].as_str().expect("where to upload");
        let request = self.http.put(format!("{storage}{url}"));
        body_of(request.header("content-type", content_type).body(bytes)).await;
        format!("{storage}/object/public/{path}")
    }

    /// Orders an upscale of a small picture of that user. Returns its id and the answer, which must
    /// be good.
    pub async fn order(&self, user: &TestUser) -> (Uuid, Value) {
        self.order_as(user, Uuid::new_v4(), json!({})).await
    }

    /// Like [`World::order`], with a known id and more fields.
    pub async fn order_as(&self, user: &TestUser, job: Uuid, more: Value) -> (Uuid, Value) {
        let body = self.order_body(user, job, more).await;
        let answer = self.call("runninghub-upscaler/run").by(user).json(&body).ok().await;
        assert_eq!(answer["jobId"], json!(job), "{answer}");
        (job, answer)
    }

    /// Uploads a picture and returns the body of an order of it.
    pub async fn order_body(&self, user: &TestUser, job: Uuid, more: Value) -> Value {
        let mut body = json!({ "jobId": job, "imageUrl": self.upload_png(user, 8, 6).await });
        let (Some(fields), Value::Object(more)) = (body.as_object_mut(), more) else {
            panic!("fields are an object")
        };
        fields.extend(more);
        body
    }

    /// Polls until `look` returns something. Panics with `what` after `PATIENCE`.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        let looking = async {
            loop {
                match look().await {
                    Some(found) => return found,
                    None => tokio::time::sleep((began.elapsed() / 10).clamp(POLL, POLL_MAX)).await,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
    }

    /// Waits until a job has this status, and returns its row.
    pub async fn until_status(&self, job: Uuid, status: &str) -> Value {
        let what = format!("job {job} is {status}");
        let look = async || Some(self.job(job).await).filter(|row| row["status"] == status);
        self.until(&what, look).await
    }

    /// What the functions logged during this test.
    pub fn functions_log(&self) -> String {
        self.workers_log().split_off(self.workers_log_seen)
    }

    /// The log lines of the functions during this test, as objects.
    pub fn log_lines(&self) -> Vec<Value> {
        let log = self.functions_log();
        let objects = log.lines().filter_map(|line| line.get(line.find('{')?..));
        objects.filter_map(|text| serde_json::from_str(text).ok()).collect()
    }

    /// Waits until each claim of an owed message is reported: the message was taken, or it was not.
    pub async fn until_messages_rest(&self) {
        let claims = "select coalesce(sum(tries), 0) from unstuck.messages_owed";
        let at_rest = async || {
            let claimed = self.db().int(claims).await;
            let lines = self.log_lines();
            let sent = lines.iter().filter(|line| line["event"] == "messages_sent");
            let reported: i64 = sent.filter_map(|line| line["claimed"].as_i64()).sum();
            (claimed == reported).then_some(())
        };
        self.until("the claimed messages are reported", at_rest).await;
    }

    /// The last lines that the functions logged during this test, to print where it failed.
    pub(super) fn evidence(&self) -> String {
        let text = self.workers_log();
        let lines: Vec<&str> = text[self.workers_log_seen.min(text.len())..].lines().collect();
        let last = &lines[lines.len().saturating_sub(40)..];
        let path = self.stack.workers_log();
        format!("--- the functions logged ({}):\n{}", path.display(), last.join("\n"))
    }

    fn workers_log(&self) -> String {
        let bytes = std::fs::read(self.stack.workers_log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn known_user(&self, email: &str) -> Option<TestUser> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(email).cloned()
    }

    pub(super) fn know_user(&self, email: &str, user: &TestUser) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(email.to_owned(), user.clone());
    }
}

impl Beginning {
    /// Copies the rows that the migrations wrote; a reset empties every other table.
    async fn of(db: &Session) -> Self {
        let tables = "select format('%I.%I', schemaname, tablename) as name from pg_tables
            where schemaname in ('unstuck', 'unstuck_private')
            order by tablename <> 'providers', tablename <> 'tools'";
        let tables = texts(db.rows(tables).await);
        let mut restore = Vec::new();
        db.exec("create schema beginning").await;
        for (number, table) in
            tables.iter().enumerate().filter(|(_, table)| !WALLETS.contains(&table.as_str()))
        {
            db.exec(&format!("create table beginning.t{number} as table {table}")).await;
            if db.int(&format!("select count(*) from {table}")).await > 0 {
                restore.push(format!(
                    "insert into {table} overriding system value table beginning.t{number};"
                ));
            }
        }
        let intervals = texts(
            db.rows("select pg_get_functiondef('unstuck_private.intervals'::regproc) as text")
                .await,
        );
        Self(format!(
            "select set_config('unstuck.actor', 'migration', true);
             -- The log of what admins did refuses to be emptied.
             set session_replication_role = replica;
             truncate {};
             set session_replication_role = origin;
             {} {};
             insert into unstuck.sweeps (source, finished_at, stuck, violations)
             values ('http', clock_timestamp(), 0, 0)",
            tables.join(", "),
            restore.concat(),
            intervals.concat(),
        ))
    }

    fn sql(&self) -> &str {
        &self.0
    }
}

/// The only column of each row.
fn texts(rows: Vec<Value>) -> Vec<String> {
    let text = |row: &Value| row.as_object()?.values().next()?.as_str().map(str::to_owned);
    rows.iter().filter_map(text).collect()
}

async fn body_of(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("storage answers");
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    assert!(status.is_success(), "storage: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// A picture of more than one colour.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let shade = |value: u32, of: u32| u8::try_from(value * 255 / of.max(1)).unwrap_or(255);
    stand_ins::media::png(width, height, |x, y| [shade(x, width), shade(y, height), 128])
}

fn states() -> PathBuf {
    paths::target_host().join("unstuck-e2e")
}

fn state_dir(port_base: u16) -> PathBuf {
    states().join(port_base.to_string())
}

/// Deletes the logs of stacks that have ended. Logs outlive their run, so that a failure can be
/// looked into.
fn forget_ended_stacks() {
    for entry in std::fs::read_dir(states()).into_iter().flatten().flatten() {
        // A stack that is just starting does not listen yet.
        let changed = entry.metadata().and_then(|data| data.modified()).ok();
        let is_old = changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STARTING);
        let base = entry.file_name().to_string_lossy().parse::<u16>();
        let ended = is_old && base.is_ok_and(|base| (1..=6).all(|offset| is_free(base + offset)));
        if ended {
            // Another run may be clearing the same folder.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}
