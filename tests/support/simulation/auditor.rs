//! Reads what changed, and says what must never be. It knows docs/data-model.md and the outside
//! world, and nothing of how our functions work.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::plan::{Life, LifeFault, LifeTool, Plan, kind};
use super::providers::{ProviderTask, TaskEnd};
use super::server::BEGIN_MS;
use super::wallet::WalletBook;
use super::world::{ClientAnswer, SimulatedWorld, job_of, user_of};

/// The longest that a live row outlasts its deadline: three minutes that SQL leaves to the edge,
/// a minute between two runs of a healer, and one for the run itself.
pub const BOUND_MS: i64 = 300_000;
/// The same for a step whose task the provider says to work, while the edge is well: a minute
/// between two runs of the checker, and what the runs take.
const EDGE_BOUND_MS: i64 = 150_000;

/// What became of the lives that each kind of fault was planned for: `webhook lost` → `completed` →
/// how many.
pub type Fates = BTreeMap<String, BTreeMap<String, u64>>;

/// What the tables hold, by the record of their changes.
#[derive(Default)]
pub struct Auditor {
    seen: i64,
    jobs: BTreeMap<String, Value>,
    steps: BTreeMap<String, BTreeMap<i64, Value>>,
    entries: BTreeMap<String, Vec<Value>>,
    sums: BTreeMap<String, i64>,
    accounts: BTreeMap<String, i64>,
    limits: BTreeMap<String, i64>,
    stuck: BTreeSet<String>,
    /// The jobs that ended before their deadline.
    in_time: BTreeSet<String>,
    /// How long after its deadline each other job ended, in milliseconds.
    overdue_ms: BTreeMap<String, i64>,
    /// Since when each step owes cancels, in milliseconds since the beginning.
    cancels_owed: BTreeMap<(String, i64), i64>,
    wallet: WalletBook,
    pub violations: Vec<String>,
    /// How long after its deadline each job was ended that had passed one, in milliseconds.
    pub rescues_ms: Vec<i64>,
    /// What those jobs became: their error, or `completed`.
    pub rescues: BTreeMap<String, u64>,
    /// What each job became, with the time and the credits: the same for each run of a seed.
    pub ends: Vec<String>,
    /// How many jobs of each tool were completed.
    pub completed: BTreeMap<LifeTool, u64>,
    pub fates: Fates,
}

#[derive(Default)]
struct Touched {
    jobs: BTreeSet<String>,
    users: BTreeSet<String>,
    claimed: BTreeSet<String>,
}

pub fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

fn is_final(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}

fn holds_slot(step: &Value) -> bool {
    matches!(step["status"].as_str(), Some("starting" | "running"))
        && step["provider_done_at"].is_null()
}

const READ: &str = "
  select id, tx::text as tx, relation, before, after,
    (extract(epoch from at) * 1000)::bigint as at_ms,
    (extract(epoch from (after ->> 'completed_at')::timestamptz
      - (before ->> 'deadline_at')::timestamptz) * 1000)::bigint as past_deadline_ms,
    (extract(epoch from (after ->> 'completed_at')::timestamptz
      - (after ->> 'expires_at')::timestamptz) * 1000)::bigint as past_expiry_ms
  from auditor.changes where id > $1 order by id";

impl Auditor {
    pub fn new(plan: &Plan) -> Self {
        Self { wallet: WalletBook::new(plan.wallet.as_ref()), ..Self::default() }
    }

    /// Reads the changes since the last reading, one transaction after the other.
    pub fn read(&mut self, world: &SimulatedWorld) {
        let rows = world.database.rows(READ, &[&self.seen]);
        let mut touched = Touched::default();
        for (index, row) in rows.iter().enumerate() {
            self.seen = row["id"].as_i64().unwrap();
            self.apply(row, &mut touched);
            if rows.get(index + 1).is_none_or(|next| next["tx"] != row["tx"]) {
                let touched = std::mem::take(&mut touched);
                self.check(&touched, row["at_ms"].as_i64().unwrap());
            }
        }
        self.wallet.met.drain(..).for_each(|fault| world.met(fault));
    }

    fn apply(&mut self, row: &Value, touched: &mut Touched) {
        let (before, after) = (&row["before"], &row["after"]);
        if after.is_null() && row["relation"] != "refunds_owed" {
            self.violations.push(format!("a row of {} is deleted: {before}", row["relation"]));
            return;
        }
        match row["relation"].as_str().unwrap() {
            "jobs" => {
                self.check_job_change(row);
                touched.jobs.insert(text(after, "id"));
                self.jobs.insert(text(after, "id"), after.clone());
            }
            "job_steps" => {
                self.check_step_change(before, after);
                if holds_slot(after) && !holds_slot(before) {
                    touched.claimed.insert(text(after, "provider"));
                }
                let (job, number) = (text(after, "job_id"), after["step"].as_i64().unwrap());
                touched.jobs.insert(job.clone());
                let owed = (job.clone(), number);
                if after["provider_cancel_due"] == json!([]) {
                    self.cancels_owed.remove(&owed);
                } else {
                    let since_ms = row["at_ms"].as_i64().unwrap() - BEGIN_MS as i64;
                    self.cancels_owed.entry(owed).or_insert(since_ms);
                }
                self.steps.entry(job).or_default().insert(number, after.clone());
            }
            "credit_entries" => {
                if !before.is_null() {
                    self.violations.push(format!("an entry is changed: {before} to {after}"));
                }
                *self.sums.entry(text(after, "user_id")).or_default() +=
                    after["amount"].as_i64().unwrap();
                touched.users.insert(text(after, "user_id"));
                if !after["job_id"].is_null() {
                    touched.jobs.insert(text(after, "job_id"));
                    self.entries.entry(text(after, "job_id")).or_default().push(after.clone());
                }
            }
            "credit_accounts" => {
                touched.users.insert(text(after, "user_id"));
                self.accounts.insert(text(after, "user_id"), after["balance"].as_i64().unwrap());
            }
            "profiles" => {
                touched.users.insert(self.wallet.write_balance(after));
            }
            "credit_history" => {
                let (user, job) = self.wallet.write_movement(after);
                touched.users.insert(user);
                touched.jobs.extend(job);
            }
            "refunds_owed" => {
                touched.jobs.insert(self.wallet.write_owed(before, after));
            }
            _ => {
                let limit = after["max_concurrent"].as_i64().unwrap();
                self.limits.insert(text(after, "provider"), limit);
            }
        }
    }

    fn check_job_change(&mut self, row: &Value) {
        let (before, after) = (&row["before"], &row["after"]);
        let (was, is) = (text(before, "status"), text(after, "status"));
        let job = text(after, "id");
        if is_final(&was) {
            let columns = ["credits_charged", "output_url", "completed_at"];
            let (had, has) = (&before["credits_refunded"], &after["credits_refunded"]);
            // What an app's wallet refused at the end comes later.
            let is_paid_later = self.wallet.has_wallet() && had.as_i64() < has.as_i64();
            if was != is
                || columns.iter().any(|column| before[*column] != after[*column])
                || (had != has && !is_paid_later)
            {
                self.violations.push(format!("1 {job} changes after its end: {before} {after}"));
            }
        } else if is_final(&is) {
            let past_ms = row["past_deadline_ms"].as_i64().unwrap_or(0);
            if past_ms > 0 {
                self.rescues_ms.push(past_ms);
                let became = after["error_code"].as_str().unwrap_or(&is);
                *self.rescues.entry(became.to_owned()).or_default() += 1;
            }
            if past_ms < 0 {
                self.in_time.insert(job.clone());
            } else {
                self.overdue_ms.insert(job.clone(), past_ms);
            }
            if past_ms > BOUND_MS || row["past_expiry_ms"].as_i64().unwrap_or(0) > BOUND_MS {
                self.violations.push(format!("F3 {job} ends {past_ms} ms after its deadline"));
            }
            self.ends.push(format!(
                "{} {job} {is} {} {} {}",
                row["at_ms"],
                after["credits_charged"],
                after["credits_refunded"],
                after["error_code"]
            ));
        }
        if is_final(&is) == after["completed_at"].is_null() {
            self.violations
                .push(format!("1 {job} is {is}, completed at {}", after["completed_at"]));
        }
    }

    fn check_step_change(&mut self, before: &Value, after: &Value) {
        let name = format!("{}/{}", text(after, "job_id"), after["step"]);
        if after["run"].as_i64() < before["run"].as_i64() {
            self.violations.push(format!("2 the run of {name} falls: {before} {after}"));
        }
        if text(before, "status") == "completed" && before["output_url"] != after["output_url"] {
            self.violations.push(format!("12 the result of {name} changes: {before} {after}"));
        }
    }

    fn check(&mut self, touched: &Touched, at_ms: i64) {
        for job in &touched.jobs {
            let entries = self.entries.get(job).map_or(&[][..], Vec::as_slice);
            let told = self.wallet.check_job(job, entries, at_ms);
            if let Err(what) = told.and_then(|()| self.check_job(job)) {
                self.violations.push(format!("{what} at {}", at_ms - BEGIN_MS as i64));
            }
        }
        for user in &touched.users {
            let (sum, balance) = (self.sums.get(user), self.accounts.get(user));
            if self.wallet.has_wallet() {
                let told = self.wallet.check_user(user, *sum.unwrap_or(&0));
                self.violations.extend(told.err());
            } else if sum.unwrap_or(&0) != balance.unwrap_or(&0)
                || balance.is_some_and(|it| *it < 0)
            {
                self.violations.push(format!("4 {user}: {balance:?}, the entries say {sum:?}"));
            }
        }
        for provider in &touched.claimed {
            let steps = self.steps.values().flat_map(BTreeMap::values);
            let held = steps.filter(|step| holds_slot(step) && step["provider"] == **provider);
            let (held, limit) = (held.count(), self.limits.get(provider).copied().unwrap_or(99));
            if held as i64 > limit {
                self.violations.push(format!("5 {provider} has {held} of {limit} slots"));
            }
        }
    }

    fn check_job(&self, id: &str) -> Result<(), String> {
        let (Some(job), none) = (self.jobs.get(id), BTreeMap::new()) else { return Ok(()) };
        let steps = self.steps.get(id).unwrap_or(&none);
        let status = text(job, "status");
        let all_final = steps.values().all(|step| is_final(&text(step, "status")));
        if !steps.is_empty() && all_final != is_final(&status) {
            return Err(format!("1 {id} is {status} and its steps are {steps:?}"));
        }
        let one_is = |wanted: &str| steps.values().any(|step| step["status"] == wanted);
        let due = match () {
            () if one_is("running") || one_is("completed") || one_is("failed") => "running",
            () if one_is("starting") => "starting",
            () => "queued",
        };
        if !steps.is_empty() && !is_final(&status) && status != due {
            return Err(format!("1 {id} is {status}, {due} by its steps: {steps:?}"));
        }
        let entries = self.entries.get(id).map_or(&[][..], Vec::as_slice);
        let of = |kind: &str| -> Vec<i64> {
            let entries = entries.iter().filter(|entry| entry["kind"] == kind);
            entries.map(|entry| entry["amount"].as_i64().unwrap()).collect()
        };
        let (debits, refunded) = (of("debit"), of("refund").iter().sum::<i64>());
        let charged = -debits.iter().sum::<i64>();
        let (said, back) = (job["credits_charged"].as_i64(), job["credits_refunded"].as_i64());
        let back_or_owed = refunded + self.wallet.owed(id);
        if debits.len() > 1
            || back_or_owed > charged
            || said != Some(charged)
            || back != Some(refunded)
        {
            return Err(format!("3 {id} says {said:?} and {back:?}, entries {entries:?}"));
        }
        let shares: i64 = steps.values().map(|step| step["share"].as_i64().unwrap()).sum();
        if shares != charged {
            return Err(format!("3 {id}: its steps' shares are {shares} of {charged}"));
        }
        let follows_done = |number: &i64| {
            steps.get(&(number - 1)).is_some_and(|before| before["status"] == "completed")
        };
        let is_left_behind =
            steps.iter().any(|(number, step)| step["status"] == "blocked" && follows_done(number));
        if is_left_behind && !is_final(&status) {
            return Err(format!("1 {id}: a step is blocked after a completed one: {steps:?}"));
        }
        if is_final(&status) {
            let share = |done: bool| -> i64 {
                let steps = steps.values();
                let steps = steps.filter(|step| (step["status"] == "completed") == done);
                steps.map(|step| step["share"].as_i64().unwrap()).sum()
            };
            let kept = if job["refund_rule"] == "per_step" { share(true) } else { 0 };
            let due = if status == "completed" { share(false) } else { charged - kept };
            let is_partial = job["refund_rule"] == "per_step" && status == "failed";
            if is_partial && steps.values().any(|step| step["status"] == "completed") {
                return Err(format!("3 {id} has delivered a step and is failed"));
            }
            if due != back_or_owed && charged > 0 {
                return Err(format!(
                    "3 {id} {status}: {refunded} came back of {charged}, {due} due, {} owed",
                    self.wallet.owed(id)
                ));
            }
        }
        let twin = self.jobs.iter().find(|(other, row)| {
            let is_waiting = |row: &Value| {
                matches!(row["status"].as_str(), Some("queued" | "starting" | "running"))
            };
            let same = |column: &str| !job[column].is_null() && row[column] == job[column];
            *other != id
                && is_waiting(row)
                && is_waiting(job)
                && (same("exclusive_key") || same("retry_of"))
        });
        twin.map_or(Ok(()), |(other, _)| Err(format!("11 {id} and {other} are both live")))
    }

    /// Whether a job is not at its end.
    pub fn has_live_jobs(&self) -> bool {
        self.jobs.values().any(|job| !is_final(&text(job, "status")))
    }

    /// Looks for what should have ended by now.
    pub fn look_for_stuck(&mut self, world: &SimulatedWorld) {
        let sql = "select id, status, deadline_at from unstuck.jobs
          where status in ('pending', 'queued', 'starting', 'running')
            and deadline_at < clock_timestamp() - interval '5 minutes'";
        for row in world.database.rows(sql, &[]) {
            if self.stuck.insert(text(&row, "id")) {
                self.violations.push(format!("F3 stuck: {row}"));
            }
        }
        self.violations.extend(self.wallet.look_for_owed(world.now_ms()));
    }

    /// What the end of everything must look like.
    pub fn conclude(&mut self, world: &SimulatedWorld) {
        self.read(world);
        let state = world.state.borrow();
        self.violations.extend(state.offences.iter().cloned());
        self.violations.extend(self.wallet.conclude());
        let live = self.jobs.values().filter(|job| !is_final(&text(job, "status")));
        self.violations.extend(live.map(|job| format!("F3 never ends: {job}")));
        let known = "select invariant, subject, detail from unstuck.invariant_violations";
        let rows = world.database.rows(known, &[]);
        self.violations.extend(rows.iter().map(|row| format!("audit: {row}")));
        for life in &world.plan.lives {
            let job = job_of(world.plan.seed, life.number).to_string();
            self.note_fate(life, &job);
            let credits = |column: &str| self.jobs.get(&job)?[column].as_i64();
            if self.jobs.get(&job).is_some_and(|job| job["status"] == "completed") {
                *self.completed.entry(life.tool).or_default() += 1;
            }
            let charged = credits("credits_charged");
            let spent = charged.zip(credits("credits_refunded")).map(|(all, back)| all - back);
            let price = world.plan.price(life);
            if charged.is_some_and(|charged| charged != price) {
                self.violations.push(format!("3 {job}: {charged:?} is charged of {price}"));
            }
            let is_wrong = match state.answers.get(&life.number) {
                Some(ClientAnswer::Accepted) => spent.is_none(),
                Some(ClientAnswer::Refused) => spent.is_some_and(|spent| spent != 0),
                Some(ClientAnswer::Lost) | None => false,
            };
            if is_wrong {
                let answer = state.answers.get(&life.number);
                self.violations.push(format!("the client of {job} read {answer:?}: {spent:?}"));
            }
        }
        drop(state);
        self.check_lives_without_faults(world);
        self.check_results(world);
        self.check_tasks(world);
        self.check_payments(world);
    }

    fn note_fate(&mut self, life: &Life, job: &str) {
        let fate =
            self.jobs.get(job).map_or_else(|| "no job".to_owned(), |row| text(row, "status"));
        let kinds: BTreeSet<String> = match life.faults.as_slice() {
            [] => BTreeSet::from(["none".to_owned()]),
            faults => faults.iter().map(kind).collect(),
        };
        for kind in kinds {
            *self.fates.entry(kind).or_default().entry(fate.clone()).or_default() += 1;
        }
    }

    /// Where nothing goes wrong with an order, its workers and the world, it is completed, unless
    /// others were before it in the queue for too long.
    fn check_lives_without_faults(&mut self, world: &SimulatedWorld) {
        if !world.plan.events.is_empty() || world.plan.wallet.is_some() {
            return;
        }
        for life in world.plan.lives.iter().filter(|life| life.faults.is_empty()) {
            let job = job_of(world.plan.seed, life.number).to_string();
            let Some(row) = self.jobs.get(&job).filter(|row| row["status"] != "completed") else {
                continue;
            };
            let is_hindered = world.state.borrow().of_faulty_workers.contains(&job);
            if row["error_code"] != "QUEUE_TIMEOUT" && !is_hindered {
                self.violations.push(format!("{job} has no fault and is not completed: {row}"));
            }
        }
    }

    /// Each payment gave what is due of it, less what is still owed.
    fn check_payments(&mut self, world: &SimulatedWorld) {
        let sql = "select keys[1] as id, user_id,
            coalesce((select sum(amount) from unstuck.credit_entries e
              where e.purchase_id = p.id), 0)
            - coalesce((select sum(amount - settled) from unstuck.credit_debts d
              where d.purchase_id = p.id), 0) as given
          from unstuck.purchases p";
        let rows = world.database.rows(sql, &[]);
        for payment in &world.plan.payments {
            let row = rows.iter().find(|row| row["id"] == payment.id().as_str());
            let user = user_of(world.plan.seed, payment.user).to_string();
            let (due, given) = (payment.due(), row.and_then(|row| row["given"].as_i64()));
            if given != Some(due) || row.is_some_and(|row| row["user_id"] != user.as_str()) {
                self.violations
                    .push(format!("4 {}: {due} are due, {given:?} are given", payment.id()));
            }
        }
    }

    /// Each delivered result was made for its step.
    fn check_results(&mut self, world: &SimulatedWorld) {
        let state = world.state.borrow();
        for (job, steps) in &self.steps {
            for (number, step) in steps {
                if step["status"] != "completed" {
                    continue;
                }
                let url = text(step, "output_url");
                let path = url.split("/object/public/").nth(1).unwrap_or_default();
                let wanted = format!("{}:{job}/{number}", text(step, "provider"));
                let found = state.objects.get(path);
                // An admin's retry repeats the request of the job that it retries.
                let before = self.jobs.get(job).map(|job| text(job, "retry_of"));
                let same = before.map(|job| format!("{}:{job}/{number}", text(step, "provider")));
                if found != Some(&wanted) && found != same.as_ref() {
                    self.violations.push(format!("12 {job}/{number} delivers {url}: {found:?}"));
                }
            }
        }
    }

    /// How long after its deadline a job ended whose task the provider said to work, if that is
    /// longer than the edge may take and nothing hindered it.
    fn left_by_edge_ms(
        &self,
        world: &SimulatedWorld,
        task: &ProviderTask,
        ended: i64,
    ) -> Option<i64> {
        let past_ms = *self.overdue_ms.get(&task.job.to_string())?;
        let deadline_ms = ended - past_ms;
        let is_known = task.recorded_at_ms.is_some_and(|at| (at as i64) < deadline_ms);
        let life = world.life(task.job)?;
        let is_answered = !life.has(|fault| matches!(fault, LifeFault::QueryUnanswered { .. }));
        let is_left = past_ms > EDGE_BOUND_MS
            && task.end == TaskEnd::Never
            && is_known
            && is_answered
            && world.plan.wallet.is_none()
            && !world.plan.disturbs_edge(deadline_ms - 60_000, ended);
        is_left.then_some(past_ms)
    }

    /// What a provider made and told us was delivered; what nobody wants was cancelled.
    fn check_tasks(&mut self, world: &SimulatedWorld) {
        let state = world.state.borrow();
        let now_ms = world.now_ms() as i64;
        let is_too_long =
            |since_ms: i64| now_ms - since_ms - world.plan.edge_off_ms(since_ms, now_ms) > BOUND_MS;
        for (id, task) in &state.tasks {
            let Some(row) = self.jobs.get(&task.job.to_string()) else { continue };
            let status = text(row, "status");
            let is_excused = state.interfered.contains(&task.job);
            let ended = world.milliseconds(&text(row, "completed_at"));
            // A job that is past its deadline ends, whether or not its result could be fetched.
            let is_overdue = !self.in_time.contains(&task.job.to_string());
            let until =
                if is_overdue { ended } else { world.milliseconds(&text(row, "expires_at")) };
            let needed = if is_overdue { 180_000 } else { 360_000 };
            let needed = needed + world.life(task.job).map_or(0, Life::delivery_delay_ms);
            let in_time = task.told_at_ms.is_some_and(|told| {
                let told = told as i64;
                // Nobody but the edge can deliver.
                let off = world.plan.edge_off_ms(told, until);
                told < ended && told + off + needed < until
            });
            let step = self.steps[&task.job.to_string()].get(&i64::from(task.step));
            let is_delivered = step.is_some_and(|step| step["status"] == "completed");
            if in_time && status == "failed" && !is_delivered && !is_excused {
                let (told, events) = (task.told_at_ms, world.events_of(&task.job.to_string()));
                self.violations.push(format!(
                    "lost: {id} of {} was made, told at {told:?} ms: {row}\n{events}",
                    task.job
                ));
            }
            let is_given_up = task.recorded_at_ms.is_some()
                && task.end == TaskEnd::Success
                && !task.cancelled
                && ended < task.ends_at_ms as i64
                && step.is_some_and(|step| step["run"] == task.run);
            if is_given_up && status == "failed" && !is_overdue && !is_excused {
                self.violations.push(format!("{} fails while {id} works: {row}", task.job));
            }
            let is_current = step.is_some_and(|step| step["run"] == task.run);
            let late_ms = self.left_by_edge_ms(world, task, ended).filter(|_| is_current);
            if let Some(late_ms) = late_ms.filter(|_| !is_excused) {
                self.violations.push(format!(
                    "F3 the edge ends {} {late_ms} ms after its deadline: {row}",
                    task.job
                ));
            }
            let is_at_work = task.end == TaskEnd::Never && !task.cancelled;
            let known_ms = task.recorded_at_ms.map(|known| (known as i64).max(ended));
            if is_at_work && is_final(&status) && known_ms.is_some_and(is_too_long) {
                self.violations.push(format!("{id} of {} is left at work", task.job));
            }
        }
        for ((job, step), owed_ms) in &self.cancels_owed {
            if is_too_long(*owed_ms) {
                self.violations.push(format!("{job}/{step} owes a cancel since {owed_ms} ms"));
            }
        }
    }
}

impl SimulatedWorld {
    /// The events of a job, a line each.
    fn events_of(&self, job: &str) -> String {
        let sql = "select * from unstuck.job_events where job_id::text = $1 order by id";
        let events = self.database.rows(sql, &[&job]);
        events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Milliseconds between the beginning and a time that the database wrote.
    fn milliseconds(&self, time: &str) -> i64 {
        if time.is_empty() {
            return i64::MAX / 2;
        }
        let sql = "select (extract(epoch from $1::text::timestamptz) * 1000)::bigint as ms";
        self.database.rows(sql, &[&time])[0]["ms"].as_i64().unwrap() - BEGIN_MS as i64
    }
}

/// Lines in which lives are named, in place of their jobs' ids.
pub fn named(world: &SimulatedWorld, lines: &[String]) -> Vec<String> {
    let name = |life: &Life| {
        let job = job_of(world.plan.seed, life.number).to_string();
        (job, format!("life {}", life.number))
    };
    let names: BTreeMap<String, String> = world.plan.lives.iter().map(name).collect();
    let is_of_id = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let with_names = |line: &String| -> String {
        let parts = line.split_inclusive(|letter| !is_of_id(letter));
        parts
            .map(|part| {
                let id = part.trim_end_matches(|letter| !is_of_id(letter));
                names.get(id).map_or_else(|| part.to_owned(), |name| part.replace(id, name))
            })
            .collect()
    };
    lines.iter().map(with_names).collect()
}
