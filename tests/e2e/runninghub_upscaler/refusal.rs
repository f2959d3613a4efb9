//! What is refused before anything is changed: no credits, a disabled tool, storage that is down. A
//! refusal leaves no rows.

use std::collections::BTreeMap;

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;

use unstuck_tests::e2e::order::{Order, PRICE, assert_nothing_happened};

#[test]
fn without_credits_nothing_is_created_and_the_same_id_works_after_a_top_up() {
    e2e::run(async |world| {
        let user = world.new_user(PRICE - 1).await;
        let image_url = world.upload_png(&user, 8, 8).await;
        let order = Order::of(user, &image_url);
        for _ in 0..2 {
            let refusal = order.run(world).refused(402, "insufficient_credits").await;
            assert_has!(refusal, { "balance": PRICE - 1, "required": PRICE });
        }
        assert_nothing_happened(world, &order).await;
        world.db().grant(order.user.id, 1).await;
        let answer = order.starts(world).await;
        assert_eq!((&answer["balance"], answer.get("replayed")), (&json!(0), None), "{answer}");
        order.assert_completed(world).await;
    });
}

#[test]
fn a_disabled_tool_takes_nothing() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        world.set_tool("runninghub-upscaler", "enabled = false").await;
        order.run(world).refused(503, "tool_disabled").await;
        assert_nothing_happened(world, &order).await;
        world.set_tool("runninghub-upscaler", "enabled = true").await;
        order.starts(world).await;
        order.assert_completed(world).await;
    });
}

#[test]
fn storage_down_takes_nothing() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        for status in [503, 500, 502, 429] {
            world.storage_is_down(status).await;
            order.run(world).refused(503, "upstream_unavailable").await;
        }
        assert_nothing_happened(world, &order).await;
        world.storage_is_up().await;
        order.starts(world).await;
        order.assert_completed(world).await;
    });
}

#[test]
fn a_full_queue_takes_nothing() {
    e2e::run(async |world| {
        // Without a measured job every order is accepted. Once a picture is known to take 3 s, an
        // order that has two jobs before it would wait longer than 5 s and is refused.
        world.set_provider("runninghub", "max_concurrent = 1").await;
        world.set_tool("runninghub-upscaler", "queue_ttl = '5 seconds'").await;
        world.script(json!({ "runninghub": { "work_ms": 3000, "times": 1 } })).await;
        let first = Order::running(world).await;
        first.assert_completed(world).await;
        world.set_provider("runninghub", "enabled = false").await;
        for _ in 0..2 {
            Order::new(world).await.run(world).ok().await;
        }
        let order = Order::new(world).await;
        let answer = order.run(world).send().await;
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        answer.expect_refusal(503, "queue_full");
        assert_nothing_happened(world, &order).await;
    });
}

#[test]
fn a_setting_that_names_no_app_takes_nothing() {
    e2e::run(async |world| {
        let apps = BTreeMap::from([("RUNNINGHUB_APPS".to_owned(), Some("{}".to_owned()))]);
        world.restart_workers(BTreeMap::from([("runninghub-upscaler".to_owned(), apps)])).await;
        let order = Order::new(world).await;
        order.run(world).refused(500, "misconfigured").await;
        assert_nothing_happened(world, &order).await;
    });
}
