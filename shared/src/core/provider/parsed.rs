//! The parsed answers of all providers.

use serde_json::Value;

/// The subject of a fault, by the words of the provider or of its network. The table of each
/// provider names it for each fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The place from which the call came: a region, a firewall.
    Place,
    /// The load of the provider, or the rate of our calls.
    Load,
    /// A temporary fault of the provider, or a missing answer.
    Time,
    /// Our key, money, quota or address.
    Account,
    /// The app, workflow, node or model that a tool names.
    App,
    /// The content of the user's words or pictures.
    Content,
    /// The request's parameters or files.
    Input,
    /// The state of a task, or a code that no table lists.
    Other,
}

impl About {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Load => "load",
            Self::Time => "time",
            Self::Account => "account",
            Self::App => "app",
            Self::Content => "content",
            Self::Input => "input",
            Self::Other => "other",
        }
    }
}

/// A fault that only the operator can correct: an invalid key, an empty account, a missing app.
/// Three refusals in a row about place, account or app open a circuit; `provider_alarm_v1` counts
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub about: About,
    /// The fault in the provider's words.
    pub code: String,
}

impl Alarm {
    pub fn new(about: About, code: impl Into<String>) -> Self {
        Self { about, code: code.into() }
    }
}

#[cfg(test)]
impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.about.as_str(), self.code)
    }
}

/// A parsed answer, with an alarm if only the operator can correct the fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    pub value: T,
    pub alarm: Option<Alarm>,
}

impl<T> Parsed<T> {
    /// An answer without an alarm.
    pub fn ok(value: T) -> Self {
        Self { value, alarm: None }
    }
}

/// A task's id as text, from a text or an integer. `None` for anything that would change the path
/// of a URL.
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
