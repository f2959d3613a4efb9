//! Calls that are named after what happens in the product: users buy and order, workers claim and
//! complete, time passes. And assertions of what must hold afterwards in every case.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::session::{Session, SqlError};

pub const UPSCALER: &str = "runninghub-upscaler";
pub const VIDEO: &str = "runninghub-video-upscaler";
/// Many steps at once at a synchronous provider, each with its own share of the price.
pub const CARDS: &str = "create-generation-job-banana";
/// Steps one after the other, at an asynchronous provider with signed webhooks.
pub const TRY_ON: &str = "replicate-async-start";
/// One step at a synchronous provider, retried by `cleanup-stale-generations`.
pub const WEBSITE: &str = "generate-website";

/// One attempt of one step, as its worker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRun {
    pub job: Uuid,
    pub step: i64,
    pub run: i64,
}

impl StepRun {
    pub fn args(self) -> Value {
        json!({ "p_job_id": self.job, "p_step": self.step, "p_run": self.run })
    }

    /// The arguments that name the attempt, and a function's other arguments.
    pub fn with(self, more: Value) -> Value {
        with(self.args(), more)
    }
}

/// `args` with the fields of `more`.
pub fn with(mut args: Value, more: Value) -> Value {
    let (Some(all), Value::Object(more)) = (args.as_object_mut(), more) else {
        panic!("arguments are objects")
    };
    all.extend(more);
    args
}

pub fn id(value: &Value) -> Uuid {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("not an id: {value}"))
}

impl Session {
    /// Enables every tool and makes none exclusive.
    pub async fn open_all_tools(&self) {
        self.exec("update unstuck.tools set enabled = true, exclusive_group = null").await;
    }

    /// A new user who bought that many credits.
    pub async fn user(&self, credits: i64) -> Uuid {
        let user = Uuid::new_v4();
        if credits > 0 {
            self.grant(user, credits).await;
        }
        user
    }

    /// A new user with so many credits, and the job that this user orders.
    pub async fn ordered(&self, credits: i64, tool: &str, steps: usize) -> (Uuid, Uuid) {
        let user = self.user(credits).await;
        (user, self.order(user, tool, steps).await)
    }

    /// A new user who spends all 60 credits on an upscale, and the job.
    pub async fn upscale(&self) -> (Uuid, Uuid) {
        self.ordered(60, UPSCALER, 1).await
    }

    pub async fn grant(&self, user: Uuid, credits: i64) {
        let key = Uuid::new_v4();
        let args = json!({ "p_user_id": user, "p_amount": credits, "p_reason": "bought",
            "p_idempotency_key": key });
        self.ask("credit_grant_v1", args).await;
    }

    pub async fn admin(&self) -> Uuid {
        let admin = Uuid::new_v4();
        self.exec(&format!("insert into unstuck.user_roles values ('{admin}', 'admin')")).await;
        admin
    }

    /// Calls `job_enqueue_v1` for a job of `steps` steps, as its function would.
    pub async fn enqueue(
        &self,
        user: Uuid,
        job: Uuid,
        tool: &str,
        steps: usize,
    ) -> Result<Value, SqlError> {
        let rows = self.try_call("job_enqueue_v1", enqueue_args(user, job, tool, steps)).await?;
        assert_eq!(rows.len(), 1, "enqueue answers with one row");
        Ok(rows[0].clone())
    }

    /// Orders a new job, which must be accepted.
    pub async fn order(&self, user: Uuid, tool: &str, steps: usize) -> Uuid {
        let job = Uuid::new_v4();
        let answer = self
            .enqueue(user, job, tool, steps)
            .await
            .unwrap_or_else(|error| panic!("order refused: {error}"));
        assert_eq!(answer["status"], "queued");
        job
    }

    pub async fn claim(&self, provider: &str, limit: i64) -> Vec<StepRun> {
        let rows =
            self.call("step_claim_v1", json!({ "p_provider": provider, "p_limit": limit })).await;
        rows.iter().map(attempt).collect()
    }

    /// Claims exactly one step.
    pub async fn claim_one(&self, provider: &str) -> StepRun {
        let claimed = self.claim(provider, 1).await;
        assert_eq!(claimed.len(), 1, "something to claim at {provider}");
        claimed[0]
    }

    pub async fn sent(&self, attempt: StepRun) -> bool {
        self.ask("step_sent_v1", attempt.args()).await["applied"] == true
    }

    /// Claims a step and sends it; the provider has not answered yet.
    pub async fn submit(&self, provider: &str) -> StepRun {
        let attempt = self.claim_one(provider).await;
        assert!(self.sent(attempt).await, "sent once");
        attempt
    }

    pub async fn started(&self, attempt: StepRun, task: &str) -> String {
        self.outcome("step_started_v1", attempt.with(json!({ "p_task_id": task }))).await
    }

    /// Claims a step, sends it, and records that its provider accepted it as `task`.
    pub async fn run(&self, provider: &str, task: &str) -> StepRun {
        let attempt = self.submit(provider).await;
        assert_eq!(self.started(attempt, task).await, "running");
        attempt
    }

    pub async fn done(&self, attempt: StepRun, task: &str) -> Value {
        self.ask(
            "step_done_v2",
            attempt.with(json!({ "p_task_id": task, "p_output": { "files": [task] } })),
        )
        .await
    }

    pub async fn complete(&self, attempt: StepRun) -> Value {
        let url =
            format!("https://files.invalid/{}/{}-{}.png", attempt.job, attempt.step, attempt.run);
        self.ask(
            "step_complete_v2",
            attempt.with(json!({ "p_output": { "ok": true }, "p_output_url": url })),
        )
        .await
    }

    pub async fn fail(&self, attempt: StepRun, code: &str) -> Value {
        self.ask(
            "step_fail_v1",
            attempt.with(json!({ "p_error_code": code, "p_error_message": "it did not work." })),
        )
        .await
    }

    pub async fn requeue(&self, attempt: StepRun, kind: &str, delay_ms: i64) -> Value {
        let args = json!({ "p_kind": kind, "p_delay_ms": delay_ms,
            "p_error_code": "PROVIDER_FAILED", "p_error_message": "busy." });
        self.ask("step_requeue_v1", attempt.with(args)).await
    }

    /// Records what a healer's query of a provider answered: `running` or `no_answer`.
    pub async fn checked(&self, attempt: StepRun, answer: &str) -> Value {
        self.ask("step_checked_v1", attempt.with(json!({ "p_answer": answer }))).await
    }

    async fn outcome(&self, function: &str, args: Value) -> String {
        self.ask(function, args).await["outcome"].as_str().expect("an outcome").to_owned()
    }

    pub async fn cancel(&self, user: Uuid, job: Uuid) -> Result<Value, SqlError> {
        let table = self.table_of(job).await;
        let args = json!({ "p_user_id": user, "p_table": table, "p_job_id": job });
        Ok(self.try_call("job_cancel_v1", args).await?.remove(0))
    }

    pub async fn cancel_as_admin(&self, admin: Uuid, job: Uuid) -> Result<Value, SqlError> {
        let table = self.table_of(job).await;
        let args = json!({ "p_actor": admin, "p_table": table, "p_job_id": job, "p_reason": null });
        Ok(self.try_call("job_cancel_admin_v1", args).await?.remove(0))
    }

    /// Cancels the waiting jobs of a session and the jobs with these ids.
    pub async fn cancel_session(&self, user: Uuid, session: &str, jobs: &[Uuid]) -> Vec<Value> {
        self.call("session_cancel_v1", session_args(user, session, jobs)).await
    }

    /// Gives or takes credits as an older back end does: calls `refund_upscaler_credits` or
    /// `consume_upscaler_credits`.
    pub async fn adjust(&self, function: &str, user: Uuid, amount: i64, why: &str) -> Value {
        let args = json!({ "_user_id": user, "_amount": amount, "_description": why });
        self.ask(&format!("{function}_upscaler_credits"), args).await
    }

    /// Records a webhook of RunningHub about a task. A repeated call for the same task is a
    /// duplicate.
    pub async fn record_webhook(&self, about: StepRun, task: &str, body: Value) -> Value {
        let call = json!({ "p_provider": "runninghub", "p_task_id": task, "p_dedup_key": task,
            "p_body": body });
        self.ask("webhook_record_v2", about.with(call)).await
    }

    /// What `user_active_v1` answers about a user's live job.
    pub async fn active(&self, user: Uuid) -> Value {
        self.ask("user_active_v1", json!({ "p_user_id": user })).await
    }

    pub async fn health(&self) -> Value {
        self.ask("health_v1", json!({})).await
    }

    /// Cancels a live job as an admin.
    pub async fn cancel_by_admin(&self, job: Uuid) -> Value {
        let cancelled = self.cancel_as_admin(self.admin().await, job).await;
        cancelled.unwrap_or_else(|error| panic!("cancel refused: {error}"))
    }

    async fn table_of(&self, job: Uuid) -> Value {
        self.value(&format!(
            "select table_name from unstuck.jobs join unstuck.tools using (tool) where id = '{job}'"
        ))
        .await
    }

    /// One pass of the SQL healer as the edge runs it.
    pub async fn sweep(&self) -> Value {
        let sweep = self.begin_sweep().await;
        let swept = self.sweep_page(&sweep, 1000).await;
        self.end_sweep(&sweep).await;
        swept
    }

    /// Begins a sweep and returns its id.
    pub async fn begin_sweep(&self) -> Value {
        self.ask("sweep_begin_v1", json!({ "p_source": "cron" })).await["sweep_id"].clone()
    }

    pub async fn sweep_page(&self, sweep: &Value, limit: i64) -> Value {
        self.ask("jobs_sweep_v1", json!({ "p_sweep_id": sweep, "p_limit": limit })).await
    }

    /// Ends a sweep that found nothing to deliver, and returns its report.
    pub async fn end_sweep(&self, sweep: &Value) -> Value {
        let end = json!({ "p_sweep_id": sweep, "p_delivered": 0, "p_cleaned": 0,
            "p_refunded_credits": 0 });
        self.ask("sweep_end_v1", end).await
    }

    pub async fn due(&self, provider: &str) -> Vec<Value> {
        self.call("steps_due_v1", json!({ "p_provider": provider, "p_limit": 50 })).await
    }

    pub async fn job(&self, job: Uuid) -> Value {
        self.row(&format!("select * from unstuck.jobs where id = '{job}'")).await
    }

    pub async fn step(&self, job: Uuid, step: i64) -> Value {
        self.row(&format!(
            "select * from unstuck.job_steps where job_id = '{job}' and step = {step}"
        ))
        .await
    }

    /// Changes columns of a tool, such as `credit_cost = 0`.
    pub async fn set_tool(&self, tool: &str, columns: &str) {
        self.exec(&format!("update unstuck.tools set {columns} where tool = '{tool}'")).await;
    }

    /// Changes how many steps a provider works on at once.
    pub async fn set_slots(&self, provider: &str, slots: i64) {
        let set = format!("update unstuck.providers set max_concurrent = {slots}");
        self.exec(&format!("{set} where provider = '{provider}'")).await;
    }

    /// Makes the probe of every provider's learned limit due.
    pub async fn probe_is_due(&self) {
        self.exec("update unstuck.providers set limit_probe_at = clock_timestamp()").await;
    }

    /// Changes columns of a job by hand.
    pub async fn set_job(&self, job: Uuid, columns: &str) {
        self.exec(&format!("update unstuck.jobs set {columns} where id = '{job}'")).await;
    }

    /// Changes columns of every step of a job by hand.
    pub async fn set_steps(&self, job: Uuid, columns: &str) {
        self.exec(&format!("update unstuck.job_steps set {columns} where job_id = '{job}'")).await;
    }

    /// Writes a job's row by hand, unpaid and without steps. `more` names other columns, each with
    /// an SQL expression.
    pub async fn insert_job(
        &self,
        user: Uuid,
        tool: &str,
        status: &str,
        more: &[(&str, &str)],
    ) -> Uuid {
        let job = Uuid::new_v4();
        let (names, values) = columns(more);
        self.exec(&format!(
            "insert into unstuck.jobs (id, tool, user_id, status{names})
             values ('{job}', '{tool}', '{user}', '{status}'{values})"
        ))
        .await;
        job
    }

    /// Writes a step's row by hand.
    pub async fn insert_step(&self, job: Uuid, step: i64, status: &str, more: &[(&str, &str)]) {
        let (names, values) = columns(more);
        self.exec(&format!(
            "insert into unstuck.job_steps (job_id, step, status{names})
             values ('{job}', {step}, '{status}'{values})"
        ))
        .await;
    }

    /// Writes an entry of the ledger by hand.
    pub async fn insert_entry(&self, user: Uuid, job: Option<Uuid>, kind: &str, amount: i64) {
        let job = job.map_or("null".to_owned(), |job| format!("'{job}'"));
        self.exec(&format!(
            "insert into unstuck.credit_entries (user_id, job_id, kind, amount)
             values ('{user}', {job}, '{kind}', {amount})"
        ))
        .await;
    }

    pub async fn balance(&self, user: Uuid) -> i64 {
        self.int(&format!(
            "select coalesce((select balance from unstuck.credit_accounts
                where user_id = '{user}'), 0) as b"
        ))
        .await
    }

    /// The status of each step of a job, in order.
    pub async fn step_statuses(&self, job: Uuid) -> Vec<String> {
        let steps = format!("unstuck.job_steps where job_id = '{job}' order by step");
        self.texts(&format!("select status from {steps}")).await
    }

    /// The signed amounts of a job's entries, in order.
    pub async fn entries(&self, job: Uuid) -> Vec<i64> {
        let rows = self
            .rows(&format!(
                "select amount from unstuck.credit_entries where job_id = '{job}' order by id"
            ))
            .await;
        rows.iter().filter_map(|row| row["amount"].as_i64()).collect()
    }

    /// Every table of our schemas, with the schema's name.
    pub async fn our_tables(&self) -> Vec<String> {
        self.texts(
            "select schemaname || '.' || tablename from pg_tables
             where schemaname in ('unstuck', 'unstuck_private') order by 1",
        )
        .await
    }

    /// Lets time pass for one job: moves every time of the job and its steps back.
    pub async fn age(&self, job: Uuid, by: &str) {
        for (table, key) in [("jobs", "id"), ("job_steps", "job_id")] {
            self.exec(&aged(table, by, &format!("{key} = '{job}'"))).await;
        }
    }

    /// Lets time pass for every job.
    pub async fn age_all(&self, by: &str) {
        for table in ["jobs", "job_steps"] {
            self.exec(&aged(table, by, "true")).await;
        }
    }

    pub async fn violations(&self) -> Vec<Value> {
        self.rows("select * from unstuck.invariant_violations").await
    }

    /// The names of the violated invariants, one for each violation, sorted.
    pub async fn violated(&self) -> Vec<String> {
        self.texts("select invariant from unstuck.invariant_violations order by 1").await
    }

    /// Asserts that the view shows no violation. As the owner it then audits everything and asserts
    /// it once more.
    pub async fn assert_healthy(&self) {
        let violations = self.violations().await;
        assert!(violations.is_empty(), "invariants: {violations:#?}");
        let may_audit = "select has_function_privilege(
            'unstuck_private.audit_everything()', 'execute') as may_audit";
        if self.value(may_audit).await != true {
            return;
        }
        self.exec("select unstuck_private.audit_everything()").await;
        let violations = self.violations().await;
        assert!(
            violations.is_empty(),
            "violations that the audit of changes missed: {violations:#?}"
        );
    }

    pub async fn assert_completed(&self, job: Uuid, refunded: i64) {
        self.assert_closed(job, "completed", None, refunded).await;
    }

    pub async fn assert_failed(&self, job: Uuid, code: &str, refunded: i64) {
        self.assert_closed(job, "failed", Some(code), refunded).await;
    }

    pub async fn assert_cancelled(&self, job: Uuid, refunded: i64) {
        self.assert_closed(job, "cancelled", Some("CANCELLED"), refunded).await;
    }

    /// Asserts that the cancel debt of a job's first step is this task and no other.
    pub async fn assert_cancel_due(&self, job: Uuid, task: &str, run: i64) {
        let due = &self.step(job, 1).await["provider_cancel_due"];
        assert_eq!(*due, json!([{ "task_id": task, "run": run }]));
    }

    /// Asserts that the job is final with that status, that its refund is exact, and that its
    /// message begins with the code.
    pub async fn assert_closed(&self, job: Uuid, status: &str, code: Option<&str>, refunded: i64) {
        let row = self.job(job).await;
        assert_eq!(row["status"], status, "{row:#}");
        assert_eq!(row["error_code"], json!(code), "{row:#}");
        assert_eq!(row["credits_refunded"], refunded, "{row:#}");
        assert!(!row["completed_at"].is_null(), "{row:#}");
        if let Some(code) = code {
            let message = row["error_message"].as_str().unwrap_or_default();
            assert!(message.starts_with(&format!("{code}: ")), "{message}");
        }
        let refunds = format!("unstuck.credit_entries where job_id = '{job}' and kind = 'refund'");
        let sum = self.int(&format!("select coalesce(sum(amount), 0) from {refunds}")).await;
        assert_eq!(sum, refunded);
        let live = format!("unstuck.job_steps where job_id = '{job}' and completed_at is null");
        assert_eq!(self.count(&live).await, 0, "a closed job has no live step");
        self.assert_healthy().await;
    }
}

pub fn enqueue_args(user: Uuid, job: Uuid, tool: &str, steps: usize) -> Value {
    let requests: Vec<Value> = (1..=steps)
        .map(|step| json!({ "url": "https://provider.invalid/run", "body": { "step": step } }))
        .collect();
    json!({
        "p_user_id": user, "p_job_id": job, "p_tool": tool, "p_session_id": "session",
        "p_input": { "imageUrl": "https://files.invalid/in.png" },
        "p_request_hash": format!("{tool}/{steps}"), "p_steps": requests,
    })
}

pub fn session_args(user: Uuid, session: &str, jobs: &[Uuid]) -> Value {
    json!({ "p_user_id": user, "p_session_id": session, "p_job_ids": jobs })
}

/// The arguments of an admin's retry of a job of that table; `new` is the new job's id if the job
/// is final.
pub fn requeue_args(admin: Uuid, table: &str, job: Uuid, charge: bool, new: Uuid) -> Value {
    json!({ "p_actor": admin, "p_table": table, "p_job_id": job, "p_charge": charge,
        "p_new_job_id": new })
}

/// The column names and the values that an `insert` adds to its own.
fn columns(more: &[(&str, &str)]) -> (String, String) {
    more.iter().map(|(name, value)| (format!(", {name}"), format!(", {value}"))).unzip()
}

fn attempt(row: &Value) -> StepRun {
    let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("no {name} in {row}"));
    StepRun { job: id(&row["job_id"]), step: number("step"), run: number("run") }
}

fn aged(table: &str, by: &str, of: &str) -> String {
    let columns: &[&str] = match table {
        "jobs" => {
            &["created_at", "queued_at", "started_at", "deadline_at", "expires_at", "completed_at"]
        }
        _ => &[
            "not_before",
            "claimed_at",
            "sent_at",
            "started_at",
            "lease_until",
            "deadline_at",
            "checked_at",
            "provider_done_at",
            "completed_at",
        ],
    };
    let moved: Vec<String> =
        columns.iter().map(|column| format!("{column} = {column} - interval '{by}'")).collect();
    format!("update unstuck.{table} set {} where {of}", moved.join(", "))
}
