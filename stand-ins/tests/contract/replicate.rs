//! Replicate's own contract: sparse creates, strict bodies, the list, cancels, and the time limit.

use crate::running::{Receiver, Running, start, until};
use reqwest::Response;
use serde_json::{Value, json};

const VERSION: &str = "shop/all";

async fn ask(
    running: &Running,
    method: &str,
    path: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Response {
    let url = format!("{}/replicate/v1{path}", running.providers);
    let mut request =
        running.client.request(method.parse().unwrap(), url).bearer_auth("r8_local_token");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    request.send().await.unwrap()
}

async fn get(running: &Running, path: &str) -> Value {
    ask(running, "GET", path, None, &[]).await.json().await.unwrap()
}

fn body(picture: &str) -> Value {
    let input = json!({
        "human_img": picture, "garm_img": picture, "category": "dresses", "garment_des": "",
    });
    json!({"version": VERSION, "input": input, "webhook_events_filter": ["completed"]})
}

#[tokio::test]
async fn a_create_is_sparse_and_ends_with_an_output() {
    let running = start(json!({})).await;
    let url = Receiver::default().listen().await;
    let created =
        ask(&running, "POST", "/predictions", Some(&body(&format!("{url}/in.png"))), &[]).await;
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    assert_eq!(
        (&created["status"], created.get("output")),
        (&json!("starting"), None),
        "{created}"
    );
    let path = format!("/predictions/{}", created["id"].as_str().unwrap());
    let over = until(async || {
        Some(get(&running, &path).await).filter(|shown| shown["status"] == "succeeded")
    })
    .await;
    let file = running.client.get(over["output"].as_str().unwrap()).send().await.unwrap();
    assert!(!file.url().path().contains('.'), "no ending names the type: {}", file.url());
    assert_ne!(file.url().port(), Some(running.base + 3), "it lies elsewhere");
    assert_eq!(file.headers()["content-type"], "application/octet-stream");
    let cancelled = ask(&running, "POST", &format!("{path}/cancel"), None, &[]).await;
    assert_eq!(cancelled.status(), 200, "too late, and no fault");
    let held = ask(
        &running,
        "POST",
        "/predictions",
        Some(&body(&format!("{url}/in.png"))),
        &[("prefer", "wait")],
    )
    .await;
    let held: Value = held.json().await.unwrap();
    assert_eq!(
        (&held["status"], held["output"].is_string()),
        (&json!("processing"), true),
        "{held}"
    );
}

#[tokio::test]
async fn what_the_contract_does_not_name_is_refused() {
    let running = start(json!({})).await;
    let good = body("https://x.example/a.png");
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for bad in [
        with("extra", json!(1)),
        with("version", json!("latest")),
        with("input", json!({})),
        with("webhook", json!("http://evil.example/hook")),
        with("webhook_events_filter", json!(["done"])),
    ] {
        let answer = ask(&running, "POST", "/predictions", Some(&bad), &[]).await;
        assert_eq!(answer.status(), 422, "{bad}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    for header in [("cancel-after", "4"), ("cancel-after", "soon"), ("prefer", "wait=99")] {
        assert_eq!(
            ask(&running, "POST", "/predictions", Some(&good), &[header]).await.status(),
            422,
            "{header:?}"
        );
    }
    assert_eq!(ask(&running, "GET", "/predictions/unknown", None, &[]).await.status(), 404);
    let request = running.client.get(format!("{}/replicate/v1/predictions", running.providers));
    assert_eq!(request.bearer_auth("other").send().await.unwrap().status(), 401);
    running.script(json!({"replicate": [{"capacity": 0}]})).await;
    assert_eq!(ask(&running, "POST", "/predictions", Some(&good), &[]).await.status(), 429);
}

#[tokio::test]
async fn the_list_is_newest_first_in_pages() {
    let running = start(json!({})).await;
    running.script(json!({"replicate": {"all": true, "hang": true}})).await;
    let mut ids = Vec::new();
    for _ in 0..103 {
        let created =
            ask(&running, "POST", "/predictions", Some(&body("https://x.example/a.png")), &[])
                .await;
        let created: Value = created.json().await.unwrap();
        ids.push(created["id"].as_str().unwrap().to_owned());
    }
    let page = get(&running, "/predictions?created_after=2026-01-01T00%3A00%3A00%2B00%3A00").await;
    assert_eq!(page["results"].as_array().unwrap().len(), 100);
    assert_eq!(page["results"][0]["id"], ids[102].as_str());
    let item = page["results"][0].as_object().unwrap();
    let names: Vec<&str> = item.keys().map(String::as_str).collect();
    assert!(!names.contains(&"webhook") && names.contains(&"input"), "{names:?}");
    assert_eq!(item["input"]["human_img"], "https://x.example/a.png");
    let next = page["next"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
    let rest = get(&running, &format!("/predictions?{next}")).await;
    assert_eq!((rest["results"].as_array().unwrap().len(), &rest["next"]), (3, &Value::Null));
    let none = get(&running, "/predictions?created_after=2099-01-01T00:00:00Z").await;
    assert_eq!(none["results"], json!([]));
}

#[tokio::test]
async fn the_time_limit_stops_what_still_works() {
    let running = start(json!({})).await;
    running.script(json!({"replicate": {"all": true, "work_ms": 60_000}})).await;
    let limit = [("cancel-after", "5")];
    let created =
        ask(&running, "POST", "/predictions", Some(&body("https://x.example/a.png")), &limit).await;
    let created: Value = created.json().await.unwrap();
    assert!(created["deadline"].is_string(), "{created}");
    let path = format!("/predictions/{}", created["id"].as_str().unwrap());
    until(async || (get(&running, &path).await["status"] == "aborted").then_some(())).await;
}
