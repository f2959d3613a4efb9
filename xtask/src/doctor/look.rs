//! Observes a deployment over HTTP, with the service key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::observed::{DatabaseState, Expected, NoAnswer, Observed, PageState, ToldSettings};
use super::{DoctorTarget, providers};
use crate::function::Function;

/// The schema of our tables and RPCs.
const SCHEMA: &str = "unstuck";
/// The function that calls the placed one, to which the gateway has no binding.
const CALLER_OF_PLACED: &str = "generate-website";
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the doctor waits for the probes to arrive.
const PROBE_WAIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(250);
/// Added to the time since the first probe, for rounding and a slow answer. An arrival that is
/// older than both belongs to an earlier probe.
const PROBE_SLACK_S: f64 = 0.5;

/// The HTTP client and the service key for one deployment.
pub(super) struct Doctor<'a> {
    pub(super) http: Client,
    pub(super) target: &'a DoctorTarget,
    key: &'a str,
}

impl<'a> Doctor<'a> {
    pub(super) fn new(target: &'a DoctorTarget) -> Result<Self> {
        let http = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, target, key: target.service_key()? })
    }

    /// The URL of one of our operations.
    pub(super) fn function(&self, path: &str) -> String {
        format!("{}{}/{path}", self.target.gateway, super::FUNCTIONS_PATH)
    }

    /// Adds the service key. A key of the new kind (`sb_…`) is sent in `apikey` only, not as a
    /// bearer token.
    pub(super) fn as_service(&self, request: RequestBuilder) -> RequestBuilder {
        with_key(request, self.key)
    }

    /// Calls one of our RPCs at the project.
    pub(super) async fn rpc<T: DeserializeOwned>(
        &self,
        project: &str,
        name: &str,
        args: &Value,
    ) -> Result<T, NoAnswer> {
        let request = self.http.post(format!("{project}/rest/v1/rpc/{name}")).json(args);
        let request = request.header("content-profile", SCHEMA).header("accept-profile", SCHEMA);
        answer(self.as_service(request)).await
    }
}

fn with_key(request: RequestBuilder, key: &str) -> RequestBuilder {
    let request = request.header("apikey", key);
    if key.starts_with("sb_") { request } else { request.bearer_auth(key) }
}

/// The JSON of a successful answer.
pub(super) async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, NoAnswer> {
    let silent = |error: reqwest::Error| NoAnswer {
        message: format!("{:#}", anyhow::Error::new(error.without_url())),
        ..NoAnswer::default()
    };
    let response = request.send().await.map_err(silent)?;
    let status = response.status();
    let text = response.text().await.map_err(silent)?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let refusal = |message: &str| NoAnswer {
        status: Some(status.as_u16()),
        code: body["code"].as_str().unwrap_or_default().to_owned(),
        message: message.to_owned(),
    };
    if !status.is_success() {
        return Err(refusal(body["message"].as_str().unwrap_or_default()));
    }
    serde_json::from_value(body.clone()).map_err(|_| refusal("the answer has another form"))
}

pub(super) async fn look(target: &DoctorTarget, expected: &Expected) -> Result<Observed> {
    let doctor = Doctor::new(target)?;
    let page: Result<PageState, NoAnswer> =
        answer(doctor.http.get(format!("{}/config.json", target.gateway))).await;
    let given = target.known.get("SUPABASE_URL").cloned();
    let project = given.or_else(|| page.as_ref().ok().map(|page| page.supabase_url.clone()));
    let project = project.unwrap_or_default().trim_end_matches('/').to_owned();
    let mut reports = BTreeMap::new();
    for function in &expected.functions {
        let report = report(&doctor, function).await;
        reports.insert(function.name.clone(), report);
    }
    let probed = Instant::now();
    let probes = probes(&doctor, &expected.functions).await;
    let (database, probed_seconds) = database(&doctor, &project, &expected.functions, probed).await;
    let addresses: BTreeSet<String> =
        reports.values().flatten().filter_map(|report| report.webhook.clone()).collect();
    let mut webhooks = BTreeMap::new();
    for address in addresses {
        webhooks.insert(address.clone(), webhook(&doctor, &address).await);
    }
    let account = match &target.account {
        Some(account) => Some(account.look(&expected.functions).await),
        None => None,
    };
    let account = account.map(|seen| seen.map_err(|error| format!("{error:#}")));
    let seen = account.as_ref().and_then(|seen| seen.as_ref().ok());
    let rolled_back = target.rolled_back || seen.is_some_and(|seen| seen.rolled_back);
    Ok(Observed {
        account,
        rolled_back,
        public_key: public_key(&doctor, &project, page.as_ref().ok()).await,
        key_ids: key_ids(&doctor, &project).await,
        pass_through: pass_through(&doctor).await,
        providers: providers::ask(&doctor.http, &target.known).await,
        probed_seconds,
        page,
        reports,
        database,
        webhooks,
        probes,
    })
}

/// Asks a function for its settings. The gateway has no binding to a placed function, so a function
/// that calls it is asked for them.
async fn report(doctor: &Doctor<'_>, function: &Function) -> Result<ToldSettings, NoAnswer> {
    let name = &function.name;
    let path = match function.placement_region {
        Some(_) => format!("{CALLER_OF_PLACED}/settings-of-{name}"),
        None => format!("{name}/__settings"),
    };
    answer(doctor.as_service(doctor.http.get(doctor.function(&path)))).await
}

/// Sends a probe into each queue from each function that is bound to it.
async fn probes(
    doctor: &Doctor<'_>,
    functions: &[Function],
) -> BTreeMap<(String, String), Result<(), NoAnswer>> {
    let mut probes = BTreeMap::new();
    // The gateway has no binding to a placed function.
    for function in functions.iter().filter(|function| function.placement_region.is_none()) {
        for producer in &function.producers {
            let url = doctor.function(&format!("{}/__hint", function.name));
            let request = doctor.http.post(url).json(&json!({ "queue": producer.binding }));
            let sent = answer::<Value>(doctor.as_service(request)).await.map(drop);
            probes.insert((function.name.clone(), producer.binding.clone()), sent);
        }
    }
    probes
}

/// Calls `doctor_v1` until every queue has delivered a probe or `PROBE_WAIT` is over. Also returns
/// the seconds since the first probe was sent.
async fn database(
    doctor: &Doctor<'_>,
    project: &str,
    functions: &[Function],
    probed: Instant,
) -> (Result<DatabaseState, NoAnswer>, f64) {
    loop {
        let asked = doctor.rpc::<DatabaseState>(project, "doctor_v1", &json!({})).await;
        let waited = probed.elapsed();
        let seconds = waited.as_secs_f64() + PROBE_SLACK_S;
        let Ok(state) = &asked else { return (asked, seconds) };
        let came = functions
            .iter()
            .filter(|function| function.consumer.is_some())
            .all(|function| state.has_seen(&function.name, "queue", seconds));
        if came || waited > PROBE_WAIT {
            return (asked, seconds);
        }
        tokio::time::sleep(POLL).await;
    }
}

impl DatabaseState {
    /// Whether a function recorded an event within the last `seconds`.
    pub fn has_seen(&self, function: &str, event: &str, seconds: f64) -> bool {
        self.events
            .iter()
            .any(|seen| seen.function == function && seen.event == event && seen.seconds <= seconds)
    }
}

/// Sends a webhook for a job that does not exist, and returns the deployment that answered.
async fn webhook(doctor: &Doctor<'_>, address: &str) -> Result<String, NoAnswer> {
    let body: Value = answer(doctor.http.post(address).json(&json!({}))).await?;
    body["deployment"].as_str().map(str::to_owned).ok_or_else(|| NoAnswer {
        status: Some(200),
        message: "what answers there is no function of ours, or an older one".to_owned(),
        ..NoAnswer::default()
    })
}

/// Reads a table that everybody may read, with the public key of the pages.
async fn public_key(
    doctor: &Doctor<'_>,
    project: &str,
    page: Option<&PageState>,
) -> Result<(), NoAnswer> {
    let key = page.map(|page| page.supabase_key.as_str()).unwrap_or_default();
    let url = format!("{project}/rest/v1/credit_packs?select=pack&limit=1");
    let request = doctor.http.get(url).header("accept-profile", SCHEMA);
    answer::<Value>(with_key(request, key)).await.map(drop)
}

/// The ids of the keys with which the project's tokens can be verified.
async fn key_ids(doctor: &Doctor<'_>, project: &str) -> Result<Vec<String>, NoAnswer> {
    let url = format!("{project}/auth/v1/.well-known/jwks.json");
    let document: Value = answer(doctor.http.get(url)).await?;
    let keys = document["keys"].as_array().into_iter().flatten();
    Ok(keys.filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect())
}

/// Asks the gateway for a path of the project. If the pass-through is off, the gateway itself
/// answers 404.
async fn pass_through(doctor: &Doctor<'_>) -> Result<(), NoAnswer> {
    let url = format!("{}/auth/v1/.well-known/jwks.json", doctor.target.gateway);
    answer::<Value>(doctor.http.get(url)).await.map(drop)
}
