//! RunningHub's contract: submits, queries, refusals in their three shapes, the limit, the older
//! envelopes.

use crate::running::{Receiver, Running, png, start, submission, until};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::Duration;

const RUN: &str = "/openapi/v2/run/ai-app/1990000000000000001";
const IMAGE: &str = "https://example.invalid/a.png";

async fn with_picture() -> (Running, String) {
    let running = start(json!({})).await;
    let image = format!("{}/in.png", Receiver::default().listen().await);
    (running, image)
}

#[tokio::test]
async fn a_picture_comes_back_at_exactly_twice_its_size() {
    let (running, image) = with_picture().await;
    let task = running.submit(&image, None).await;
    assert_eq!(task.len(), 19);
    assert_ne!(
        task.parse::<f64>().unwrap() as u64,
        task.parse::<u64>().unwrap(),
        "a double must not hold the id"
    );
    let answer = running.finished(&task).await;
    assert_eq!((&answer["status"], &answer["errorCode"]), (&json!("SUCCESS"), &json!("")));
    assert_eq!(answer["results"], Value::Null, "a success is told before its files");
    let listed = running.query(&task).await["results"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "a preview first: {listed}");
    let url = listed[1]["url"].as_str().unwrap();
    assert!(!url.ends_with(".png") && !url.starts_with(&running.providers), "{url}");
    let read = async || running.client.get(url).send().await.unwrap();
    let early = read().await.status().as_u16();
    assert!([403, 404].contains(&early), "not there for a moment: {early}");
    let file = read().await;
    assert_eq!(file.headers()["content-type"], "application/octet-stream");
    let picture = image::load_from_memory(&file.bytes().await.unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (40, 20));
}

#[tokio::test]
async fn an_unreadable_picture_fails_the_task() {
    let running = start(json!({})).await;
    let task = running.submit("http://127.0.0.1:1/none.png", None).await;
    let answer = running.finished(&task).await;
    assert_eq!((&answer["status"], &answer["errorCode"]), (&json!("FAILED"), &json!("805")));
    assert!(answer["failedReason"]["exception_message"].as_str().unwrap().contains("not readable"));
}

#[tokio::test]
async fn what_the_contract_does_not_name_is_refused() {
    let running = start(json!({})).await;
    let mut unknown = submission(IMAGE, None);
    unknown["prompt"] = json!("x");
    let mut number = submission(IMAGE, None);
    number["nodeInfoList"][0]["fieldValue"] = json!(5);
    for (path, body, code) in [
        (RUN, unknown, "1007"),
        (RUN, number, "1101"),
        (RUN, json!({}), "1101"),
        (RUN, submission("http://example.com/a.png", None), "1101"),
        (RUN, submission(IMAGE, Some("http://example.com/hook")), "1007"),
        ("/openapi/v2/run/ai-app/abc", submission(IMAGE, None), "901"),
        ("/openapi/v2/query", json!({"taskId": "1900000000000000001"}), "1004"),
        ("/openapi/v2/query", json!({}), "1004"),
    ] {
        let answer = running.hub_json(path, &body).await;
        assert_eq!(answer["errorCode"], code, "{answer}");
    }
    let keyless = running
        .client
        .post(format!("{}/runninghub{RUN}", running.providers))
        .json(&submission(IMAGE, None));
    let answer = keyless.bearer_auth("wrong").send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_code_comes_in_each_of_the_three_shapes() {
    let running = start(json!({})).await;
    running
        .script(json!({"runninghub": [
            {"match": "shape-1", "code": 421, "shape": 1},
            {"match": "shape-2", "code": 1520, "shape": 2},
            {"match": "shape-3", "code": 421, "shape": 3, "status": 503},
            {"match": "plain-http", "status": 500, "body": "<html>down</html>"},
        ]}))
        .await;
    let submit = async |name: &str| {
        running.hub(RUN, &submission(&format!("{IMAGE}?{name}"), None)).await.unwrap()
    };
    let first: Value = submit("shape-1").await.json().await.unwrap();
    assert_eq!(first, json!({"code": 421, "msg": "TASK_QUEUE_MAXED", "data": null}));
    let second: Value = submit("shape-2").await.json().await.unwrap();
    assert_eq!(
        second,
        json!({"errorCode": "1520", "errorMessage": "User concurrency limit reached"})
    );
    assert_eq!(submit("shape-3").await.status(), 503);
    let plain = submit("plain-http").await;
    assert_eq!(
        (plain.status().as_u16(), plain.text().await.unwrap().as_str()),
        (500, "<html>down</html>")
    );
}

#[tokio::test]
async fn a_key_has_three_places_unless_the_script_says_otherwise() {
    let running = start(json!({})).await;
    running.script(json!({"runninghub": {"all": true, "hang": true, "cancellable": true}})).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(running.submit(IMAGE, None).await);
    }
    let refused = running.hub_json(RUN, &submission(IMAGE, None)).await;
    assert_eq!(refused["errorCode"], "421");
    let cancelled = running
        .hub_json("/task/openapi/cancel", &json!({"apiKey": "rh-local-key", "taskId": tasks[0]}))
        .await;
    assert_eq!(cancelled["code"], 0);
    assert_eq!(running.query(&tasks[0]).await["status"], "CANCEL");
    running.submit(IMAGE, None).await;
    running.script(json!({"runninghub": {"capacity": 4}})).await;
    running.submit(IMAGE, None).await;
    running.script(json!({"reset": true})).await;
    running.submit(IMAGE, None).await;
    assert_eq!(running.query(&tasks[1]).await["status"], "RUNNING", "a hanging task hangs on");
}

#[tokio::test]
async fn an_accepted_task_whose_answer_is_lost_still_runs() {
    let (running, image) = with_picture().await;
    running.script(json!({"runninghub": {"lost_answer": true, "times": 1}})).await;
    assert!(running.hub(RUN, &submission(&image, None)).await.is_err());
    let entry = running.log().await.pop().unwrap();
    assert_eq!((&entry["status"], &entry["response"]), (&Value::Null, &Value::Null));
    let answer = running.finished(entry["task_id"].as_str().unwrap()).await;
    assert_eq!(answer["status"], "SUCCESS");
}

#[tokio::test]
async fn queries_are_scripted_by_path() {
    let (running, image) = with_picture().await;
    running
        .script(json!({"runninghub": [
            {"match": "/openapi/v2/query", "status": 503, "times": 1},
            {"match": "/openapi/v2/query", "delay_ms": 600, "times": 1},
        ]}))
        .await;
    let task = running.submit(&image, None).await;
    let query = json!({"taskId": task});
    assert_eq!(running.hub("/openapi/v2/query", &query).await.unwrap().status(), 503);
    let slow = running.hub("/openapi/v2/query", &query);
    assert!(tokio::time::timeout(Duration::from_millis(200), slow).await.is_err());
    assert_eq!(running.finished(&task).await["status"], "SUCCESS");
}

#[tokio::test]
async fn ids_may_be_numbers_and_failures_may_be_announced() {
    let running = start(json!({})).await;
    running
        .script(json!({"runninghub": {
            "all": true,
            "id_as": "number", "fail": "face not found", "code": 1501, "work_ms": 1,
        }}))
        .await;
    let answer = running.hub_json(RUN, &submission(IMAGE, None)).await;
    let id = answer["taskId"].as_u64().unwrap();
    let failed = until(async || {
        let answer = running.hub_json("/openapi/v2/query", &json!({"taskId": id})).await;
        (answer["status"] == "FAILED").then_some(answer)
    })
    .await;
    assert_eq!(
        (&failed["errorCode"], &failed["errorMessage"]),
        (&json!("1501"), &json!("face not found"))
    );
    running
        .script(json!({"reset": true, "runninghub": {"all": true,
        "node_errors": {"3": "bad"}}}))
        .await;
    let tips = running.hub_json(RUN, &submission(IMAGE, None)).await["promptTips"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(serde_json::from_str::<Value>(&tips).unwrap()["node_errors"], json!({"3": "bad"}));
}

#[tokio::test]
async fn the_older_api_speaks_in_envelopes() {
    let (running, image) = with_picture().await;
    running.script(json!({"runninghub": {"match": "ai-app/run", "work_ms": 400}})).await;
    let call = async |path: &str, mut body: Value| {
        body["apiKey"] = "rh-local-key".into();
        running.hub_json(&format!("/task/openapi/{path}"), &body).await
    };
    let nodes = submission(&image, None)["nodeInfoList"].clone();
    let started =
        call("ai-app/run", json!({"webappId": "1990000000000000001", "nodeInfoList": nodes})).await;
    let task = json!({"taskId": started["data"]["taskId"]});
    assert_eq!(call("outputs", task.clone()).await["code"], 813);
    assert_eq!(call("status", task.clone()).await["data"], "QUEUED");
    until(async || (call("outputs", task.clone()).await["code"] == 804).then_some(())).await;
    let done = until(async || {
        Some(call("outputs", task.clone()).await).filter(|answer| answer["code"] == 0)
    })
    .await;
    assert_eq!(done["data"][0]["fileType"], "png");
    assert!(done["data"][0]["taskCostTime"].is_string());
    assert_eq!(call("status", task).await["data"], "SUCCESS");
    assert_eq!(call("cancel", json!({"taskId": "1"})).await["code"], 807);
    assert_eq!(call("outputs", json!({"taskId": 0})).await["code"], 301);
    running
        .script(json!({"reset": true, "runninghub": {"all": true,
        "fail": "no", "work_ms": 1}}))
        .await;
    let failing = call("create", json!({"workflowId": "7", "nodeInfoList": nodes})).await;
    let task = json!({"taskId": failing["data"]["taskId"]});
    let failed = until(async || {
        Some(call("outputs", task.clone()).await).filter(|answer| answer["code"] == 805)
    })
    .await;
    assert_eq!(failed["data"]["failedReason"]["exception_message"], "no");
    let wrong =
        running.hub_json("/task/openapi/status", &json!({"apiKey": "wrong", "taskId": "1"})).await;
    assert_eq!(wrong["code"], 802);
    let account =
        running.hub_json("/uc/openapi/accountStatus", &json!({"apikey": "rh-local-key"})).await;
    assert_eq!(account["data"]["currentTaskCounts"], "0");
    let misspelt = json!({"apiKey": "rh-local-key"});
    assert_eq!(running.hub_json("/uc/openapi/accountStatus", &misspelt).await["code"], 802);
}

#[tokio::test]
async fn an_uploaded_file_can_be_a_node_s_value() {
    let running = start(json!({})).await;
    let upload = async |bytes: Vec<u8>| -> Value {
        let form = Form::new()
            .part("file", Part::bytes(bytes).file_name("a.png").mime_str("image/png").unwrap());
        let url = format!("{}/runninghub/openapi/v2/media/upload/binary", running.providers);
        let request = running.client.post(url).bearer_auth("rh-local-key").multipart(form);
        request.send().await.unwrap().json().await.unwrap()
    };
    let uploaded = upload(png(8, 8)).await;
    let task = running.submit(uploaded["data"]["fileName"].as_str().unwrap(), None).await;
    assert_eq!(running.finished(&task).await["status"], "SUCCESS");
    assert_eq!(upload(vec![0; 30 * 1024 * 1024 + 1]).await["errorCode"], "809");
}

#[tokio::test]
async fn the_log_shows_requests_without_credentials() {
    let running = start(json!({})).await;
    running.submit(IMAGE, None).await;
    running
        .hub_json("/task/openapi/status", &json!({"apiKey": "rh-local-key", "taskId": "1"}))
        .await;
    let log = running.log().await;
    assert_eq!(log.len(), 2);
    let paths: Vec<_> = log.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/runninghub/openapi/v2/run/ai-app/1990000000000000001",
            "/runninghub/task/openapi/status"
        ]
    );
    assert_eq!((&log[0]["provider"], &log[0]["method"]), (&json!("runninghub"), &json!("POST")));
    assert_eq!((&log[0]["status"], &log[1]["response"]["code"]), (&json!(200), &json!(807)));
    assert!(!serde_json::to_string(&log).unwrap().contains("rh-local-key"));
}

#[tokio::test]
async fn a_cancel_does_not_know_the_task_of_an_app() {
    let running = start(json!({})).await;
    running.script(json!({"runninghub": {"all": true, "hang": true}})).await;
    let task = running.submit(IMAGE, None).await;
    let cancelled = running
        .hub_json("/task/openapi/cancel", &json!({"apiKey": "rh-local-key", "taskId": task}))
        .await;
    assert_eq!(cancelled["code"], 807);
    assert_eq!(running.query(&task).await["status"], "RUNNING", "it works on");
}
