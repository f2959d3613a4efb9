//! Every way in which the provider misbehaves, with every tool: each job is delivered, or refunded
//! with a reason.

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::order::{
    CREDITS, MediaTool, Order, TOOLS, ask_at_every_sweep, lease_is_over, overdue, retry_now,
    sweep_until, until_cancelled_at_provider,
};

/// How an order must end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ExpectedEnd {
    Delivered,
    /// Delivered after a second submit, because the first one started no task.
    Retried,
    /// Failed with that code, and all credits refunded.
    Returned(&'static str),
    /// Failed at its deadline and refunded, because nothing settles the step before.
    TimedOut,
}

/// What the provider does, and how the order must end.
fn behaviours() -> Vec<(Value, ExpectedEnd)> {
    use ExpectedEnd::{Delivered, Retried, Returned, TimedOut};
    vec![
        (json!({ "webhook": "lost" }), Delivered),
        (json!({ "webhook": "twice" }), Delivered),
        (json!({ "webhook": "late" }), Delivered),
        (json!({ "webhook": "early" }), Delivered),
        (json!({ "webhook": "forged" }), Delivered),
        (json!({ "webhook": "redirected" }), Delivered),
        (json!({ "webhook_form": "string" }), Delivered),
        (json!({ "webhook_form": "object" }), Delivered),
        (json!({ "id_as": "number" }), Delivered),
        (json!({ "delay_ms": 700 }), Delivered),
        (json!({ "delay_ms": 700, "webhook": "early" }), Delivered),
        (json!({ "lost_answer": true, "work": "until_finished" }), Delivered),
        (json!({ "times": 1, "code": 421, "shape": 1 }), Retried),
        (json!({ "times": 1, "code": 1520, "shape": 2 }), Retried),
        (json!({ "times": 1, "code": 415, "shape": 3 }), Retried),
        (json!({ "times": 1, "code": 1011, "shape": 2 }), Retried),
        (json!({ "times": 1, "status": 502, "body": "<html>Bad Gateway</html>" }), Retried),
        (json!({ "times": 1, "fail": "busy", "code": 1011 }), Retried),
        (json!({ "code": 803, "shape": 1 }), Returned("PROVIDER_REJECTED")),
        (json!({ "code": 1007, "shape": 2 }), Returned("PROVIDER_REJECTED")),
        (json!({ "code": 301, "shape": 3 }), Returned("PROVIDER_REJECTED")),
        (json!({ "code": 1501, "shape": 2 }), Returned("CONTENT_REFUSED")),
        (json!({ "node_errors": { "1": "bad input" } }), Returned("PROVIDER_REJECTED")),
        (json!({ "fail": "out of memory" }), Returned("PROVIDER_FAILED")),
        (json!({ "fail": "a real person", "code": 1505 }), Returned("CONTENT_REFUSED")),
        (json!({ "lost_answer": true, "webhook": "lost" }), TimedOut),
        (json!({ "status": 200, "body": {} }), TimedOut),
        (json!({ "hang": true, "cancellable": true }), TimedOut),
    ]
}

/// Orders all of them, each by a user of its own. The orders that the provider refuses come first,
/// one by one: an order that another request submits may be answered `running` before its refusal
/// is recorded. All others follow at once.
async fn order_all(world: &World, tool: &'static MediaTool) -> Vec<(Order, Value, ExpectedEnd)> {
    let cases = join_all(behaviours().into_iter().map(async |(mut rule, end)| {
        let order = Order::by(world, tool).await;
        rule["match"] = json!(order.job);
        (order, rule, end)
    }))
    .await;
    world
        .script(json!({ "runninghub": cases.iter().map(|(_, rule, _)| rule).collect::<Vec<_>>() }))
        .await;
    let is_refused = |(_, rule, end): &&(Order, Value, ExpectedEnd)| {
        matches!(end, ExpectedEnd::Returned(_)) && rule.get("fail").is_none()
    };
    let (refused, accepted): (Vec<_>, Vec<_>) = cases.iter().partition(is_refused);
    for (order, rule, _) in refused {
        let answer = order.run(world).send().await;
        assert_eq!(answer.status, 422, "{rule}: {}", answer.text);
    }
    join_all(accepted.into_iter().map(async |(order, rule, end)| {
        let answer = order.run(world).send().await;
        // A task may fail before the order is answered.
        let has_failed = answer.status == 422 && matches!(end, ExpectedEnd::Returned(_));
        assert!(answer.status == 200 || has_failed, "{rule}: {}", answer.text);
    }))
    .await;
    cases
}

async fn assert_ended(world: &World, order: &Order, rule: &Value, end: ExpectedEnd) {
    eprintln!("{}: {rule}", order.tool.name);
    match end {
        ExpectedEnd::Delivered | ExpectedEnd::Retried => {
            order.assert_completed(world).await;
            order.assert_real(world).await;
            assert_eq!(world.balance(&order.user).await, CREDITS - order.tool.price);
        }
        ExpectedEnd::Returned(code) => drop(order.assert_returned(world, "failed", code).await),
        ExpectedEnd::TimedOut => drop(order.assert_returned(world, "failed", "TIMEOUT").await),
    }
    let submits = if end == ExpectedEnd::Retried { 2 } else { 1 };
    assert_eq!(order.submits(world).await, submits, "{rule}");
    if !matches!(end, ExpectedEnd::Delivered | ExpectedEnd::Retried) {
        assert_eq!(world.balance(&order.user).await, CREDITS);
    }
    let replay = order.run(world).ok().await;
    assert_eq!(replay["replayed"], true, "{rule}: {replay}");
    assert_eq!(order.submits(world).await, submits, "a replay submits nothing");
}

#[test]
fn everything_the_provider_may_do_wrong_ends_well_for_every_tool() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        world.set_provider("runninghub", "max_concurrent = 100").await;
        for tool in TOOLS {
            world.script(json!({ "reset": true, "runninghub": { "capacity": 100 } })).await;
            let cases = order_all(world, tool).await;
            // The refusals for capacity have lowered the provider's learned limit. It is cleared
            // before each sweep, so that the provider gets all remaining steps.
            let until_sent = async |order: &Order| {
                let is_sent = async || {
                    world.set_provider("runninghub", "learned_limit = null").await;
                    world.sweep().await;
                    (order.submits(world).await >= 1).then_some(())
                };
                world.until("it is sent", is_sent).await;
            };
            for (order, rule, _) in &cases {
                if !rule["work"].is_null() {
                    until_sent(order).await;
                    world.finish(order.job).await;
                }
            }
            for (order, rule, _) in cases.iter().filter(|(_, _, end)| *end == ExpectedEnd::TimedOut)
            {
                until_sent(order).await;
                // The deadline of a submitted step starts at its submit, so the step must be
                // submitted before its deadline is expired here.
                if rule["hang"] != true {
                    lease_is_over(world, order.job).await;
                }
                overdue(world, order.job).await;
            }
            let all_over = async |_: &Value| {
                let mut open = Vec::new();
                for (order, rule, _) in &cases {
                    let row = order.row(world).await;
                    if row["status"] == "queued" {
                        retry_now(world, order.job).await;
                    }
                    if row["completed_at"].is_null() {
                        open.push((rule, row["status"].clone()));
                    }
                }
                eprintln!("{}: open {open:?}", tool.name);
                open.is_empty()
            };
            sweep_until(world, "all are over", all_over).await;
            for (order, rule, end) in &cases {
                assert_ended(world, order, rule, *end).await;
                if rule["hang"] == true {
                    until_cancelled_at_provider(world, &order.task(world).await).await;
                }
            }
        }
    });
}

/// A cancel debt ends when the provider does not know the task any more.
#[test]
fn a_cancel_of_a_task_the_provider_has_forgotten_is_over() {
    e2e::run(async |world| {
        for tool in TOOLS {
            world
                .script(json!({ "reset": true, "runninghub": { "all": true,
                "hang": true } }))
                .await;
            let order = Order::by(world, tool).await;
            order.starts(world).await;
            world
                .script(json!({ "reset": true, "runninghub": [
                    { "match": "/cancel", "code": 807, "shape": 1 },
                    { "match": "/query", "code": 1004, "shape": 2 }] }))
                .await;
            world.admin_cancels(tool.table, order.job).await;
            order.assert_returned(world, "cancelled", "CANCELLED").await;
            let paid = async || {
                order.step(world).await["provider_cancel_due"]
                    .as_array()
                    .is_none_or(Vec::is_empty)
                    .then_some(())
            };
            world.until("no cancel debt is left", paid).await;
            let asked = world.provider_calls("/task/openapi/cancel").await.len();
            world.sweep().await;
            assert_eq!(
                world.provider_calls("/task/openapi/cancel").await.len(),
                asked,
                "asked once"
            );
        }
    });
}
