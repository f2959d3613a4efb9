//! What every provider's answers become.

use serde_json::Value;

/// A parsed answer, and the cause in the provider's words if only the operator can mend it (a dead
/// key, an empty account, a missing app).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    pub value: T,
    pub alarm: Option<String>,
}

impl<T> Parsed<T> {
    /// An answer that concerns no operator.
    pub fn ok(value: T) -> Self {
        Self { value, alarm: None }
    }
}

/// A task's id as text, from text or from an integer. `None` for anything that could leave its
/// place in a URL path.
pub(crate) fn task_id(id: &Value) -> Option<String> {
    let text = match id {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    let plain =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (plain && text != "0" && (1..=128).contains(&text.len())).then_some(text)
}
