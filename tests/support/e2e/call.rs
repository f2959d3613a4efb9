//! One request to a function, and what the contract demands of every answer: CORS, a request id,
//! the shape of an error.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{TestUser, World, openapi};

/// A request that is being built.
#[must_use]
pub struct FunctionCall<'a> {
    world: &'a World,
    method: String,
    target: String,
    request: reqwest::RequestBuilder,
}

impl World {
    /// A POST to `<function>[/<op>]`.
    pub fn call(&self, target: &str) -> FunctionCall<'_> {
        self.call_with("POST", target)
    }

    pub fn get(&self, target: &str) -> FunctionCall<'_> {
        self.call_with("GET", target)
    }

    pub fn call_with(&self, method: &str, target: &str) -> FunctionCall<'_> {
        let url = format!("{}/{target}", self.stack().info().functions_url);
        let verb = method.parse().expect("a method");
        FunctionCall {
            world: self,
            method: method.to_owned(),
            target: target.to_owned(),
            request: self.http().request(verb, url),
        }
    }
}

impl<'a> FunctionCall<'a> {
    /// Signs the request in as that user.
    pub fn by(self, user: &TestUser) -> Self {
        self.bearer(&user.token)
    }

    /// Signs the request in with the service-role key.
    pub fn by_service(self) -> Self {
        let key = self.world.stack().info().service_role_key.clone();
        self.bearer(&key)
    }

    pub fn bearer(self, credential: &str) -> Self {
        self.header("authorization", &format!("Bearer {credential}"))
    }

    pub fn apikey(self, key: &str) -> Self {
        self.header("apikey", key)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// Sends the request, and asserts what holds for every answer.
    pub async fn send(self) -> FunctionAnswer {
        let target = self.target.clone();
        let answer = self.exchange().await;
        let answer = answer.unwrap_or_else(|error| panic!("{target}: {error:?}"));
        answer.assert_contract();
        answer
    }

    /// Sends the request; `None` where the connection ended without an answer.
    pub async fn try_send(self) -> Option<FunctionAnswer> {
        let answer = self.exchange().await.ok()?;
        answer.assert_contract();
        Some(answer)
    }

    /// Sends the request to functions that may be killed meanwhile, and ignores the answer.
    pub async fn send_and_forget(self) {
        let _ = self.exchange().await;
    }

    async fn exchange(self) -> reqwest::Result<FunctionAnswer> {
        let Self { method, target, request, .. } = self;
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(FunctionAnswer { method, target, status, headers, json, text })
    }

    /// Sends the request and returns the body of its answer, which must be a 200.
    pub async fn ok(self) -> Value {
        self.send().await.expect(200)
    }

    /// Sends the request and returns the body of the refusal, which must have that status and code.
    pub async fn refused(self, status: u16, code: &str) -> Value {
        self.send().await.expect_refusal(status, code)
    }
}

#[derive(Clone, Debug)]
pub struct FunctionAnswer {
    pub method: String,
    pub target: String,
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where the body is not JSON.
    pub json: Value,
    pub text: String,
}

impl FunctionAnswer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The body of the answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.target, self.text);
        self.json
    }

    #[track_caller]
    pub fn expect_refusal(self, status: u16, code: &str) -> Value {
        let found = (self.status, self.json["code"].as_str().unwrap_or_default());
        assert_eq!(found, (status, code), "{}: {}", self.target, self.text);
        self.json
    }

    /// Asserts the "Common rules" of the contract that hold for every answer.
    fn assert_contract(&self) {
        let seen = format!("{}: {} {:?} {}", self.target, self.status, self.headers, self.text);
        assert_eq!(self.header("access-control-allow-origin"), "*", "{seen}");
        let exposed = self.header("access-control-expose-headers").to_lowercase();
        assert!(exposed.contains("x-request-id") && exposed.contains("retry-after"), "{seen}");
        assert!(!self.header("x-request-id").is_empty(), "{seen}");
        if self.status == 204 {
            return;
        }
        if self.target == "metrics" && self.status == 200 {
            assert!(self.header("content-type").starts_with("text/plain"), "{seen}");
            return;
        }
        assert!(self.header("content-type").starts_with("application/json"), "{seen}");
        if self.status >= 400 && !self.target.ends_with("health") {
            self.assert_error_shape(&seen);
        }
        // The contract does not describe `panicking`, which exists for tests alone.
        if self.method != "HEAD" && !(self.target.starts_with("panicking") && self.status == 200) {
            let breach =
                openapi::contract_breach(&self.method, &self.target, self.status, &self.json);
            assert!(breach.is_none(), "{} {seen}", breach.unwrap_or_default());
        }
    }

    fn assert_error_shape(&self, seen: &str) {
        let text = |name: &str| self.json[name].as_str().unwrap_or_default();
        assert!(!text("error").is_empty(), "{seen}");
        assert_eq!(text("error"), text("message"), "{seen}");
        assert_eq!(text("request_id"), self.header("x-request-id"), "{seen}");
        let code = text("code");
        let is_snake =
            !code.is_empty() && code.chars().all(|char| char.is_ascii_lowercase() || char == '_');
        assert!(is_snake, "{seen}");
        if self.status == 405 {
            assert!(!self.header("allow").is_empty(), "{seen}");
        }
    }
}
