//! Everything that is chosen beforehand in one simulation: who orders what and when, and what goes
//! wrong. A plan follows from its seed; shrinking leaves parts of it out; a kept one is a file.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chance::Chance;
use super::seller::SoldCredits;
use super::wallet::{self, AppWallet};

pub const USERS: u32 = 24;
const LIVES_PER_PAYMENT: u32 = 8;
const MINUTE_MS: u64 = 60_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub seed: u64,
    pub lives: Vec<Life>,
    pub events: Vec<PlannedEvent>,
    #[serde(default)]
    pub payments: Vec<SoldCredits>,
    /// The app that holds the credits in place of our accounts, in some plans.
    #[serde(default)]
    pub wallet: Option<AppWallet>,
}

/// One order and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Life {
    pub number: u32,
    pub at_ms: u64,
    pub user: u32,
    pub tool: LifeTool,
    pub steps: u32,
    pub work_ms: u64,
    pub faults: Vec<LifeFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifeTool {
    Upscale,
    Video,
    TryOn,
    Cards,
}

/// Where something goes wrong: in the order, or in what a webhook or a message sets off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scene {
    Order,
    Webhook,
    Message,
}

/// What goes wrong in one life. What a provider does, it does to the first try of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifeFault {
    SubmitAnswerLost,
    SubmitLost,
    SubmitNotSent,
    SubmitSlow {
        ms: u64,
    },
    SubmitFull {
        times: u32,
    },
    SubmitBroken,
    SubmitRejected,
    WorkFails,
    WorkInterrupted,
    WorkSilent,
    /// The work may end after the job, whose credits went back.
    WorkSlow {
        ms: u64,
    },
    NoFiles,
    WebhookLost,
    WebhookTwice {
        after_ms: u64,
    },
    WebhookEarly,
    WebhookLate {
        ms: u64,
    },
    WebhookLies,
    WebhookForged,
    WebhookMisrouted,
    QueryUnanswered {
        times: u32,
    },
    SourceMissing {
        ms: u64,
    },
    UploadFails {
        times: u32,
    },
    Killed {
        scene: Scene,
        call: u32,
        after: bool,
    },
    ConnectionBroken {
        scene: Scene,
        call: u32,
        committed: bool,
    },
    /// A call reaches the database when its worker has given it up.
    CallLate {
        scene: Scene,
        call: u32,
        ms: u64,
    },
    /// The network holds back the call that records a provider's task, and its worker dies.
    RecordedLate {
        ms: u64,
    },
    /// A copy of a result takes so long, or as long as it may.
    CopySlow {
        ms: u64,
    },
    MessageLost,
    MessageTwice,
    CancelledByUser {
        after_ms: u64,
    },
    CancelledByAdmin {
        after_ms: u64,
    },
    RestartedByAdmin {
        after_ms: u64,
    },
    /// An operator retries it so long after the admin's page shows that it is past its deadline.
    RestartedOverdue {
        after_ms: u64,
    },
    OrderedTwice {
        after_ms: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEvent {
    pub at_ms: u64,
    pub what: WorldEvent,
}

/// What happens to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorldEvent {
    EdgeOff { ms: u64 },
    SqlHealerOff { ms: u64 },
    CheckerOff { ms: u64 },
    StorageDown { ms: u64 },
    DatabaseDown { ms: u64 },
    RunningHubDown { ms: u64 },
    ReplicateDown { ms: u64 },
    CardsStopped { ms: u64 },
    WorkerClock { by_s: i64, ms: u64 },
    Slots { runninghub: u32 },
    CronKilled { call: u32 },
}

/// Which faults a tool can meet, and how often each is drawn.
const ASYNCHRONOUS: &[fn(&mut Chance) -> LifeFault] = &[
    |_| LifeFault::SubmitAnswerLost,
    |_| LifeFault::SubmitLost,
    |_| LifeFault::SubmitNotSent,
    |chance| LifeFault::SubmitSlow { ms: chance.between(2_000, 30_000) },
    |chance| LifeFault::SubmitFull { times: u32::try_from(chance.between(1, 3)).unwrap() },
    |_| LifeFault::SubmitBroken,
    |_| LifeFault::SubmitRejected,
    |_| LifeFault::WorkFails,
    |_| LifeFault::WorkInterrupted,
    |_| LifeFault::WorkSilent,
    |chance| LifeFault::WorkSlow { ms: chance.between(60_000, 1_500_000) },
    |_| LifeFault::NoFiles,
    |_| LifeFault::WebhookLost,
    |_| LifeFault::WebhookLost,
    |chance| LifeFault::WebhookTwice { after_ms: chance.between(0, 5_000) },
    |_| LifeFault::WebhookEarly,
    |chance| LifeFault::WebhookLate { ms: chance.between(20_000, 1_200_000) },
    |_| LifeFault::WebhookLies,
    |_| LifeFault::WebhookForged,
    |_| LifeFault::WebhookMisrouted,
    |chance| LifeFault::QueryUnanswered { times: u32::try_from(chance.between(1, 20)).unwrap() },
    |chance| LifeFault::SourceMissing { ms: chance.between(500, 60_000) },
    killed,
    killed,
    broken,
    late,
    |_| LifeFault::MessageLost,
    |_| LifeFault::MessageTwice,
];

const ANY: &[fn(&mut Chance) -> LifeFault] = &[
    |chance| LifeFault::UploadFails { times: u32::try_from(chance.between(1, 4)).unwrap() },
    |chance| LifeFault::CancelledByUser { after_ms: chance.between(0, 60_000) },
    |chance| LifeFault::CancelledByAdmin { after_ms: chance.between(0, 120_000) },
    |chance| LifeFault::RestartedByAdmin { after_ms: chance.between(1_000, 900_000) },
    ordered_twice,
    |chance| LifeFault::CopySlow { ms: chance.between(10_000, 200_000) },
    killed,
    broken,
    late,
    late,
];

const SYNCHRONOUS: &[fn(&mut Chance) -> LifeFault] = &[
    |_| LifeFault::SubmitAnswerLost,
    |_| LifeFault::SubmitNotSent,
    |chance| LifeFault::SubmitSlow { ms: chance.between(20_000, 150_000) },
    |_| LifeFault::SubmitBroken,
    |_| LifeFault::SubmitRejected,
    |_| LifeFault::NoFiles,
    |_| LifeFault::MessageLost,
    killed,
    killed,
    broken,
];

/// Faults of an asynchronous tool that do harm only when they meet.
const TOGETHER: &[fn(&mut Chance) -> Vec<LifeFault>] = &[
    // A task is recorded after its step has ended, and works until somebody cancels it.
    |chance| {
        let ms = chance.between(100_000, 400_000);
        let after_ms = chance.between(10_000, 90_000);
        let cancelled = LifeFault::CancelledByAdmin { after_ms };
        vec![LifeFault::RecordedLate { ms }, cancelled, LifeFault::WorkSilent]
    },
    // Another step's webhook names a task that failed and that no step has recorded.
    |_| vec![LifeFault::SubmitAnswerLost, LifeFault::WorkFails, LifeFault::WebhookMisrouted],
    // A step ends while its worker records the task.
    |chance| {
        let after_ms = chance.between(100, 3_000);
        let killed = LifeFault::Killed { scene: Scene::Order, call: call(chance), after: true };
        vec![LifeFault::CancelledByUser { after_ms }, killed, LifeFault::WorkSilent]
    },
    // An admin's retry begins a step anew that is past its deadline, and whose task still works.
    |chance| {
        let after_ms = chance.between(0, 40_000);
        vec![LifeFault::RestartedOverdue { after_ms }, LifeFault::WorkSilent]
    },
];
const ONE_IN_TOGETHER: u64 = 12;

fn scene(chance: &mut Chance) -> Scene {
    chance.pick(&[Scene::Order, Scene::Webhook, Scene::Message])
}

fn call(chance: &mut Chance) -> u32 {
    u32::try_from(chance.between(0, 9)).unwrap()
}

fn killed(chance: &mut Chance) -> LifeFault {
    LifeFault::Killed { scene: scene(chance), call: call(chance), after: chance.one_in(2) }
}

fn broken(chance: &mut Chance) -> LifeFault {
    let (scene, call) = (scene(chance), call(chance));
    LifeFault::ConnectionBroken { scene, call, committed: chance.one_in(2) }
}

/// By a page that retries, or so soon that the first order is still at work.
fn ordered_twice(chance: &mut Chance) -> LifeFault {
    let within_ms = chance.pick(&[60, 3_000]);
    LifeFault::OrderedTwice { after_ms: chance.between(0, within_ms) }
}

fn late(chance: &mut Chance) -> LifeFault {
    let (scene, call) = (scene(chance), call(chance));
    LifeFault::CallLate { scene, call, ms: chance.between(10_000, 400_000) }
}

impl Plan {
    /// So many lives, which begin within some minutes.
    pub fn new(seed: u64, lives: u32) -> Self {
        let mut chance = Chance::new(seed, "plan");
        let minutes = u64::from(lives).div_ceil(4).clamp(4, 30);
        let mut lives: Vec<Life> =
            (0..lives).map(|number| Life::new(&mut chance, number, minutes * 60_000)).collect();
        lives.sort_by_key(|life| life.at_ms);
        let count = chance.between(0, 8);
        let events = (0..count).map(|_| PlannedEvent {
            at_ms: chance.between(0, minutes * 60_000),
            what: WorldEvent::new(&mut chance),
        });
        let mut events: Vec<PlannedEvent> = events.collect();
        events.sort_by_key(|event| event.at_ms);
        keep_a_healer(&mut events);
        let count = u32::try_from(lives.len()).unwrap() / LIVES_PER_PAYMENT;
        let payments = (0..count)
            .map(|number| SoldCredits::new(&mut chance, number, minutes * 60_000))
            .collect();
        let wallet = AppWallet::new(&mut Chance::new(seed, "wallet"), minutes * 60_000);
        Self { seed, lives, events, payments, wallet }
    }
}

impl Plan {
    /// When the last order or event of a seller begins, or the app's wallet is well for good.
    pub fn last_ms(&self) -> u64 {
        let events = self.payments.iter().flat_map(|payment| &payment.events);
        let events = events.map(|event| event.at_ms);
        let wallet = self.wallet.iter().map(AppWallet::last_ms);
        self.lives.iter().map(|life| life.at_ms).chain(events).chain(wallet).max().unwrap_or(0)
    }

    /// What an order of this life costs its user.
    pub fn price(&self, life: &Life) -> i64 {
        match &self.wallet {
            Some(wallet) if wallet.unlimited.contains(&life.user) => 0,
            Some(_) if life.tool == LifeTool::Video => wallet::video_price(life.price()),
            _ => life.price(),
        }
    }
}

impl Plan {
    /// How long the edge is off between two times. A later event takes the place of one before.
    pub fn edge_off_ms(&self, from_ms: i64, until_ms: i64) -> i64 {
        let off = |event: &PlannedEvent| match event.what {
            WorldEvent::EdgeOff { ms } => Some((event.at_ms as i64, (event.at_ms + ms) as i64)),
            _ => None,
        };
        let off: Vec<(i64, i64)> = self.events.iter().filter_map(off).collect();
        let next = off.iter().skip(1).map(|(begin, _)| *begin).chain([i64::MAX]);
        let parts = off.iter().zip(next).map(|((begin, end), next)| {
            (*end.min(&next).min(&until_ms) - *begin.max(&from_ms)).max(0)
        });
        parts.sum()
    }
}

impl Plan {
    /// Whether anything hinders a healer of the edge, or what it calls, between two moments.
    pub fn disturbs_edge(&self, from_ms: i64, until_ms: i64) -> bool {
        self.events.iter().any(|event| {
            let ms = match event.what {
                WorldEvent::EdgeOff { ms }
                | WorldEvent::CheckerOff { ms }
                | WorldEvent::DatabaseDown { ms }
                | WorldEvent::RunningHubDown { ms }
                | WorldEvent::ReplicateDown { ms }
                | WorldEvent::WorkerClock { ms, .. } => ms,
                WorldEvent::CronKilled { .. } => MINUTE_MS,
                WorldEvent::SqlHealerOff { .. }
                | WorldEvent::StorageDown { .. }
                | WorldEvent::CardsStopped { .. }
                | WorldEvent::Slots { .. } => return false,
            };
            (event.at_ms as i64) < until_ms && from_ms < (event.at_ms + ms) as i64
        })
    }
}

/// Either of the two healers is enough, and one there must be.
fn keep_a_healer(events: &mut Vec<PlannedEvent>) {
    let is_edge = |event: &PlannedEvent| matches!(event.what, WorldEvent::EdgeOff { .. });
    if events.iter().any(is_edge) {
        events.retain(|event| !matches!(event.what, WorldEvent::SqlHealerOff { .. }));
    }
}

impl Life {
    /// What its faults delay a delivery: a slow copy, and half of a claim's lease with the sweep
    /// that follows it for each refused upload, because a claim tries two.
    pub fn delivery_delay_ms(&self) -> i64 {
        let delays = self.faults.iter().map(|fault| match fault {
            LifeFault::CopySlow { ms } => *ms,
            LifeFault::UploadFails { times } => u64::from(*times) * 50_000,
            _ => 0,
        });
        delays.sum::<u64>() as i64
    }

    fn new(chance: &mut Chance, number: u32, within_ms: u64) -> Self {
        use LifeTool::{Cards, TryOn, Upscale, Video};
        let tool = chance.pick(&[Upscale, Upscale, Upscale, Video, TryOn, TryOn, Cards]);
        let steps = match tool {
            Upscale | Video => 1,
            TryOn | Cards => u32::try_from(chance.between(1, 3)).unwrap(),
        };
        let count = [0, 1, 1, 2, 2, 3, 4][usize::try_from(chance.between(0, 6)).unwrap()];
        let own = if tool == Cards { SYNCHRONOUS } else { ASYNCHRONOUS };
        let faults = if tool != Cards && chance.one_in(ONE_IN_TOGETHER) {
            chance.pick(TOGETHER)(chance)
        } else {
            let drawn = (0..count).map(|_| {
                let list = if chance.one_in(3) { ANY } else { own };
                chance.pick(list)(chance)
            });
            drawn.collect()
        };
        Self {
            number,
            tool,
            steps,
            faults,
            at_ms: chance.between(0, within_ms),
            user: u32::try_from(chance.between(0, u64::from(USERS) - 1)).unwrap(),
            work_ms: chance.between(2_000, 45_000),
        }
    }

    /// The step whose first try meets what goes wrong at the provider.
    pub fn faulty_step(&self) -> u32 {
        1 + self.number % self.steps.max(1)
    }

    /// The length of the video that it orders with. Its price depends on it.
    pub fn video_s(&self) -> u32 {
        u32::try_from(self.work_ms / 500).unwrap()
    }

    /// The seeded price.
    fn price(&self) -> i64 {
        match self.tool {
            LifeTool::Upscale => 60,
            LifeTool::Video => i64::from(2 * self.video_s()).max(120),
            LifeTool::TryOn => 40 * i64::from(self.steps),
            LifeTool::Cards => 10 * i64::from(self.steps),
        }
    }

    pub fn has(&self, is_it: impl Fn(&LifeFault) -> bool) -> bool {
        self.faults.iter().any(is_it)
    }
}

impl WorldEvent {
    fn new(chance: &mut Chance) -> Self {
        let ms = chance.between(30_000, 900_000);
        let short = chance.between(2_000, 90_000);
        let by_s = chance.pick(&[-600, -300, -60, 60, 300, 600]);
        match chance.between(0, 11) {
            0 | 1 => Self::EdgeOff { ms },
            2 => Self::SqlHealerOff { ms },
            3 => Self::CheckerOff { ms },
            4 => Self::StorageDown { ms: short },
            5 => Self::DatabaseDown { ms: short },
            6 => Self::RunningHubDown { ms: short },
            7 => Self::ReplicateDown { ms: short },
            8 => Self::WorkerClock { by_s, ms },
            9 => Self::CardsStopped { ms: chance.between(720_000, 1_500_000) },
            10 => Self::Slots { runninghub: u32::try_from(chance.between(1, 4)).unwrap() },
            _ => Self::CronKilled { call: call(chance) },
        }
    }
}

/// The name of a fault or an event, without its amounts: `webhook lost`.
pub fn kind(what: &impl Serialize) -> String {
    let name = match serde_json::to_value(what) {
        Ok(Value::String(name)) => name,
        Ok(Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => String::new(),
    };
    name.replace('_', " ")
}

/// Minutes and seconds of a time since the beginning.
pub fn clock(ms: u64) -> String {
    format!("{:02}:{:06.3}", ms / 60_000, (ms % 60_000) as f64 / 1_000.0)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        if let Some(wallet) = &self.wallet {
            write!(f, "{wallet}")?;
        }
        for event in &self.events {
            writeln!(f, "{}  {:?}", clock(event.at_ms), event.what)?;
        }
        for life in &self.lives {
            writeln!(f, "{}  {life}", clock(life.at_ms))?;
        }
        for payment in &self.payments {
            let SoldCredits { user, hundreds, .. } = payment;
            let (id, credits) = (payment.id(), hundreds * 100);
            writeln!(f, "{id}: user {user} buys {credits} credits")?;
            for event in &payment.events {
                writeln!(f, "{}  {:?} of {id}", clock(event.at_ms), event.what)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, user, tool, steps, work_ms, faults, .. } = self;
        write!(f, "life {number}: user {user} orders {tool:?}, {steps} steps of {work_ms} ms")?;
        faults.iter().try_for_each(|fault| write!(f, "; {fault:?}"))
    }
}
