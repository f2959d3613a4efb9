//! One queue of all four tools: three jobs run at once, the others wait in order, and the limit may
//! change at any time.

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::order::{
    Order, POSE, TOOLS, UPSCALER, VESTE, VIDEO, nodes_of, sweep_until,
};

async fn set_limit(world: &World, limit: i64) {
    world.set_provider("runninghub", &format!("max_concurrent = {limit}")).await;
}

async fn check(world: &World, order: &Order) -> Value {
    world.call("runninghub-queue-manager/check").by(&order.user).ok().await
}

async fn count(world: &World, order: &Order) -> (i64, i64) {
    let found = check(world, order).await;
    let number = |name: &str| found[name].as_i64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert!(number("slotsAvailable") >= 0, "{found}");
    (number("running"), number("totalQueued"))
}

/// Cancels a running job, so that the next one starts.
async fn end(world: &World, order: &Order) {
    world.admin_cancels(order.tool.table, order.job).await;
}

async fn place(world: &World, order: &Order) -> Value {
    order.status(world).await["position"].clone()
}

/// Starts three jobs of three tools that never end at the provider.
async fn fill(world: &World) -> Vec<Order> {
    world.script(json!({ "runninghub": { "hang": true, "cancellable": true, "times": 3 } })).await;
    let mut running = Vec::new();
    for tool in [&UPSCALER, &POSE, &VESTE] {
        let order = Order::by(world, tool).await;
        order.starts(world).await;
        running.push(order);
    }
    running
}

#[test]
fn the_tools_share_the_slots_and_the_queue() {
    e2e::run(async |world| {
        let running = fill(world).await;
        let mut waiting = Vec::new();
        for (tool, position) in TOOLS.into_iter().zip(1..) {
            let order = Order::by(world, tool).await;
            let answer = order.run(world).ok().await;
            assert_has!(answer, { "queued": true, "position": position });
            waiting.push(order);
        }
        assert_eq!(count(world, &running[0]).await, (3, 4));
        let status = world.call("runninghub-queue-manager/status").by_service().ok().await;
        let each: Value = TOOLS
            .iter()
            .map(|tool| (tool.name.to_owned(), json!(1)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(status["queuedByTool"], each);
        end(world, &running[1]).await;
        for order in &waiting {
            order.assert_completed(world).await;
            order.assert_real(world).await;
        }
        assert_eq!(count(world, &running[0]).await, (2, 0));
    });
}

#[test]
fn a_limit_lowered_while_full_cuts_nothing_off_and_holds_from_then_on() {
    e2e::run(async |world| {
        let running = fill(world).await;
        let waiting = Order::by(world, &VIDEO).await;
        waiting.run(world).ok().await;
        set_limit(world, 1).await;
        world.sweep().await;
        assert_eq!(count(world, &waiting).await, (3, 1), "what runs goes on");
        assert_eq!(world.violations().await, Vec::<Value>::new(), "the audit finds no violation");
        for (over, left) in running.iter().zip([2, 1]) {
            end(world, over).await;
            world.sweep().await;
            assert_eq!(count(world, &waiting).await, (left, 1), "not below the limit yet");
            assert_eq!(place(world, &waiting).await, 1);
        }
        end(world, &running[2]).await;
        waiting.assert_completed(world).await;
        assert_eq!(
            nodes_of(&world.submits_of(waiting.job).await[0]),
            [("1", "video", waiting.urls()[0])]
        );
        waiting.assert_real(world).await;
    });
}

#[test]
fn a_limit_raised_while_waiting_lets_the_next_ones_in_in_order() {
    e2e::run(async |world| {
        set_limit(world, 1).await;
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let first = Order::by(world, &UPSCALER).await;
        first.starts(world).await;
        let mut waiting = Vec::new();
        for tool in [&VIDEO, &POSE, &VESTE] {
            let order = Order::by(world, tool).await;
            order.run(world).ok().await;
            waiting.push(order);
        }
        set_limit(world, 3).await;
        let is_running = async |order: &Order| order.row(world).await["status"] == "running";
        sweep_until(world, "two more run", async |_| {
            is_running(&waiting[0]).await && is_running(&waiting[1]).await
        })
        .await;
        assert_eq!(count(world, &first).await, (3, 1));
        assert_eq!(place(world, &waiting[2]).await, 1);
        set_limit(world, 4).await;
        // The stand-in's own limit is three, and a provider without capacity fails no job.
        world.script(json!({ "runninghub": { "capacity": 4 } })).await;
        sweep_until(world, "all run", async |_| is_running(&waiting[2]).await).await;
        assert_eq!(count(world, &first).await, (4, 0));
    });
}

/// How many submits the provider refused for capacity.
async fn refused(world: &World) -> usize {
    let log = world.provider_log().await;
    log.iter().filter(|entry| entry["response"]["errorCode"] == "421").count()
}

#[test]
fn a_limit_of_fifty_where_the_provider_takes_three_costs_few_refusals_and_no_slot() {
    e2e::run(async |world| {
        set_limit(world, 50).await;
        let held = json!({ "times": 3, "work": "until_finished" });
        let quick = json!({ "all": true, "work_ms": 300 });
        world.script(json!({ "runninghub": [held, quick] })).await;
        let mut orders = Vec::new();
        for tool in TOOLS.into_iter().cycle().take(24) {
            orders.push(Order::by(world, tool).await);
        }
        // The first orders teach the provider's limit; the others come all at once.
        let (first, others) = orders.split_at(4);
        for order in first {
            order.run(world).ok().await;
        }
        join_all(others.iter().map(|order| order.run(world).ok())).await;
        for order in &first[..3] {
            world.finish(order.job).await;
        }
        let (mut looks, mut idle) = (0, 0);
        let look = async || {
            let seen = "select waiting > 0 and may_start = 0 and (select count(*) < 3
                from unstuck.job_steps s where unstuck_private.holds_slot(s)) as idle
                from unstuck.steps_waiting_v1('runninghub')";
            looks += 1;
            idle += i64::from(world.db().value(seen).await == true);
            (world.count("jobs where completed_at is null").await == 0).then_some(())
        };
        world.until("webhooks alone have delivered all of them", look).await;
        for order in &orders {
            order.assert_completed(world).await;
        }
        assert!(idle * 10 <= looks, "a slot was idle in {idle} of {looks} looks");
        // One refusal teaches the limit; others come from probes, or from slots that were freed
        // while a step was being refused.
        let refused = refused(world).await;
        assert!((1..=8).contains(&refused), "{refused} of 24 orders were refused");
        assert_eq!(check(world, &orders[0]).await["maxConcurrent"], 50);
    });
}

#[test]
fn a_provider_disabled_finishes_what_runs_and_starts_nothing() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "times": 1, "work": "until_finished" } })).await;
        let running = Order::by(world, &VESTE).await;
        running.starts(world).await;
        world.set_provider("runninghub", "enabled = false").await;
        let mut waiting = Vec::new();
        for (tool, position) in TOOLS.into_iter().zip(1..) {
            let order = Order::by(world, tool).await;
            let answer = order.run(world).ok().await;
            assert_has!(answer, { "queued": true, "position": position });
            waiting.push(order);
        }
        world.finish(running.job).await;
        running.assert_completed(world).await;
        running.assert_real(world).await;
        world.sweep().await;
        let moved = world.call("runninghub-queue-manager/process-next").by_service().ok().await;
        assert_has!(moved, { "processed": 0, "reason": "provider_disabled" });
        let found = check(world, &running).await;
        assert_has!(found, { "available": false, "totalQueued": 4 });
        for order in &waiting {
            assert_eq!(order.submits(world).await, 0, "nothing is claimed");
        }
        world.set_provider("runninghub", "enabled = true").await;
        world.sweep().await;
        for order in &waiting {
            order.assert_completed(world).await;
        }
    });
}
