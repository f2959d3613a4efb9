//! Tasks that work until `POST /__finish` ends them.

use crate::running::{Receiver, Running, start, until};
use serde_json::{Value, json};

async fn finish(running: &Running, request: Value) -> (u16, Value) {
    let url = format!("{}/__finish", running.providers);
    let answer = running.client.post(url).json(&request).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_task_works_until_it_is_finished_by_its_id() {
    let running = start(json!({})).await;
    let url = Receiver::default().listen().await;
    running.script(json!({"runninghub": {"all": true, "work": "until_finished"}})).await;
    let first = running.submit(&format!("{url}/in.png"), None).await;
    let second = running.submit(&format!("{url}/in.png"), None).await;
    until(async || (running.query(&first).await["status"] == "RUNNING").then_some(())).await;
    assert_eq!(finish(&running, json!({"task_id": first})).await, (200, json!({"finished": 1})));
    assert_eq!(running.query(&first).await["status"], "SUCCESS", "without waiting");
    assert_eq!(running.query(&second).await["status"], "RUNNING");
    let (status, _) = finish(&running, json!({"task_id": first})).await;
    assert_eq!(status, 404, "it has ended already");
    for bad in [json!({}), json!({"task_id": second, "match": "x"}), json!({"match": "absent"})] {
        assert_eq!(finish(&running, bad).await.0, 404);
    }
    assert_eq!(finish(&running, json!({"task": second})).await.0, 400);
}

#[tokio::test]
async fn all_tasks_of_a_match_end_as_their_script_says() {
    let running = start(json!({})).await;
    let url = Receiver::default().listen().await;
    running
        .script(json!({"runninghub": [
            {"match": "bad", "work": "until_finished", "fail": "no face"},
            {"all": true, "work_ms": 60_000},
        ]}))
        .await;
    let good = running.submit(&format!("{url}/in.png?good"), None).await;
    let bad = running.submit(&format!("{url}/in.png?bad"), None).await;
    assert_eq!(finish(&running, json!({"match": "/in.png"})).await.1, json!({"finished": 2}));
    assert_eq!(running.query(&good).await["status"], "SUCCESS");
    assert_eq!(running.query(&bad).await["errorMessage"], "no face");
}

#[tokio::test]
async fn every_provider_waits_to_be_finished() {
    let running = start(json!({})).await;
    let url = Receiver::default().listen().await;
    let until_finished = json!({"all": true, "work": "until_finished"});
    running
        .script(json!({
            "replicate": until_finished, "gemini": until_finished, "llm": until_finished,
        }))
        .await;
    let picture = format!("{url}/in.png");
    let post = |path: &str, key: (&str, &str), body: Value| {
        let request = running.client.post(format!("{}{path}", running.providers));
        tokio::spawn(request.header(key.0, key.1).json(&body).send())
    };
    let prediction = json!({
        "version": "shop/all",
        "input": {
            "human_img": picture, "garm_img": picture, "category": "dresses", "garment_des": "",
        },
    });
    let bearer = ("authorization", "Bearer r8_local_token");
    let created = post("/replicate/v1/predictions", bearer, prediction).await.unwrap().unwrap();
    let created: Value = created.json().await.unwrap();
    let card = json!({
        "contents": [{"role": "user", "parts": [{"text": "A card for everybody"}]}],
        "generationConfig": {"responseModalities": ["IMAGE"]},
    });
    let path = "/gemini/v1beta/models/gemini-3-pro-image:generateContent";
    let card = post(path, ("x-goog-api-key", "gemini-local-key"), card);
    let website = json!({
        "model": "m", "stream": true, "max_completion_tokens": 100,
        "messages": [{"role": "user", "content": "A website"}],
    });
    let bearer = ("authorization", "Bearer llm-local-key");
    let website = post("/llm/v1/chat/completions", bearer, website).await.unwrap().unwrap();
    let website = tokio::spawn(website.text());
    let named = [created["id"].as_str().unwrap(), "A card for everybody", "A website"];
    let [id, card_text, website_text] = named;
    assert!(!card.is_finished() && !website.is_finished());
    for request in
        [json!({"task_id": id}), json!({"match": card_text}), json!({"match": website_text})]
    {
        // The request for the card may still be on its way.
        until(async || (finish(&running, request.clone()).await.0 == 200).then_some(())).await;
    }
    assert_eq!(card.await.unwrap().unwrap().status(), 200);
    assert!(website.await.unwrap().unwrap().contains("[DONE]"));
    let shown = running.client.get(format!("{}/replicate/v1/predictions/{id}", running.providers));
    let shown = shown.bearer_auth("r8_local_token").send().await.unwrap();
    assert_eq!(shown.json::<Value>().await.unwrap()["status"], "succeeded");
}
