//! A running pair of stand-ins on free ports, and the requests that most tests make.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use stand_ins::{config::StandInConfig, front, providers, serve};
use tokio::net::TcpListener;

pub(crate) const USER: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const OTHER: &str = "00000000-0000-4000-8000-000000000002";

/// Both listeners, and what a test needs to talk to them.
pub(crate) struct Running {
    pub(crate) origin: String,
    pub(crate) providers: String,
    pub(crate) base: u16,
    pub(crate) client: Client,
}

/// A fresh stand-in whose neighbours (PostgREST, workers) are absent.
pub(crate) async fn start(extra: Value) -> Running {
    let (base, origin, providers, results) = ports().await;
    let mut config = json!({
        "port_base": base,
        "jwt_secret": "a-secret-of-the-local-project-of-40-chars",
        "anon_key": "anon-key",
        "service_role_key": "service-key",
        "publishable_key": "sb_publishable_1",
        "secret_key": "sb_secret_1",
        "users": [
            {"id": USER, "email": "user1@example.com", "password": "password-1234"},
            {"id": OTHER, "email": "user2@example.com", "password": "password-1234"},
        ],
        "database_url": format!("postgres://127.0.0.1:{}/absent", base + 2),
        "storage_dir": format!("{}/{}-{base}", env!("CARGO_TARGET_TMPDIR"), std::process::id()),
    });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let config: StandInConfig = serde_json::from_value(config).unwrap();
    tokio::spawn(serve::serve(origin, front::router(&config).unwrap()));
    let (stand_ins, files) = providers::routers(&config).unwrap();
    tokio::spawn(serve::serve(providers, stand_ins));
    tokio::spawn(serve::serve(results, files));
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Running { origin: config.url(1), providers: config.url(3), base, client }
}

/// Ten ports of our own for each test, below those that the system gives to whoever connects.
async fn ports() -> (u16, TcpListener, TcpListener, TcpListener) {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = (std::process::id() + TAKEN.fetch_add(1, Ordering::Relaxed)) % 900;
        let base = 10_000 + u16::try_from(place).expect("a small number") * 10;
        let listen = async |offset| TcpListener::bind(("127.0.0.1", base + offset)).await;
        if let (Ok(origin), Ok(providers), Ok(results), Ok(_), Ok(_)) =
            (listen(1).await, listen(3).await, listen(7).await, listen(4).await, listen(5).await)
        {
            return (base, origin, providers, results);
        }
    }
}

impl Running {
    pub(crate) async fn script(&self, script: Value) {
        let answer = self
            .client
            .post(format!("{}/__script", self.providers))
            .json(&script)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn log(&self) -> Vec<Value> {
        self.client
            .get(format!("{}/__log", self.providers))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// A POST to RunningHub with the right key.
    pub(crate) async fn hub(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.client.post(format!("{}/runninghub{path}", self.providers));
        request.bearer_auth("rh-local-key").json(body).send().await
    }

    pub(crate) async fn hub_json(&self, path: &str, body: &Value) -> Value {
        let answer = self.hub(path, body).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Submits a picture by the v2 API and gives the task's id.
    pub(crate) async fn submit(&self, image: &str, webhook: Option<&str>) -> String {
        let answer = self
            .hub_json("/openapi/v2/run/ai-app/1990000000000000001", &submission(image, webhook))
            .await;
        answer["taskId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub(crate) async fn query(&self, task: &str) -> Value {
        self.hub_json("/openapi/v2/query", &json!({"taskId": task})).await
    }

    /// The task's answer once it is no longer queued or running.
    pub(crate) async fn finished(&self, task: &str) -> Value {
        until(async || {
            let answer = self.query(task).await;
            (!["QUEUED", "RUNNING"].contains(&answer["status"].as_str()?)).then_some(answer)
        })
        .await
    }

    pub(crate) async fn sign_in(&self, email: &str) -> String {
        let url = format!("{}/auth/v1/token?grant_type=password", self.origin);
        let body = json!({"email": email, "password": "password-1234"});
        let session: Value =
            self.client.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        session["access_token"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn submission(image: &str, webhook: Option<&str>) -> Value {
    let mut body = json!({
        "nodeInfoList": [{"nodeId": "1", "fieldName": "image", "fieldValue": image}],
        "instanceType": "default",
        "usePersonalQueue": "false",
    });
    if let Some(url) = webhook {
        body["webhookUrl"] = url.into();
    }
    body
}

/// Polls until there is something, for ten seconds.
pub(crate) async fn until<T>(mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = poll().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing within ten seconds");
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    stand_ins::media::png(width, height, |x, y| [(x * 9 % 256) as u8, (y * 5 % 256) as u8, 90])
}

/// A receiver of anything, which answers GET with a picture.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pub(crate) got: Arc<Mutex<Vec<(String, Value)>>>,
    /// Statuses to answer to the first POSTs.
    pub(crate) refusals: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    /// Listens and gives its address.
    pub(crate) async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/in.png", axum::routing::get(async || png(20, 10)))
            .fallback(receive)
            .with_state(self.clone());
        tokio::spawn(serve::serve(listener, router));
        url
    }

    pub(crate) fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) async fn got_at_least(&self, count: usize) -> Vec<(String, Value)> {
        until(async || Some(self.got()).filter(|got| got.len() >= count)).await
    }
}

async fn receive(State(receiver): State<Receiver>, uri: Uri, body: String) -> impl IntoResponse {
    receiver
        .got
        .lock()
        .unwrap()
        .push((uri.path().to_owned(), serde_json::from_str(&body).unwrap_or_default()));
    let refusal = receiver.refusals.lock().unwrap().pop();
    StatusCode::from_u16(refusal.unwrap_or(200)).unwrap()
}
