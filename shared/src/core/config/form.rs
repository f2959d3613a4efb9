//! The forms that a setting's text can have, and how each is parsed.
//!
//! An error names the variable and never its value.

use serde_json::{Map, Value};

use crate::core::error::ApiError;

/// A form of a variable's text, and its parsing.
pub trait Form {
    type Value;
    /// The form as docs/configuration.md names it.
    const WORDS: &'static str;

    /// Parses `text`, which is trimmed and not empty; `name` is the variable's.
    fn parse(name: &str, text: String) -> Result<Self::Value, ApiError>;
}

/// Parses one variable after the other and keeps the first fault. So the code for a fault exists
/// once, and not for each of the dozens of settings in every function.
pub(super) struct Variables<'r> {
    pub(super) read: &'r dyn Fn(&str) -> Option<String>,
    pub(super) fault: Option<ApiError>,
}

impl Variables<'_> {
    /// Parses the variable into `field` if it is set.
    pub(super) fn parse<F: Form>(&mut self, name: &str, field: &mut Option<F::Value>) {
        let Some(text) = (self.read)(name) else { return };
        match F::parse(name, text) {
            Ok(value) => *field = Some(value),
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
    }

    /// Parses the variable into `field`, which becomes `default` if the variable is not set.
    pub(super) fn parse_or<F: Form>(
        &mut self,
        name: &str,
        field: &mut F::Value,
        default: F::Value,
    ) {
        let mut value = None;
        self.parse::<F>(name, &mut value);
        *field = value.unwrap_or(default);
    }
}

/// Any text.
pub struct Text;

impl Form for Text {
    type Value = String;
    const WORDS: &'static str = "text";

    fn parse(_: &str, text: String) -> Result<String, ApiError> {
        Ok(text)
    }
}

/// A URL without a slash at its end, so that paths can be appended.
pub struct BaseUrl;

impl Form for BaseUrl {
    type Value = String;
    const WORDS: &'static str = "URL";

    fn parse(_: &str, text: String) -> Result<String, ApiError> {
        Ok(text.trim_end_matches('/').to_owned())
    }
}

/// A range of hours of the day: `22-7`.
pub struct HourRange;

impl Form for HourRange {
    type Value = (u32, u32);
    const WORDS: &'static str = "two hours, `22-7`";

    fn parse(name: &str, text: String) -> Result<(u32, u32), ApiError> {
        let hour = |text: &str| text.trim().parse().ok().filter(|hour| *hour < 24);
        text.split_once('-')
            .and_then(|(from, to)| Some((hour(from)?, hour(to)?)))
            .ok_or_else(|| ApiError::misconfigured(name))
    }
}

/// Any JSON. The reader of the value checks its structure.
pub struct Json;

impl Form for Json {
    type Value = Value;
    const WORDS: &'static str = "JSON";

    fn parse(name: &str, text: String) -> Result<Value, ApiError> {
        serde_json::from_str(&text).map_err(|_| ApiError::misconfigured(name))
    }
}

/// Host names separated by commas or spaces. Each allows itself and every host below it.
///
/// Refuses what cannot be a host (a URL, a pattern). Drops entries that consist of dots, because as
/// a suffix they would allow every host.
pub struct Hosts;

impl Form for Hosts {
    type Value = Vec<String>;
    const WORDS: &'static str = "host names, separated by commas";

    fn parse(name: &str, text: String) -> Result<Vec<String>, ApiError> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let entries: Vec<String> = entries
            .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
            .filter(|host| !host.is_empty())
            .collect();
        let is_host = |host: &String| {
            host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
        };
        if entries.iter().all(is_host) { Ok(entries) } else { Err(ApiError::misconfigured(name)) }
    }
}

/// `true` or `false`, and their usual synonyms.
pub struct Flag;

impl Form for Flag {
    type Value = bool;
    const WORDS: &'static str = "`true` or `false`";

    fn parse(name: &str, text: String) -> Result<bool, ApiError> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ApiError::misconfigured(name)),
        }
    }
}

/// A whole number that is not negative.
pub struct Number;

impl Form for Number {
    type Value = u32;
    const WORDS: &'static str = "whole number";

    fn parse(name: &str, text: String) -> Result<u32, ApiError> {
        text.parse().map_err(|_| ApiError::misconfigured(name))
    }
}

/// The kind of API of a text model.
pub struct LlmKind;

impl Form for LlmKind {
    type Value = String;
    const WORDS: &'static str = "`openai` or `anthropic`";

    fn parse(name: &str, text: String) -> Result<String, ApiError> {
        match text.as_str() {
            "openai" | "anthropic" => Ok(text),
            _ => Err(ApiError::misconfigured(name)),
        }
    }
}

/// Several secrets, each of which is accepted. No secret contains a comma.
pub struct SecretList;

impl Form for SecretList {
    type Value = Vec<String>;
    const WORDS: &'static str = "secrets, separated by commas";

    fn parse(_: &str, text: String) -> Result<Vec<String>, ApiError> {
        let secrets = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        Ok(secrets.map(str::to_owned).collect())
    }
}

/// A JSON object of named keys. The value is the list of keys, the one named `default` first.
pub struct SecretKeys;

impl Form for SecretKeys {
    type Value = Vec<String>;
    const WORDS: &'static str = "JSON object of keys by name";

    fn parse(name: &str, text: String) -> Result<Vec<String>, ApiError> {
        let misconfigured = || ApiError::misconfigured(name);
        let mut named: Map<String, Value> =
            serde_json::from_str(&text).map_err(|_| misconfigured())?;
        let first = named.remove("default");
        let mut keys = Vec::new();
        for key in first.into_iter().chain(named.into_iter().map(|(_, key)| key)) {
            match key {
                Value::String(key) if key.trim().is_empty() => {}
                Value::String(key) => keys.push(key.trim().to_owned()),
                _ => return Err(misconfigured()),
            }
        }
        Ok(keys)
    }
}
