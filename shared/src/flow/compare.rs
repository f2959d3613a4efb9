//! Compares the settings of our functions, so that health reports a setting whose value differs in
//! one of them. Such a difference breaks nothing but makes the product slower, and nobody would
//! find the cause.

use super::{Cx, service_call};
use crate::core::error::ApiError;
use crate::core::transport::FunctionCalls;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const TIMEOUT_MS: u32 = 5_000;
/// The functions are queried with this key; a function with another key answers 401.
const KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
const UNAUTHORIZED: u16 = 401;
/// The settings of which a function may have a value of its own: the apps of its tool, and the
/// hosts of its providers' results.
pub const OF_ITS_OWN: [&str; 2] = ["PROVIDER_OUTPUT_HOSTS", "RUNNINGHUB_APPS"];

/// Asks each function for the fingerprints of its settings, and stores the names of those that
/// differ. A function without an answer is not compared.
pub async fn settings<T: FunctionCalls>(cx: &Cx<'_, T>, functions: &[String]) {
    if let Err(error) = asked(cx, functions).await {
        cx.log_error("compare_error", &error, json!({}));
    }
}

async fn asked<T: FunctionCalls>(cx: &Cx<'_, T>, functions: &[String]) -> Result<(), ApiError> {
    let mut reports = Vec::new();
    let mut is_refused = false;
    for function in functions {
        let path = format!("{function}/__settings");
        let request = service_call::request(cx, &path, &json!({}), TIMEOUT_MS)?;
        match cx.transport.call(function, request).await {
            Ok(answer) if answer.is_success() => {
                if let Some(Value::Object(settings)) = answer.json().get("settings") {
                    reports.push(settings.clone());
                }
            }
            Ok(answer) => is_refused |= answer.status == UNAUTHORIZED,
            Err(_) => {}
        }
    }
    if let Some(names) = compared(&reports, is_refused) {
        cx.db().settings_compared_v1(&names).await?;
    }
    Ok(())
}

/// The settings that differ between functions. `None` if no function answered: the earlier result
/// then stays valid.
fn compared(reports: &[Map<String, Value>], is_refused: bool) -> Option<Vec<&str>> {
    if reports.is_empty() && !is_refused {
        return None;
    }
    let mut names = differing(reports);
    if is_refused {
        names.push(KEY);
    }
    Some(names)
}

/// The settings with more than one value. A function without a value for a setting does not need
/// it.
fn differing(reports: &[Map<String, Value>]) -> Vec<&str> {
    let mut seen: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut names = Vec::new();
    for (name, value) in reports.iter().flatten().filter(|(_, value)| !value.is_null()) {
        let differs = *seen.entry(name).or_insert(value) != value;
        let name = name.as_str();
        if differs && !OF_ITS_OWN.contains(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{KEY, OF_ITS_OWN, compared, differing};
    use serde_json::{Map, Value, json};

    #[test]
    fn a_setting_differs_where_two_functions_have_a_value_and_not_the_same() {
        let report = |value: Value| -> Map<String, Value> { value.as_object().unwrap().clone() };
        let [hosts, apps] = OF_ITS_OWN;
        let one = report(json!({"A": "11", "B": "22", "C": null, hosts: "1", apps: "1"}));
        let other = report(json!({"A": "11", "B": "23", "C": "33", hosts: "2", apps: "2"}));
        let third = report(json!({"A": null, "B": "24", "C": "33"}));
        assert_eq!(differing(&[one.clone(), other, third]), ["B"]);
        assert!(differing(&[one]).is_empty() && differing(&[]).is_empty());
    }

    #[test]
    fn silence_says_nothing_about_the_settings_and_a_refusal_names_the_key() {
        assert_eq!(compared(&[], false), None);
        assert_eq!(compared(&[], true), Some(vec![KEY]));
        assert_eq!(compared(&[Map::new()], false), Some(Vec::new()));
    }
}
