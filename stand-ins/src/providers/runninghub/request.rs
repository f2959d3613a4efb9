//! Reads a request to RunningHub and checks it strictly: keys, bodies, lists of nodes. It neither
//! stores nor answers.

use axum::http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::provider::{Arrival, ProviderAnswer};
use super::super::script::Behaviour;
use super::{legacy, v2};

/// The generation of the API that a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunningHubApi {
    V2,
    Legacy,
}

impl RunningHubApi {
    pub(super) fn of(route: &str) -> Option<Self> {
        match route {
            _ if route.starts_with("/openapi/v2/") => Some(Self::V2),
            _ if route.starts_with("/task/openapi/") || route.starts_with("/uc/openapi/") => {
                Some(Self::Legacy)
            }
            _ => None,
        }
    }

    pub(super) fn refuse(self, refusal: &RunningHubRefusal) -> ProviderAnswer {
        match self {
            Self::V2 => v2::refused(refusal),
            Self::Legacy => legacy::refused(refusal),
        }
    }

    /// The scripted code in the shape that the script names.
    pub(super) fn scripted_refusal(self, code: i64, behaviour: &Behaviour) -> ProviderAnswer {
        let refusal = RunningHubRefusal::named(code);
        match behaviour.shape {
            Some(1) => legacy::refused(&refusal),
            Some(2) => v2::refused_in_body(&refusal),
            Some(_) => v2::refused_by_status(behaviour.status.unwrap_or_else(|| http_status(code))),
            None => self.refuse(&refusal),
        }
    }
}

/// A refusal by its code. The API that the request uses words it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunningHubRefusal {
    pub(super) code: i64,
    pub(super) message: String,
}

impl RunningHubRefusal {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The refusal with the published name of its code.
    pub(super) fn named(code: i64) -> Self {
        let name = match code {
            301 => "PARAMS_INVALID",
            380 => "WORKFLOW_NOT_EXISTS",
            412 => "TOKEN_INVALID",
            415 => "TASK_INSTANCE_MAXED",
            416 => "TASK_CREATE_FAILED_BY_NOT_ENOUGH_WALLET",
            421 => "TASK_QUEUE_MAXED",
            423 => "TASK_NOT_FOUNED",
            433 => "VALIDATE_PROMPT_FAILED",
            500 => "UNKNOWN_ERROR",
            802 => "APIKEY_UNAUTHORIZED",
            803 => "APIKEY_INVALID_NODE_INFO",
            804 => "APIKEY_TASK_IS_RUNNING",
            805 => "APIKEY_TASK_STATUS_ERROR",
            807 => "APIKEY_TASK_NOT_FOUND",
            809 => "APIKEY_FILE_SIZE_EXCEEDED",
            813 => "APIKEY_TASK_IS_QUEUED",
            901 => "WEBAPP_NOT_EXISTS",
            1003 => "Rate limit exceeded",
            1004 => "RunningHubWork not found",
            1501 => "Content did not pass moderation",
            1520 => "User concurrency limit reached",
            _ => "Refused",
        };
        Self::new(code, name)
    }
}

/// The HTTP status for a code, for refusals in the form of a plain HTTP error.
fn http_status(code: i64) -> u16 {
    match code {
        412 | 802 | 1002 => 401,
        415 | 421 | 814 | 1003 | 1520 => 429,
        423 | 807 | 1004 => 404,
        500 | 1000 | 1005 | 1006 | 1012 | 1015 | 1504 => 500,
        1010 | 1011 => 503,
        _ => 400,
    }
}

/// What an app does, as its file nodes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunningHubWork {
    EnlargePicture,
    EnlargeVideo,
    /// Composes two pictures in the order of their nodes: the person, and what changes the person.
    Compose,
}

/// The source of an input file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunningHubSource {
    Url(String),
    Uploaded(String),
}

/// A submit that fulfils the contract.
#[derive(Clone, Debug)]
pub(super) struct Submit {
    pub(super) api: RunningHubApi,
    pub(super) key: String,
    pub(super) task: RunningHubWork,
    pub(super) sources: Vec<RunningHubSource>,
    pub(super) webhook_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "descriptive keys are part of the contract and carry nothing")]
struct Node {
    node_id: String,
    field_name: String,
    field_value: String,
    node_name: Option<String>,
    field_type: Option<String>,
    description: Option<String>,
}

pub(super) fn app_of(route: &str) -> Option<&str> {
    route.strip_prefix("/openapi/v2/run/ai-app/")
}

pub(super) fn is_submit(route: &str) -> bool {
    app_of(route).is_some() || matches!(route, "/task/openapi/create" | "/task/openapi/ai-app/run")
}

/// The task's id, which may be sent as text or as a number.
pub(super) fn task_id(body: &Value) -> Option<u64> {
    match body.get("taskId")? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

pub(super) fn bearer_is_known(arrival: &Arrival, keys: &[String]) -> Option<String> {
    let token = arrival.header("authorization")?.strip_prefix("Bearer ")?;
    keys.iter().find(|key| *key == token).cloned()
}

/// The body of a request of the older API, and its key, which is in the body under this name.
pub(super) fn legacy_body(
    arrival: &Arrival,
    keys: &[String],
    name: &str,
) -> Result<(Map<String, Value>, String), RunningHubRefusal> {
    let Some(Value::Object(body)) = arrival.json() else {
        return Err(RunningHubRefusal::named(301));
    };
    let sent = body.get(name).and_then(Value::as_str);
    let key = keys.iter().find(|key| Some(key.as_str()) == sent).cloned();
    key.map(|key| (body, key)).ok_or_else(|| RunningHubRefusal::named(802))
}

pub(super) fn v2(
    arrival: &Arrival,
    keys: &[String],
    app: &str,
) -> Result<Submit, RunningHubRefusal> {
    let key = bearer_is_known(arrival, keys)
        .ok_or_else(|| RunningHubRefusal::new(1002, "Invalid API key"))?;
    if !arrival.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(RunningHubRefusal::new(1007, "Content-Type must be application/json"));
    }
    let Some(Value::Object(body)) = arrival.json() else {
        return Err(RunningHubRefusal::new(1007, "The body is not a JSON object"));
    };
    only(&body, &["nodeInfoList", "instanceType", "usePersonalQueue", "webhookUrl"], 1007)?;
    if !is_number(app) {
        return Err(RunningHubRefusal::named(901));
    }
    submit(&body, RunningHubApi::V2, key, 1101)
}

pub(super) fn legacy(arrival: &Arrival, keys: &[String]) -> Result<Submit, RunningHubRefusal> {
    let (body, key) = legacy_body(arrival, keys, "apiKey")?;
    let is_app = body.contains_key("webappId");
    let (id, missing, others): (_, _, &[&str]) = if is_app {
        ("webappId", 901, &[])
    } else {
        ("workflowId", 380, &["addMetadata", "workflow", "usePersonalQueue"])
    };
    let known = ["apiKey", id, "nodeInfoList", "webhookUrl", "instanceType"];
    only(&body, &[&known, others].concat(), 301)?;
    let id =
        body.get(id).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    if !id.as_deref().is_some_and(is_number) {
        return Err(RunningHubRefusal::named(missing));
    }
    submit(&body, RunningHubApi::Legacy, key, 803)
}

fn submit(
    body: &Map<String, Value>,
    api: RunningHubApi,
    key: String,
    node_code: i64,
) -> Result<Submit, RunningHubRefusal> {
    let wrong = if api == RunningHubApi::V2 { 1007 } else { 301 };
    if body.get("instanceType").is_some_and(|kind| kind != "default" && kind != "plus") {
        return Err(RunningHubRefusal::new(wrong, "instanceType is default or plus"));
    }
    if body
        .get("usePersonalQueue")
        .is_some_and(|flag| !flag.is_boolean() && flag != "true" && flag != "false")
    {
        return Err(RunningHubRefusal::new(wrong, "usePersonalQueue is true or false"));
    }
    let webhook_url = match body.get("webhookUrl") {
        None => None,
        Some(Value::String(url)) if is_fetchable(url) => Some(url.clone()),
        Some(_) => return Err(RunningHubRefusal::new(wrong, "webhookUrl is not a URL")),
    };
    let list = body.get("nodeInfoList").cloned().unwrap_or_default();
    let nodes: Vec<Node> = serde_json::from_value(list)
        .map_err(|error| RunningHubRefusal::new(node_code, format!("nodeInfoList: {error}")))?;
    if let Some(node) =
        nodes.iter().find(|node| !is_number(&node.node_id) || node.field_name.is_empty())
    {
        return Err(RunningHubRefusal::new(
            node_code,
            format!("node {} is not one of this app", node.node_id),
        ));
    }
    let (task, sources) = files(nodes)
        .ok_or_else(|| RunningHubRefusal::new(node_code, "no node with a readable file"))?;
    Ok(Submit { api, key, task, sources, webhook_url })
}

/// The work and its files: one picture, one video, or two pictures in the order of their nodes.
fn files(mut nodes: Vec<Node>) -> Option<(RunningHubWork, Vec<RunningHubSource>)> {
    nodes.retain(|node| matches!(node.field_name.as_str(), "image" | "video"));
    nodes.sort_by_key(|node| node.node_id.parse::<u128>().unwrap_or_default());
    let names: Vec<&str> = nodes.iter().map(|node| node.field_name.as_str()).collect();
    let task = match *names {
        ["image"] => RunningHubWork::EnlargePicture,
        ["video"] => RunningHubWork::EnlargeVideo,
        ["image", "image"] => RunningHubWork::Compose,
        _ => return None,
    };
    Some((task, nodes.iter().map(|node| source(&node.field_value)).collect::<Option<_>>()?))
}

fn only(body: &Map<String, Value>, known: &[&str], code: i64) -> Result<(), RunningHubRefusal> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(RunningHubRefusal::new(code, format!("unknown field {name}"))),
        None => Ok(()),
    }
}

fn source(value: &str) -> Option<RunningHubSource> {
    if let Some(name) = value.strip_prefix("api/") {
        return Some(RunningHubSource::Uploaded(name.to_owned()));
    }
    is_fetchable(value).then(|| RunningHubSource::Url(value.to_owned()))
}

/// Whether the URL is `https`, or `http` to this machine.
fn is_fetchable(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => matches!(host, "127.0.0.1" | "localhost" | "[::1]"),
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Node, RunningHubSource, RunningHubWork, files, is_fetchable, is_number, source};

    #[test]
    fn the_file_nodes_say_what_the_app_does() {
        let nodes = |list: &[(&str, &str)]| -> Vec<Node> {
            let node = |(id, name): &(&str, &str)| {
                let url = format!("https://example.com/{id}");
                serde_json::json!({"nodeId": id, "fieldName": name, "fieldValue": url})
            };
            serde_json::from_value(list.iter().map(node).collect()).unwrap()
        };
        let urls = |ids: &[&str]| {
            ids.iter()
                .map(|id| RunningHubSource::Url(format!("https://example.com/{id}")))
                .collect()
        };
        assert_eq!(
            files(nodes(&[("2", "value"), ("1", "image")])),
            Some((RunningHubWork::EnlargePicture, urls(&["1"])))
        );
        assert_eq!(
            files(nodes(&[("1", "video")])),
            Some((RunningHubWork::EnlargeVideo, urls(&["1"])))
        );
        assert_eq!(
            files(nodes(&[("10", "image"), ("9", "image")])),
            Some((RunningHubWork::Compose, urls(&["9", "10"])))
        );
        assert_eq!(files(nodes(&[("1", "image"), ("2", "video")])), None);
        assert_eq!(files(nodes(&[("1", "value")])), None);
    }

    #[test]
    fn only_public_and_loopback_urls_are_fetched() {
        assert!(is_fetchable("https://example.com/a.png"));
        assert!(is_fetchable("http://127.0.0.1:54321/a.png?x=1"));
        for bad in [
            "http://example.com/a.png",
            "ftp://127.0.0.1/a",
            "/a.png",
            "",
            "data:image/png;base64,AA",
        ] {
            assert!(!is_fetchable(bad), "{bad}");
        }
        assert_eq!(source("api/ab12.png"), Some(RunningHubSource::Uploaded("ab12.png".to_owned())));
    }

    #[test]
    fn ids_are_digits() {
        assert!(is_number("1990000000000000001"));
        assert!(!is_number("") && !is_number("12a") && !is_number("-1"));
    }
}
