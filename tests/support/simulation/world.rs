//! The one process in which everything of a simulation happens: our functions, the providers, the
//! storage, the clients, the healers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;
use shared::core::config::Config;
use shared::core::id::{JobId, UserId};

use super::chance::Chance;
use super::plan::{Life, LifeFault, Plan, Scene, clock};
use super::providers::ProviderTask;
use super::scheduler::{Actor, Scheduler};
use super::server::{BEGIN_MS, Ending, SimulationDatabase};
use crate::e2e::purchase::generic_secret;
use crate::session::SqlError;

/// Parts of the world that are away until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outage {
    Edge,
    SqlHealer,
    Checker,
    Storage,
    Database,
    RunningHub,
    Replicate,
}

/// What a client was told of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAnswer {
    Accepted,
    Refused,
    /// It has no answer: the order may have been taken.
    Lost,
}

#[derive(Default)]
pub struct WorldState {
    /// Path and content of every stored object.
    pub objects: BTreeMap<String, String>,
    pub tasks: BTreeMap<String, ProviderTask>,
    pub life_of: BTreeMap<JobId, u32>,
    pub away_until_ms: BTreeMap<Outage, u64>,
    pub worker_skew_ms: (i64, u64),
    /// How often a fault that comes some times has come.
    pub counts: BTreeMap<(u32, &'static str), u32>,
    pub answers: BTreeMap<u32, ClientAnswer>,
    /// How often each fault came.
    pub faults: BTreeMap<String, u64>,
    /// Jobs whose end was ordered by somebody, or that an admin began anew.
    pub interfered: Vec<JobId>,
    /// Jobs with a step that a faulty worker submitted. The fault may belong to another life, whose
    /// webhook the worker handled.
    pub of_faulty_workers: BTreeSet<String>,
    pub clients: u32,
    pub story: Vec<String>,
    pub offences: Vec<String>,
}

pub struct SimulatedWorld {
    pub plan: Plan,
    pub config: Config,
    pub scheduler: Scheduler,
    pub database: SimulationDatabase,
    pub state: RefCell<WorldState>,
}

impl SimulatedWorld {
    pub fn new(plan: Plan, database: SimulationDatabase) -> Rc<Self> {
        let mut state = WorldState::default();
        for life in &plan.lives {
            state.life_of.insert(job_of(plan.seed, life.number), life.number);
        }
        Rc::new(Self {
            plan,
            config: config(),
            scheduler: Scheduler::default(),
            database,
            state: RefCell::new(state),
        })
    }

    pub fn actor(&self, name: impl Into<String>) -> Rc<Actor> {
        Actor::new(self.plan.seed, name.into())
    }

    /// An actor of a life, with what goes wrong in that scene.
    pub fn actor_of(&self, life: Option<&Life>, scene: Scene, name: String) -> Rc<Actor> {
        let actor = self.actor(name);
        for fault in life.into_iter().flat_map(|life| &life.faults) {
            match *fault {
                LifeFault::Killed { scene: at, call, after } if at == scene => {
                    actor.dies_at.set(Some((call, after)));
                }
                LifeFault::ConnectionBroken { scene: at, call, committed } if at == scene => {
                    actor.breaks_at.set(Some((call, committed)));
                }
                LifeFault::CallLate { scene: at, call, ms } if at == scene => {
                    actor.late_at.set(Some((call, ms)));
                }
                _ => {}
            }
        }
        actor
    }

    pub fn now_ms(&self) -> u64 {
        self.scheduler.now_ms()
    }

    /// Milliseconds since 1970 by the workers' clock, which may be wrong for some minutes.
    pub fn worker_clock_ms(&self) -> u64 {
        let (skew, until_ms) = self.state.borrow().worker_skew_ms;
        let skew = if self.now_ms() < until_ms { skew } else { 0 };
        self.database_clock_ms().saturating_add_signed(skew)
    }

    pub fn database_clock_ms(&self) -> u64 {
        BEGIN_MS + self.now_ms()
    }

    /// Calls a function of ours at the present time, and notes which task it records.
    pub fn call_database(
        &self,
        function: &str,
        args: &Value,
        is_healer: bool,
        ending: Ending,
    ) -> Result<Value, SqlError> {
        self.database.set_clock(self.database_clock_ms());
        let called = self.database.call(function, args, is_healer, ending);
        if function == "step_started_v1" && called.is_ok() && ending == Ending::Commit {
            let task = args["p_task_id"].as_str().unwrap_or_default();
            if let Some(task) = self.state.borrow_mut().tasks.get_mut(task) {
                task.recorded_at_ms.get_or_insert(self.now_ms());
            }
        }
        called
    }

    pub fn is_away(&self, what: Outage) -> bool {
        self.state.borrow().away_until_ms.get(&what).is_some_and(|until| self.now_ms() < *until)
    }

    pub fn life(&self, job: JobId) -> Option<&Life> {
        let number = *self.state.borrow().life_of.get(&job)?;
        self.plan.lives.iter().find(|life| life.number == number)
    }

    /// Whether a fault that comes `times` times comes now.
    pub fn comes(&self, life: u32, name: &'static str, times: u32) -> bool {
        let mut state = self.state.borrow_mut();
        let count = state.counts.entry((life, name)).or_default();
        *count += 1;
        *count <= times
    }

    /// Counts a fault that came.
    pub fn met(&self, fault: &str) {
        *self.state.borrow_mut().faults.entry(fault.to_owned()).or_default() += 1;
    }

    pub fn tell(&self, line: impl std::fmt::Display) {
        let line = format!("{}  {line}", clock(self.now_ms()));
        self.state.borrow_mut().story.push(line);
    }

    /// What must never happen in the world outside.
    pub fn offend(&self, what: String) {
        self.tell(format!("OFFENCE {what}"));
        self.state.borrow_mut().offences.push(what);
    }

    pub fn log(&self, actor: &str, line: &Value) {
        if line["level"] == "error" {
            self.tell(format!("{actor} logs {line}"));
        }
    }
}

pub fn job_of(seed: u64, life: u32) -> JobId {
    JobId::from_random(Chance::new(seed, &format!("job {life}")).bits())
}

pub fn user_of(seed: u64, user: u32) -> UserId {
    UserId::from_random(Chance::new(seed, &format!("user {user}")).bits())
}

fn config() -> Config {
    let apps = serde_json::json!({
        "runninghub-upscaler": {"standard": "1", "pro": "2"},
        "runninghub-video-upscaler": {"standard": "3"},
    });
    let text = |text: &str| Some(text.to_owned());
    Config {
        supabase_url: text("https://p.test"),
        service_role_key: text("service"),
        functions_url: text("https://f.test"),
        webhook_secret: text("secret"),
        uploads_bucket: "uploads".to_owned(),
        results_bucket: "results".to_owned(),
        provider_output_hosts: vec!["out.test".to_owned()],
        runninghub_base_url: text("https://rh.test"),
        runninghub_api_key: text("key"),
        runninghub_apps: Some(apps),
        replicate_base_url: text("https://rep.test/v1"),
        replicate_api_token: text("token"),
        gemini_base_url: text("https://gem.test"),
        gemini_api_key: text("key"),
        gemini_model: text("model"),
        purchase_generic_secrets: vec![generic_secret()],
        ..Config::default()
    }
}
