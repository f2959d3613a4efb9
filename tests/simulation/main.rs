//! Job lives under a clock of their own: see tests/support/simulation. What the simulation found
//! once stays in tests/simulation/found.

use std::ops::Range;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use unstuck_tests::simulation::command::{self, LIVES, SimulationFigures};
use unstuck_tests::simulation::mutations::{FOUND, MUTATIONS};
use unstuck_tests::simulation::plan::{LifeTool, Plan};
use unstuck_tests::simulation::run::run;
use unstuck_tests::simulation::server::SimulationServer;

/// Plans with the seeds 1, 2, …: 4,000 lives.
const FIXED: u64 = 20;
/// Plans with new seeds, which the output names: 1,000 lives.
const FRESH: u64 = 5;
const MUTATIONS_IN_CI: usize = 3;

fn server() -> Rc<SimulationServer> {
    Rc::new(SimulationServer::start().expect("the simulation's server starts"))
}

/// `UNSTUCK_SIMULATION_PLANS` runs that many instead.
fn count(plans: u64) -> u64 {
    let named = std::env::var("UNSTUCK_SIMULATION_PLANS").ok();
    named.map_or(plans, |number| number.parse().expect("a number"))
}

/// What must have come in the fixed seeds, so that they prove something.
const TO_COME: [&str; 13] = [
    "worker killed",
    "connection broken",
    "call late",
    "webhook lost",
    "answer lost",
    "provider full",
    "copy slow",
    "seller's event taken",
    "cards stopped or made",
    "wallet refused a refund",
    "owed refund paid",
    "wallet away",
    "wallet locked",
];

/// Runs the plans in two halves at the same time, each on a server of its own.
fn all_hold(first: u64, plans: u64) -> SimulationFigures {
    let middle = first + plans / 2;
    let halves = [first..middle, middle..first + plans];
    let figures = std::thread::scope(|scope| {
        let halves = halves.map(|seeds| scope.spawn(|| hold(seeds)));
        halves.map(|half| half.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let [mut sum, other] = figures;
    sum.join(other);
    let SimulationFigures { lives, ended, faults, .. } = &sum;
    println!("{lives} lives, {ended} jobs ended, faults {faults:?}");
    assert!(ended * 2 > *lives, "{ended} jobs of {lives} lives ended");
    sum
}

fn hold(seeds: Range<u64>) -> SimulationFigures {
    let (server, mut figures) = (server(), SimulationFigures::default());
    for seed in seeds {
        let plan = Plan::new(seed, LIVES);
        let outcome = run(&server, &plan, &[]).expect("a simulation runs");
        if !outcome.violations.is_empty() {
            command::tell(&server, &plan, outcome).expect("the plan is shrunk");
            panic!("seed {seed} fails: `cargo xtask simulate --seed {seed} --lives {LIVES}`");
        }
        figures.add(&plan, outcome);
    }
    figures
}

#[test]
fn no_life_of_the_fixed_seeds_is_stuck_or_wrong() {
    let figures = all_hold(1, count(FIXED));
    let absent = TO_COME.iter().filter(|fault| !figures.faults.contains_key(**fault));
    assert_eq!(absent.collect::<Vec<_>>(), Vec::<&&str>::new());
    let completed: Vec<LifeTool> = figures.completed.into_keys().collect();
    assert_eq!(completed, [LifeTool::Upscale, LifeTool::Video, LifeTool::TryOn, LifeTool::Cards]);
}

#[test]
fn no_life_of_a_new_seed_is_stuck_or_wrong() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    println!("the new seeds begin at {now}");
    all_hold(now, count(FRESH));
}

#[test]
fn a_seed_gives_the_same_ends_each_time() {
    let (server, of_ours, of_an_app) = (server(), Plan::new(3, LIVES), Plan::new(9, 40));
    assert!(of_ours.wallet.is_none() && of_an_app.wallet.is_some());
    let ends = |plan| run(&server, plan, &[]).expect("a simulation runs");
    // Each plan is run on the database of the plan of its kind before.
    let first = [&of_ours, &of_an_app].map(ends);
    let second = [&of_ours, &of_an_app].map(ends);
    for (first, second) in first.iter().zip(second) {
        assert_eq!(first.ends, second.ends);
        assert_eq!(first.story, second.story);
        assert!(!first.ends.is_empty());
    }
}

#[test]
fn what_was_found_once_holds_and_fails_without_its_mend_in_sql() {
    let folder = xtask::paths::root().join("tests/simulation/found");
    let files = std::fs::read_dir(&folder).expect("the folder is there");
    assert_eq!(files.count(), FOUND.len(), "each plan of the folder is listed in `FOUND`");
    let server = server();
    for (name, undone) in FOUND {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("a plan");
        let plan: Plan = serde_json::from_str(&text).expect("a plan");
        let run = |changes: &[String]| run(&server, &plan, changes).expect("a simulation runs");
        assert_eq!(run(&[]).violations, Vec::<String>::new(), "{name}");
        let Some(undone) = undone else { continue };
        let undone = run(&[undone.sql().expect("the place is there")]);
        let story = undone.story.join("\n");
        assert!(!undone.violations.is_empty(), "{name} holds without its mend:\n{story}");
    }
}

/// `cargo xtask simulate --mutations` looks for all of them.
#[test]
fn mutations_of_the_sql_name_one_place_and_are_found() {
    let server = server();
    for mutation in MUTATIONS {
        mutation.sql().expect("the place is there");
    }
    for mutation in MUTATIONS.iter().take(MUTATIONS_IN_CI) {
        let found = mutation.find(&server).expect("a simulation runs");
        assert!(found.is_some(), "{mutation:?}");
    }
}
