//! Checks that the answer to a body with wrong types uses the words of JSON and the body's fields,
//! and never our own types. The functions' tests include this file by its path.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::core::body::typed;

/// Words of serde and of Rust.
const OURS: [&str; 19] = [
    "struct",
    "variant",
    "enum",
    "tuple",
    "newtype",
    "invalid",
    "unit",
    "sequence",
    "map",
    "integer",
    "floating",
    "boolean",
    "borrowed",
    "untagged",
    "elements in",
    "u8",
    "u32",
    "u64",
    "f64",
];

/// Every position in a value, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, part)| (name.clone(), part)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(number, part)| (number.to_string(), part)).collect()
        }
        _ => Vec::new(),
    };
    for (name, part) in parts {
        let at = format!("{at}/{name}");
        places(part, &at, found);
        found.push(at);
    }
}

/// Reads as `T` a body that has every field, with each kind of JSON at each of its positions.
pub(crate) fn try_each<T: DeserializeOwned>(body: &Value) {
    let read = |body: &Value| typed::<T>(body).map(drop).map_err(|error| error.message);
    let good = read(body);
    assert!(good.is_ok(), "the body itself is refused: {good:?}");
    let kinds = [
        json!(null),
        json!(true),
        json!(-1),
        json!(7),
        json!(1e30),
        json!(1.5),
        json!("mega"),
        json!([]),
        json!(["mega", 7, {}]),
        json!({}),
        json!({"mega": 1}),
        json!({"mega": 1, "more": []}),
    ];
    let mut all = Vec::new();
    places(body, "", &mut all);
    let mut refusals = 0;
    for at in &all {
        for kind in &kinds {
            let mut wrong = body.clone();
            *wrong.pointer_mut(at).expect("a place of the body") = kind.clone();
            let Err(message) = read(&wrong) else { continue };
            refusals += 1;
            let words: Vec<&str> = message.split(|c: char| !c.is_alphanumeric()).collect();
            let ours = OURS.iter().find(|ours| {
                words.contains(ours) || (ours.contains(' ') && message.contains(**ours))
            });
            assert!(ours.is_none(), "{at} = {kind}: {message}");
            let name = at.split('/').nth(1).expect("a field");
            assert!(message.contains(&format!("`{name}")), "{at} = {kind}: {message}");
        }
    }
    assert!(refusals > all.len(), "{refusals} refusals at {all:?}");
}
