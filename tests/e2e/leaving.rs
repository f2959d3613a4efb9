//! An app is killed or its page closed, at every moment of a job and with every tool: what its user
//! finds afterwards.

use futures::{StreamExt as _, stream};
use reqwest::Body;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{
    CREDITS, MediaTool, Order, TOOLS, assert_nothing_happened, sweep_until,
};

const SESSION: &str = "the page that goes away";

/// What a user who comes back is told about live jobs.
async fn active(world: &World, order: &Order) -> Value {
    world.call("runninghub-queue-manager/check-user-active").by(&order.user).ok().await
}

async fn assert_active(world: &World, order: &Order, status: &str) {
    let found = active(world, order).await;
    assert_has!(found, {
        "hasActiveJob": true,
        "activeTool": order.tool.name,
        "activeJobId": order.job,
        "activeStatus": status,
    });
}

/// The page says goodbye, if it gets to that.
async fn close(world: &World, order: &Order) -> Value {
    world
        .call("runninghub-queue-manager/cancel-session")
        .by(&order.user)
        .json(&json!({ "sessionId": SESSION }))
        .ok()
        .await
}

/// An order whose page has a session.
async fn order(world: &World, tool: &'static MediaTool) -> Order {
    let mut order = Order::by(world, tool).await;
    order.body["sessionId"] = json!(SESSION);
    order
}

/// One waits at a time: the provider takes nothing for now.
async fn nothing_starts(world: &World, yes: bool) {
    world.set_provider("runninghub", &format!("enabled = {}", !yes)).await;
}

/// Begins an upload and dies half-way; tells the URL that the file would have had.
async fn upload_and_die(world: &World, order: &Order) -> String {
    let storage = format!("{}/storage/v1", world.stack().info().url);
    let path = format!("uploads/{}/{}/in", order.user.id, order.job);
    let sign = world
        .http()
        .post(format!("{storage}/object/upload/sign/{path}"))
        .bearer_auth(&order.user.token);
    let signed: Value =
        sign.send().await.expect("storage answers").json().await.expect("where to upload");
    let half = stream::iter([Ok(vec![7_u8; 4096])]);
    let death = stream::once(async { Err(std::io::Error::other("killed")) });
    let url = signed["url"].as_str().expect("where to upload");
    let put = world.http().put(format!("{storage}{url}")).header("content-type", "image/png");
    assert!(
        put.body(Body::wrap_stream(half.chain(death))).send().await.is_err(),
        "the connection broke"
    );
    format!("{storage}/object/public/{path}")
}

#[test]
fn killed_during_the_upload_there_is_nothing_and_nothing_in_the_way() {
    e2e::run(async |world| {
        for tool in TOOLS {
            let dead = order(world, tool).await;
            let url = upload_and_die(world, &dead).await;
            assert_eq!(active(world, &dead).await["hasActiveJob"], false);
            assert_nothing_happened(world, &dead).await;
            assert_eq!(world.balance(&dead.user).await, CREDITS);
            // It believes that its upload was good: told at once, and still nothing is taken.
            let mut hopeful = dead.again();
            hopeful.body[tool.files[0]] = json!(url);
            let refusal = hopeful.run(world).refused(400, "bad_request").await;
            assert!(
                refusal["message"].as_str().unwrap_or_default().contains(tool.files[0]),
                "{refusal}"
            );
            assert_nothing_happened(world, &hopeful).await;
            // A good upload later, under the id it had all along.
            dead.starts(world).await;
            dead.assert_completed(world).await;
            dead.assert_real(world).await;
        }
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 0, "refundedCredits": 0 });
    });
}

#[test]
fn killed_after_its_request_the_job_goes_on_and_is_found() {
    e2e::run(async |world| {
        for tool in TOOLS {
            let order = order(world, tool).await;
            world
                .script(json!({ "reset": true, "runninghub": { "all": true, "delay_ms": 600,
                        "work": "until_finished" } }))
                .await;
            let request = world.http().post(format!(
                "{}/{}/run",
                world.stack().info().functions_url,
                tool.name
            ));
            let request = request.bearer_auth(&order.user.token).json(&order.body).send();
            let arrived = async || (order.submits(world).await == 1).then_some(());
            tokio::select! {
                answer = request => panic!("answered before the app died: {answer:?}"),
                () = world.until("the submit arrives", arrived) => {}
            }
            let found = active(world, &order).await;
            assert_has!(found, { "hasActiveJob": true, "activeJobId": order.job });
            let replay = order.run(world).ok().await;
            assert_has!(replay, { "replayed": true, "status": "running" });
            world.finish(order.job).await;
            let row = order.assert_completed(world).await;
            let status = order.status(world).await;
            assert_has!(status, {
                "status": "completed",
                "outputUrl": row["output_url"],
            }, "what it missed: {status}");
            order.assert_real(world).await;
            assert_eq!(order.submits(world).await, 1);
            assert_eq!(world.balance(&order.user).await, CREDITS - tool.price);
        }
    });
}

#[test]
fn closed_while_waiting_the_job_is_cancelled_and_paid_back() {
    e2e::run(async |world| {
        nothing_starts(world, true).await;
        for tool in TOOLS {
            let order = order(world, tool).await;
            let answer = order.run(world).ok().await;
            assert_has!(answer, { "queued": true, "status": "queued" });
            assert_active(world, &order, "queued").await;
            let closed = close(world, &order).await;
            assert_has!(closed, { "cancelledCount": 1, "refundedCredits": tool.price });
            assert_eq!(closed["cancelledJobs"], json!([{ "table": tool.table, "id": order.job }]));
            order.assert_returned(world, "cancelled", "CANCELLED").await;
            assert_eq!(world.balance(&order.user).await, CREDITS);
            let status = order.status(world).await;
            assert_has!(status, { "status": "cancelled", "creditsRefunded": tool.price });
            let replay = order.run(world).ok().await;
            assert_has!(replay, { "replayed": true, "status": "cancelled" });
            order.again().run(world).ok().await;
        }
        assert_eq!(world.provider_log().await.len(), 0, "nothing was ever sent");
    });
}

#[test]
fn killed_while_waiting_without_a_word_the_job_has_its_turn_and_is_found() {
    e2e::run(async |world| {
        nothing_starts(world, true).await;
        let mut waiting = Vec::new();
        for tool in TOOLS {
            let order = order(world, tool).await;
            order.run(world).ok().await;
            waiting.push(order);
        }
        for (order, place) in waiting.iter().zip(1..) {
            assert_active(world, order, "queued").await;
            let status = order.status(world).await;
            assert_has!(status, { "position": place, "status": "queued" });
        }
        nothing_starts(world, false).await;
        world.sweep().await;
        for order in &waiting {
            order.assert_completed(world).await;
            order.assert_real(world).await;
            assert_eq!(order.status(world).await["creditsRefunded"], 0);
        }
    });
}

#[test]
fn closed_while_running_the_job_goes_on_and_its_result_is_there() {
    e2e::run(async |world| {
        for tool in TOOLS {
            world
                .script(json!({ "reset": true, "runninghub": { "all": true,
                    "work": "until_finished" } }))
                .await;
            let order = order(world, tool).await;
            order.starts(world).await;
            assert_eq!(
                close(world, &order).await["cancelledCount"],
                0,
                "the provider has it: it is neither lost nor free"
            );
            assert_active(world, &order, "running").await;
            order.again().run(world).refused(409, "active_job_exists").await;
            world.finish(order.job).await;
            let row = order.assert_completed(world).await;
            let status = order.status(world).await;
            assert_has!(status, { "status": "completed", "outputUrl": row["output_url"] });
            order.assert_real(world).await;
            assert_eq!(world.balance(&order.user).await, CREDITS - tool.price);
        }
    });
}

#[test]
fn closed_before_its_own_request_arrived_the_request_is_refused() {
    e2e::run(async |world| {
        for tool in TOOLS {
            let order = order(world, tool).await;
            let goodbye = json!({ "sessionId": SESSION, "jobIds": [order.job, Uuid::new_v4()] });
            let closed = world
                .call("runninghub-queue-manager/cancel-session")
                .by(&order.user)
                .json(&goodbye)
                .ok()
                .await;
            assert_eq!(closed["cancelledCount"], 0, "{closed}");
            order.run(world).refused(409, "already_final").await;
            assert_nothing_happened(world, &order).await;
            assert_eq!(active(world, &order).await["hasActiveJob"], false);
            let next = order.again();
            next.starts(world).await;
            sweep_until(world, "it is over", async |_| {
                next.row(world).await["status"] == "completed"
            })
            .await;
        }
    });
}
