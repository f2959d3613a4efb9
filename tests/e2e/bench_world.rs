//! Many random orders at once, with all faults that the stand-ins can cause.

use unstuck_tests::{bench_world, e2e};

/// `cargo xtask bench world` runs ten times as many.
const ORDERS: usize = 200;
const SEED: u64 = 13;

#[test]
fn of_random_orders_none_is_stuck_no_credit_is_wrong_and_what_was_made_is_delivered() {
    e2e::run(async |world| bench_world::run(world, ORDERS, SEED).await);
}
