//! The committed contract: `openapi.yaml` as the gateway serves it. Each answer that a test gets
//! from a function is checked against it, and the test fails at an operation, a status or a shape
//! that the contract does not describe.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};
use xtask::paths;

static CONTRACT: LazyLock<Value> = LazyLock::new(|| {
    let path = paths::root().join("web/build/openapi.json");
    let text = std::fs::read_to_string(&path).expect("built with the gateway");
    serde_json::from_str(&text).expect("a JSON document")
});
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

const ERROR: &str = "/components/schemas/Error";

/// The paths of the contract, each with its operations.
pub fn paths() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let paths = CONTRACT["paths"].as_object().into_iter().flatten();
    paths.map(|(path, operations)| (path.as_str(), operations))
}

/// How an answer breaks the contract, or `None` if it keeps it.
pub fn contract_breach(method: &str, target: &str, status: u16, body: &Value) -> Option<String> {
    let schema = match schema(method, target, status) {
        Ok(schema) => schema,
        Err(breach) => return Some(breach),
    };
    let validator = validator(&schema);
    let errors: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    (!errors.is_empty())
        .then(|| format!("{method} {target}: {status} is not {schema}: {}", errors.join("; ")))
}

/// The JSON pointer to the schema of an answer's body.
fn schema(method: &str, target: &str, status: u16) -> Result<String, String> {
    let path = target.split('?').next().unwrap_or_default();
    let operation =
        paths().find(|(template, _)| fits(template, path)).and_then(|(template, operations)| {
            let method = method.to_lowercase();
            operations
                .get(&method)
                .map(|operation| (format!("/paths/{}/{method}", escaped(template)), operation))
        });
    let Some((at, operation)) = operation else {
        // A path that is not in the contract must be refused, in the shape of every refusal.
        return if status >= 400 {
            Ok(ERROR.to_owned())
        } else {
            Err(format!("{method} {path} is not in openapi.yaml"))
        };
    };
    let responses = &operation["responses"];
    let named = status.to_string();
    let key = if responses.get(&named).is_some() { named.as_str() } else { "default" };
    if key == "default" && status < 400 {
        return Err(format!("{method} {path} answers {status}, which is not in openapi.yaml"));
    }
    let at = match responses[key]["$ref"].as_str() {
        Some(reference) => reference.trim_start_matches('#').to_owned(),
        None => format!("{at}/responses/{key}"),
    };
    Ok(format!("{at}/content/application~1json/schema"))
}

/// Whether a path matches a template, whose `{…}` match any segment.
fn fits(template: &str, path: &str) -> bool {
    let segments = |text: &str| {
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (template, path) = (segments(template), segments(path));
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
}

fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

/// Validates against the whole document with a reference at its root, so that every reference
/// inside it resolves.
fn validator(pointer: &str) -> Arc<Validator> {
    let mut known = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let mut document = CONTRACT.clone();
        document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        document["$ref"] = json!(format!("#{pointer}"));
        let built = jsonschema::options().should_validate_formats(true).build(&document);
        Arc::new(built.unwrap_or_else(|error| panic!("openapi.yaml {pointer}: {error}")))
    };
    Arc::clone(known.entry(pointer.to_owned()).or_insert_with(make))
}
