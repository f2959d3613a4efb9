//! A small pure model of states and money, and Postgres: both perform the same random list of
//! operations and must agree after each. A failing list is shrunk and printed, and reads as a
//! story.
//!
//! The model does not know the fair order: it takes over which step Postgres claimed, and asserts
//! that this step could be claimed. `UNSTUCK_MODEL_CASES` runs so many lists from a random seed in
//! place of the fixed ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, with};
use uuid::Uuid;

const USERS: usize = 2;
const JOBS: usize = 6;

use ModelOp::*;
use WorkerCall::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModelTool {
    /// One step, one live job per user.
    Upscaler,
    /// Three steps at once at a synchronous provider, each with its own share of the price.
    Cards,
    /// Two steps in a row.
    TryOn,
}

impl ModelTool {
    const ALL: [Self; 3] = [Self::Upscaler, Self::Cards, Self::TryOn];

    fn name(self) -> &'static str {
        match self {
            Self::Upscaler => UPSCALER,
            Self::Cards => CARDS,
            Self::TryOn => TRY_ON,
        }
    }

    /// The provider, which none of the other tools uses, and its number of slots.
    fn provider(self) -> (&'static str, usize) {
        match self {
            Self::Upscaler => ("runninghub", 1),
            Self::Cards => ("gemini", 2),
            Self::TryOn => ("replicate", 1),
        }
    }

    fn shares(self) -> &'static [i64] {
        match self {
            Self::Upscaler => &[60],
            Self::Cards => &[10, 10, 10],
            Self::TryOn => &[40, 40],
        }
    }
}

/// What the worker of a claimed step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorkerCall {
    Send,
    Accepted,
    Finished,
    Stored,
    Failed,
    RefusedForCapacity,
    FailedInPassing,
}

/// `job` and `user` are small numbers. `claimed` is the number of a claim, counted from the first
/// and modulo the number of claims.
#[derive(Debug, Clone, Copy)]
enum ModelOp {
    Buy {
        user: usize,
        credits: i64,
    },
    Order {
        user: usize,
        job: usize,
        tool: ModelTool,
    },
    Claim {
        tool: ModelTool,
        limit: usize,
    },
    Worker {
        call: WorkerCall,
        claimed: usize,
    },
    CancelByUser {
        user: usize,
        job: usize,
    },
    CancelByAdmin {
        job: usize,
    },
    CloseSession {
        user: usize,
    },
    /// A healer runs after every lease has expired.
    LeasesRunOut,
    /// A healer runs after every deadline has expired.
    DeadlinesPass,
}

fn ops() -> impl Strategy<Value = ModelOp> {
    let tool = || proptest::sample::select(ModelTool::ALL.to_vec());
    prop_oneof![
        1 => (0..USERS, 1..200i64).prop_map(|(user, credits)| Buy { user, credits }),
        6 => (0..USERS, 0..JOBS, tool()).prop_map(|(user, job, tool)| Order { user, job, tool }),
        6 => (tool(), 1..4usize).prop_map(|(tool, limit)| Claim { tool, limit }),
        23 => (calls(), 0..8usize).prop_map(|(call, claimed)| Worker { call, claimed }),
        1 => (0..USERS, 0..JOBS).prop_map(|(user, job)| CancelByUser { user, job }),
        1 => (0..JOBS).prop_map(|job| CancelByAdmin { job }),
        1 => (0..USERS).prop_map(|user| CloseSession { user }),
        2 => Just(LeasesRunOut),
        1 => Just(DeadlinesPass),
    ]
}

fn calls() -> impl Strategy<Value = WorkerCall> {
    prop_oneof![
        4 => Just(Send),
        4 => Just(Accepted),
        4 => Just(Finished),
        5 => Just(Stored),
        2 => Just(Failed),
        2 => Just(RefusedForCapacity),
        2 => Just(FailedInPassing),
    ]
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Blocked,
    Queued,
    Starting,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    fn is_working(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

#[derive(Debug, Clone, Default)]
struct Step {
    status: Status,
    run: i64,
    attempts: u32,
    rescues: u32,
    sent: bool,
    task: Option<usize>,
    /// The provider has finished, and a worker copies the result.
    done: bool,
    /// Tasks that are cancel debts.
    owed: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Job {
    user: usize,
    tool: ModelTool,
    status: Status,
    refunded: i64,
    steps: Vec<Step>,
}

/// A worker's claim of one run of one step. The name of its task is made of its number.
#[derive(Debug, Clone, Copy)]
struct WorkerClaim {
    job: usize,
    step: usize,
    run: i64,
    /// The database allowed its submit.
    submitted: bool,
}

#[derive(Debug, Default, Clone)]
struct Model {
    balances: [i64; USERS],
    jobs: BTreeMap<usize, Job>,
    cancelled: Vec<(usize, usize)>,
    claims: Vec<WorkerClaim>,
}

impl Job {
    fn price(&self) -> i64 {
        self.tool.shares().iter().sum()
    }

    fn per_step(&self) -> bool {
        self.tool == ModelTool::Cards
    }

    fn follow(&mut self) {
        let any = |wanted: &[Status]| self.steps.iter().any(|step| wanted.contains(&step.status));
        self.status = if any(&[Status::Running, Status::Completed, Status::Failed]) {
            Status::Running
        } else if any(&[Status::Starting]) {
            Status::Starting
        } else {
            Status::Queued
        };
    }

    /// Ends the job and its live steps. Returns the refund.
    fn close(&mut self, status: Status) -> i64 {
        let shares = self.tool.shares();
        let kept: i64 = self
            .steps
            .iter()
            .zip(shares)
            .filter(|(step, _)| step.status == Status::Completed)
            .map(|(_, share)| share)
            .sum();
        for step in self.steps.iter_mut().filter(|step| !step.status.is_final()) {
            step.status =
                if status == Status::Cancelled { Status::Cancelled } else { Status::Failed };
            step.end();
        }
        self.status = status;
        let due = match (self.per_step(), status) {
            (true, _) => self.price() - kept,
            (false, Status::Completed) => 0,
            (false, _) => self.price(),
        };
        let back = due - self.refunded;
        self.refunded = due;
        back
    }

    /// Fails one step. Returns the refund.
    fn give_up(&mut self, at: usize) -> i64 {
        if !self.per_step() {
            return self.close(Status::Failed);
        }
        self.steps[at].status = Status::Failed;
        self.steps[at].end();
        if self.steps.iter().all(|step| step.status.is_final()) {
            return self.close(self.outcome());
        }
        self.refunded += self.tool.shares()[at];
        self.follow();
        self.tool.shares()[at]
    }

    fn outcome(&self) -> Status {
        if self.steps.iter().any(|step| step.status == Status::Completed) {
            Status::Completed
        } else {
            Status::Failed
        }
    }
}

impl Step {
    /// Records a cancel debt if the step ends while the provider works on its task.
    fn end(&mut self) {
        if let Some(task) = self.task.filter(|_| self.sent && !self.done) {
            self.owed.push(task);
        }
    }

    fn back_to_queue(&mut self) {
        *self = Self { status: Status::Queued, sent: false, task: None, ..self.clone() };
    }
}

impl Model {
    fn pay(&mut self, user: usize, back: i64) {
        self.balances[user] += back;
    }

    fn order(&mut self, user: usize, job: usize, tool: ModelTool) -> String {
        if let Some(known) = self.jobs.get(&job) {
            if known.user != user || known.tool != tool {
                return "idempotency_conflict".into();
            }
            return format!("replayed {}", known.status.word());
        }
        if self.cancelled.contains(&(user, job)) {
            return "already_final".into();
        }
        let busy = |job: &Job| {
            job.user == user && job.tool == ModelTool::Upscaler && !job.status.is_final()
        };
        if tool == ModelTool::Upscaler && self.jobs.values().any(busy) {
            return "active_job_exists".into();
        }
        let price: i64 = tool.shares().iter().sum();
        if self.balances[user] < price {
            return "insufficient_credits".into();
        }
        self.balances[user] -= price;
        let steps = (0..tool.shares().len()).map(|at| {
            let is_blocked = at > 0 && tool == ModelTool::TryOn;
            let status = if is_blocked { Status::Blocked } else { Status::Queued };
            Step { status, ..Step::default() }
        });
        self.jobs.insert(
            job,
            Job { user, tool, status: Status::Queued, refunded: 0, steps: steps.collect() },
        );
        "ordered".into()
    }

    /// How many steps a claim must take.
    fn claimable(&self, tool: ModelTool, limit: usize) -> usize {
        let jobs = self.jobs.values().filter(|job| job.tool == tool);
        let steps: Vec<&Step> = jobs.flat_map(|job| &job.steps).collect();
        let live = steps.iter().filter(|step| step.status.is_working() && !step.done).count();
        let waiting = steps.iter().filter(|step| step.status == Status::Queued).count();
        waiting.min(limit).min(tool.provider().1.saturating_sub(live))
    }

    /// Claims the step that Postgres claimed; returns its run in the model.
    fn claimed(&mut self, job: usize, at: usize) -> Option<i64> {
        let job_row = self.jobs.get_mut(&job)?;
        let synchronous = job_row.tool == ModelTool::Cards;
        let step = job_row.steps.get_mut(at).filter(|step| step.status == Status::Queued)?;
        step.run += 1;
        step.attempts += u32::from(synchronous);
        (step.sent, step.task) = (false, None);
        step.status = if synchronous { Status::Running } else { Status::Starting };
        let run = step.run;
        job_row.follow();
        self.claims.push(WorkerClaim { job, step: at, run, submitted: synchronous });
        Some(run)
    }

    /// The job and the step of a claim, if the claim's run is still the step's run and at work.
    fn at_work(&mut self, claim: WorkerClaim) -> Option<(&mut Job, usize)> {
        let job = self.jobs.get_mut(&claim.job)?;
        let step = &job.steps[claim.step];
        (step.run == claim.run && step.status.is_working()).then_some((job, claim.step))
    }

    fn send(&mut self, number: usize) -> String {
        let Some((job, at)) = self.at_work(self.claims[number]) else { return "false".into() };
        let step = &mut job.steps[at];
        if step.status != Status::Starting || step.sent {
            return "false".into();
        }
        step.sent = true;
        step.attempts += 1;
        self.claims[number].submitted = true;
        "true".into()
    }

    fn accepted(&mut self, number: usize) -> String {
        let claim = self.claims[number];
        if let Some((job, at)) = self.at_work(claim)
            && job.steps[at].task.is_none_or(|task| task == number)
        {
            job.steps[at].status = Status::Running;
            job.steps[at].task = Some(number);
            job.follow();
            return "running".into();
        }
        let Some(job) = self.jobs.get_mut(&claim.job) else { return "stale".into() };
        let step = &mut job.steps[claim.step];
        if step.task == Some(number) || step.owed.contains(&number) {
            return "stale".into();
        }
        step.owed.push(number);
        "cancel_due".into()
    }

    fn finished(&mut self, number: usize) -> String {
        let claim = self.claims[number];
        let Some(job) = self.jobs.get_mut(&claim.job) else { return "stale".into() };
        let step = &mut job.steps[claim.step];
        if step.status.is_final() {
            if step.status != Status::Completed {
                step.owed.retain(|task| *task != number);
            }
            return "late".into();
        }
        let (older, same) = (claim.run < step.run, step.task.is_none_or(|task| task == number));
        if step.done || (!older && !same) {
            return "stale".into();
        }
        if older && let Some(newer) = step.task.filter(|task| *task != number) {
            step.owed.push(newer);
        } else {
            step.owed.retain(|task| *task != number);
        }
        step.run += i64::from(older);
        *step = Step {
            status: Status::Running,
            task: Some(number),
            done: true,
            sent: true,
            ..step.clone()
        };
        self.claims[number].run = step.run;
        job.follow();
        "copy".into()
    }

    fn stored(&mut self, number: usize) -> String {
        let claim = self.claims[number];
        let Some((job, at)) =
            self.at_work(claim).filter(|(job, at)| job.steps[*at].status == Status::Running)
        else {
            let late = self.jobs.get(&claim.job).is_some_and(|job| {
                job.steps[claim.step].run >= claim.run && job.steps[claim.step].status.is_final()
            });
            return if late { "late" } else { "stale" }.into();
        };
        job.steps[at].status = Status::Completed;
        job.steps[at].done = true;
        if job.steps.iter().all(|step| step.status.is_final()) {
            let back = job.close(Status::Completed);
            let user = job.user;
            self.pay(user, back);
            return "completed".into();
        }
        if let Some(next) = job.steps.get_mut(at + 1).filter(|next| next.status == Status::Blocked)
        {
            next.status = Status::Queued;
        }
        job.follow();
        "completed".into()
    }

    fn failed(&mut self, number: usize) -> String {
        let Some((job, at)) = self.at_work(self.claims[number]) else { return "stale".into() };
        job.steps[at].done = true;
        let (back, user) = (job.give_up(at), job.user);
        self.pay(user, back);
        format!("failed {back}")
    }

    fn put_back(&mut self, number: usize, counts: bool) -> String {
        let Some((job, at)) =
            self.at_work(self.claims[number]).filter(|(job, at)| !job.steps[*at].done)
        else {
            return "stale".into();
        };
        if counts && job.steps[at].attempts >= 3 {
            let (back, user) = (job.give_up(at), job.user);
            self.pay(user, back);
            return format!("failed {back}");
        }
        let step = &mut job.steps[at];
        step.back_to_queue();
        step.attempts = step.attempts.saturating_sub(u32::from(!counts));
        job.follow();
        "queued 0".into()
    }

    fn cancel(&mut self, by: Option<usize>, job: usize) -> String {
        let Some(row) =
            self.jobs.get_mut(&job).filter(|row| by.is_none_or(|user| user == row.user))
        else {
            return "not_found".into();
        };
        if row.status.is_final() {
            return "already_final".into();
        }
        if by.is_some() && row.status.is_working() {
            return "in_progress".into();
        }
        let (back, user) = (row.close(Status::Cancelled), row.user);
        if by.is_some() {
            self.cancelled.push((user, job));
        }
        self.pay(user, back);
        format!("cancelled {back}")
    }

    fn close_session(&mut self, user: usize) -> String {
        let (mut closed, mut total) = (0, 0);
        for (number, job) in &mut self.jobs {
            if job.user == user && job.status == Status::Queued {
                total += job.close(Status::Cancelled);
                closed += 1;
                self.cancelled.push((user, *number));
            }
        }
        self.pay(user, total);
        format!("cancelled {closed} for {total}")
    }

    fn leases_run_out(&mut self) -> String {
        let mut total = 0;
        for job in self.jobs.values_mut() {
            let mut back = 0;
            for at in 0..job.steps.len() {
                let step = &job.steps[at];
                let (starting, running) = (
                    step.status == Status::Starting && !step.sent,
                    step.status == Status::Running && job.tool == ModelTool::Cards,
                );
                if starting && step.rescues >= 3 || running && step.attempts >= 3 {
                    back += if running { job.give_up(at) } else { job.close(Status::Failed) };
                } else if starting || running {
                    job.steps[at].rescues += u32::from(starting);
                    job.steps[at].back_to_queue();
                    job.follow();
                }
            }
            self.balances[job.user] += back;
            total += back;
        }
        format!("returned {total}")
    }

    fn deadlines_pass(&mut self) -> String {
        let mut total = 0;
        for job in self.jobs.values_mut().filter(|job| !job.status.is_final()) {
            let back = job.close(if job.per_step() { job.outcome() } else { Status::Failed });
            self.balances[job.user] += back;
            total += back;
        }
        format!("returned {total}")
    }

    fn snapshot(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .balances
            .iter()
            .enumerate()
            .map(|(user, balance)| format!("user {user}: {balance}"))
            .collect();
        for (number, job) in &self.jobs {
            lines.push(format!(
                "job {number}: {} charged {} refunded {}",
                job.status.word(),
                job.price(),
                job.refunded
            ));
            for (at, step) in job.steps.iter().enumerate() {
                let mut owed = step.owed.clone();
                owed.sort_unstable();
                lines.push(format!(
                    "job {number}/{}: {} run {} attempts {} rescues {} task {:?} done {} owed \
                        {owed:?}",
                    at + 1,
                    step.status.word(),
                    step.run,
                    step.attempts,
                    step.rescues,
                    step.task,
                    step.done
                ));
            }
        }
        lines
    }
}

/// Postgres, which performs the same operations.
struct RealDatabase {
    db: Database,
    admin: Uuid,
    users: Vec<Uuid>,
    jobs: Vec<Uuid>,
    claimed: Vec<StepRun>,
}

impl RealDatabase {
    async fn start(db: Database) -> Self {
        db.exec(
            "update tools set enabled = true;
             update providers set learned_limit = null,
             max_concurrent = case provider when 'gemini' then 2 else 1 end;
             delete from cancelled_requests; delete from job_events; delete
             from job_steps; delete from jobs;
             delete from credit_entries; delete from credit_accounts",
        )
        .await;
        let admin = db.admin().await;
        let users = (0..USERS).map(|_| Uuid::new_v4()).collect();
        let jobs = (0..JOBS).map(|_| Uuid::new_v4()).collect();
        Self { db, admin, users, jobs, claimed: Vec::new() }
    }

    async fn order(&self, user: usize, job: usize, tool: ModelTool) -> String {
        match self
            .db
            .enqueue(self.users[user], self.jobs[job], tool.name(), tool.shares().len())
            .await
        {
            Ok(answer) if answer["replayed"] == true => {
                format!("replayed {}", text(&answer["status"]))
            }
            Ok(_) => "ordered".into(),
            Err(error) => error.message,
        }
    }

    async fn cancel(&self, by: Option<usize>, job: usize) -> String {
        let (job, table) = (self.jobs[job], self.table(job).await);
        let (function, args) = match by {
            Some(user) => ("job_cancel_v1", json!({ "p_user_id": self.users[user] })),
            None => ("job_cancel_admin_v1", json!({ "p_actor": self.admin, "p_reason": null })),
        };
        let args = with(args, json!({ "p_table": table, "p_job_id": job }));
        match self.db.try_call(function, args).await {
            Ok(rows) => format!("{} {}", text(&rows[0]["status"]), rows[0]["refunded_credits"]),
            Err(error) => error.message,
        }
    }

    async fn table(&self, job: usize) -> String {
        let of_job = format!("jobs join tools using (tool) where id = '{}'", self.jobs[job]);
        let tables = self.db.texts(&format!("select table_name from {of_job}")).await;
        tables.into_iter().next().unwrap_or_else(|| "upscaler_jobs".into())
    }

    async fn close_session(&self, user: usize) -> String {
        let args = json!({ "p_user_id": self.users[user], "p_session_id": "session",
            "p_job_ids": null });
        let rows = self.db.call("session_cancel_v1", args).await;
        let total: i64 = rows.iter().filter_map(|row| row["refunded_credits"].as_i64()).sum();
        format!("cancelled {} for {total}", rows.len())
    }

    async fn sweep(&self, later: &str) -> String {
        let sql = format!(
            "select coalesce(sum(refunded), 0)
                from unstuck_private.sweep(clock_timestamp() + interval '{later}', null, 100,
                '5 seconds')"
        );
        format!("returned {}", self.db.int(&sql).await)
    }

    async fn snapshot(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, user) in self.users.iter().enumerate() {
            lines.push(format!("user {number}: {}", self.db.balance(*user).await));
        }
        let jobs = self.db.rows("select * from jobs").await;
        let steps = "select *, provider_done_at is not null as done from job_steps order by step";
        let steps = self.db.rows(steps).await;
        for (number, id) in self.jobs.iter().enumerate() {
            let Some(job) = jobs.iter().find(|job| job["id"] == json!(id)) else { continue };
            lines.push(format!(
                "job {number}: {} charged {} refunded {}",
                text(&job["status"]),
                job["credits_charged"],
                job["credits_refunded"]
            ));
            for step in steps.iter().filter(|step| step["job_id"] == json!(id)) {
                let task = |task: &Value| {
                    task.as_str().and_then(|task| task.rsplit_once('-')?.1.parse::<usize>().ok())
                };
                let mut owed: Vec<usize> = step["provider_cancel_due"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|due| task(&due["task_id"]))
                    .collect();
                owed.sort_unstable();
                lines.push(format!(
                    "job {number}/{}: {} run {} attempts {} rescues {} task {:?} done {} owed \
                        {owed:?}",
                    step["step"],
                    text(&step["status"]),
                    step["run"],
                    step["attempts"],
                    step["rescues"],
                    task(&step["provider_task_id"]),
                    step["done"]
                ));
            }
        }
        lines
    }

    fn task(&self, number: usize) -> String {
        format!("{}-{number}", self.claimed[number].job)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The outcome that a call reports, and the refund unless the run was stale.
fn outcome(answer: &Value) -> String {
    match text(&answer["outcome"]) {
        stale if stale == "stale" => stale,
        outcome => format!("{outcome} {}", answer["refunded"]),
    }
}

/// Performs one operation on both. `None` if it is not possible now.
async fn both(model: &mut Model, real: &mut RealDatabase, op: ModelOp) -> Option<(String, String)> {
    Some(match op {
        Buy { user, credits } => {
            model.balances[user] += credits;
            real.db.grant(real.users[user], credits).await;
            Default::default()
        }
        Order { user, job, tool } => {
            (model.order(user, job, tool), real.order(user, job, tool).await)
        }
        Claim { tool, limit } => {
            let expected = model.claimable(tool, limit);
            // A probe is made due, so that a provider with one slot that refused a step gets one
            // more.
            real.db.probe_is_due().await;
            let claimed = real.db.claim(tool.provider().0, limit as i64).await;
            let mut runs = Vec::new();
            for attempt in &claimed {
                let job = real.jobs.iter().position(|id| *id == attempt.job)?;
                runs.push(model.claimed(job, attempt.step as usize - 1));
                real.claimed.push(*attempt);
            }
            let real_runs: Vec<_> = claimed.iter().map(|attempt| Some(attempt.run)).collect();
            (format!("{expected} {runs:?}"), format!("{} {real_runs:?}", claimed.len()))
        }
        Worker { call, claimed } => return work(model, real, call, claimed).await,
        CancelByUser { user, job } => {
            (model.cancel(Some(user), job), real.cancel(Some(user), job).await)
        }
        CancelByAdmin { job } => (model.cancel(None, job), real.cancel(None, job).await),
        CloseSession { user } => (model.close_session(user), real.close_session(user).await),
        LeasesRunOut => (model.leases_run_out(), real.sweep("95 seconds").await),
        DeadlinesPass => (model.deadlines_pass(), real.sweep("10 days").await),
    })
}

async fn work(
    model: &mut Model,
    real: &mut RealDatabase,
    call: WorkerCall,
    claimed: usize,
) -> Option<(String, String)> {
    let number = claimed % model.claims.len().max(1);
    let claim = model.claims.get(number)?;
    let is_synchronous = model.jobs.get(&claim.job).is_some_and(|job| job.tool == ModelTool::Cards);
    // Only a submitted step can be accepted or finished.
    let possible = match call {
        Send => !is_synchronous,
        Accepted | Finished => !is_synchronous && claim.submitted,
        _ => true,
    };
    possible.then_some(())?;
    let (db, attempt, task) = (&real.db, real.claimed[number], real.task(number));
    Some(match call {
        Send => (model.send(number), db.sent(attempt).await.to_string()),
        Accepted => (model.accepted(number), db.started(attempt, &task).await),
        Finished => {
            let answer = db.done(attempt, &task).await;
            if answer["outcome"] == "copy" {
                real.claimed[number].run = answer["run"].as_i64().unwrap_or(attempt.run);
            }
            (model.finished(number), text(&answer["outcome"]))
        }
        Stored => (model.stored(number), text(&db.complete(attempt).await["outcome"])),
        Failed => (model.failed(number), outcome(&db.fail(attempt, "PROVIDER_FAILED").await)),
        RefusedForCapacity | FailedInPassing => {
            let counts = call == FailedInPassing;
            let kind = if counts { "transient" } else { "capacity" };
            (model.put_back(number, counts), outcome(&db.requeue(attempt, kind, 0).await))
        }
    })
}

async fn agree(real: &mut RealDatabase, ops: &[ModelOp]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for (number, op) in ops.iter().enumerate() {
        let Some((expected, answered)) = both(&mut model, real, *op).await else { continue };
        prop_assert_eq!(
            &expected,
            &answered,
            "operation {} ({:?}): the model's answer, Postgres's",
            number,
            op
        );
        prop_assert_eq!(
            model.snapshot(),
            real.snapshot().await,
            "after operation {} ({:?}): the model, Postgres",
            number,
            op
        );
    }
    // After every deadline each job is final and each credit is where it belongs.
    model.deadlines_pass();
    real.sweep("10 days").await;
    prop_assert_eq!(model.snapshot(), real.snapshot().await, "at the end");
    prop_assert!(model.jobs.values().all(|job| job.status.is_final()));
    prop_assert_eq!(real.db.violations().await, Vec::<Value>::new());
    Ok(())
}

#[test]
fn the_model_and_postgres_agree() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("UNSTUCK_MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(60),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut runner = match cases {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let db = std::cell::RefCell::new(Some(runtime.block_on(Database::fresh())));
    let lists = proptest::collection::vec(ops(), 1..60);
    let outcome = runner.run(&lists, |ops| {
        runtime.block_on(async {
            // All lists share one database. A panic loses it, and the next list gets a new one.
            let fresh = db.borrow_mut().take();
            let fresh = match fresh {
                Some(fresh) => fresh,
                None => Database::fresh().await,
            };
            let mut real = RealDatabase::start(fresh).await;
            let agreed = agree(&mut real, &ops).await;
            db.borrow_mut().replace(real.db);
            agreed
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
