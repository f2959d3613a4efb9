//! Circuits: after three refusals in a row that only the operator can mend, orders wait and are not
//! refused. One step a minute is let through as a trial, and an accepted trial closes the circuit.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::cards::{Cards, PROCESS};
use unstuck_tests::e2e::order::{Order, UPSCALER, VESTE, VIDEO};
use unstuck_tests::e2e::{self, World};

/// Asserts that this is the only alarm, and that it was raised that often.
async fn assert_alarm(world: &World, tool: &str, code: &str, count: i64) {
    let alarm = world.db().row("select tool, code, count from unstuck.provider_alarms").await;
    assert_has!(alarm, { "tool": tool, "code": code, "count": count });
}

async fn open_circuits(world: &World) -> i64 {
    world.count("providers where circuit_open_until is not null").await
        + world.count("tools where circuit_open_until is not null").await
}

/// Three upscales are refused with that code and refunded.
async fn three_are_refused(world: &World, code: u16) {
    world.script(json!({ "runninghub": { "times": 3, "code": code, "shape": 1 } })).await;
    for _ in 0..3 {
        let order = Order::new(world).await;
        order.run(world).refused(422, "provider_rejected").await;
        order.assert_returned(world, "failed", "PROVIDER_REJECTED").await;
    }
}

async fn waits_at(world: &World, order: &Order, position: i64) {
    let answer = order.run(world).ok().await;
    assert_has!(answer, { "queued": true, "status": "queued", "position": position });
}

#[test]
fn after_three_refusals_of_the_key_orders_wait_until_a_trial_is_accepted() {
    e2e::run(async |world| {
        three_are_refused(world, 802).await;
        assert_alarm(world, UPSCALER.name, "802 APIKEY_UNAUTHORIZED", 3).await;
        let (picture, video) = (Order::new(world).await, Order::by(world, &VIDEO).await);
        waits_at(world, &picture, 1).await;
        waits_at(world, &video, 2).await;
        world.sweep().await;
        for order in [&picture, &video] {
            assert_eq!(order.submits(world).await, 0, "an open circuit starts nothing");
            assert_eq!(order.status(world).await["status"], "queued");
        }
        let check = world.call("runninghub-queue-manager/check").by(&picture.user).ok().await;
        assert_has!(check, { "available": false, "totalQueued": 2 });

        // The provider still refuses the key: the job of the trial is refunded, and the other one
        // keeps waiting.
        world.script(json!({ "runninghub": { "times": 1, "code": 802, "shape": 1 } })).await;
        world.end_circuit_minutes().await;
        world.sweep().await;
        picture.assert_returned(world, "failed", "PROVIDER_REJECTED").await;
        assert_eq!(video.submits(world).await, 0, "one trial a minute");
        assert_alarm(world, UPSCALER.name, "802 APIKEY_UNAUTHORIZED", 4).await;

        // The operator has mended the key.
        let other = Order::new(world).await;
        waits_at(world, &other, 2).await;
        world.end_circuit_minutes().await;
        world.sweep().await;
        assert_eq!(open_circuits(world).await, 0, "an accepted trial closes the circuit");
        world.sweep().await;
        video.assert_completed(world).await;
        other.assert_completed(world).await;
        let after = Order::running(world).await;
        after.assert_completed(world).await;
    });
}

#[test]
fn a_fault_of_one_app_lets_the_other_tools_run() {
    e2e::run(async |world| {
        three_are_refused(world, 803).await;
        assert_alarm(world, UPSCALER.name, "803 APIKEY_INVALID_NODE_INFO", 3).await;
        let picture = Order::new(world).await;
        waits_at(world, &picture, 1).await;
        for tool in [&VIDEO, &VESTE] {
            let order = Order::by(world, tool).await;
            order.starts(world).await;
            order.assert_completed(world).await;
        }
        world.sweep().await;
        assert_eq!(picture.submits(world).await, 0, "another tool's success does not close it");
        world.end_circuit_minutes().await;
        world.sweep().await;
        picture.assert_completed(world).await;
        assert_eq!(open_circuits(world).await, 0);
    });
}

/// A firewall's page does not refuse an order, so several attempts of one order may open the
/// circuit.
#[test]
fn three_pages_of_a_firewall_open_the_circuit() {
    e2e::run(async |world| {
        let page = json!({ "times": 3, "status": 403, "body": "<!doctype html>",
            "headers": { "content-type": "text/html" } });
        world.script(json!({ "runninghub": page })).await;
        for _ in 0..3 {
            Order::new(world).await.run(world).ok().await;
        }
        let reason = "select circuit_reason from unstuck.providers where provider = 'runninghub'";
        assert_eq!(world.db().value(reason).await, "place");
        let order = Order::new(world).await;
        order.run(world).ok().await;
        assert_eq!(order.submits(world).await, 0);
        world.end_circuit_minutes().await;
        world.db().exec("update unstuck.job_steps set not_before = clock_timestamp()").await;
        world.sweep().await;
        world.sweep().await;
        order.assert_completed(world).await;
    });
}

#[test]
fn refused_cards_open_the_circuit_and_a_completed_one_closes_it() {
    e2e::run(async |world| {
        let refusal: Value = json!({ "error": { "code": 403, "status": "PERMISSION_DENIED",
            "message": "Words." } });
        let rule = json!({ "times": 3, "status": 403, "body": refusal });
        world.script(json!({ "gemini": rule })).await;
        let refused = Cards::ordered(world, &[0, 1, 2]).await;
        refused.until_over(world, "failed", 0).await;
        assert_alarm(world, "create-generation-job-banana", "http 403 PERMISSION_DENIED", 3).await;
        let order = Cards::ordered(world, &[0, 1]).await;
        world.call(PROCESS).by_service().ok().await;
        let calls = world.provider_calls(":generateContent").await.len();
        assert_eq!((calls, order.seen(world).await["status"].clone()), (3, json!("pending")));
        world.end_circuit_minutes().await;
        world.call(PROCESS).by_service().ok().await;
        order.until_over(world, "completed", 2).await;
        assert_eq!(open_circuits(world).await, 0);
    });
}
