//! What Supabase, RunningHub and browsers send.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use unstuck_tests::e2e::order::{
    self, Order, UPSCALER, assert_nothing_happened, at_provider, lease_is_over, until_at_provider,
};
use uuid::Uuid;

use super::{at_work, file, queried, reconciled, stored};

#[test]
fn c19_an_upload_of_nothing_is_refused_before_any_debit() {
    e2e::run(async |world| {
        let user = world.new_user(order::CREDITS).await;
        let url = world.upload(&user, "in.png", "image/png", Vec::new()).await;
        let order = Order::of(user, &url);
        let refusal = order.run(world).refused(400, "bad_request").await;
        assert_eq!(refusal["field"], "imageUrl", "{refusal}");
        assert_nothing_happened(world, &order).await;
        assert_eq!(world.balance(&order.user).await, order::CREDITS);
    });
}

#[test]
fn c32_the_headers_of_a_page_that_is_traced_pass() {
    e2e::run(async |world| {
        for target in ["runninghub-upscaler/run", "replicate-async-start", "generate-website"] {
            let preflight = world
                .call_with("OPTIONS", target)
                .header("access-control-request-method", "POST")
                .header(
                    "access-control-request-headers",
                    "authorization,content-type,sentry-trace,baggage",
                );
            let answer = preflight.send().await;
            assert_eq!(answer.status, 204, "{target}");
            let allowed = answer.header("access-control-allow-headers").to_lowercase();
            assert!(allowed.contains("sentry-trace"), "{target}: {allowed}");
        }
    });
}

#[test]
fn r05_a_fault_that_storage_wraps_in_400_is_passing() {
    e2e::run(async |world| {
        for status in [503, 423, 409] {
            let outputs = json!([file(world, "made/out.png?bytes=900", "png")]);
            let order = at_work(world, &UPSCALER).await;
            world.storage_is_down(status).await;
            let reconciled = reconciled(world, &order, &[outputs]).await;
            assert_has!(reconciled, { "resolved": false, "status": "running" }, "{status}");
            assert_eq!(world.balance(&order.user).await, order::CREDITS - order::PRICE);
            world.storage_is_up().await;
            lease_is_over(world, order.job).await;
            world.sweep().await;
            world.until_status(order.job, "completed").await;
        }
    });
}

#[test]
fn r14_a_cancel_that_knows_no_task_is_owed_until_the_task_has_ended() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let working = json!({ "match": order.job, "work": "until_finished", "webhook": "lost" });
        world.script(json!({ "runninghub": working })).await;
        order.starts(world).await;
        let task = order.task(world).await;
        world.admin_cancels(UPSCALER.table, order.job).await;
        let cancels = async || world.provider_calls("/task/openapi/cancel").await;
        let told =
            async || cancels().await.pop().filter(|call: &Value| call["response"]["code"] == 807);
        world.until("the provider does not know the task", told).await;
        let asked = async || {
            let queries = world.provider_calls("/openapi/v2/query").await;
            queries.iter().any(|call| call["body"]["taskId"] == json!(task)).then_some(())
        };
        world.until("the task is queried", asked).await;
        world.db().age(order.job, "16 seconds").await;
        world.sweep().await;
        let owed = async || order.step(world).await["provider_cancel_due"].clone();
        assert_eq!(owed().await[0]["task_id"], json!(task), "it works on");
        assert_eq!(at_provider(world, &task).await, "RUNNING");
        world.finish(order.job).await;
        until_at_provider(world, &task, "SUCCESS").await;
        world.db().age(order.job, "16 seconds").await;
        world.sweep().await;
        world.until("nothing is owed", async || (owed().await == json!([])).then_some(())).await;
        order.assert_returned(world, "cancelled", "CANCELLED").await;
    });
}

#[test]
fn r16_a_result_of_no_named_type_and_no_ending_is_delivered() {
    e2e::run(async |world| {
        for announced in ["application/octet-stream", "binary/octet-stream", ""] {
            let name = format!("runninghub/out/{}", Uuid::new_v4());
            let odd = json!({ "match": name, "status": 200, "body": "some bytes",
                "headers": { "content-type": announced } });
            world.script(json!({ "runninghub": odd })).await;
            let outputs = json!([file(world, &name, "")]);
            let (order, reconciled) = queried(world, &UPSCALER, &[outputs]).await;
            assert_has!(reconciled, { "resolved": true, "status": "completed" }, "{announced}");
            assert!(stored(world, &order).await.0.ends_with(".png"), "{announced}");
        }
    });
}
