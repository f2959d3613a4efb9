//! One job with parallel steps at a synchronous provider. Time passes only while every future
//! waits.
//!
//! The database part follows the SQL functions only for fencing, clocks and slots; the SQL itself
//! is tested against Postgres. Any call can be cut: the worker is dropped there, as if it had been
//! killed.

mod transport;

use super::single_step::Cut;
use crate::core::config::Config;
use crate::core::transport::{HttpRequest, HttpResponse, Transport};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

pub(crate) const JOB: &str = "00000000-0000-4000-8000-00000000000a";
const USER: &str = "00000000-0000-4000-8000-000000000001";
const LEASE_MS: u64 = 90_000;
const RUN_MS: u64 = 600_000;
const ATTEMPT_MAX: i64 = 3;
/// The duration of every call except the provider's.
const CALL_MS: u32 = 5;

#[derive(Debug, Default, Clone)]
pub(crate) struct StepState {
    pub status: &'static str,
    pub run: i64,
    pub attempts: i64,
    pub not_before: u64,
    pub lease_until: u64,
    pub deadline: u64,
    pub url: Option<String>,
    pub error: Option<String>,
    pub refunds: usize,
    /// The number of calls that work on the step at present.
    pub workers: usize,
    /// Whether the call that works on the step holds the product images.
    pub is_inlined: bool,
}

#[derive(Debug, Default)]
pub(crate) struct VirtualState {
    pub now: u64,
    pub calls: usize,
    pub cut: Option<Cut>,
    pub dead: bool,
    timers: Vec<(u64, Waker)>,
    pub steps: Vec<StepState>,
    pub slots: usize,
    pub work_ms: u32,
    /// The provider's answers by step; the last one repeats.
    pub answers: Vec<Vec<(u16, String)>>,
    pub generated: Vec<usize>,
    pub objects: Vec<String>,
    pub storage_down: bool,
    /// The size of the product image.
    pub file_bytes: u64,
    /// The key of each call to the provider.
    pub keys: Vec<String>,
    pub hints: Vec<u32>,
    /// The subject of each alarm, as the database receives it.
    pub alarms: Vec<Value>,
    /// Whether the database refuses to write an alarm.
    pub refuses_alarms: bool,
    pub beats: usize,
    /// The maximal number of simultaneous calls that held product images.
    pub inlined_most: usize,
    /// Whether the database does not answer heartbeats.
    pub ignores_heartbeats: bool,
    random: u128,
}

pub(crate) struct VirtualTime(pub RefCell<VirtualState>);

impl VirtualTime {
    pub(crate) fn new(steps: usize) -> Self {
        let step = StepState { status: "queued", ..StepState::default() };
        Self(RefCell::new(VirtualState {
            now: 1_000_000,
            steps: vec![step; steps],
            slots: 5,
            work_ms: 10_000,
            answers: vec![Vec::new(); steps],
            ..VirtualState::default()
        }))
    }

    pub(crate) fn config() -> Config {
        Config {
            supabase_url: Some("https://p.test".to_owned()),
            service_role_key: Some("service".to_owned()),
            uploads_bucket: "uploads".to_owned(),
            results_bucket: "results".to_owned(),
            ..Config::default()
        }
    }

    /// Runs `work` to its end; time passes whenever every future waits. `None`: the worker was cut.
    pub(crate) fn drive<R>(&self, work: impl Future<Output = R>) -> Option<R> {
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(result) = self.poll(work.as_mut()) {
                return Some(result);
            }
            if self.0.borrow().dead || !self.pass_time() {
                return None;
            }
        }
    }

    /// Runs `work` until the clock shows `until`, and leaves it unfinished.
    pub(crate) fn drive_until<R>(
        &self,
        mut work: Pin<&mut impl Future<Output = R>>,
        until: u64,
    ) -> Option<R> {
        while self.0.borrow().now < until {
            if let Poll::Ready(result) = self.poll(work.as_mut()) {
                return Some(result);
            }
            assert!(self.pass_time(), "no future waits for the clock");
        }
        None
    }

    fn poll<R>(&self, work: Pin<&mut impl Future<Output = R>>) -> Poll<R> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn pass_time(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let Some(next) = state.timers.iter().map(|(at, _)| *at).min() else {
            return false;
        };
        state.now = state.now.max(next);
        let now = state.now;
        let due: Vec<Waker> =
            state.timers.extract_if(.., |(at, _)| *at <= now).map(|(_, waker)| waker).collect();
        drop(state);
        due.into_iter().for_each(Waker::wake);
        true
    }

    /// Moves the clock while no worker runs.
    pub(crate) fn advance(&self, ms: u64) {
        let mut state = self.0.borrow_mut();
        state.now += ms;
        state.timers.clear();
    }

    /// Runs one sweep: requeues steps whose lease has expired, or fails them if no attempt is left.
    pub(crate) fn sweep(&self) {
        let mut state = self.0.borrow_mut();
        let now = state.now;
        for step in state
            .steps
            .iter_mut()
            .filter(|step| step.status == "running" && step.lease_until <= now)
        {
            if step.attempts < ATTEMPT_MAX {
                step.status = "queued";
            } else {
                step.close("TIMEOUT");
            }
        }
    }

    pub(crate) fn step(&self, number: usize) -> StepState {
        self.0.borrow().steps[number - 1].clone()
    }

    async fn call<R>(&self, effect: impl FnOnce(&mut VirtualState) -> R) -> R {
        let cut = {
            let mut state = self.0.borrow_mut();
            let number = state.calls;
            state.calls += 1;
            state.cut.filter(|cut| *cut == Cut::Before(number) || *cut == Cut::After(number))
        };
        if matches!(cut, Some(Cut::Before(_))) {
            self.die().await;
        }
        self.sleep(CALL_MS).await;
        let result = effect(&mut self.0.borrow_mut());
        if cut.is_some() {
            self.die().await;
        }
        result
    }

    async fn die(&self) {
        self.0.borrow_mut().dead = true;
        std::future::pending::<()>().await;
    }

    /// Makes a card. It takes `work_ms`, and counts as work until it is dropped.
    async fn generate(&self, request: &HttpRequest) -> HttpResponse {
        let body = request.body.as_deref().unwrap_or_default();
        let steps = self.0.borrow().steps.len();
        let number =
            (1..=steps).find(|number| body.contains(&format!("step {number}."))).expect("a step");
        let key = request.headers.iter().find(|(name, _)| name == "x-goog-api-key").expect("a key");
        self.0.borrow_mut().keys.push(key.1.clone());
        let _at_work = AtWork::on(self, number, body.contains("inlineData"));
        let work_ms = self.0.borrow().work_ms;
        self.sleep(work_ms).await;
        self.call(|state| {
            state.generated.push(number);
            let answers = &mut state.answers[number - 1];
            let (status, body) = match answers.len() {
                0 => (200, IMAGE_ANSWER.to_owned()),
                1 => answers[0].clone(),
                _ => answers.remove(0),
            };
            HttpResponse { status, headers: Vec::new(), body }
        })
        .await
    }
}

/// The smallest answer with an image.
pub(crate) const IMAGE_ANSWER: &str = r#"{"candidates":[{"finishReason":"STOP",
    "content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]}}]}"#;

/// Asserts that no two workers work on one step at once.
struct AtWork<'a>(&'a VirtualTime, usize);

impl<'a> AtWork<'a> {
    fn on(time: &'a VirtualTime, number: usize, is_inlined: bool) -> Self {
        let mut state = time.0.borrow_mut();
        let step = &mut state.steps[number - 1];
        step.workers += 1;
        assert_eq!(step.workers, 1, "step {number} is worked on twice at once");
        step.is_inlined = is_inlined;
        let inlined = state.steps.iter().filter(|step| step.workers > 0 && step.is_inlined);
        state.inlined_most = state.inlined_most.max(inlined.count());
        Self(time, number)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().steps[self.1 - 1].workers -= 1;
    }
}

impl StepState {
    fn close(&mut self, code: &str) {
        (self.status, self.error) = ("failed", Some(code.to_owned()));
        self.refunds += 1;
    }
}

impl VirtualState {
    fn rpc(&mut self, function: &str, args: &Value) -> Value {
        match function {
            "provider_alarm_v1" => {
                self.alarms.push(args["p_about"].clone());
                return json!([]);
            }
            "step_claim_v1" => return self.claim(args["p_limit"].as_u64().unwrap()),
            "steps_waiting_v1" => {
                let ready = self
                    .steps
                    .iter()
                    .filter(|step| step.status == "queued" && step.not_before <= self.now);
                let may_start = ready.count().min(self.free());
                let waiting = self.steps.iter().filter(|step| step.status == "queued").count();
                return json!([{"waiting": waiting, "may_start": may_start}]);
            }
            _ => {}
        }
        let now = self.now;
        let number = usize::try_from(args["p_step"].as_u64().unwrap()).unwrap();
        let step = &mut self.steps[number - 1];
        let mine = step.status == "running" && args["p_run"] == step.run;
        let outcome = match function {
            "step_heartbeat_v1" => {
                let applied = mine && step.lease_until > now;
                if applied {
                    step.lease_until = (now + LEASE_MS).min(step.deadline);
                }
                self.beats += 1;
                return json!([{"applied": applied,
                    "lease_ms": if applied { step.lease_until - now } else { 0 }}]);
            }
            _ if !mine => "stale",
            "step_complete_v2" => {
                (step.status, step.url) =
                    ("completed", args["p_output_url"].as_str().map(str::to_owned));
                "completed"
            }
            "step_fail_v1" => {
                step.close(args["p_error_code"].as_str().unwrap());
                "failed"
            }
            "step_requeue_v1" if step.attempts >= ATTEMPT_MAX => {
                step.close(args["p_error_code"].as_str().unwrap());
                "failed"
            }
            "step_requeue_v1" => {
                (step.status, step.not_before) =
                    ("queued", now + args["p_delay_ms"].as_u64().unwrap());
                "queued"
            }
            other => panic!("there is no double of {other}"),
        };
        json!([{"outcome": outcome, "job_status": "running", "refunded": 0, "may_start": 0}])
    }

    fn list(&self, args: &Value) -> Value {
        let (folder, begins) = (args["prefix"].as_str().unwrap(), args["search"].as_str().unwrap());
        let names =
            self.objects.iter().filter_map(|url| url.split_once(&format!("/results/{folder}/")));
        names
            .filter(|(_, name)| name.starts_with(begins))
            .map(|(_, name)| json!({"name": name}))
            .collect()
    }

    fn free(&self) -> usize {
        self.slots.saturating_sub(self.steps.iter().filter(|step| step.status == "running").count())
    }

    fn claim(&mut self, limit: u64) -> Value {
        let (now, free) = (self.now, self.free().min(usize::try_from(limit).unwrap()));
        let waiting = self.steps.iter_mut().enumerate();
        let ready = waiting
            .filter(|(_, step)| step.status == "queued" && step.not_before <= now)
            .take(free);
        let claimed = ready.map(|(index, step)| {
            (step.status, step.run, step.attempts) = ("running", step.run + 1, step.attempts + 1);
            (step.lease_until, step.deadline) = (now + LEASE_MS, now + RUN_MS);
            let product =
                format!("https://p.test/storage/v1/object/public/uploads/{USER}/product.png");
            let parts = json!([{"fileData": {"fileUri": product}}, {"text": format!("step {}.",
                index + 1)}]);
            json!({"job_id": JOB, "step": index + 1, "run": step.run, "tool": "t", "user_id": USER,
                "attempts": step.attempts, "run_ms": RUN_MS,
                "input": {"body": {"contents": [{"role": "user", "parts": parts}]}}})
        });
        claimed.collect()
    }
}
