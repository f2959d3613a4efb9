//! The stand-in of Cloudflare's API refuses what the API refuses.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use stand_ins::cloudflare::{CloudAccount, CloudOptions};

struct CloudClient {
    base: String,
    http: reqwest::Client,
}

impl CloudClient {
    async fn start() -> Self {
        let account = CloudAccount::new(CloudOptions {
            account_id: "account".to_owned(),
            token: "token".to_owned(),
            subdomain: None,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(stand_ins::serve::serve(listener, account.router()));
        let base = format!("http://{address}/client/v4/accounts/account");
        Self { base, http: reqwest::Client::new() }
    }

    /// The code of the refusal, or the result.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, u64> {
        let answer = request.bearer_auth("token").send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        match answer["success"] == true {
            true => Ok(answer["result"].clone()),
            false => Err(answer["errors"][0]["code"].as_u64().unwrap()),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, u64> {
        self.send(self.http.post(format!("{}/{path}", self.base)).json(&body)).await
    }

    async fn put(&self, path: &str, body: Value) -> Result<Value, u64> {
        self.send(self.http.put(format!("{}/{path}", self.base)).json(&body)).await
    }

    async fn upload(&self, worker: &str, bindings: Value) -> Result<Value, u64> {
        let metadata = json!({
            "main_module": "index.js",
            "compatibility_date": "2026-07-30",
            "bindings": bindings,
        });
        let code = Part::text("export default {}").mime_str("application/javascript+module");
        let form = Form::new()
            .text("metadata", metadata.to_string())
            .part("index.js", code.unwrap().file_name("index.js"));
        let url = format!("{}/workers/scripts/{worker}", self.base);
        self.send(self.http.put(url).multipart(form)).await
    }
}

#[tokio::test]
async fn what_a_worker_is_bound_to_comes_before_it() {
    let cloud = CloudClient::start().await;
    let service = json!([{ "type": "service", "name": "B", "service": "callee" }]);
    assert_eq!(cloud.upload("caller", service.clone()).await, Err(10143));
    cloud.upload("callee", json!([])).await.unwrap();
    cloud.upload("caller", service).await.unwrap();
    let queue = json!([{ "type": "queue", "name": "Q", "queue_name": "line" }]);
    assert_eq!(cloud.upload("caller", queue.clone()).await, Err(10159));
    cloud.post("queues", json!({ "queue_name": "line" })).await.unwrap();
    cloud.upload("caller", queue).await.unwrap();
    let inherited = json!([{ "type": "inherit", "name": "SECRET" }]);
    assert_eq!(cloud.upload("caller", inherited.clone()).await, Err(10057));
    let secret = json!([{ "type": "secret_text", "name": "SECRET", "text": "word" }]);
    cloud.upload("caller", secret).await.unwrap();
    cloud.upload("caller", inherited).await.unwrap();
    let value = json!({ "type": "plain_text", "name": "A", "text": "" });
    let twice = json!([value, value]);
    assert_eq!(cloud.upload("caller", twice).await, Err(10021));
}

#[tokio::test]
async fn a_queue_has_one_name_and_one_consumer() {
    let cloud = CloudClient::start().await;
    let queue = cloud.post("queues", json!({ "queue_name": "line" })).await.unwrap();
    assert_eq!(cloud.post("queues", json!({ "queue_name": "line" })).await, Err(11009));
    let path = format!("queues/{}/consumers", queue["queue_id"].as_str().unwrap());
    let consumer = |worker: &str, size: u32| {
        let settings = json!({ "batch_size": size });
        json!({ "type": "worker", "script_name": worker, "settings": settings })
    };
    assert_eq!(cloud.post(&path, consumer("worker", 1)).await, Err(11002));
    cloud.upload("worker", json!([])).await.unwrap();
    cloud.upload("other", json!([])).await.unwrap();
    assert_eq!(cloud.post(&path, consumer("worker", 101)).await, Err(10023));
    cloud.post(&path, consumer("worker", 1)).await.unwrap();
    assert_eq!(cloud.post(&path, consumer("other", 1)).await, Err(11004));
}

#[tokio::test]
async fn a_release_names_versions_that_exist_and_triggers_are_well_formed() {
    let cloud = CloudClient::start().await;
    assert_eq!(cloud.put("workers/scripts/worker/schedules", json!([])).await, Err(10007));
    cloud.upload("worker", json!([])).await.unwrap();
    let release = json!({
        "strategy": "percentage",
        "versions": [{ "version_id": "none", "percentage": 100 }],
    });
    assert_eq!(cloud.post("workers/scripts/worker/deployments", release).await, Err(10008));
    let cron = json!([{ "cron": "every minute" }]);
    assert_eq!(cloud.put("workers/scripts/worker/schedules", cron).await, Err(10100));
    let open = json!({ "enabled": true, "previews_enabled": false });
    assert_eq!(cloud.post("workers/scripts/worker/subdomain", open).await, Err(10063));
}

#[tokio::test]
async fn who_calls_too_often_is_refused_for_five_minutes() {
    let client = CloudClient::start().await;
    let ask = || async {
        let request = client.http.get(format!("{}/queues", client.base));
        let answer = request.bearer_auth("token").send().await.unwrap();
        let wait = answer.headers().get("retry-after");
        (answer.status().as_u16(), wait.map(|wait| wait.to_str().unwrap().to_owned()))
    };
    for _ in 0..1200 {
        assert_eq!(ask().await, (200, None));
    }
    for _ in 0..2 {
        assert_eq!(ask().await, (429, Some("300".to_owned())));
    }
}
