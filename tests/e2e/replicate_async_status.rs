//! `replicate-async-status`: the owner sees a try-on at every stage, and nobody else sees it.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, proxy::FrontDoorProxy};
use uuid::Uuid;

use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::try_on::{CREDITS, PRICE, STATUS, TABLE, TryOn, until_at_provider};

#[test]
fn every_stage_has_its_word_and_all_fields() {
    e2e::run(async |world| {
        world.set_provider("replicate", "enabled = false").await;
        let try_on = TryOn::new(world, 2).await;
        try_on.start(world).ok().await;
        let pending = try_on.status(world).await;
        assert_has!(pending, {
            "task_id": try_on.job,
            "status": "pending",
            "current_step": 0,
            "total_steps": 2,
        });
        assert_has!(pending, { "result_url": null, "error_message": null });

        world.set_provider("replicate", "enabled = true").await;
        world
            .script(json!({ "replicate": [{ "times": 1 , "work": "until_finished" },
                { "all": true, "hang": true }] }))
            .await;
        world.call("replicate-async-worker").by_service().ok().await;
        world.finish(try_on.job).await;
        try_on.until_at_work(world, 2).await;
        let second = try_on.status(world).await;
        assert_has!(second, { "status": "processing", "current_step": 2 });
        assert_eq!(second["result_url"], Value::Null, "what is in between is not shown");

        let answer = world.admin_cancels(TABLE, try_on.job).await;
        assert_eq!(answer["refundedCredits"], 2 * PRICE);
        let cancelled = try_on.status(world).await;
        assert_eq!(cancelled["status"], "cancelled");
        assert!(
            cancelled["error_message"].as_str().is_some_and(|text| text.starts_with("CANCELLED:")),
            "{cancelled}"
        );
        // The prediction is cancelled at the provider too.
        until_at_provider(world, &try_on.until_at_work(world, 2).await, "canceled").await;
        try_on.assert_returned(world, "cancelled", "CANCELLED").await;
    });
}

#[test]
fn only_the_owner_reads_it() {
    e2e::run(async |world| {
        let try_on = TryOn::running(world, 1).await;
        let target = format!("{STATUS}?task_id={}", try_on.job);
        let other = world.new_user(CREDITS).await;
        world.get(&target).by(&other).refused(404, "not_found").await;
        world.get(&target).by(&world.admin(1).await).refused(404, "not_found").await;
        world.get(&target).refused(401, "unauthorized").await;
        world.get(&target).by_service().refused(403, "forbidden").await;
        world.get(STATUS).by(&try_on.user).refused(400, "bad_request").await;
        world
            .get(&format!("{STATUS}?task_id=x"))
            .by(&try_on.user)
            .refused(400, "bad_request")
            .await;
        world
            .get(&format!("{STATUS}?task_id={}", Uuid::new_v4()))
            .by(&try_on.user)
            .refused(404, "not_found")
            .await;
        world.call(&target).by(&try_on.user).refused(405, "method_not_allowed").await;
        let upscale = Order::running(world).await;
        world
            .get(&format!("{STATUS}?task_id={}", upscale.job))
            .by(&upscale.user)
            .refused(404, "not_found")
            .await;
        try_on.assert_completed(world).await;
        upscale.assert_completed(world).await;
    });
}

#[test]
fn a_poll_asks_the_database_once_and_the_provider_never() {
    e2e::run(async |world| {
        let proxy = FrontDoorProxy::start(world).await;
        let vars = [("SUPABASE_URL".to_owned(), Some(proxy.url.clone()))];
        world.restart_workers([(STATUS.to_owned(), vars.into())].into()).await;
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        let try_on = TryOn::running(world, 1).await;
        let before = world.provider_log().await.len();
        for _ in 0..5 {
            assert_eq!(try_on.status(world).await["status"], "processing");
        }
        assert_eq!(proxy.count(" /rest/v1/"), 5);
        assert_eq!(world.provider_log().await.len(), before);
    });
}

#[test]
fn the_monitoring_view_shows_what_is_open_and_since_when() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        let (old, new) = (TryOn::running(world, 2).await, TryOn::running(world, 1).await);
        // Moves `updated_at` back while its trigger is off, so that the row looks unchanged for
        // eleven minutes.
        world.db().exec("alter table unstuck.jobs disable trigger jobs_before_update").await;
        let unchanged = format!(
            "update unstuck.jobs set updated_at = updated_at - interval '11 minutes'
                where id = '{}'",
            old.job
        );
        world.db().exec(&unchanged).await;
        world.db().exec("alter table unstuck.jobs enable trigger jobs_before_update").await;
        let open = "select id, status, current_step, total_steps, prediction_id,
            seconds_since_change
            from unstuck.replicate_tasks where status in ('pending', 'processing')
            order by seconds_since_change desc";
        let rows = world.db().rows(open).await;
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!((&rows[0]["id"], &rows[1]["id"]), (&json!(old.job), &json!(new.job)));
        assert!(
            rows[0]["seconds_since_change"].as_i64().is_some_and(|seconds| seconds >= 660),
            "{rows:?}"
        );
        assert!(
            rows.iter().all(|row| row["prediction_id"].is_string() && row["current_step"] == 1),
            "{rows:?}"
        );
        let stuck = "select count(*) from unstuck.replicate_tasks
            where status in ('pending', 'processing') and seconds_since_change > 600";
        assert_eq!(world.db().int(stuck).await, 1);
        let health = world
            .db()
            .row("select * from unstuck.job_health where table_name = 'replicate_tasks'")
            .await;
        assert_has!(health, { "live": 2, "running": 2 });
        assert!(
            health["longest_unchanged_seconds"].as_i64().is_some_and(|seconds| seconds >= 660),
            "{health}"
        );
    });
}
