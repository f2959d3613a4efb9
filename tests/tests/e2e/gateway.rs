//! The public origin: health, what holds for every function, and what becomes of faults of our own making.

use unstuck_tests::e2e;

#[test]
fn health_is_good_after_a_sweep() {
    e2e::run(async |world| {
        let health = world.get("health").ok().await;
        assert_eq!(health["ok"], true, "{health}");
    });
}
