//! Webhooks: both forms, repeats, and every scripted fault but the five seconds of `late`.

use crate::running::{Receiver, Running, start, submission};
use serde_json::{Value, json};

async fn scripted(rules: Value) -> (Running, Receiver, String) {
    let running = start(json!({})).await;
    running.script(json!({ "runninghub": rules })).await;
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    (running, receiver, url)
}

fn image(url: &str) -> String {
    format!("{url}/in.png")
}

#[tokio::test]
async fn event_data_is_an_object_or_text() {
    let (running, receiver, url) = scripted(json!([
        {"match": "/hook/string", "webhook_form": "string", "work_ms": 1, "id_as": "number"},
        {"all": true, "work_ms": 1},
    ]))
    .await;
    let task = running.submit(&image(&url), Some(&format!("{url}/hook/object"))).await;
    let (path, body) = receiver.got_at_least(1).await.remove(0);
    assert_eq!(path, "/hook/object");
    assert_eq!((&body["event"], &body["taskId"]), (&json!("TASK_END"), &json!(task)));
    assert_eq!(body["eventData"]["status"], "SUCCESS");
    assert_eq!(body["eventData"]["results"][1]["outputType"], "png");
    let webhook = format!("{url}/hook/string");
    running.hub_json("/openapi/v2/run/ai-app/1", &submission(&image(&url), Some(&webhook))).await;
    let (_, body) = receiver.got_at_least(2).await.remove(1);
    assert!(body["taskId"].is_u64());
    let data: Value = serde_json::from_str(body["eventData"].as_str().unwrap()).unwrap();
    assert_eq!((&data["code"], &data["data"][0]["fileType"]), (&json!(0), &json!("png")));
    assert!(data["data"][0]["taskCostTime"].is_u64());
}

#[tokio::test]
async fn a_failure_is_told_with_its_reason() {
    let (running, receiver, url) =
        scripted(json!({"all": true, "fail": "bad picture", "work_ms": 1})).await;
    running.submit(&image(&url), Some(&format!("{url}/hook"))).await;
    let (_, body) = receiver.got_at_least(1).await.remove(0);
    assert_eq!(body["eventData"]["status"], "FAILED");
    assert_eq!(body["eventData"]["failedReason"]["exception_message"], "bad picture");
}

#[tokio::test]
async fn a_refused_webhook_is_tried_three_times() {
    let (running, receiver, url) = scripted(json!({"all": true, "work_ms": 1})).await;
    *receiver.refusals.lock().unwrap() = vec![500, 503, 500];
    running.submit(&image(&url), Some(&format!("{url}/hook"))).await;
    receiver.got_at_least(3).await;
    let deliveries =
        running.client.get(format!("{}/__deliveries", running.providers)).send().await.unwrap();
    let deliveries: Vec<Value> = deliveries.json().await.unwrap();
    let tries: Vec<_> =
        deliveries.iter().map(|delivery| (&delivery["attempt"], &delivery["status"])).collect();
    assert_eq!(tries[..2], [(&json!(1), &json!(500)), (&json!(2), &json!(503))]);
    assert_eq!(receiver.got().len(), 3);
}

#[tokio::test]
async fn early_comes_before_the_submit_s_answer() {
    let (running, receiver, url) = scripted(json!({"all": true, "webhook": "early"})).await;
    running.submit(&image(&url), Some(&format!("{url}/hook"))).await;
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test]
async fn lost_twice_and_forged_reach_whom_they_should() {
    let (running, receiver, url) = scripted(json!([
        {"match": "/lost/", "webhook": "lost", "work_ms": 1},
        {"match": "/forged/", "webhook": "forged", "work_ms": 1},
        {"match": "/twice/", "webhook": "twice", "work_ms": 1},
    ]))
    .await;
    for fault in ["lost", "forged", "twice"] {
        let task = running.submit(&image(&url), Some(&format!("{url}/{fault}/1/0a"))).await;
        running.finished(&task).await;
    }
    let mut paths: Vec<_> =
        receiver.got_at_least(3).await.into_iter().map(|(path, _)| path).collect();
    paths.sort();
    assert_eq!(paths, ["/forged/1/10", "/twice/1/0a", "/twice/1/0a"]);
}

#[tokio::test]
async fn redirected_reaches_another_open_task() {
    let (running, receiver, url) = scripted(json!([
        {"match": "/open/", "hang": true},
        {"all": true, "webhook": "redirected", "work_ms": 1},
    ]))
    .await;
    running.submit(&image(&url), Some(&format!("{url}/open/1"))).await;
    let task = running.submit(&image(&url), Some(&format!("{url}/own/2"))).await;
    let (path, body) = receiver.got_at_least(1).await.remove(0);
    assert_eq!((path.as_str(), &body["taskId"]), ("/open/1", &json!(task)));
}

#[tokio::test]
async fn a_cancelled_task_tells_nobody() {
    let (running, receiver, url) = scripted(
        json!([{"times": 1, "work_ms": 150, "cancellable": true}, {"all": true, "work_ms": 200}]),
    )
    .await;
    let cancelled = running.submit(&image(&url), Some(&format!("{url}/cancelled"))).await;
    let other = running.submit(&image(&url), Some(&format!("{url}/other"))).await;
    running
        .hub_json("/task/openapi/cancel", &json!({"apiKey": "rh-local-key", "taskId": cancelled}))
        .await;
    assert_eq!(receiver.got_at_least(1).await[0].0, "/other");
    assert_eq!(running.query(&cancelled).await["status"], "CANCEL");
    assert_eq!(running.query(&other).await["status"], "SUCCESS");
}
