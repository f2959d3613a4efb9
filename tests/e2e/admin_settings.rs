//! `admin-settings`: a change of a price, a limit or a switch is logged with who, when, from and
//! to. Many jobs are cancelled or retried by a filter.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::{self, World};

async fn changed(world: &World, op: &str, body: Value) -> Value {
    let admin = world.admin(1).await;
    world.call(&format!("admin-settings/{op}")).by(&admin).json(&body).ok().await
}

#[test]
fn a_provider_is_switched_off_and_on_and_a_waiting_order_runs_then() {
    e2e::run(async |world| {
        let off = json!({ "provider": "runninghub", "enabled": false, "reason": "they are down" });
        let providers = changed(world, "providers", off).await;
        let row = |all: &Value| {
            let all = all["providers"].as_array().unwrap();
            all.iter().find(|row| row["provider"] == "runninghub").unwrap().clone()
        };
        assert_has!(row(&providers), { "enabled": false, "maxConcurrent": 3 });
        let order = Order::new(world).await;
        assert_has!(order.run(world).ok().await, { "queued": true });
        let on = json!({ "provider": "runninghub", "enabled": true });
        assert_has!(row(&changed(world, "providers", on).await), { "enabled": true });
        world.sweep().await;
        order.assert_completed(world).await;
        let admin = world.admin(1).await;
        let log = world.get("admin-settings/log?subject=runninghub").by(&admin).ok().await;
        assert_eq!(log["log"].as_array().unwrap().len(), 2, "{log}");
        assert_has!(log["log"][1], { "act": "provider_changed", "reason": "they are down" });
        assert_has!(log["log"][1], { "from": { "enabled": true }, "to": { "enabled": false } });
    });
}

#[test]
fn a_price_needs_a_reason_and_applies_to_the_next_order() {
    e2e::run(async |world| {
        let admin = world.admin(1).await;
        let tool = "runninghub-upscaler";
        let mut price = json!({ "tool": tool, "creditCost": 61 });
        let call = world.call("admin-settings/tools").by(&admin).json(&price);
        call.refused(400, "bad_request").await;
        price["reason"] = json!("dearer");
        let tools = changed(world, "tools", price).await;
        let tools = tools["tools"].as_array().unwrap();
        let row = tools.iter().find(|row| row["tool"] == tool).unwrap();
        assert_has!(row, { "creditCost": 61 });
        let order = Order::new(world).await;
        assert_has!(order.run(world).ok().await, { "creditsCharged": 61 });
        let rule = json!({ "tool": tool, "position": 1, "credits": 62, "reason": "for all" });
        let prices = changed(world, "prices", rule).await;
        assert_has!(prices["prices"][0], { "position": 1, "credits": 62, "matches": {} });
        let gone = json!({ "tool": tool, "position": 1, "remove": true, "reason": "not so" });
        changed(world, "prices", gone).await;
        let wrong = json!({ "tool": tool, "position": 1, "credits": 1, "reason": "x",
            "matches": { "a": { "near": 1 } } });
        let call = world.call("admin-settings/prices").by(&admin).json(&wrong);
        call.refused(400, "bad_request").await;
        for op in ["tools", "providers", "prices", "log"] {
            world.get(&format!("admin-settings/{op}")).by(&admin).ok().await;
            let user = world.user(1).await;
            let call = world.get(&format!("admin-settings/{op}")).by(&user);
            call.refused(403, "forbidden").await;
        }
    });
}

#[test]
fn many_are_cancelled_and_retried_by_a_filter() {
    e2e::run(async |world| {
        let off = json!({ "provider": "runninghub", "enabled": false });
        changed(world, "providers", off).await;
        let (one, two) = (Order::new(world).await, Order::new(world).await);
        for order in [&one, &two] {
            order.run(world).ok().await;
        }
        let admin = world.admin(1).await;
        let many = async |function: &str, body: Value| {
            world.call(&format!("{function}/many")).by(&admin).json(&body).ok().await
        };
        let filter = json!({ "tool": "runninghub-upscaler", "status": "queued" });
        let count = json!({ "filter": filter, "limit": 0 });
        assert_has!(many("admin-cancel-job", count).await, { "matched": 2, "done": 0 });
        let body = json!({ "filter": filter, "limit": 1000, "reason": "an outage" });
        assert_eq!(
            many("admin-cancel-job", body.clone()).await,
            json!({ "matched": 2, "done": 2, "refused": [], "refundedCredits": 120 })
        );
        assert_has!(many("admin-cancel-job", body).await, { "matched": 0, "done": 0 });
        let on = json!({ "provider": "runninghub", "enabled": true });
        changed(world, "providers", on).await;
        let retry = json!({ "filter": { "ids": [one.job, two.job] }, "reason": "it is over" });
        assert_has!(many("admin-retry-job", retry).await, { "matched": 2, "done": 2 });
        let of = format!(
            "select count(*) from unstuck.jobs where status = 'completed'
             and retry_of in ('{}', '{}')",
            one.job, two.job
        );
        let done = async || (world.db().int(&of).await == 2).then_some(());
        world.until("both retries are completed", done).await;
        for body in [json!({ "filter": {}, "reason": "x" }), json!({ "filter": { "tool": "x" } })] {
            let call = world.call("admin-cancel-job/many").by(&admin).json(&body);
            call.refused(400, "bad_request").await;
        }
    });
}
