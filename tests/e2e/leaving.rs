//! An app is killed or its page is closed at every moment of a job and with every tool: what its
//! user finds afterwards.

use futures::{StreamExt as _, stream};
use reqwest::Body;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::cards::Cards;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{
    CREDITS, MediaTool, Order, TOOLS, assert_nothing_happened, sweep_until,
};

const SESSION: &str = "the page that goes away";

/// What a user who comes back is told about their live job.
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

/// The page cancels its session, as it does when it is closed properly.
async fn close(world: &World, order: &Order) -> Value {
    world
        .call("runninghub-queue-manager/cancel-session")
        .by(&order.user)
        .json(&json!({ "sessionId": SESSION }))
        .ok()
        .await
}

/// An order that names the session of its page.
async fn order(world: &World, tool: &'static MediaTool) -> Order {
    let mut order = Order::by(world, tool).await;
    order.body["sessionId"] = json!(SESSION);
    order
}

/// Disables or enables the provider. While it is disabled, orders wait.
async fn nothing_starts(world: &World, yes: bool) {
    world.set_provider("runninghub", &format!("enabled = {}", !yes)).await;
}

/// Begins an upload and breaks it off half-way. Returns the URL that the file would have.
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
            // The page thinks that its upload succeeded and orders: the order is refused and
            // changes nothing.
            let mut hopeful = dead.again();
            hopeful.body[tool.files[0]] = json!(url);
            let refusal = hopeful.run(world).refused(400, "bad_request").await;
            assert!(
                refusal["message"].as_str().unwrap_or_default().contains(tool.files[0]),
                "{refusal}"
            );
            assert_nothing_happened(world, &hopeful).await;
            // A later upload succeeds, and the order has the id that it had before.
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
                .script(json!({ "reset": true, "runninghub": { "all": true, "delay_ms": 4000,
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
            }, "the app reads the result that it missed: {status}");
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

/// Sends what a page tells about its session, and returns the answer.
async fn say(world: &World, user: &TestUser, word: &str, more: Value) -> Value {
    let mut body = json!({ "sessionId": SESSION });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let target = format!("runninghub-queue-manager/{word}");
    let answer = world.call(&target).by(user).json(&body).ok().await;
    assert_has!(answer, { "success": true });
    assert!(answer["cancelAt"].as_str().is_some_and(|at| at.contains('T')), "{answer}");
    answer
}

/// Lets time pass for the sessions of pages and for jobs.
async fn pass(world: &World, seconds: u32) {
    let by = format!("{seconds} seconds");
    let moved = format!("left_at = left_at - interval '{by}', seen_at = seen_at - interval '{by}'");
    world.db().exec(&format!("update unstuck.sessions set {moved}")).await;
    world.db().age_all(&by).await;
}

/// Orders one waiting job of every tool in the session of the page. Returns the user, the ids, and
/// the sum of the prices.
async fn order_of_every_tool(world: &World) -> (TestUser, Vec<Uuid>, i64) {
    for provider in ["runninghub", "replicate", "gemini", "llm"] {
        world.set_provider(provider, "enabled = false").await;
    }
    let user = world.new_user(CREDITS).await;
    let cards = Cards::of(world, user.clone(), &[0, 1]).await;
    let picture = world.upload_png(&user, 16, 12).await;
    let garment = json!([{ "image": picture, "category": "upper_body" }]);
    let mut ids = Vec::new();
    let mut spent = 0;
    for (tool, body, id_field) in [
        ("runninghub-upscaler/run", json!({ "imageUrl": picture }), "jobId"),
        ("create-generation-job-banana", cards.body, "jobId"),
        (
            "replicate-async-start",
            json!({ "person_image": picture, "garments": garment }),
            "job_id",
        ),
        ("generate-website", json!({ "prompt": "a bakery" }), "jobId"),
        ("generate-php-website", json!({ "prompt": "a bakery" }), "jobId"),
    ] {
        let (mut body, id) = (body, Uuid::new_v4());
        body[id_field] = json!(id);
        let session = if id_field == "job_id" { "session_id" } else { "sessionId" };
        body[session] = json!(SESSION);
        let answer = world.call(tool).by(&user).json(&body).send().await;
        assert!([200, 202].contains(&answer.status), "{tool}: {answer:?}");
        spent += world.job(id).await["credits_charged"].as_i64().expect("a price");
        ids.push(id);
    }
    assert_eq!(world.balance(&user).await, CREDITS - spent);
    (user, ids, spent)
}

#[test]
fn closed_for_good_what_waits_of_every_tool_is_cancelled_after_the_grace_and_paid_back() {
    e2e::run(async |world| {
        let (user, ids, spent) = order_of_every_tool(world).await;
        let stranger = order(world, TOOLS[0]).await;
        stranger.run(world).ok().await;
        say(world, &user, "leave-session", json!({ "graceSeconds": 300 })).await;
        pass(world, 200).await;
        assert_has!(world.sweep().await, { "cleaned": 0 });
        pass(world, 101).await;
        let swept = world.sweep().await;
        assert_has!(swept, { "cleaned": ids.len(), "refundedCredits": spent, "remaining": 0 });
        for id in ids {
            let row = world.job(id).await;
            assert_has!(row, { "status": "cancelled", "error_code": "CANCELLED" });
            assert_eq!(world.submits_of(id).await.len(), 0, "nothing was ever sent");
        }
        assert_eq!(world.balance(&user).await, CREDITS);
        let status = stranger.status(world).await;
        assert_has!(status, { "status": "queued", "position": 1 }, "the queue moved up");
    });
}

#[test]
fn opened_again_within_the_grace_the_place_is_kept() {
    e2e::run(async |world| {
        nothing_starts(world, true).await;
        let waiting = order(world, TOOLS[0]).await;
        waiting.run(world).ok().await;
        for grace in [json!(300.0), json!(0), json!(null)] {
            say(world, &waiting.user, "leave-session", json!({ "graceSeconds": grace })).await;
            say(world, &waiting.user, "stay", json!({})).await;
            assert_has!(world.sweep().await, { "cleaned": 0 });
        }
        // A waiting page may miss two of its regular `stay` calls, but not three.
        pass(world, 140).await;
        assert_has!(world.sweep().await, { "cleaned": 0 });
        let status = waiting.status(world).await;
        assert_has!(status, { "status": "queued", "position": 1 });
        pass(world, 11).await;
        world.db().call("cleanup_all_stale_ai_jobs", json!({})).await;
        waiting.assert_returned(world, "cancelled", "CANCELLED").await;
    });
}

#[test]
fn a_page_that_runs_is_left_alone_and_a_word_is_checked() {
    e2e::run(async |world| {
        let running = json!({ "runninghub": { "all": true, "work": "until_finished" } });
        world.script(running).await;
        let order = order(world, TOOLS[0]).await;
        order.starts(world).await;
        say(world, &order.user, "leave-session", json!({ "graceSeconds": 0 })).await;
        pass(world, 1).await;
        world.sweep().await;
        assert_active(world, &order, "running").await;
        world.finish(order.job).await;
        order.assert_completed(world).await;
        for (word, body, field) in [
            ("leave-session", json!({ "sessionId": " " }), "sessionId"),
            ("stay", json!({ "sessionId": "x".repeat(201) }), "sessionId"),
            ("leave-session", json!({ "sessionId": "s", "graceSeconds": 301 }), "graceSeconds"),
        ] {
            let target = format!("runninghub-queue-manager/{word}");
            let call = world.call(&target).by(&order.user).json(&body);
            assert_has!(call.refused(400, "bad_request").await, { "field": field });
        }
    });
}
