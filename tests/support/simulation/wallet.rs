//! An app that holds the credits itself, in place of our accounts, and what the auditor asks of it:
//! the app's own history must say what our entries say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auditor::{BOUND_MS, text};
use super::chance::Chance;
use super::plan::{USERS, clock};
use super::server::BEGIN_MS;
use super::world::{SimulatedWorld, user_of};
use crate::session::SqlError;

/// The app's tables and functions, and its adapter.
pub const SQL: &str = include_str!("wallet.sql");
/// What each user has in the app before we come.
const CREDITS: u32 = 100;

/// An app's wallet, and everything that it does to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppWallet {
    /// Users who pay nothing.
    pub unlimited: BTreeSet<u32>,
    pub events: Vec<WalletEvent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletEvent {
    pub at_ms: u64,
    pub what: WalletAct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalletAct {
    RefusesRefunds {
        ms: u64,
    },
    GivesHalves {
        ms: u64,
    },
    Away {
        ms: u64,
    },
    /// A transaction of the app's own locks the rows of all users.
    Locks {
        ms: u64,
    },
    /// The app gives credits, or takes them for something else.
    Moves {
        user: u32,
        credits: i64,
    },
}

impl AppWallet {
    /// One plan in four has one.
    pub fn new(chance: &mut Chance, within_ms: u64) -> Option<Self> {
        if !chance.one_in(4) {
            return None;
        }
        let unlimited = (0..chance.between(0, 2)).map(|_| user(chance)).collect();
        let count = chance.between(3, 9);
        let events = (0..count)
            .map(|_| WalletEvent {
                at_ms: chance.between(0, within_ms),
                what: WalletAct::new(chance),
            })
            .collect::<Vec<_>>();
        Some(Self { unlimited, events })
    }

    /// When the app is well for good.
    pub fn last_ms(&self) -> u64 {
        self.well_since_ms(u64::MAX)
    }

    /// Since when nothing is wrong with the app, of what began before a time.
    fn well_since_ms(&self, before_ms: u64) -> u64 {
        let begun = self.events.iter().filter(|event| event.at_ms <= before_ms);
        begun.map(|event| event.at_ms + event.what.ms()).max().unwrap_or(0)
    }
}

/// The app's own price of a video that costs `price` by ours.
pub fn video_price(price: i64) -> i64 {
    price * 3 / 4
}

fn user(chance: &mut Chance) -> u32 {
    u32::try_from(chance.between(0, u64::from(USERS) - 1)).unwrap()
}

impl WalletAct {
    fn new(chance: &mut Chance) -> Self {
        let ms = chance.between(30_000, 900_000);
        match chance.between(0, 7) {
            0 | 1 => Self::RefusesRefunds { ms },
            2 | 3 => Self::GivesHalves { ms },
            4 => Self::Away { ms: chance.between(2_000, 90_000) },
            5 => Self::Locks { ms: chance.between(1_000, 20_000) },
            _ => {
                let credits = i64::try_from(chance.between(50, 300)).unwrap();
                let sign = chance.pick(&[-1, 1]);
                Self::Moves { user: user(chance), credits: sign * credits }
            }
        }
    }

    /// How long it lasts.
    fn ms(self) -> u64 {
        match self {
            Self::RefusesRefunds { ms }
            | Self::GivesHalves { ms }
            | Self::Away { ms }
            | Self::Locks { ms } => ms,
            Self::Moves { .. } => 0,
        }
    }

    fn sql(self, seed: u64, now_ms: u64) -> String {
        let what = match self {
            Self::RefusesRefunds { .. } => "refunds",
            Self::GivesHalves { .. } => "parts",
            Self::Away { .. } => "away",
            Self::Locks { .. } => "locked",
            Self::Moves { user, credits } => {
                let id = user_of(seed, user);
                return format!("select public.credits_move_by_hand('{id}', {credits})");
            }
        };
        let until_ms = BEGIN_MS + now_ms + self.ms();
        format!(
            "insert into public.outages values
               ('{what}', timestamptz 'epoch' + interval '{until_ms} milliseconds')
             on conflict (what) do update set until = excluded.until"
        )
    }
}

impl fmt::Display for AppWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "an app holds the credits; unlimited are the users {:?}", self.unlimited)?;
        let tell = |event: &WalletEvent| (clock(event.at_ms), event.what);
        self.events.iter().map(tell).try_for_each(|(at, what)| writeln!(f, "{at}  app: {what:?}"))
    }
}

/// Makes the app's users, and begins all that it does.
pub fn begin_wallet(world: &Rc<SimulatedWorld>, wallet: &AppWallet) {
    let seed = world.plan.seed;
    for user in 0..=USERS {
        let (id, unlimited) = (user_of(seed, user), wallet.unlimited.contains(&user));
        world.database.exec(&format!(
            "insert into public.profiles (id, unlimited) values ('{id}', {unlimited});
             select public.credits_move_by_hand('{id}', {CREDITS})"
        ));
    }
    for (number, event) in wallet.events.iter().enumerate() {
        let (there, event) = (Rc::clone(world), *event);
        world.scheduler.spawn(&world.actor(format!("the app, event {number}")), async move {
            there.scheduler.sleep(event.at_ms).await;
            there.tell(format!("the app: {:?}", event.what));
            there.met("event of the app's wallet");
            there.database.set_clock(there.database_clock_ms());
            there.database.exec(&event.what.sql(seed, there.now_ms()));
        });
    }
}

/// A failure of a call that the app's wallet excuses, by the name of its fault: an order and a
/// seller's event are refused while it is away, and any call waits in vain for rows that it locks.
pub fn excuse(function: &str, error: &SqlError) -> Option<&'static str> {
    let moves_credits = matches!(function, "job_enqueue_v2" | "purchase_record_v1");
    match (error.state.as_str(), error.message.as_str()) {
        ("P0001", "the wallet is away") if moves_credits => Some("wallet away"),
        ("55P03", "the wallet is locked") => Some("wallet locked"),
        _ => None,
    }
}

/// What the app's own tables say, and which refunds are owed.
#[derive(Default)]
pub struct WalletBook {
    wallet: Option<AppWallet>,
    /// The app's balances, by user.
    balances: BTreeMap<String, i64>,
    /// The sum of each user's history, and what of it we moved.
    moved: BTreeMap<String, (i64, i64)>,
    /// What was taken for each job and given back.
    of_jobs: BTreeMap<String, (i64, i64)>,
    owed: BTreeMap<String, i64>,
    owed_since_ms: BTreeMap<String, i64>,
    /// Faults that came since they were told.
    pub met: Vec<&'static str>,
}

impl WalletBook {
    pub fn new(wallet: Option<&AppWallet>) -> Self {
        Self { wallet: wallet.cloned(), ..Self::default() }
    }

    pub fn has_wallet(&self) -> bool {
        self.wallet.is_some()
    }

    /// A balance of the app was changed. Returns whose.
    pub fn write_balance(&mut self, after: &Value) -> String {
        let user = text(after, "id");
        self.balances.insert(user.clone(), after["credits"].as_i64().unwrap());
        user
    }

    /// The app wrote its history. Returns the user and the job.
    pub fn write_movement(&mut self, after: &Value) -> (String, Option<String>) {
        let (user, amount) = (text(after, "profile_id"), after["amount"].as_i64().unwrap());
        let (all, ours) = self.moved.entry(user.clone()).or_default();
        *all += amount;
        if after["kind"] != "own" {
            *ours += amount;
        }
        let job = after["job_id"].as_str().map(str::to_owned);
        if let Some(job) = &job {
            let (taken, given) = self.of_jobs.entry(job.clone()).or_default();
            *(if amount < 0 { taken } else { given }) += amount.abs();
        }
        (user, job)
    }

    /// A row of what is owed was written or deleted. Returns the job.
    pub fn write_owed(&mut self, before: &Value, after: &Value) -> String {
        let amount = |row: &Value| row["amount"].as_i64().unwrap_or(0);
        let job = text(if after.is_null() { before } else { after }, "job_id");
        *self.owed.entry(job.clone()).or_default() += amount(after) - amount(before);
        job
    }

    pub fn owed(&self, job: &str) -> i64 {
        self.owed.get(job).copied().unwrap_or(0)
    }

    /// The entries of a job say what the app took and gave.
    pub fn check_job(&mut self, job: &str, entries: &[Value], at_ms: i64) -> Result<(), String> {
        match (self.owed(job), self.owed_since_ms.contains_key(job)) {
            (1.., false) => {
                self.owed_since_ms.insert(job.to_owned(), at_ms);
                self.met.push("wallet refused a refund");
            }
            (0, true) => {
                self.owed_since_ms.remove(job);
                self.met.push("owed refund paid");
            }
            _ => {}
        }
        let amounts = || entries.iter().map(|entry| entry["amount"].as_i64().unwrap());
        let taken: i64 = -amounts().filter(|amount| *amount < 0).sum::<i64>();
        let given: i64 = amounts().filter(|amount| *amount > 0).sum();
        let moved = self.of_jobs.get(job).copied().unwrap_or_default();
        if self.has_wallet() && moved != (taken, given) {
            return Err(format!(
                "4 {job}: the app took and gave {moved:?}, the entries say {:?}",
                (taken, given)
            ));
        }
        Ok(())
    }

    /// The app's balance is what its history adds up to, and our part of it what our entries do.
    pub fn check_user(&self, user: &str, entries: i64) -> Result<(), String> {
        let (all, ours) = self.moved.get(user).copied().unwrap_or_default();
        let balance = self.balances.get(user).copied().unwrap_or(0);
        if balance != all || ours != entries || balance < 0 {
            return Err(format!(
                "4 {user}: the app has {balance}, its history says {all}, of that {ours} by us, \
                 the entries say {entries}"
            ));
        }
        Ok(())
    }

    /// Looks for refunds that are owed although the app was well for as long as a healer needs.
    pub fn look_for_owed(&self, now_ms: u64) -> Vec<String> {
        let well_ms = self.wallet.as_ref().map_or(0, |wallet| wallet.well_since_ms(now_ms));
        let owed = self.owed_since_ms.iter().filter(|(_, since_ms)| {
            let since_ms = (*since_ms - BEGIN_MS as i64).max(well_ms as i64);
            since_ms + BOUND_MS < now_ms as i64
        });
        owed.map(|(job, _)| format!("F3 a refund of {job} is owed: {}", self.owed(job))).collect()
    }

    /// Nothing may be owed at the end.
    pub fn conclude(&self) -> Vec<String> {
        let owed = self.owed.iter().filter(|(_, amount)| **amount != 0);
        owed.map(|(job, amount)| format!("4 {amount} of {job} are owed at the end")).collect()
    }
}
