//! `cargo xtask bench world [orders] [seed]`: 2,000 random orders, or so many. `cargo xtask bench
//! memory`: the largest orders.

use std::process::ExitCode;

use unstuck_tests::{bench_memory, bench_world, e2e};

fn main() -> ExitCode {
    let is_memory = std::env::args().nth(1).as_deref() == Some("memory");
    let mut numbers =
        std::env::args().skip(usize::from(is_memory)).skip(1).map(|text| text.parse::<u64>());
    let (Ok(orders), Ok(seed)) =
        (numbers.next().unwrap_or(Ok(2_000)), numbers.next().unwrap_or(Ok(1)))
    else {
        eprintln!("usage: cargo xtask bench world [orders] [seed]");
        return ExitCode::FAILURE;
    };
    let orders = usize::try_from(orders).unwrap_or(usize::MAX);
    let options = |options: &mut xtask::stack::StackOptions| {
        options.state_dir = xtask::paths::local().join("bench-world");
        options.extra_functions.clear();
    };
    let bench = || {
        e2e::run_apart(options, async |world| match is_memory {
            true => bench_memory::run(world).await,
            false => bench_world::run(world, orders, seed).await,
        });
    };
    match std::panic::catch_unwind(bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
