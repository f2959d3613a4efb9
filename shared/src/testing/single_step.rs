//! One job with one step, with its database, provider and storage behind a [`Transport`].
//!
//! The database part follows the SQL functions only for fencing and clocks; the SQL itself is
//! tested against Postgres. Any call can be cut: its future waits for ever, and the test drops it,
//! as if the worker had been killed.

use crate::core::config::Config;
use crate::core::media::MediaType;
use crate::core::transport::{
    self, CopyError, FileCopy, HttpRequest, HttpResponse, Transport, TransportError,
};
use futures_util::future::poll_fn;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::task::Poll;

pub(crate) const JOB: &str = "00000000-0000-4000-8000-00000000000a";
const USER: &str = "00000000-0000-4000-8000-000000000001";
const LEASE_MS: u64 = 25_000;
const RUN_MS: u64 = 600_000;
const COPY_MS: u64 = 90_000;

/// The point at which a worker is cut: before a call has any effect, or after it, with its answer
/// lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Before(usize),
    After(usize),
}

#[derive(Debug, Default)]
pub(crate) struct SingleStepState {
    pub now: u64,
    pub calls: usize,
    pub cut: Option<Cut>,
    /// Whether the worker was cut: its parallel calls stop too.
    pub dead: bool,
    pub status: &'static str,
    pub run: i64,
    pub sent: bool,
    pub lease_until: u64,
    pub deadline: u64,
    pub task: Option<String>,
    pub done: bool,
    pub output: Value,
    pub url: Option<String>,
    pub error: Option<String>,
    pub refunds: usize,
    pub submits: usize,
    pub objects: Vec<String>,
    /// The task that a received webhook named.
    pub inbox: Option<String>,
    /// Whether the provider's webhook arrives at all.
    pub webhooks: bool,
    /// The SQL functions that were called.
    pub called: Vec<String>,
    /// The last message that was sent to a queue, and its delay in seconds.
    pub hint: Option<(String, u32)>,
    /// The number of steps that may start in the slot that the step frees.
    pub may_start: i32,
    /// The duration of a query to the provider.
    pub query_ms: u64,
    /// The provider's answer to a query. `None`: the task succeeded.
    pub query_answer: Option<Value>,
    /// The `ResultChoice`, which tells which file is the result.
    pub result: Value,
    /// Whether a copy never ends, so that time passes while it is awaited.
    pub copy_hangs: bool,
    /// Whether the result cannot be fetched yet.
    pub copy_fails: bool,
    /// The times at which the sleeps beside a hanging copy end.
    timers: Vec<u64>,
    random: u128,
}

pub(crate) struct SingleStepWorld(pub RefCell<SingleStepState>);

impl SingleStepWorld {
    pub(crate) fn new(webhooks: bool) -> Self {
        Self(RefCell::new(SingleStepState {
            now: 1_000_000,
            status: "queued",
            webhooks,
            ..SingleStepState::default()
        }))
    }

    pub(crate) fn config() -> Config {
        Config {
            supabase_url: Some("https://p.test".to_owned()),
            service_role_key: Some("service".to_owned()),
            functions_url: Some("https://f.test".to_owned()),
            webhook_secret: Some("secret".to_owned()),
            uploads_bucket: "uploads".to_owned(),
            results_bucket: "results".to_owned(),
            provider_output_hosts: vec!["out.test".to_owned()],
            runninghub_base_url: Some("https://rh.test".to_owned()),
            runninghub_api_key: Some("key".to_owned()),
            replicate_base_url: Some("https://rep.test/v1".to_owned()),
            replicate_api_token: Some("token".to_owned()),
            ..Config::default()
        }
    }

    /// The cut at this call. `None`: the call is not cut.
    fn next_call(&self) -> Option<Cut> {
        let mut state = self.0.borrow_mut();
        let number = state.calls;
        if state.dead {
            return Some(Cut::Before(number));
        }
        state.calls += 1;
        state.dead = matches!(state.cut, Some(Cut::Before(at) | Cut::After(at)) if at == number);
        state.cut.filter(|_| state.dead)
    }

    fn exchange(&self, request: &HttpRequest) -> HttpResponse {
        let mut state = self.0.borrow_mut();
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
        let answer = match request.url.split_once("/rpc/") {
            Some((_, function)) => state.rpc(function, &body),
            None => state.provider(&request.url),
        };
        HttpResponse {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: answer.to_string(),
        }
    }
}

impl SingleStepState {
    /// Starts a new worker, which is not cut.
    pub(crate) fn revive(&mut self) {
        (self.cut, self.dead) = (None, false);
    }

    /// Moves the clock to the end of the next sleep.
    pub(crate) fn pass_time(&mut self) {
        self.timers.retain(|until| *until > self.now);
        self.now = self.timers.iter().copied().min().unwrap_or(self.now);
    }

    fn mine(&self, args: &Value) -> bool {
        args["p_run"] == self.run && matches!(self.status, "starting" | "running")
    }

    fn rpc(&mut self, function: &str, args: &Value) -> Value {
        self.called.push(function.to_owned());
        let row = match function {
            "step_claim_v1" | "steps_due_v1" if args["p_provider"] != "runninghub" => {
                return json!([]);
            }
            "step_claim_v1" => return self.claim(),
            "steps_due_v1" => return self.due(),
            "job_enqueue_v2" => {
                let claimed = self.claim();
                json!({"job_id": JOB, "status": self.status, "credits_charged": 60,
                    "credits_refunded": 0, "balance": 0, "claimed": claimed[0]})
            }
            "webhook_record_v2" => json!({"inbox_id": 1, "step": self.row()}),
            "step_sent_v1" => json!({"applied": self.sent(args)}),
            "step_started_v1" => self.started(args),
            "step_requeue_v1" => self.requeue(args),
            "step_done_v2" => self.finished(args),
            "step_complete_v2" => self.complete(args),
            "step_fail_v1" => self.fail(args),
            "step_checked_v1" => self.checked(args),
            "step_get_v1" | "steps_get_v1" => self.row(),
            "step_heartbeat_v1" => json!({"applied": self.mine(args), "lease_ms": COPY_MS}),
            "job_get_v1" => {
                json!({"job_id": JOB, "status": self.status, "credits_charged": 60,
                    "credits_refunded": 0,
                "balance": 0, "table_name": "upscaler_jobs", "total_steps": 1, "current_step": 1})
            }
            "webhook_applied_v1" => json!({"applied": true}),
            "steps_waiting_v1" => json!({"waiting": 0, "may_start": 0}),
            "provider_alarm_v1" => return json!([]),
            "sweep_begin_v1" => json!({"sweep_id": 1}),
            "sweep_end_v1" => json!({"remaining": 0, "ping_queues": false, "ask_balances": false}),
            "jobs_sweep_v1" => self.rescue(),
            other => panic!("there is no double of {other}"),
        };
        json!([row])
    }

    fn claim(&mut self) -> Value {
        if self.status != "queued" {
            return json!([]);
        }
        self.run += 1;
        (self.status, self.sent, self.task) = ("starting", false, None);
        self.lease_until = self.now + LEASE_MS;
        json!([{"job_id": JOB, "step": 1, "run": self.run, "tool": "t", "user_id": USER,
            "attempts": 0,
            "input": {"path": "/openapi/v2/run/ai-app/1", "body": {}}, "previous_output_url": null,
                "run_ms": RUN_MS}])
    }

    fn sent(&mut self, args: &Value) -> bool {
        let applies = self.mine(args) && self.status == "starting" && !self.sent;
        if applies {
            self.sent = true;
            self.deadline = self.now + RUN_MS;
        }
        applies
    }

    fn started(&mut self, args: &Value) -> Value {
        let task = args["p_task_id"].as_str().unwrap().to_owned();
        if !self.mine(args) || self.task.as_ref().is_some_and(|known| *known != task) {
            return json!({"outcome": "stale", "webhook_waiting": false});
        }
        (self.status, self.task) = ("running", Some(task));
        json!({"outcome": "running", "webhook_waiting": self.inbox.is_some()})
    }

    fn requeue(&mut self, args: &Value) -> Value {
        let applies = self.mine(args);
        if applies {
            (self.status, self.sent, self.task) = ("queued", false, None);
        }
        json!({"outcome": if applies { "queued" } else { "stale" }, "refunded": 0})
    }

    fn finished(&mut self, args: &Value) -> Value {
        let copying = self.done && self.lease_until > self.now;
        let outcome = match () {
            () if matches!(self.status, "completed" | "failed") => "late",
            () if !self.mine(args) || copying => "stale",
            () => {
                (self.status, self.done) = ("running", true);
                self.task = args["p_task_id"].as_str().map(str::to_owned);
                self.output = args["p_output"].clone();
                self.lease_until = self.now + COPY_MS;
                "copy"
            }
        };
        json!({"outcome": outcome, "run": self.run, "result": self.result,
            "may_start": self.may_start})
    }

    fn complete(&mut self, args: &Value) -> Value {
        let applies = self.mine(args) && self.status == "running";
        if applies {
            self.status = "completed";
            self.url = args["p_output_url"].as_str().map(str::to_owned);
        }
        let outcome = if applies { "completed" } else { "late" };
        json!({"outcome": outcome, "job_status": self.status, "may_start": 0})
    }

    fn fail(&mut self, args: &Value) -> Value {
        let applies = self.mine(args);
        if applies {
            self.close(args["p_error_code"].as_str().unwrap());
        }
        json!({"outcome": if applies { "failed" } else { "stale" }, "refunded": 60})
    }

    fn close(&mut self, code: &str) {
        self.status = "failed";
        self.error = Some(code.to_owned());
        self.refunds += 1;
    }

    fn checked(&mut self, args: &Value) -> Value {
        let outcome = match () {
            () if !self.mine(args) || self.done => "stale",
            () if self.deadline > self.now => "waiting",
            () => {
                self.close("TIMEOUT");
                "failed"
            }
        };
        json!({"outcome": outcome, "refunded": 0})
    }

    fn row(&self) -> Value {
        json!({"job_id": JOB, "step": 1, "run": self.run, "tool": "t", "provider": "runninghub",
            "user_id": USER,
            "status": self.status, "task_id": self.task, "done": self.done, "sent": self.sent})
    }

    fn rescue(&mut self) -> Value {
        let lapsed = self.status == "starting" && !self.sent && self.lease_until <= self.now;
        if lapsed {
            self.status = "queued";
        }
        json!({"cleaned": 0, "refunded_credits": 0, "requeued": i32::from(lapsed), "remaining": 0,
            "tables": []})
    }

    fn due(&mut self) -> Value {
        if !self.sent || !matches!(self.status, "starting" | "running") {
            return json!([]);
        }
        let due = match () {
            () if self.done && self.lease_until > self.now => return json!([]),
            () if self.done => "copy",
            () if self.task.is_some() => "query",
            () if self.lease_until > self.now => return json!([]),
            () => "inbox",
        };
        if due == "copy" {
            self.lease_until = self.now + COPY_MS;
        }
        let task = self.task.clone().or_else(|| self.inbox.clone());
        json!([{"job_id": JOB, "step": 1, "run": self.run, "tool": "t", "user_id": USER, "due": due,
            "task_id": task, "output": self.output, "sent_since": null,
                "sent_seconds": null, "open": 1}])
    }

    fn provider(&mut self, url: &str) -> Value {
        if url.ends_with("/query") {
            self.now += self.query_ms;
            if let Some(answer) = &self.query_answer {
                return answer.clone();
            }
            let kind = if self.result["kind"] == "video" { "mp4" } else { "png" };
            return json!({"taskId": "7", "status": "SUCCESS", "errorCode": "",
                "results": [{"url": format!("https://out.test/a.{kind}"), "outputType": kind}]});
        }
        self.submits += 1;
        if self.webhooks {
            self.inbox = Some("7".to_owned());
        }
        json!({"taskId": "7", "status": "RUNNING", "errorCode": ""})
    }
}

impl Transport for SingleStepWorld {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let cut = self.next_call();
        if matches!(cut, Some(Cut::Before(_))) {
            std::future::pending::<()>().await;
        }
        let response = self.exchange(&request);
        if cut.is_some() {
            std::future::pending::<()>().await;
        }
        Ok(response)
    }

    async fn copy(&self, copy: FileCopy) -> Result<&'static MediaType, CopyError> {
        let cut = self.next_call();
        if matches!(cut, Some(Cut::Before(_))) {
            std::future::pending::<()>().await;
        }
        if self.0.borrow().copy_hangs {
            std::future::pending::<()>().await;
        }
        if self.0.borrow().copy_fails {
            return Err(CopyError::Transient("404".to_owned()));
        }
        self.0.borrow_mut().objects.push(format!("{}.png", copy.to.url));
        if cut.is_some() {
            std::future::pending::<()>().await;
        }
        MediaType::named("png").ok_or_else(|| CopyError::Transient(String::new()))
    }

    async fn sleep(&self, ms: u32) {
        if self.0.borrow().dead {
            std::future::pending::<()>().await;
        }
        let until = self.0.borrow().now + u64::from(ms);
        if !self.0.borrow().copy_hangs {
            self.0.borrow_mut().now = until;
            return;
        }
        self.0.borrow_mut().timers.push(until);
        poll_fn(|_| if self.now_ms() >= until { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn now_ms(&self) -> u64 {
        self.0.borrow().now
    }

    fn random(&self) -> u128 {
        let mut state = self.0.borrow_mut();
        state.random += 1;
        state.random
    }

    async fn notify(&self, _: &str, message: &str, delay_s: u32) -> Result<(), TransportError> {
        self.0.borrow_mut().hint = Some((message.to_owned(), delay_s));
        Ok(())
    }

    unused_calls!(upload download log);
}
