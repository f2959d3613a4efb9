//! `cleanup-stale-jobs`, called over HTTP: jobs past their deadlines end, finished results are
//! delivered, and waiting steps start.

mod bound;
mod copying;
mod delivery;
mod held;
mod incident;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use unstuck_tests::shop::UPSCALER;

use unstuck_tests::e2e::order::{
    CREDITS, Order, PRICE, TABLE, ask_at_every_sweep, lease_is_over, overdue, sweep_until,
    until_at_provider, until_cancelled_at_provider,
};

/// The cancelled jobs and the refunded credits that a report counts for one table.
fn counts<'a>(report: &'a Value, table: &str) -> (&'a Value, &'a Value) {
    let tables = report["tables"].as_array().expect("tables");
    let row = tables
        .iter()
        .find(|row| row["table_name"] == table)
        .unwrap_or_else(|| panic!("no {table}: {report}"));
    (&row["cancelled_count"], &row["refunded_credits"])
}

/// Orders that wait, because the provider is disabled.
async fn waiting(world: &World, count: usize) -> Vec<Order> {
    world.set_provider("runninghub", "enabled = false").await;
    let mut orders = Vec::new();
    for _ in 0..count {
        let order = Order::new(world).await;
        assert_eq!(order.run(world).ok().await["status"], "queued");
        orders.push(order);
    }
    orders
}

#[test]
fn its_answer_has_the_shape_of_the_contract() {
    e2e::run(async |world| {
        let secret = world.stack().info().cron_secret.clone();
        for call in [
            world.call("cleanup-stale-jobs"),
            world.get("cleanup-stale-jobs"),
            world.get("cleanup-stale-jobs?limit=5&other=1"),
        ] {
            let report = call.bearer(&secret).ok().await;
            assert_eq!(report["success"], true);
            for name in
                ["cleaned", "refundedCredits", "delivered", "requeued", "remaining", "durationMs"]
            {
                assert!(report[name].is_u64(), "{name}: {report}");
            }
            let tables: Vec<&str> = report["tables"]
                .as_array()
                .expect("tables")
                .iter()
                .filter_map(|row| row["table_name"].as_str())
                .collect();
            assert_eq!(tables.len(), 7, "{report}");
            assert_eq!(counts(&report, TABLE), (&json!(0), &json!(0)));
        }
        for limit in [json!(0), json!(-1), json!("x"), json!(1.5), json!([]), json!(1_000_000)] {
            let body = json!({ "limit": limit });
            let refusal = world
                .call("cleanup-stale-jobs")
                .by_service()
                .json(&body)
                .refused(400, "bad_request")
                .await;
            assert!(refusal["message"].as_str().unwrap_or_default().contains("limit"), "{refusal}");
        }
    });
}

#[test]
fn what_waits_too_long_is_returned_a_limit_at_a_time() {
    e2e::run(async |world| {
        let orders = waiting(world, 5).await;
        world.db().age_all("11 minutes").await;
        for (cleaned, remaining) in [(2, 3), (2, 1), (1, 0), (0, 0)] {
            let report = world
                .call("cleanup-stale-jobs")
                .by_service()
                .json(&json!({ "limit": 2 }))
                .ok()
                .await;
            assert_has!(report, { "cleaned": cleaned, "remaining": remaining });
            assert_eq!(report["refundedCredits"], cleaned * PRICE);
            assert_eq!(counts(&report, TABLE), (&json!(cleaned), &json!(cleaned * PRICE)));
        }
        for order in &orders {
            let row = order.assert_returned(world, "failed", "QUEUE_TIMEOUT").await;
            assert!(
                row["error_message"].as_str().unwrap_or_default().contains("11 minutes"),
                "{row:#}"
            );
            assert_eq!(world.balance(&order.user).await, CREDITS);
            assert_eq!(order.submits(world).await, 0);
        }
    });
}

#[test]
fn what_a_limit_leaves_over_and_the_provider_settles_does_not_remain() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let mut orders = Vec::new();
        for _ in 0..3 {
            orders.push(Order::running(world).await);
        }
        // The jobs are so long past their deadlines that the pass in SQL would end them too.
        world.db().age_all("15 minutes").await;
        let report =
            world.call("cleanup-stale-jobs").by_service().json(&json!({ "limit": 1 })).ok().await;
        assert_has!(report, { "cleaned": 3, "remaining": 0 });
        for order in &orders {
            order.assert_returned(world, "failed", "TIMEOUT").await;
        }
    });
}

#[test]
fn passes_at_the_same_time_do_no_more_than_one() {
    e2e::run(async |world| {
        let orders = waiting(world, 6).await;
        world.db().age_all("11 minutes").await;
        let reports = futures::future::join_all((0..4).map(|_| world.sweep())).await;
        let cleaned: i64 = reports.iter().filter_map(|report| report["cleaned"].as_i64()).sum();
        assert_eq!(cleaned, 6, "{reports:?}");
        for order in &orders {
            order.assert_returned(world, "failed", "QUEUE_TIMEOUT").await;
        }
    });
}

#[test]
fn a_provider_that_never_answers_is_given_up_at_the_deadline() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } }))
            .await;
        let order = Order::running(world).await;
        let task = order.task(world).await;
        ask_at_every_sweep(world).await;
        let early = world.sweep().await;
        assert_eq!(early["cleaned"], 0, "no job ends before its deadline: {early}");
        assert_eq!(order.row(world).await["status"], "running");

        overdue(world, order.job).await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 1, "refundedCredits": PRICE });
        assert_eq!(counts(&report, TABLE), (&json!(1), &json!(PRICE)));
        order.assert_returned(world, "failed", "TIMEOUT").await;
        world.sweep().await;
        until_cancelled_at_provider(world, &task).await;
        assert_eq!(order.step(world).await["provider_cancel_due"], json!([]));
        assert_eq!(order.submits(world).await, 1);
        // The user may order at once and has the credits for it.
        world.script(json!({ "reset": true })).await;
        let next = order.again();
        next.starts(world).await;
        next.assert_completed(world).await;
    });
}

#[test]
fn what_was_finished_by_the_deadline_is_delivered_and_not_refunded() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
        let order = Order::running(world).await;
        until_at_provider(world, &order.task(world).await, "SUCCESS").await;
        overdue(world, order.job).await;
        let report = world.sweep().await;
        assert_has!(report, { "delivered": 1, "cleaned": 0 });
        order.assert_completed(world).await;
    });
}

#[test]
fn a_running_step_is_asked_about_every_half_minute() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
        let order = Order::running(world).await;
        until_at_provider(world, &order.task(world).await, "SUCCESS").await;
        let asked = world.provider_calls("/query").await.len();
        world.sweep().await;
        assert_eq!(
            world.provider_calls("/query").await.len(),
            asked,
            "a step that has just been queried is not queried"
        );
        world.db().age(order.job, "31 seconds").await;
        let report = world.sweep().await;
        assert_eq!(report["delivered"], 1, "{report}");
        order.assert_completed(world).await;
    });
}

#[test]
fn a_claim_that_came_to_nothing_goes_back_and_completes() {
    e2e::run(async |world| {
        let order = waiting(world, 1).await.remove(0);
        world.set_provider("runninghub", "enabled = true").await;
        // This claim is of a worker that died after it.
        let claimed = world.db().claim_one("runninghub").await;
        assert_eq!(claimed.job, order.job);
        let report = world.sweep().await;
        assert_eq!(
            (&report["requeued"], order.submits(world).await),
            (&json!(0), 0),
            "a step with a lease is not requeued: {report}"
        );
        lease_is_over(world, order.job).await;
        let report = world.sweep().await;
        assert_has!(report, { "requeued": 1, "cleaned": 0 });
        order.assert_completed(world).await;
        assert_eq!(order.submits(world).await, 1);
        assert!(!world.db().sent(claimed).await, "the dead worker's run changes nothing");
    });
}

#[test]
fn a_job_that_kills_its_workers_is_given_up() {
    e2e::run(async |world| {
        let order = waiting(world, 1).await.remove(0);
        for rescue in 0..4 {
            world.set_provider("runninghub", "enabled = true").await;
            world.db().claim_one("runninghub").await;
            world.set_provider("runninghub", "enabled = false").await;
            lease_is_over(world, order.job).await;
            let report = if rescue < 3 { world.sweep().await } else { json!({ "requeued": 1 }) };
            assert_eq!(report["requeued"], 1, "rescue {rescue}: {report}");
        }
        overdue(world, order.job).await;
        let report = world.sweep().await;
        assert_has!(report, { "requeued": 0, "cleaned": 1 });
        order.assert_returned(world, "failed", "TIMEOUT").await;
        assert_eq!(order.submits(world).await, 0);
    });
}

#[test]
fn a_pass_starts_what_may_start() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let orders = waiting(world, 5).await;
        world.set_provider("runninghub", "enabled = true").await;
        world.sweep().await;
        let running = format!(
            "select count(*) from unstuck.jobs where status = 'running' and tool = '{UPSCALER}'"
        );
        assert_eq!(
            world.db().int(&running).await,
            3,
            "as many steps as there are free slots start"
        );
        for order in &orders[..3] {
            assert_eq!(
                order.row(world).await["status"],
                "running",
                "the steps start in the order of the queue"
            );
        }
        assert_eq!(orders[3].status(world).await["position"], 1);
        assert_eq!(orders[4].status(world).await["position"], 2);
    });
}

#[test]
fn every_pass_leaves_a_row_and_health_reads_it() {
    e2e::run(async |world| {
        world.db().exec("delete from unstuck.sweeps").await;
        let order = waiting(world, 1).await.remove(0);
        world.db().age(order.job, "11 minutes").await;
        world.sweep().await;
        let row = world.db().row("select * from unstuck.sweeps").await;
        assert_has!(row, { "source": "http", "cleaned": 1, "refunded_credits": PRICE });
        assert_has!(row, { "stuck": 0, "violations": 0 });
        assert!(!row["finished_at"].is_null());
        // The gateway keeps an answer of health for some seconds.
        let look = async || {
            let health = world.get("health").send().await;
            let good = health.status == 200 && health.json["ok"] == true;
            (good && health.json["stuck"] == 0 && health.json["violations"] == 0).then_some(())
        };
        world.until("health reads it", look).await;
    });
}

#[test]
fn a_cancel_that_the_provider_did_not_hear_is_sent_again() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": [{ "match": "/task/openapi/cancel", "times": 2,
            "status": 503 }, { "all": true, "hang": true, "cancellable": true }] }))
            .await;
        let order = Order::running(world).await;
        let task = order.task(world).await;
        world.admin_cancels(TABLE, order.job).await;
        world
            .until("the first try", async || {
                (!world.provider_calls("/task/openapi/cancel").await.is_empty()).then_some(())
            })
            .await;
        let owed = order.step(world).await["provider_cancel_due"].clone();
        assert_eq!(owed[0]["task_id"], json!(task), "{owed}");
        for _ in 0..3 {
            world.db().age(order.job, "16 seconds").await;
            world.sweep().await;
        }
        until_cancelled_at_provider(world, &task).await;
        assert_eq!(order.step(world).await["provider_cancel_due"], json!([]));
        let told = world.provider_calls("/task/openapi/cancel").await.len();
        world.db().age(order.job, "16 seconds").await;
        world.sweep().await;
        assert_eq!(
            world.provider_calls("/task/openapi/cancel").await.len(),
            told,
            "a confirmed cancel is not sent again"
        );
        order.assert_returned(world, "cancelled", "CANCELLED").await;
    });
}

#[test]
fn one_bad_answer_stops_no_other() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        let mut orders = Vec::new();
        for _ in 0..3 {
            orders.push(Order::new(world).await);
        }
        world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
        for order in &orders {
            order.starts(world).await;
        }
        for order in &orders {
            until_at_provider(world, &order.task(world).await, "SUCCESS").await;
        }
        let task = orders[0].task(world).await;
        world
            .script(json!({ "runninghub": { "match": format!("/query {{\"taskId\":\"{task}\"}}"),
            "status": 200, "body": "\u{0}nonsense" } }))
            .await;
        sweep_until(world, "the others are delivered", async |_| {
            orders[1].row(world).await["status"] == "completed"
                && orders[2].row(world).await["status"] == "completed"
        })
        .await;
        assert_eq!(orders[0].row(world).await["status"], "running");
        world.script(json!({ "reset": true })).await;
        sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        orders[0].assert_completed(world).await;
    });
}
