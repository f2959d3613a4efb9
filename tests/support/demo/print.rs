//! Prints the demo's output. It decides nothing.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use xtask::paths;

use super::Outcome;
use super::receipt::Receipt;
use super::stories::SHORTENED;
use crate::e2e::World;

pub(super) struct Told {
    pub(super) number: usize,
    pub(super) title: &'static str,
    /// What the story shows, or why it does not hold.
    pub(super) outcome: Result<Outcome, String>,
    pub(super) took: Duration,
}

pub(super) fn opening(world: &World, took: Duration) {
    println!();
    println!("Unstuck: a picture is enlarged for credits, and nothing can get stuck");
    println!();
    println!("  stack    {} (ready after {:.1} s)", world.stack().info().url, took.as_secs_f32());
    for line in [
        "runs     every function as release wasm in workerd, Postgres 17, a provider that really",
        "         enlarges pictures",
        "sweeps   each is one HTTP call of cleanup-stale-jobs with the scheduler's secret; the",
        "         cron is off, so that you see what one sweep does",
    ] {
        println!("  {line}");
    }
    println!("  clocks   shortened to keep you from waiting, the rules are the real ones:");
    for line in SHORTENED {
        println!("           {line}");
    }
}

pub(super) fn story(told: &Told) {
    let verdict = if told.outcome.is_ok() { "ok" } else { "FAILED" };
    println!();
    println!(
        "{:>2}  {:<86} {verdict:>6} {:>5.1} s",
        told.number,
        told.title,
        told.took.as_secs_f32()
    );
    match &told.outcome {
        Err(error) => println!("    {error}"),
        Ok(outcome) => {
            for note in &outcome.notes {
                println!("    · {note}");
            }
            for receipt in &outcome.receipts {
                job(receipt);
            }
        }
    }
}

fn job(receipt: &Receipt) {
    let states: Vec<String> =
        receipt.states.iter().map(|(at, state)| format!("{state} {at:.2} s")).collect();
    println!("    {:<6} {}", receipt.person, states.join(" → "));
    println!("    {:<6} credits {} → {}", "", receipt.before, receipt.after);
    if let Some(file) = &receipt.result {
        println!("    {:<6} {}: {}", "", file.what, shown(&file.path));
    }
    if let Some(message) = &receipt.message {
        println!("    {:<6} {message}", "");
    }
}

pub(super) fn receipts(told: &[Told]) {
    println!();
    println!("Receipts");
    println!();
    let line = "─".repeat(104);
    println!(
        "{:>2}  {:<6}  {:<9}  {:>6}  {:>7}  {:>8}  {:>6}  {:>5}  result",
        "#", "user", "status", "before", "charged", "refunded", "after", "s"
    );
    println!("{line}");
    for story in told {
        for receipt in story.outcome.iter().flat_map(|outcome| &outcome.receipts) {
            row(story.number, receipt);
        }
    }
    println!("{line}");
}

fn row(number: usize, receipt: &Receipt) {
    let seconds = receipt.states.last().map_or(0.0, |(at, _)| *at);
    let result = match (&receipt.result, &receipt.message) {
        (Some(file), _) => file.kind.clone(),
        (None, Some(message)) => message.split(':').next().unwrap_or_default().to_owned(),
        (None, None) => String::new(),
    };
    println!(
        "{number:>2}  {:<6}  {:<9}  {:>6}  {:>7}  {:>8}  {:>6}  {seconds:>5.1}  {result}",
        receipt.person,
        receipt.status,
        receipt.before,
        receipt.charged,
        receipt.refunded,
        receipt.after
    );
}

pub(super) fn invariants(violations: &[Value]) {
    println!();
    println!("Invariants: {} rows in invariant_violations", violations.len());
    for violation in violations {
        let part = |name: &str| violation[name].as_str().unwrap_or_default();
        println!("    {} · {} · {}", part("invariant"), part("subject"), part("detail"));
    }
}

pub(super) fn closing(results: &Path, held: usize, took: Duration) {
    println!();
    println!(
        "All {held} stories hold; {:.0} s in all. The result files stay in {}.",
        took.as_secs_f32(),
        shown(results)
    );
}

fn shown(path: &Path) -> String {
    path.strip_prefix(paths::root()).unwrap_or(path).display().to_string()
}
