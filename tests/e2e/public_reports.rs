//! Answers from public bug reports of similar back ends: what providers, storage and models send in
//! practice. Each test names the behaviour that the reports describe.

mod cards;
mod models;
mod services;
mod try_ons;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::{self, MediaTool, Order, UPSCALER, VIDEO};
use unstuck_tests::e2e::website::{self, Website};
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

/// An order and the result of its reconciliation: queries of its task get `answers` one after the
/// other, and the last one from then on.
async fn queried(world: &World, tool: &'static MediaTool, answers: &[Value]) -> (Order, Value) {
    let order = at_work(world, tool).await;
    let reconciled = reconciled(world, &order, answers).await;
    (order, reconciled)
}

/// An order on whose task the provider works without end.
async fn at_work(world: &World, tool: &'static MediaTool) -> Order {
    let order = Order::by(world, tool).await;
    let working = json!({ "match": order.job, "hang": true, "webhook": "lost" });
    world.script(json!({ "runninghub": working })).await;
    order.starts(world).await;
    order
}

/// Sets `answers` for the queries of the order's task, and reconciles the job.
async fn reconciled(world: &World, order: &Order, answers: &[Value]) -> Value {
    let task = order.task(world).await;
    let rules: Vec<Value> = answers
        .iter()
        .enumerate()
        .map(|(number, answer)| {
            let body = match answer {
                Value::String(text) => json!(text.replace("TASK", &task)),
                answer => {
                    let mut body = json!({ "taskId": task, "status": "SUCCESS", "errorCode": "" });
                    body["results"] = answer.clone();
                    body
                }
            };
            let mut rule = json!({ "match": format!("query {{\"taskId\":\"{task}\""),
                "status": 200, "body": body });
            if number + 1 < answers.len() {
                rule["times"] = json!(1);
            }
            rule
        })
        .collect();
    world.script(json!({ "runninghub": rules })).await;
    world
        .call("runninghub-queue-manager/reconcile")
        .by_service()
        .json(&json!({ "table": order.tool.table, "jobId": order.job }))
        .ok()
        .await
}

fn file(world: &World, path: &str, kind: &str) -> Value {
    json!({ "url": format!("{}/{path}", world.stack().info().providers_url), "outputType": kind })
}

/// Asserts that the log has an alarm for the operator that names the cause.
fn assert_alarm(world: &World, cause: &str) {
    let log = world.functions_log();
    let told = log.lines().any(|line| line.contains("provider_alarm") && line.contains(cause));
    assert!(told, "no alarm names {cause}: {log}");
}

async fn stored(world: &World, order: &Order) -> (String, Value) {
    let url = order.status(world).await["outputUrl"].as_str().unwrap_or_default().to_owned();
    let step = order.step(world).await;
    (url, step)
}

#[test]
fn c01_a_result_on_an_unknown_host_waits_for_the_operator() {
    e2e::run(async |world| {
        let elsewhere = json!([{ "url": "https://cdn.example.net/out.png", "outputType": "png" }]);
        let (order, reconciled) = queried(world, &UPSCALER, &[elsewhere]).await;
        assert_has!(reconciled, { "resolved": false, "status": "running" });
        let step = order.step(world).await;
        assert!(!step["provider_done_at"].is_null(), "its slot is free: {step}");
        assert_alarm(world, "cdn.example.net");
        assert_eq!(world.balance(&order.user).await, order::CREDITS - order::PRICE);
    });
}

#[test]
fn c02_a_video_job_delivers_its_video_and_no_preview() {
    e2e::run(async |world| {
        let preview = file(world, "made/first.png?bytes=2000", "png");
        let video = file(world, "made/out.mp4?bytes=5000", "mp4");
        for outputs in [json!([preview, video]), json!([video, preview])] {
            let (order, reconciled) = queried(world, &VIDEO, &[outputs]).await;
            assert_has!(reconciled, { "resolved": true, "status": "completed" });
            let (url, _) = stored(world, &order).await;
            assert!(url.ends_with(".mp4"), "{url}");
            let file = world.http().get(&url).send().await.unwrap();
            assert_eq!(file.headers()["content-type"], "video/mp4");
            assert_eq!(file.bytes().await.unwrap().len(), 5000);
        }
        let (order, _) = queried(world, &VIDEO, &[json!([preview])]).await;
        order.assert_returned(world, "failed", "DELIVERY_FAILED").await;
    });
}

#[test]
fn c03_an_honest_file_of_an_unusual_type_is_delivered() {
    e2e::run(async |world| {
        let nameless = json!([file(world, "made/result?bytes=2000", "")]);
        let (order, reconciled) = queried(world, &UPSCALER, &[nameless]).await;
        assert_has!(reconciled, { "resolved": true, "status": "completed" });
        assert!(stored(world, &order).await.0.ends_with(".png"));
        let name = format!("runninghub/out/{}.jpg", Uuid::new_v4());
        let odd = json!({ "match": name, "status": 200, "body": "some bytes",
            "headers": { "content-type": "image/jpg" } });
        world.script(json!({ "runninghub": odd })).await;
        let (order, reconciled) =
            queried(world, &UPSCALER, &[json!([file(world, &name, "")])]).await;
        assert_has!(reconciled, { "resolved": true, "status": "completed" });
        assert!(stored(world, &order).await.0.ends_with(".jpg"));
    });
}

#[test]
fn c04_a_file_that_is_missing_for_a_moment_is_delivered() {
    e2e::run(async |world| {
        for status in [404, 403] {
            let name = format!("runninghub/out/{}.png", Uuid::new_v4());
            let late = json!([
                { "match": name, "times": 1, "status": status },
                { "match": name, "status": 200, "body": "some bytes",
                    "headers": { "content-type": "image/png" } },
            ]);
            world.script(json!({ "runninghub": late })).await;
            let outputs = json!([file(world, &name, "png")]);
            let (_, reconciled) = queried(world, &UPSCALER, &[outputs]).await;
            assert_has!(reconciled, { "resolved": true, "status": "completed" }, "{status}");
        }
    });
}

#[test]
fn c38_a_success_that_lists_its_files_later_is_delivered() {
    e2e::run(async |world| {
        let files = json!([file(world, "made/out.png?bytes=900", "png")]);
        for empty in [Value::Null, json!([])] {
            let (_, reconciled) = queried(world, &UPSCALER, &[empty, files.clone()]).await;
            assert_has!(reconciled, { "resolved": true, "status": "completed" });
        }
    });
}

#[test]
fn c38_a_success_that_never_lists_a_file_is_refunded_after_a_minute() {
    e2e::run(async |world| {
        let (order, reconciled) = queried(world, &UPSCALER, &[Value::Null]).await;
        assert_has!(reconciled, { "resolved": false, "status": "running" });
        assert_eq!(world.balance(&order.user).await, order::CREDITS - order::PRICE);
        let aged = "provider_done_at = provider_done_at - interval '2 minutes'";
        let sql = format!("update unstuck.job_steps set {aged} where job_id = '{}'", order.job);
        world.db().exec(&sql).await;
        order::lease_is_over(world, order.job).await;
        world.sweep().await;
        order.assert_returned(world, "failed", "PROVIDER_FAILED").await;
    });
}

#[test]
fn c18_half_a_character_in_an_answer_loses_no_answer() {
    e2e::run(async |world| {
        let cut = json!(
            r#"{"taskId":"TASK","status":"FAILED","errorCode":"805","errorMessage":"bad \ud83d"}"#
        );
        let (order, _) = queried(world, &UPSCALER, &[cut]).await;
        order.assert_returned(world, "failed", "PROVIDER_FAILED").await;
    });
}

#[test]
fn c34_a_firewalls_page_refuses_no_order() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let page = json!({ "match": order.job, "times": 1, "status": 405,
            "body": "<!doctypehtml><title>405</title>",
            "headers": { "content-type": "text/html" } });
        world.script(json!({ "runninghub": page })).await;
        order.run(world).ok().await;
        order::retry_now(world, order.job).await;
        world.sweep().await;
        world.until_status(order.job, "completed").await;
        assert_alarm(world, "405");
    });
}

#[test]
fn c35_a_wrong_key_and_a_changed_app_are_told_to_the_operator() {
    e2e::run(async |world| {
        for code in [806, 803] {
            let order = Order::new(world).await;
            let refusal = json!({ "match": order.job, "times": 1, "code": code, "shape": 1 });
            world.script(json!({ "runninghub": refusal })).await;
            let refused = order.run(world).refused(422, "provider_rejected").await;
            assert!(!refused["message"].as_str().unwrap().contains("APIKEY"), "{refused}");
            assert_alarm(world, &code.to_string());
        }
    });
}

/// A good answer of a model, in each wrapping in which models send it.
#[test]
fn c13_c16_c36_thoughts_prose_and_leading_slashes_are_taken_off() {
    e2e::run(async |world| {
        let site = json!({ "files": [{ "path": "/index.html", "content": "<h1>x</h1>" }] });
        for (word, text) in [
            ("a thoughtful page", format!("<think>a {{b}} c</think>\n{site}")),
            (
                "a talkative page",
                format!("Here is your site:\n```json\n{site}\n```\nAnything else?"),
            ),
            ("a rooted page", site.to_string()),
        ] {
            world.script(json!({ "llm": { "match": word, "text": text } })).await;
            let made = Website::order(world, word).await;
            made.assert_completed(world, 0).await;
            assert_eq!(Website::asked(world, word).await.len(), 1, "{word}: one call is enough");
        }
    });
}

#[test]
fn c12_a_model_without_the_answers_form_is_asked_in_other_words() {
    e2e::run(async |world| {
        let refusal = json!({ "error": { "type": "invalid_request_error", "code": null,
            "message": "output_config: This response_format type is unavailable now" } });
        let rule = json!({ "match": "json_schema", "status": 400, "body": refusal });
        world.script(json!({ "llm": rule })).await;
        let made = Website::order(world, "no schema").await;
        made.assert_completed(world, 0).await;
        let asked = Website::asked(world, "no schema").await;
        let mut bodies: Vec<String> = asked.iter().map(|call| call["body"].to_string()).collect();
        bodies.dedup();
        assert_eq!(bodies.len(), asked.len(), "no request is sent twice");
        assert_eq!(world.balance(&made.user).await, website::CREDITS - website::PRICE);
    });
}
