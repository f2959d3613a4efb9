//! A job completes only with its result in the app's own storage. A failed copy is retried, and in
//! the end the job is refunded.

use std::collections::BTreeMap;

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::order::{Order, PRICE, lease_is_over, sweep_until, until_at_provider};

/// An order whose task has ended at the provider and whose webhook is lost.
pub(super) async fn finished(world: &World) -> Order {
    world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
    let order = Order::running(world).await;
    until_at_provider(world, &order.task(world).await, "SUCCESS").await;
    world.db().age(order.job, "31 seconds").await;
    order
}

/// Makes the provider answer that the order's result has this address.
pub(super) async fn result_lies_at(world: &World, order: &Order, url: &str, kind: &str) {
    let results = json!([{ "url": url, "outputType": kind }]);
    let body = json!({ "taskId": order.task(world).await, "status": "SUCCESS", "errorCode": "",
        "errorMessage": "", "results": results });
    world.script(json!({ "reset": true, "runninghub": { "match": "/query", "body": body } })).await;
}

#[test]
fn storage_that_is_down_for_a_while_delays_the_delivery() {
    e2e::run(async |world| {
        let order = finished(world).await;
        world.storage_is_down(503).await;
        let report = world.sweep().await;
        assert_has!(report, { "delivered": 0, "cleaned": 0 });
        let step = order.step(world).await;
        assert_eq!(step["status"], "running");
        assert!(!step["provider_done_at"].is_null(), "the step holds no slot: {step:#}");
        let queue = world.call("runninghub-queue-manager/check").by(&order.user).ok().await;
        assert_eq!(queue["running"], 0, "{queue}");
        assert_eq!(world.db().entries(order.job).await, [-PRICE]);

        world.storage_is_up().await;
        world.sweep().await;
        assert_eq!(order.row(world).await["status"], "running", "the lease of a copy lasts 90 s");
        lease_is_over(world, order.job).await;
        let report =
            sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        assert_eq!(report["refundedCredits"], 0, "{report}");
        order.assert_completed(world).await;
        assert_eq!(order.picture(world).await.width(), 32);
    });
}

#[test]
fn what_cannot_be_delivered_while_the_job_lives_is_returned() {
    e2e::run(async |world| {
        let order = finished(world).await;
        world.storage_is_down(500).await;
        world.sweep().await;
        world.db().age(order.job, "11 minutes").await;
        world.sweep().await;
        assert_eq!(
            order.row(world).await["status"],
            "running",
            "the result may be copied until the job expires"
        );
        world.db().age(order.job, "10 minutes").await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 1, "refundedCredits": PRICE });
        order.assert_returned(world, "failed", "DELIVERY_FAILED").await;
        assert_eq!(
            order.step(world).await["provider_cancel_due"],
            json!([]),
            "a finished task is no cancel debt"
        );
        // Storage works again, but too late to change anything.
        world.storage_is_up().await;
        world.sweep().await;
        order.assert_returned(world, "failed", "DELIVERY_FAILED").await;
    });
}

#[test]
fn a_result_on_a_strange_host_is_not_fetched() {
    e2e::run(async |world| {
        let own = world.stack().info().url.clone();
        let port = world.stack().options().port_base + 3;
        for url in [
            "https://evil.example/a.png".to_owned(),
            format!("{own}/storage/v1/object/public/uploads/a.png"),
            format!("http://user@127.0.0.1:{port}/made/a.png?bytes=9"),
            format!("http://localhost:{port}/made/a.png?bytes=9"),
            format!("https://127.0.0.1:{port}/made/a.png?bytes=9"),
            "file:///etc/passwd".to_owned(),
            "not a URL".to_owned(),
        ] {
            let order = finished(world).await;
            result_lies_at(world, &order, &url, "png").await;
            assert_not_deliverable(world, &order).await;
        }
    });
}

/// Asserts that the job fails. A permanent fault may end it at once; its deadline ends it at the
/// latest.
pub(super) async fn assert_not_deliverable(world: &World, order: &Order) {
    world.sweep().await;
    if order.row(world).await["status"] == "running" {
        world.db().age(order.job, "21 minutes").await;
        world.sweep().await;
    }
    order.assert_returned(world, "failed", "DELIVERY_FAILED").await;
    assert_eq!(order.submits(world).await, 1);
}

#[test]
fn a_result_that_is_gone_or_no_picture_is_returned() {
    e2e::run(async |world| {
        let providers = world.stack().info().providers_url.clone();
        let cases = [
            (format!("{providers}/gone/00000000000000000000000000000000.png"), "png"),
            // This is no picture, although its name says so.
            (format!("{providers}/__log?x=a.png"), "png"),
            (format!("{providers}/gone/a.html"), "html"),
        ];
        for (url, kind) in cases {
            let order = finished(world).await;
            result_lies_at(world, &order, &url, kind).await;
            assert_not_deliverable(world, &order).await;
        }
        // A success that lists no result.
        let order = finished(world).await;
        let body = json!({ "taskId": order.task(world).await, "status": "SUCCESS", "results": [],
            "errorCode": "", "errorMessage": "" });
        world
            .script(json!({ "reset": true, "runninghub": { "match": "/query", "body": body } }))
            .await;
        sweep_until(world, "the job is over", async |_| {
            world.db().age(order.job, "31 seconds").await;
            order.row(world).await["status"] == "failed"
        })
        .await;
        let row = order.row(world).await;
        assert_has!(row, { "credits_refunded": PRICE, "output_url": null });
    });
}

#[test]
fn a_setting_that_allows_no_host_returns_the_credits() {
    e2e::run(async |world| {
        let hosts = || {
            BTreeMap::from([("PROVIDER_OUTPUT_HOSTS".to_owned(), Some("cdn.example".to_owned()))])
        };
        world
            .restart_workers(
                ["provider-webhook", "cleanup-stale-jobs"]
                    .map(|name| (name.to_owned(), hosts()))
                    .into(),
            )
            .await;
        let order = finished(world).await;
        assert_not_deliverable(world, &order).await;
    });
}
