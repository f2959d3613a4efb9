//! Reads fields of Stripe's objects in all their forms.

use serde_json::Value;

pub(super) fn text(object: &Value, pointer: &str) -> Option<String> {
    let text = object.pointer(pointer)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer)?.as_i64()
}

/// The id of an object, which is either named or expanded.
pub(super) fn id(object: &Value, pointer: &str) -> Option<String> {
    text(object, pointer).or_else(|| text(object, &format!("{pointer}/id")))
}

/// The present ids, each once.
pub(super) fn keys(ids: impl IntoIterator<Item = Option<String>>) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for id in ids.into_iter().flatten() {
        if !keys.contains(&id) {
            keys.push(id);
        }
    }
    keys
}
