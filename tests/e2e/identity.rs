//! Workers of another deployment than the database's: every order and every pass is refused before
//! anything is changed, health reports it, and the alarm stays.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::{CREDITS, Order, assert_nothing_happened};
use unstuck_tests::e2e::{self, World};

const FUNCTIONS: [&str; 3] = ["gateway", "runninghub-upscaler", "cleanup-stale-jobs"];

async fn owned_by(world: &World, id: &str) {
    let sql = format!(
        "insert into unstuck_private.deployment (id, supabase_url)
        values ('{id}', 'https://abc.supabase.co')
        on conflict ((true)) do update set id = excluded.id"
    );
    world.db().exec(&sql).await;
}

#[test]
fn workers_of_another_deployment_do_nothing_until_the_database_is_theirs() {
    e2e::run(async |world| {
        owned_by(world, "shop").await;
        let staging = || [("DEPLOYMENT_ID".to_owned(), Some("staging".to_owned()))].into();
        let overrides = FUNCTIONS.map(|name| (name.to_owned(), staging()));
        world.restart_workers(overrides.into()).await;

        let order = Order::new(world).await;
        order.run(world).refused(503, "wrong_deployment").await;
        assert_nothing_happened(world, &order).await;
        world.call("cleanup-stale-jobs").by_service().refused(503, "wrong_deployment").await;
        let health = world.get("health").send().await;
        assert_eq!(health.status, 503);
        assert_has!(health.json, { "ok": false, "wrongDeployment": true });
        let alarms = "select id from unstuck_private.deployment_alarms";
        assert_eq!(world.db().texts(alarms).await, ["staging"]);

        owned_by(world, "staging").await;
        let answer = order.starts(world).await;
        assert_has!(answer, { "creditsCharged": 60, "balance": CREDITS - 60 });
        order.assert_completed(world).await;
        let gone = "delete from unstuck_private.deployment_alarms";
        world.db().exec(gone).await;
        let seen = world.db().ask("health_v2", json!({})).await;
        assert_eq!(seen["wrong_deployment"], false);
    });
}
