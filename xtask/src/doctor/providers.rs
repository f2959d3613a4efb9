//! Free calls to the providers whose keys are known here. They show whether the key is valid, the
//! model exists, and the apps have the nodes that the tools write to.

use std::collections::BTreeMap;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::paths;

type KnownSettings = BTreeMap<String, String>;
/// The example call of a RunningHub app has its node list under this name.
const NODE_LIST: &str = "nodeInfoList";
const ANTHROPIC_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The setting to correct if the call for this subject fails.
pub(super) fn setting_of(subject: &str) -> &'static str {
    match subject.split(' ').next().unwrap_or_default() {
        "runninghub" => "RUNNINGHUB_API_KEY",
        "replicate" => "REPLICATE_API_TOKEN",
        "gemini" => "GEMINI_API_KEY or GEMINI_MODEL",
        "app" => "RUNNINGHUB_APPS",
        _ => "LLM_API_KEY or LLM_MODEL",
    }
}

/// Provider or app → the result of its free call.
pub(super) async fn ask(
    http: &Client,
    known: &KnownSettings,
) -> BTreeMap<String, Result<(), String>> {
    let mut said = BTreeMap::new();
    let calls = [
        ("runninghub", runninghub(http, known)),
        ("replicate", replicate(http, known)),
        ("gemini", gemini(http, known)),
        ("llm", llm(http, known)),
    ];
    for (name, call) in calls {
        if let Some(call) = call {
            said.insert(name.to_owned(), good_answer(call).await.map(drop));
        }
    }
    if said.get("runninghub") == Some(&Ok(())) {
        apps(http, known, &mut said).await;
    }
    said
}

fn setting<'a>(known: &'a KnownSettings, name: &str) -> Option<&'a str> {
    known.get(name).map(|value| value.trim_end_matches('/')).filter(|value| !value.is_empty())
}

fn runninghub(http: &Client, known: &KnownSettings) -> Option<RequestBuilder> {
    let base = setting(known, "RUNNINGHUB_BASE_URL")?;
    let key = setting(known, "RUNNINGHUB_API_KEY")?;
    Some(http.post(format!("{base}/uc/openapi/accountStatus")).json(&json!({ "apikey": key })))
}

fn replicate(http: &Client, known: &KnownSettings) -> Option<RequestBuilder> {
    let base = setting(known, "REPLICATE_BASE_URL")?;
    let token = setting(known, "REPLICATE_API_TOKEN")?;
    Some(http.get(format!("{base}/webhooks/default/secret")).bearer_auth(token))
}

fn gemini(http: &Client, known: &KnownSettings) -> Option<RequestBuilder> {
    let base = setting(known, "GEMINI_BASE_URL")?;
    let (key, model) = (setting(known, "GEMINI_API_KEY")?, setting(known, "GEMINI_MODEL")?);
    Some(http.get(format!("{base}/v1beta/models/{model}")).header("x-goog-api-key", key))
}

fn llm(http: &Client, known: &KnownSettings) -> Option<RequestBuilder> {
    let base = setting(known, "LLM_BASE_URL")?;
    let (key, model) = (setting(known, "LLM_API_KEY")?, setting(known, "LLM_MODEL")?);
    let request = http.get(format!("{base}/models/{model}"));
    Some(match setting(known, "LLM_KIND") {
        Some("anthropic") => {
            request.header("x-api-key", key).header(ANTHROPIC_VERSION.0, ANTHROPIC_VERSION.1)
        }
        _ => request.bearer_auth(key),
    })
}

/// The JSON of a successful answer. RunningHub always answers 200 and gives the error in `code`.
async fn good_answer(request: RequestBuilder) -> Result<Value, String> {
    let silent = |error: reqwest::Error| format!("no answer: {}", error.without_url());
    let response = request.send().await.map_err(silent)?;
    let status = response.status();
    let body: Value =
        serde_json::from_str(&response.text().await.map_err(silent)?).unwrap_or_default();
    let code = match &body["code"] {
        Value::Number(code) => code.to_string(),
        Value::String(code) => code.clone(),
        _ => "0".to_owned(),
    };
    if status.is_success() && code == "0" {
        return Ok(body);
    }
    let texts = [&body["msg"], &body["detail"], &body["error"]["message"], &body["message"]];
    let text = texts.into_iter().find_map(Value::as_str).unwrap_or_default();
    Err(format!("{} {text}", if status.is_success() { code } else { status.to_string() }))
}

/// Asks for each app's node list, and compares it with the nodes that the tool writes to.
async fn apps(
    http: &Client,
    known: &KnownSettings,
    said: &mut BTreeMap<String, Result<(), String>>,
) {
    let Some(base) = setting(known, "RUNNINGHUB_BASE_URL") else { return };
    let Some(key) = setting(known, "RUNNINGHUB_API_KEY") else { return };
    let apps = setting(known, "RUNNINGHUB_APPS").unwrap_or_default();
    let apps: Value = serde_json::from_str(apps).unwrap_or_default();
    for (tool, variants) in apps.as_object().into_iter().flatten() {
        for (variant, app) in variants.as_object().into_iter().flatten() {
            let id = text_of(app.get("webappId").unwrap_or(app));
            let request = http
                .get(format!("{base}/api/webapp/apiCallDemo"))
                .query(&[("apiKey", key), ("webappId", &id)]);
            let judged = good_answer(request).await.and_then(|answer| nodes(tool, app, &answer));
            said.insert(format!("app {tool} {variant}"), judged);
        }
    }
}

fn text_of(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn nodes(tool: &str, app: &Value, answer: &Value) -> Result<(), String> {
    let listed = listed(answer["data"]["url"].as_str().unwrap_or_default());
    let listed = listed.ok_or_else(|| "it has no such app".to_owned())?;
    let has = |node: &str, field: &str| {
        listed.iter().any(|listed| {
            text_of(&listed["nodeId"]) == node && listed["fieldName"].as_str() == Some(field)
        })
    };
    let missing: Vec<String> = sent_nodes(tool, app)
        .into_iter()
        .filter(|(node, field)| !has(node, field))
        .map(|(node, field)| format!("{node} ({field})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("the app has no node {}", missing.join(", ")))
}

/// The node list within the example command. Its quotes may be escaped for a shell.
fn listed(command: &str) -> Option<Vec<Value>> {
    [command.to_owned(), command.replace("\\\"", "\"")].iter().find_map(|text| {
        let (_, rest) = text.split_once(NODE_LIST)?;
        let list = rest.get(rest.find('[')?..)?;
        serde_json::Deserializer::from_str(list).into_iter().next()?.ok()
    })
}

/// Node and field of each input of the tool: those of the setting, and those of the tool's code for
/// the inputs that the setting does not name.
fn sent_nodes(tool: &str, app: &Value) -> Vec<(String, String)> {
    let named = app.get("nodes").and_then(Value::as_object);
    let mut nodes: Vec<(String, String)> = named
        .into_iter()
        .flatten()
        .filter_map(|(_, node)| Some((node[0].as_str()?.to_owned(), node[1].as_str()?.to_owned())))
        .collect();
    let of_setting = |field: &str| named.is_some_and(|named| named.contains_key(field));
    let own = own_nodes(tool).into_iter().filter(|(field, ..)| !of_setting(field));
    nodes.extend(own.map(|(_, node, name)| (node, name)));
    nodes
}

/// Input, node and field as the tool's code names them:
/// `Field::file("imageUrl", …, ("1", "image"))`.
fn own_nodes(tool: &str) -> Vec<(String, String, String)> {
    let folder = paths::root().join("functions").join(tool).join("src");
    let files = folder.read_dir().into_iter().flatten().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.flat_map(|text| nodes_in(&text)).collect()
}

fn nodes_in(source: &str) -> Vec<(String, String, String)> {
    let field = |part: &str| {
        let quoted: Vec<&str> = part.split('"').collect();
        // The input's name, then the node and its field behind a bracket.
        let [name, before, node, comma, field] = *quoted.get(1..6)? else { return None };
        let is_node = before.ends_with('(') && comma == ", ";
        is_node.then(|| (name.to_owned(), node.to_owned(), field.to_owned()))
    };
    source.split("Field::").skip(1).filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{nodes, own_nodes};

    #[test]
    fn the_nodes_of_a_tool_are_read_from_its_code() {
        let nodes = own_nodes("runninghub-upscaler");
        let texts: Vec<String> =
            nodes.iter().map(|(field, node, name)| format!("{field} {node} {name}")).collect();
        for wanted in ["imageUrl 1 image", "resolution 2 value", "prompt 4 text"] {
            assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
        }
    }

    #[test]
    fn an_app_without_a_node_that_the_tool_sends_to_is_told() {
        let list = r#"curl … {"nodeInfoList":[{"nodeId": "1", "fieldName": "image", "x": 1}]}"#;
        let answer = json!({ "code": 0, "data": { "url": list } });
        let tool = "runninghub-veste-ai";
        let told = nodes(tool, &json!("19"), &answer).unwrap_err();
        assert_eq!(told, "the app has no node 2 (image)");
        let own = json!({ "nodes": { "clothingImageUrl": null } });
        assert_eq!(nodes(tool, &own, &answer), Ok(()));
        assert!(nodes(tool, &own, &json!({ "code": 0, "data": {} })).is_err());
    }
}
