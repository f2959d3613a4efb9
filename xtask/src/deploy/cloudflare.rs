//! Calls Cloudflare's API for what `wrangler` has no command for, or only one for each Worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use reqwest::Method;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde_json::{Value, json};

use super::deployment::{CLOUDFLARE_TOKEN, Deployment, FUNCTIONS_URL, GATEWAY};
use crate::command::say;
use crate::function::Consumer;

/// The variable for another address of Cloudflare's API; `wrangler` reads it too.
pub const API_VARIABLE: &str = "CLOUDFLARE_API_BASE_URL";
pub(super) const API: &str = "https://api.cloudflare.com/client/v4";
/// The error code for a Worker that does not exist, and for an account without a subdomain.
const NOT_FOUND: u64 = 10007;
/// The number of queues on one page.
const PAGE: usize = 100;
/// The number of tries for one call.
const TRIES: u32 = 5;
/// Cloudflare asks for at most five minutes of waiting after too many calls.
const LONGEST_WAIT: Duration = Duration::from_secs(310);
/// A wait of up to this length is not reported.
const SILENT_WAIT: Duration = Duration::from_secs(5);

/// The outcome of one call.
enum CallEnd {
    Answered(Option<Value>),
    Refused(anyhow::Error),
    /// Cloudflare failed. It may have done what was asked for.
    Broken(anyhow::Error),
    /// Nothing was done, because there were too many calls; with the time to wait.
    TooMany(anyhow::Error, Option<Duration>),
}

/// One account, with the token that accesses it.
#[derive(Clone)]
pub struct Cloudflare {
    http: reqwest::Client,
    pub(super) base: String,
    account: String,
    token: String,
    /// Whether a long wait was reported already: many calls may wait at the same time.
    told: Arc<AtomicBool>,
}

/// The versions that were put in force together. In a list, the newest release comes first.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Release {
    pub(super) versions: Vec<Share>,
    #[serde(default)]
    pub(super) annotations: Annotations,
}

/// A version's share of the traffic.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Share {
    pub(super) version_id: String,
    pub(super) percentage: f64,
}

/// One version of a Worker: code, settings and secrets.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Version {
    pub(super) id: String,
    #[serde(default)]
    pub(super) annotations: Annotations,
}

/// Our notes on a version or a release.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Annotations {
    #[serde(rename = "workers/message", default)]
    pub(super) message: String,
    #[serde(rename = "workers/tag", default)]
    pub(super) tag: String,
}

/// A queue, with the Workers that consume it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CloudQueue {
    #[serde(rename = "queue_id")]
    pub(super) id: String,
    #[serde(rename = "queue_name")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) consumers: Vec<CloudConsumer>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CloudConsumer {
    pub(super) consumer_id: String,
    script: Option<String>,
    script_name: Option<String>,
    service: Option<String>,
    #[serde(default)]
    pub(super) settings: ConsumerSettings,
}

impl CloudConsumer {
    /// The consuming Worker, which the API names in one of three ways. An external consumer is no
    /// Worker.
    pub(super) fn worker(&self) -> Option<&str> {
        self.script.as_deref().or(self.script_name.as_deref()).or(self.service.as_deref())
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct ConsumerSettings {
    #[serde(default)]
    batch_size: u32,
    #[serde(default)]
    max_retries: u32,
    #[serde(default)]
    max_wait_time_ms: u32,
}

impl From<Consumer> for ConsumerSettings {
    fn from(of: Consumer) -> Self {
        Self {
            batch_size: of.max_batch_size,
            max_retries: of.max_retries,
            max_wait_time_ms: of.max_batch_timeout * 1000,
        }
    }
}

/// Whether a Worker is reachable from the internet.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Exposure {
    pub(super) enabled: bool,
    #[serde(default)]
    pub(super) previews_enabled: bool,
}

impl Cloudflare {
    /// The deployment's account, at Cloudflare or at `base`.
    fn of(deployment: &Deployment, base: Option<String>) -> Self {
        let base = base.unwrap_or_else(|| API.to_owned());
        Self {
            http: reqwest::Client::new(),
            base: base.trim_end_matches('/').to_owned(),
            account: deployment.account_id.clone(),
            token: deployment.access.cloudflare_token.clone(),
            told: Arc::default(),
        }
    }

    /// Connects to the account. Sets the deployment's address from it, if none is given.
    pub async fn connect_for(deployment: &mut Deployment) -> Result<Self> {
        Self::connect(deployment, std::env::var(API_VARIABLE).ok()).await
    }

    /// The same with the API at another address.
    pub async fn connect(deployment: &mut Deployment, base: Option<String>) -> Result<Self> {
        let cloud = Self::of(deployment, base);
        let address = cloud.address().await?;
        if !deployment.vars.contains_key(FUNCTIONS_URL) {
            let part = address.with_context(|| {
                format!(
                    "the account has no workers.dev subdomain: open https://dash.cloudflare.com/{}\
                     /workers/onboarding once, or write {FUNCTIONS_URL} into the settings",
                    cloud.account
                )
            })?;
            let gateway = deployment.worker(GATEWAY);
            let url = format!("https://{gateway}.{part}.workers.dev/functions/v1");
            deployment.vars.insert(FUNCTIONS_URL.to_owned(), url);
        }
        Ok(cloud)
    }

    /// Sends a call, up to `TRIES` times if Cloudflare is busy or down. Returns `None` for a Worker
    /// or a version that does not exist.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>> {
        let mut pause = Duration::from_secs(1);
        for _ in 1..TRIES {
            let (why, wait) = match self.attempt(&method, path, body).await {
                CallEnd::Answered(answer) => return Ok(answer),
                CallEnd::Refused(why) => return Err(why),
                // The call may have succeeded, and only a GET or PUT may safely be sent twice.
                CallEnd::Broken(why) if method != Method::GET && method != Method::PUT => {
                    return Err(why);
                }
                CallEnd::Broken(why) => (why, pause),
                CallEnd::TooMany(why, wait) => (why, wait.unwrap_or(pause)),
            };
            if wait > SILENT_WAIT && !self.told.swap(true, Ordering::Relaxed) {
                say(format_args!("{why:#}; waiting for {} s", wait.as_secs()));
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        match self.attempt(&method, path, body).await {
            CallEnd::Answered(answer) => Ok(answer),
            CallEnd::Refused(why) | CallEnd::Broken(why) | CallEnd::TooMany(why, _) => Err(why),
        }
    }

    async fn attempt(&self, method: &Method, path: &str, body: Option<&Value>) -> CallEnd {
        let url = format!("{}/accounts/{}/{path}", self.base, self.account);
        let mut request = self.http.request(method.clone(), url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let shown = || format!("Cloudflare: {method} {path}");
        let broken = |error| CallEnd::Broken(anyhow::Error::new(error).context(shown()));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return broken(error),
        };
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let answer: Value = match answer.text().await {
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            Err(error) => return broken(error),
        };
        if status.is_success() && answer["success"] == true {
            return CallEnd::Answered(Some(answer["result"].clone()));
        }
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        if errors.iter().any(|error| error["code"] == NOT_FOUND) {
            return CallEnd::Answered(None);
        }
        let words = |error: &Value| format!("{} [{}]", error["message"], error["code"]);
        let words = errors.iter().map(words).collect::<Vec<_>>().join(", ");
        if [401, 403].contains(&status.as_u16()) {
            return CallEnd::Refused(anyhow!(
                "{CLOUDFLARE_TOKEN} or account_id: Cloudflare refuses `{method} {path}`: {words}; \
                 make a token of this account that may edit Workers Scripts and Queues"
            ));
        }
        let why = anyhow!("{}: {status}: {words}", shown());
        match status.as_u16() {
            429 => CallEnd::TooMany(why, wait.map(|wait| wait.min(LONGEST_WAIT))),
            500.. => CallEnd::Broken(why),
            _ => CallEnd::Refused(why),
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let Some(result) = self.call(Method::GET, path, None).await? else {
            return Ok(None);
        };
        let read = serde_json::from_value(result);
        read.map(Some).with_context(|| format!("Cloudflare: GET {path}: an answer of another form"))
    }

    async fn tell(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let known = self.call(method.clone(), path, Some(body)).await?;
        known.map(drop).with_context(|| format!("Cloudflare: {method} {path}: there is none"))
    }

    /// The account's subdomain in `<worker>.<subdomain>.workers.dev`.
    pub(super) async fn address(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Address {
            subdomain: String,
        }
        let address: Option<Address> = self.get("workers/subdomain").await?;
        Ok(address.map(|address| address.subdomain))
    }

    /// The names of all Workers of the account.
    pub(super) async fn workers(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let workers: Option<Vec<Named>> = self.get("workers/scripts").await?;
        Ok(workers.unwrap_or_default().into_iter().map(|worker| worker.id).collect())
    }

    pub(super) async fn releases(&self, worker: &str) -> Result<Vec<Release>> {
        #[derive(Deserialize)]
        struct Releases {
            deployments: Vec<Release>,
        }
        let found: Option<Releases> =
            self.get(&format!("workers/scripts/{worker}/deployments")).await?;
        Ok(found.map(|found| found.deployments).unwrap_or_default())
    }

    pub(super) async fn version(&self, worker: &str, id: &str) -> Result<Version> {
        let found = self.get(&format!("workers/scripts/{worker}/versions/{id}")).await?;
        found.with_context(|| format!("{worker} has no version {id}"))
    }

    /// The versions that can be put in force.
    pub(super) async fn versions(&self, worker: &str) -> Result<Vec<Version>> {
        #[derive(Deserialize)]
        struct Versions {
            items: Vec<Version>,
        }
        let found: Option<Versions> =
            self.get(&format!("workers/scripts/{worker}/versions?deployable=true")).await?;
        Ok(found.map(|found| found.items).unwrap_or_default())
    }

    pub(super) async fn crons(&self, worker: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Schedules {
            schedules: Vec<Schedule>,
        }
        #[derive(Deserialize)]
        struct Schedule {
            cron: String,
        }
        let found: Option<Schedules> =
            self.get(&format!("workers/scripts/{worker}/schedules")).await?;
        let crons = found.map(|found| found.schedules).unwrap_or_default();
        Ok(crons.into_iter().map(|schedule| schedule.cron).collect())
    }

    pub(super) async fn exposure(&self, worker: &str) -> Result<Exposure> {
        let found = self.get(&format!("workers/scripts/{worker}/subdomain")).await?;
        found.with_context(|| format!("there is no Worker {worker}"))
    }

    /// All queues of the account; the API returns them page by page.
    pub(super) async fn queues(&self) -> Result<Vec<CloudQueue>> {
        let mut queues = Vec::new();
        for page in 1.. {
            let path = format!("queues?page={page}&per_page={PAGE}");
            let found: Vec<CloudQueue> = self.get(&path).await?.unwrap_or_default();
            let last = found.len() < PAGE;
            queues.extend(found);
            if last {
                break;
            }
        }
        Ok(queues)
    }

    pub(super) async fn make_queue(&self, name: &str) -> Result<()> {
        self.tell(Method::POST, "queues", &json!({ "queue_name": name })).await
    }

    /// Gives all traffic to one version, even if secrets have changed since.
    pub(super) async fn release(&self, worker: &str, version: &str, message: &str) -> Result<()> {
        let body = json!({
            "strategy": "percentage",
            "versions": [{ "version_id": version, "percentage": 100 }],
            "annotations": { "workers/message": message },
        });
        let path = format!("workers/scripts/{worker}/deployments?force=true");
        self.tell(Method::POST, &path, &body).await
    }

    pub(super) async fn set_crons(&self, worker: &str, crons: &[String]) -> Result<()> {
        let crons: Vec<Value> = crons.iter().map(|cron| json!({ "cron": cron })).collect();
        let path = format!("workers/scripts/{worker}/schedules");
        self.tell(Method::PUT, &path, &Value::Array(crons)).await
    }

    pub(super) async fn set_exposure(&self, worker: &str, exposure: Exposure) -> Result<()> {
        let Exposure { enabled, previews_enabled } = exposure;
        let body = json!({ "enabled": enabled, "previews_enabled": previews_enabled });
        self.tell(Method::POST, &format!("workers/scripts/{worker}/subdomain"), &body).await
    }

    pub(super) async fn set_consumer(
        &self,
        queue: &CloudQueue,
        worker: &str,
        settings: ConsumerSettings,
    ) -> Result<()> {
        let body = json!({
            "type": "worker",
            "script_name": worker,
            "settings": {
                "batch_size": settings.batch_size,
                "max_retries": settings.max_retries,
                "max_wait_time_ms": settings.max_wait_time_ms,
            },
        });
        let known = queue.consumers.iter().find(|known| known.worker() == Some(worker));
        match known {
            Some(known) => {
                let path = format!("queues/{}/consumers/{}", queue.id, known.consumer_id);
                self.tell(Method::PUT, &path, &body).await
            }
            None => self.tell(Method::POST, &format!("queues/{}/consumers", queue.id), &body).await,
        }
    }

    pub(super) async fn remove_consumer(&self, queue: &CloudQueue, id: &str) -> Result<()> {
        let path = format!("queues/{}/consumers/{id}", queue.id);
        self.call(Method::DELETE, &path, None).await.map(drop)
    }
}
