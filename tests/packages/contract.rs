//! The contract says what every field means, and agrees with the code that checks the orders.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::core::error::ErrorCode;
use shared::core::provider::gemini;
use shared::core::provider::replicate::try_on;
use unstuck_tests::sources;

/// Whether a schema or a parameter says what it means, by itself or where it refers to.
fn has_meaning(contract: &Value, schema: &Value) -> bool {
    schema["description"].is_string()
        || schema.get("const").is_some()
        || schema["$ref"].as_str().is_some_and(|reference| {
            let named = contract.pointer(reference.trim_start_matches('#'));
            has_meaning(contract, named.expect("what is referred to"))
        })
}

/// Every field of an object and every parameter below `value` that does not.
fn silent(contract: &Value, value: &Value, at: &str, found: &mut BTreeSet<String>) {
    if let Some(fields) = value["properties"].as_object() {
        let silent = fields.iter().filter(|(_, field)| !has_meaning(contract, field));
        found.extend(silent.map(|(name, _)| format!("{at}.{name}")));
    }
    if let (Some(name), Some(_)) = (value["name"].as_str(), value["in"].as_str())
        && !has_meaning(contract, value)
    {
        found.insert(format!("{at}?{name}"));
    }
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(parts) => parts.iter().map(|(name, part)| (name.clone(), part)).collect(),
        Value::Array(parts) => {
            parts.iter().enumerate().map(|(number, part)| (number.to_string(), part)).collect()
        }
        _ => return,
    };
    for (name, part) in parts {
        silent(contract, part, &format!("{at}/{name}"), found);
    }
}

#[test]
fn every_field_of_the_contract_says_what_it_means() {
    let contract = sources::contract();
    let mut found = BTreeSet::new();
    silent(&contract, &contract, "", &mut found);
    assert!(found.is_empty(), "openapi.yaml: {found:#?}");
}

fn texts<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    values.map(|value| value.as_str().expect("a text")).collect()
}

fn listed(schema: &Value) -> BTreeSet<&str> {
    texts(schema["enum"].as_array().expect("a list").iter())
}

#[test]
fn the_contract_lists_what_the_code_takes() {
    let contract = sources::contract();
    let schemas = &contract["components"]["schemas"];
    let codes = schemas["ErrorCode"]["oneOf"].as_array().expect("a list");
    assert_eq!(
        texts(codes.iter().map(|code| &code["const"])),
        ErrorCode::ALL.iter().map(|code| code.as_str()).collect()
    );
    assert_eq!(listed(&schemas["AspectRatio"]), gemini::ratios("gemini-3.1-flash-image").collect());
    let order = &contract["paths"]["/replicate-async-start"]["post"]["requestBody"];
    let order = &order["content"]["application/json"]["schema"]["properties"];
    assert_eq!(
        listed(&order["garments"]["items"]["properties"]["category"]),
        BTreeSet::from(try_on::CATEGORIES)
    );
    let declared = sources::committed().into_iter();
    let declared = declared.filter(|file| file.ends_with("studio.js"));
    let declared: Vec<String> = declared
        .filter_map(|file| Some(file.strip_prefix("functions").ok()?.parent()?.to_str()?.into()))
        .collect();
    assert_eq!(
        listed(&schemas["ToolName"]),
        declared.iter().map(String::as_str).collect(),
        "the tools of the studio"
    );
}
