//! The demo: fourteen stories, each with a printed receipt for every job in it.
//!
//! `cargo xtask demo` runs them for people, and an e2e test runs them so that the demo cannot break
//! unnoticed. A story calls the stack as a page, an admin and an outside scheduler would.

mod print;
mod purchase;
mod receipt;
mod services;
mod stories;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Instant;

use futures::FutureExt;
use serde_json::json;

use crate::e2e::order::ask_at_every_sweep;
use crate::e2e::{self, World};
use stories::{Outcome, USUAL_CLOCKS};

/// Runs every story in a stack whose state and results lie in `state_dir`.
///
/// # Panics
/// If a story does not hold or an invariant is violated.
pub fn run(state_dir: PathBuf) {
    let began = Instant::now();
    let options = |options: &mut xtask::stack::StackOptions| {
        options.state_dir = state_dir;
        options.extra_functions.clear();
    };
    e2e::run_apart(options, async |world| {
        let results = results_dir(world);
        if results.exists() {
            std::fs::remove_dir_all(&results).expect("the results of the last demo can be removed");
        }
        std::fs::create_dir_all(&results).expect("a folder for the results");
        print::opening(world, began.elapsed());
        tell_all(world, began).await;
    });
}

async fn tell_all(world: &mut World, began: Instant) {
    ask_at_every_sweep(world).await;
    let mut told = Vec::new();
    for (index, (title, tell)) in stories::all().into_iter().enumerate() {
        let since = Instant::now();
        let telling = async {
            begin(world).await;
            tell(world).await
        };
        let outcome = AssertUnwindSafe(telling).catch_unwind().await.map_err(message_of);
        let story = print::Told { number: index + 1, title, outcome, took: since.elapsed() };
        print::story(&story);
        told.push(story);
    }
    print::receipts(&told);
    let violations = world.violations().await;
    print::invariants(&violations);
    let held = told.iter().filter(|story| story.outcome.is_ok()).count();
    assert!(
        held == told.len() && violations.is_empty(),
        "{held} of {} stories hold, {} invariants are violated; logs are in {}",
        told.len(),
        violations.len(),
        world.stack().options().state_dir.join("log").display()
    );
    print::closing(&results_dir(world), held, began.elapsed());
}

/// Prepares a story: resets the stand-ins' rules and the tools' time limits, and asserts that no
/// job is live.
async fn begin(world: &mut World) {
    world.assert_running();
    world.script(json!({ "reset": true })).await;
    world.db().exec(USUAL_CLOCKS).await;
    let live = "select count(*) from unstuck.jobs where completed_at is null";
    assert_eq!(world.db().int(live).await, 0, "jobs of the story before are still live");
}

fn results_dir(world: &World) -> PathBuf {
    world.stack().options().state_dir.join("results")
}

fn message_of(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the story failed").to_owned()
}
