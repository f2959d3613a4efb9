//! Older clients insert their job's row themselves, some of them before the upload, and then call
//! `/run`.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{CREDITS, Order, PRICE, TABLE, VIDEO, sweep_until};

/// Inserts the row as an older client does, with values that the server must not trust.
async fn insert(world: &World, order: &Order) {
    let url = format!("{}/rest/v1/{}", world.stack().info().url, order.tool.table);
    let row = json!({
        "id": order.job, "user_id": order.user.id, "status": "queued", "session_id": "an old page",
        "input_file_name": "in.png", "user_credit_cost": 0, "started_at": "2020-01-01T00:00:00Z",
    });
    let request = world
        .http()
        .post(url)
        .bearer_auth(&order.user.token)
        .header("apikey", &world.stack().info().anon_key);
    let answer = request.json(&row).send().await.expect("PostgREST answers");
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap_or_default());
}

#[test]
fn its_row_is_harmless_until_run_adopts_it() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        insert(world, &order).await;
        let row = order.row(world).await;
        assert_has!(row, { "status": "pending", "credits_charged": 0, "started_at": null });
        assert!(!order.is_active(world).await, "an unpaid row does not block its user");
        assert_eq!(world.balance(&order.user).await, CREDITS);

        let answer = order.starts(world).await;
        assert_eq!(
            (answer.get("replayed"), &answer["balance"]),
            (None, &json!(CREDITS - PRICE)),
            "{answer}"
        );
        order.assert_completed(world).await;
        assert_eq!(order.run(world).ok().await["replayed"], true);
    });
}

#[test]
fn a_row_that_waited_too_long_is_cancelled_and_may_still_be_adopted() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        insert(world, &order).await;
        world.db().age(order.job, "121 seconds").await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 1, "refundedCredits": 0 });
        world.db().assert_closed(order.job, "cancelled", Some("ORPHANED"), 0).await;
        order.starts(world).await;
        order.assert_completed(world).await;
    });
}

#[test]
fn a_refused_adoption_leaves_the_row_pending() {
    e2e::run(async |world| {
        let user = world.new_user(0).await;
        let image_url = world.upload_png(&user, 8, 8).await;
        let order = Order::of(user, &image_url);
        insert(world, &order).await;
        order.run(world).refused(402, "insufficient_credits").await;
        assert_eq!(order.row(world).await["status"], "pending");
        world.db().grant(order.user.id, PRICE).await;
        order.starts(world).await;
        order.assert_completed(world).await;
    });
}

#[test]
fn the_row_of_another_user_is_not_adopted() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        insert(world, &order).await;
        let mut thief = Order::new(world).await;
        thief.job = Uuid::nil();
        thief.body["jobId"] = json!(order.job);
        thief.run(world).refused(409, "idempotency_conflict").await;
        assert_eq!(order.row(world).await["status"], "pending");
        assert_eq!(world.balance(&thief.user).await, CREDITS);
    });
}

#[test]
fn its_own_cancel_of_a_waiting_job_returns_the_credits() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "enabled = false").await;
        let order = Order::new(world).await;
        insert(world, &order).await;
        order.run(world).ok().await;
        assert_eq!(world.balance(&order.user).await, CREDITS - PRICE);
        let url = format!("{}/rest/v1/{TABLE}?id=eq.{}", world.stack().info().url, order.job);
        let request = world
            .http()
            .patch(url)
            .bearer_auth(&order.user.token)
            .header("apikey", &world.stack().info().anon_key);
        let answer =
            request.json(&json!({ "status": "failed" })).send().await.expect("PostgREST answers");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
        order.assert_returned(world, "cancelled", "CANCELLED").await;
        assert_eq!(world.balance(&order.user).await, CREDITS);
    });
}

#[test]
fn a_video_named_by_its_file_waits_and_runs_by_its_url() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "enabled = false").await;
        let order = Order::by(world, &VIDEO).await;
        insert(world, &order).await;
        let named = format!(
            "select input_file_name from unstuck.video_upscaler_jobs where id = '{}'",
            order.job
        );
        assert_eq!(world.db().value(&named).await, "in.png");
        // The upload took longer than a sweep waits for the `/run` of a row.
        world.db().age(order.job, "121 seconds").await;
        world.sweep().await;
        world.db().assert_closed(order.job, "cancelled", Some("ORPHANED"), 0).await;

        let answer = order.run(world).ok().await;
        assert_has!(answer, { "status": "queued", "position": 1 });
        assert_eq!(world.db().value(&named).await, order.urls()[0]);
        world.set_provider("runninghub", "enabled = true").await;
        sweep_until(world, "it starts", async |_| order.row(world).await["status"] != "queued")
            .await;
        order.assert_completed(world).await;
        let submit = world.submits_of(order.job).await.remove(0);
        assert!(submit["body"].to_string().contains(order.urls()[0]), "{submit}");
    });
}
