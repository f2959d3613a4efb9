//! Runs one plan from its first order until nothing is left to do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use futures::channel::oneshot;
use serde_json::json;
use shared::core::error::{ApiError, ErrorCode};
use shared::core::id::JobId;

use super::auditor::{Auditor, Fates, named};
use super::functions::{self, Cron, UserCall};
use super::plan::{Life, LifeFault, LifeTool, Plan, Scene, USERS, WorldEvent, kind};
use super::seller::begin_payment;
use super::server::{Ending, SimulationServer};
use super::transport::within;
use super::wallet::{self, begin_wallet};
use super::world::{ClientAnswer, Outage, SimulatedWorld, job_of, user_of};

const MINUTE_MS: u64 = 60_000;
/// How often the auditor reads.
const AUDIT_MS: u64 = 20_000;
/// How long after the last order a simulation ends, whatever is left.
const LONGEST_MS: u64 = 5 * 60 * MINUTE_MS;
/// How long everything must have been at its end: debts are paid meanwhile.
const QUIET_MS: u64 = 6 * MINUTE_MS;
/// What a client waits for an answer, and how often it orders.
const CLIENT_MS: u64 = 30_000;
const CLIENT_TRIES: u32 = 4;
const CREDITS: u64 = 600;

/// What became of a plan.
#[derive(Debug)]
pub struct PlanOutcome {
    pub violations: Vec<String>,
    /// What happened, in order.
    pub story: Vec<String>,
    /// Each job's end, the same for each run of a seed.
    pub ends: Vec<String>,
    pub faults: BTreeMap<String, u64>,
    pub rescues_ms: Vec<i64>,
    pub rescues: BTreeMap<String, u64>,
    pub completed: BTreeMap<LifeTool, u64>,
    pub fates: Fates,
}

impl PlanOutcome {
    /// What kind of violation came first, without names and times.
    pub fn kind(&self) -> Option<String> {
        self.violations
            .first()
            .map(|text| text.chars().take_while(|it| *it != '/').take(4).collect())
    }
}

/// Runs a plan on a new database with `changes` applied to it, after the plan's app came.
pub fn run(server: &Rc<SimulationServer>, plan: &Plan, changes: &[String]) -> Result<PlanOutcome> {
    let app = plan.wallet.iter().map(|_| wallet::SQL.to_owned());
    let changes: Vec<String> = app.chain(changes.iter().cloned()).collect();
    let world = SimulatedWorld::new(plan.clone(), server.database(&changes)?);
    world.database.set_clock(world.database_clock_ms());
    begin(&world);
    let auditor = RefCell::new(Auditor::new(plan));
    let last_ms = plan.last_ms();
    let mut quiet_since_ms = None;
    let mut audited_ms = 0;
    world.scheduler.run(|next_ms| {
        if next_ms >= audited_ms + AUDIT_MS {
            audited_ms = next_ms;
            let mut auditor = auditor.borrow_mut();
            world.database.set_clock(world.database_clock_ms());
            auditor.read(&world);
            auditor.look_for_stuck(&world);
            let is_quiet = world.state.borrow().clients == 0
                && world.now_ms() > last_ms
                && !auditor.has_live_jobs();
            quiet_since_ms = quiet_since_ms.or(Some(world.now_ms())).filter(|_| is_quiet);
        }
        let is_quiet = quiet_since_ms.is_some_and(|since| next_ms > since + QUIET_MS);
        let is_broken = !auditor.borrow().violations.is_empty();
        is_quiet || is_broken || next_ms > last_ms + LONGEST_MS
    });
    let mut auditor = auditor.into_inner();
    auditor.conclude(&world);
    world.scheduler.clear();
    let state = world.state.borrow();
    Ok(PlanOutcome {
        violations: named(&world, &auditor.violations),
        story: named(&world, &state.story),
        ends: named(&world, &auditor.ends),
        faults: state.faults.clone(),
        rescues_ms: auditor.rescues_ms,
        rescues: auditor.rescues,
        completed: auditor.completed,
        fates: auditor.fates,
    })
}

/// At which minutes a healer dies, and at which of its calls.
fn crons_killed(plan: &Plan) -> BTreeMap<u64, (u32, bool)> {
    let killed = plan.events.iter().filter_map(|event| match event.what {
        WorldEvent::CronKilled { call } => Some((event.at_ms / MINUTE_MS, (call, call % 2 == 0))),
        _ => None,
    });
    killed.collect()
}

fn begin(world: &Rc<SimulatedWorld>) {
    let seed = world.plan.seed;
    if let Some(wallet) = &world.plan.wallet {
        begin_wallet(world, wallet);
    }
    for user in 0..USERS {
        let args = json!({"p_user_id": user_of(seed, user), "p_amount": CREDITS,
            "p_reason": "bought", "p_idempotency_key": format!("grant {user}")});
        let granted = world.database.call("credit_grant_v1", &args, false, Ending::Commit);
        assert!(granted.is_ok(), "{granted:?}");
    }
    let admin = user_of(seed, USERS);
    world.database.exec(&format!("insert into unstuck.user_roles values ('{admin}', 'admin')"));
    // Cards are made one after the other, so that a job may be made in part.
    world.database.exec(
        "update unstuck.providers
         set max_concurrent = case provider when 'gemini' then 1 else max_concurrent end",
    );
    for life in &world.plan.lives {
        begin_life(world, life);
    }
    world.plan.payments.iter().for_each(|payment| begin_payment(world, payment));
    begin_crons(world);
    for (number, event) in world.plan.events.iter().enumerate() {
        let (there, event) = (Rc::clone(world), *event);
        let actor = world.actor(format!("event {number}"));
        world.scheduler.spawn(&actor, async move {
            there.scheduler.sleep(event.at_ms).await;
            there.happen(event.what);
            // An operator lets them go on, after more time than one may wait.
            if let WorldEvent::CardsStopped { ms } = event.what {
                there.scheduler.sleep(ms).await;
                there.set_cards(true);
            }
        });
    }
}

/// The schedulers: the edge's and pg_cron.
fn begin_crons(world: &Rc<SimulatedWorld>) {
    let (there, killed) = (Rc::clone(world), crons_killed(&world.plan));
    world.scheduler.spawn(&world.actor("the schedulers"), async move {
        for minute in 0.. {
            let dies_at = killed.get(&minute).copied();
            Cron::ALL.iter().for_each(|cron| cron.begin(&there, dies_at));
            there.scheduler.sleep(MINUTE_MS).await;
        }
    });
}

fn begin_life(world: &Rc<SimulatedWorld>, life: &Life) {
    let number = life.number;
    later(
        world,
        format!("client {number}"),
        life.at_ms,
        async |world, life| {
            order(&world, &life, 0).await;
        },
        life,
    );
    for fault in &life.faults {
        match *fault {
            LifeFault::OrderedTwice { after_ms } => {
                let name = format!("client {number} once more");
                later(
                    world,
                    name,
                    life.at_ms + after_ms,
                    async |world, life| {
                        world.met("ordered twice");
                        order(&world, &life, 10).await;
                    },
                    life,
                );
            }
            LifeFault::CancelledByUser { after_ms } => {
                let name = format!("canceller {number}");
                later(
                    world,
                    name,
                    life.at_ms + after_ms,
                    async |world, life| {
                        cancel(&world, &life, false).await;
                    },
                    life,
                );
            }
            LifeFault::CancelledByAdmin { after_ms } => {
                let name = format!("admin {number}");
                later(
                    world,
                    name,
                    life.at_ms + after_ms,
                    async |world, life| {
                        cancel(&world, &life, true).await;
                    },
                    life,
                );
            }
            LifeFault::RestartedOverdue { after_ms } => {
                let name = format!("restarter {number} of what is overdue");
                later(
                    world,
                    name,
                    life.at_ms,
                    async move |world, life| {
                        if is_overdue_at_last(&world, &life).await {
                            world.scheduler.sleep(after_ms).await;
                            restart(&world, &life).await;
                        }
                    },
                    life,
                );
            }
            LifeFault::RestartedByAdmin { after_ms } => {
                let name = format!("restarter {number}");
                later(
                    world,
                    name,
                    life.at_ms + after_ms,
                    async |world, life| {
                        restart(&world, &life).await;
                    },
                    life,
                );
            }
            _ => {}
        }
    }
}

/// Somebody does something at a time.
fn later(
    world: &Rc<SimulatedWorld>,
    name: String,
    at_ms: u64,
    act: impl AsyncFnOnce(Rc<SimulatedWorld>, Life) + 'static,
    life: &Life,
) {
    world.state.borrow_mut().clients += 1;
    let (there, life) = (Rc::clone(world), life.clone());
    world.scheduler.spawn(&world.actor(name), async move {
        there.scheduler.sleep(at_ms).await;
        act(Rc::clone(&there), life).await;
        there.state.borrow_mut().clients -= 1;
    });
}

/// Orders until there is an answer, with the same id.
async fn order(world: &Rc<SimulatedWorld>, life: &Life, first_try: u32) {
    let job = job_of(world.plan.seed, life.number);
    world.tell(format!("{life}"));
    for number in first_try..first_try + CLIENT_TRIES {
        let name = format!("order {} ({number})", life.number);
        let actor = match number {
            0 => world.actor_of(Some(life), Scene::Order, name),
            _ => world.actor(name),
        };
        let user = user_of(world.plan.seed, life.user);
        let call = UserCall::new(world, Rc::clone(&actor), user, false);
        let (answer_tx, answer_rx) = oneshot::channel();
        let ordered = life.clone();
        world.scheduler.spawn(&actor, async move {
            let _ = answer_tx.send(functions::order(&call, &ordered, job).await);
        });
        let answered = within(world, CLIENT_MS, answer_rx).await;
        let said = match answered {
            Some(Ok(Ok(()))) => ClientAnswer::Accepted,
            Some(Ok(Err(error))) if !is_passing(&error) => {
                world.tell(format!("life {} is refused: {error}", life.number));
                let is_held_back = |fault: &LifeFault| {
                    matches!(fault, LifeFault::CallLate { scene: Scene::Order, .. })
                };
                if number > first_try || life.has(is_held_back) {
                    // The call before has no answer: it may be on its way yet, and be taken.
                    return;
                }
                ClientAnswer::Refused
            }
            _ => ClientAnswer::Lost,
        };
        if said != ClientAnswer::Lost {
            let mut state = world.state.borrow_mut();
            // Of two presses of the button one may be refused where the other was accepted.
            let before = state.answers.insert(life.number, said);
            if before == Some(ClientAnswer::Accepted) {
                state.answers.insert(life.number, ClientAnswer::Accepted);
            }
            return;
        }
        world.met("order without an answer");
        world.scheduler.sleep(1_000 + 1_500 * u64::from(number % 10)).await;
    }
}

fn is_passing(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::UpstreamUnavailable | ErrorCode::Internal)
}

async fn cancel(world: &Rc<SimulatedWorld>, life: &Life, is_admin: bool) {
    let user = if is_admin { USERS } else { life.user };
    let user = user_of(world.plan.seed, user);
    let actor = world.actor(format!("cancel {} {is_admin}", life.number));
    let call = UserCall::new(world, actor, user, is_admin);
    let job = job_of(world.plan.seed, life.number);
    let cancelled = functions::cancel(&call, life.tool, job).await;
    world.tell(format!("a cancel of life {} answers {cancelled:?}", life.number));
    if cancelled.is_ok() || cancelled.as_ref().is_err_and(is_passing) {
        world.met("cancelled");
        world.state.borrow_mut().interfered.push(job);
    }
}

/// Waits until a life's job is past its deadline. Returns false if the job ends before that.
async fn is_overdue_at_last(world: &Rc<SimulatedWorld>, life: &Life) -> bool {
    let sql = "select greatest(
          extract(epoch from deadline_at - clock_timestamp()) * 1000, 0
        )::bigint as left_ms
      from unstuck.jobs
      where id::text = $1
        and status in ('pending', 'queued', 'starting', 'running')";
    let job = job_of(world.plan.seed, life.number).to_string();
    // It is ordered at this moment, or a few tries later.
    world.scheduler.sleep(MINUTE_MS).await;
    loop {
        world.database.set_clock(world.database_clock_ms());
        let rows = world.database.rows(sql, &[&job]);
        let Some(row) = rows.first() else { return false };
        match row["left_ms"].as_u64().unwrap() {
            0 => return true,
            left_ms => world.scheduler.sleep(left_ms.min(MINUTE_MS)).await,
        }
    }
}

async fn restart(world: &Rc<SimulatedWorld>, life: &Life) {
    let actor = world.actor(format!("restart {}", life.number));
    let call = UserCall::new(world, actor, user_of(world.plan.seed, USERS), true);
    let job = job_of(world.plan.seed, life.number);
    // From the first moment: the new try may be submitted before the answer is here.
    world.state.borrow_mut().interfered.push(job);
    let restarted = functions::restart(&call, life.tool, job).await;
    world.tell(format!("an admin's retry of life {} answers {restarted:?}", life.number));
    if let Ok(new) = restarted {
        world.met("restarted");
        world.adopt(new, life.number);
    }
}

impl SimulatedWorld {
    fn adopt(&self, job: JobId, life: u32) {
        let mut state = self.state.borrow_mut();
        state.life_of.insert(job, life);
        state.interfered.push(job);
    }

    fn away(&self, what: Outage, ms: u64) {
        self.state.borrow_mut().away_until_ms.insert(what, self.now_ms() + ms);
    }

    fn set_cards(&self, are_made: bool) {
        self.met("cards stopped or made");
        self.database.exec(&format!(
            "update unstuck.providers set enabled = {are_made} where provider = 'gemini'"
        ));
    }

    fn happen(&self, event: WorldEvent) {
        self.tell(format!("{event:?}"));
        self.met(&kind(&event));
        let until = |ms: u64| self.now_ms() + ms;
        match event {
            WorldEvent::EdgeOff { ms } => self.away(Outage::Edge, ms),
            WorldEvent::SqlHealerOff { ms } => self.away(Outage::SqlHealer, ms),
            WorldEvent::CheckerOff { ms } => self.away(Outage::Checker, ms),
            WorldEvent::StorageDown { ms } => self.away(Outage::Storage, ms),
            WorldEvent::DatabaseDown { ms } => self.away(Outage::Database, ms),
            WorldEvent::RunningHubDown { ms } => self.away(Outage::RunningHub, ms),
            WorldEvent::ReplicateDown { ms } => self.away(Outage::Replicate, ms),
            WorldEvent::CardsStopped { .. } => self.set_cards(false),
            WorldEvent::WorkerClock { by_s, ms } => {
                self.state.borrow_mut().worker_skew_ms = (by_s * 1_000, until(ms));
            }
            WorldEvent::Slots { runninghub } => self.database.exec(&format!(
                "update unstuck.providers set max_concurrent = {runninghub}
                 where provider = 'runninghub'"
            )),
            WorldEvent::CronKilled { .. } => {}
        }
    }

    /// What pg_cron calls every minute.
    pub fn heal_by_sql(&self) {
        if self.is_away(Outage::Database) {
            return;
        }
        self.database.exec("select * from unstuck.cleanup_all_stale_ai_jobs()");
    }
}
