//! `cargo xtask demo`: from nothing to a printed receipt table. Exits 0 only if every story ends as it should and no
//! invariant is violated. Speaks to the stack as a page, an admin and an outside scheduler would.

pub mod hold;
pub(crate) mod picture;
mod print;
mod receipt;
mod stories;
mod world;

use std::time::Instant;

use anyhow::{Result, bail};

use world::World;

pub async fn run() -> Result<()> {
    let began = Instant::now();
    let mut world = World::open().await?;
    print::opening(&world, began.elapsed());
    let mut told = Vec::new();
    for (number, story) in stories::all().into_iter().enumerate() {
        let since = Instant::now();
        let outcome = world.begin().await;
        let outcome = match outcome {
            Ok(()) => (story.tell)(&mut world).await,
            Err(error) => Err(error),
        };
        let story =
            print::Told { number: number + 1, title: story.title, outcome, took: since.elapsed() };
        print::story(&story);
        told.push(story);
    }
    print::receipts(&told);
    let violations = world.violations().await?;
    print::invariants(&violations);
    let held = told.iter().filter(|story| story.outcome.is_ok()).count();
    let logs = world.log_dir();
    world.close();
    if held < told.len() || !violations.is_empty() {
        bail!(
            "{} of {} stories hold, {} invariants are violated; logs are in {}",
            held,
            told.len(),
            violations.len(),
            logs.display()
        );
    }
    print::closing(held, began.elapsed());
    Ok(())
}
