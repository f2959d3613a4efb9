//! The bindings of a version. What a version is bound to must exist before it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::CloudState;
use super::answer::{CloudRefusal, refused};

const VALUE_BYTES: usize = 5 * 1024;
/// The platform's limit of variables and secrets of one Worker.
const VALUES: usize = 128;

/// The bindings of a new version: those in the metadata, the inherited ones, and the kept ones.
pub(super) fn resolve(
    state: &CloudState,
    script: &str,
    metadata: &Value,
) -> Result<Vec<Value>, CloudRefusal> {
    let before = state.scripts.get(script).and_then(|script| script.versions.last());
    let before: Vec<Value> = before.map(|version| version.bindings.clone()).unwrap_or_default();
    let named = |name: &str| before.iter().find(|binding| binding["name"] == name).cloned();
    let (mut bindings, mut names) = (Vec::new(), BTreeSet::new());
    for binding in metadata["bindings"].as_array().into_iter().flatten() {
        let name = binding["name"].as_str().unwrap_or_default();
        if name.is_empty() || !names.insert(name.to_owned()) {
            return Err(refused(10021, format!("binding name '{name}' is empty or used twice")));
        }
        if binding["type"] == "inherit" {
            let inherited = named(name).ok_or_else(|| {
                let message = format!("inherit binding '{name}' is invalid: there is none");
                refused(10057, message)
            })?;
            bindings.push(inherited);
        } else {
            check(state, script, metadata, binding)?;
            bindings.push(binding.clone());
        }
    }
    let kept: Vec<&str> = metadata["keep_bindings"]
        .as_array()
        .map(|kinds| kinds.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    bindings.extend(before.into_iter().filter(|binding| {
        let (kind, name) = (binding["type"].as_str(), binding["name"].as_str());
        kept.contains(&kind.unwrap_or_default()) && !names.contains(name.unwrap_or_default())
    }));
    let is_value = |binding: &&Value| {
        ["plain_text", "secret_text", "json"].iter().any(|kind| binding["type"] == *kind)
    };
    if bindings.iter().filter(is_value).count() > VALUES {
        return Err(refused(10054, format!("more than {VALUES} variables")));
    }
    Ok(bindings)
}

fn check(
    state: &CloudState,
    script: &str,
    metadata: &Value,
    binding: &Value,
) -> Result<(), CloudRefusal> {
    let text = |name: &str| binding[name].as_str().unwrap_or_default();
    let name = text("name");
    match text("type") {
        "service" => {
            let service = text("service");
            if service != script && !state.scripts.contains_key(service) {
                let message = format!(
                    "Could not resolve service binding '{name}'. Target script '{service}' not \
                     found."
                );
                return Err(refused(10143, message));
            }
        }
        "queue" if !state.queues.contains_key(text("queue_name")) => {
            return Err(refused(10159, format!("Queue '{}' does not exist.", text("queue_name"))));
        }
        "queue" => {}
        "plain_text" | "secret_text" => {
            if binding["text"].as_str().is_none_or(|text| text.len() > VALUE_BYTES) {
                return Err(refused(10054, format!("the text of '{name}' is none or too long")));
            }
        }
        "ratelimit" => {
            let space = text("namespace_id").parse::<u32>().is_ok_and(|space| space > 0);
            let simple = &binding["simple"];
            let period = [json!(10), json!(60)].contains(&simple["period"]);
            if !space || !period || simple["limit"].as_u64().is_none_or(|limit| limit == 0) {
                return Err(refused(10021, format!("rate limit '{name}' is not valid")));
            }
        }
        "assets" if metadata["assets"]["jwt"].as_str().is_none() => {
            return Err(refused(10021, "a binding of assets without assets"));
        }
        "assets" => {}
        other => return Err(refused(10021, format!("'{name}' is of an unknown kind {other}"))),
    }
    Ok(())
}
