//! What every provider's answers become.

use serde_json::Value;

/// What a fault is about, by the provider's word or its network's. The table of each provider says
/// it of each of its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Where the call came from: a region, a firewall.
    Place,
    /// How much the provider has to do, or how often it is asked.
    Load,
    /// A fault or a silence of the provider that passes with time.
    Time,
    /// Our key, money, quota or address.
    Account,
    /// The app, workflow, node or model that a tool names.
    App,
    /// What the user's words or pictures show.
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

/// A fault that only the operator can mend: a dead key, an empty account, a missing app. Three
/// refusals in a row that are about place, account or app open a circuit; `provider_alarm_v1`
/// counts them.
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

/// A parsed answer, and the alarm if only the operator can mend what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    pub value: T,
    pub alarm: Option<Alarm>,
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
