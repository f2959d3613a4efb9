//! Scripted behaviour: the rules of each provider, of which the first one that matches a request
//! applies. What a provider does with a behaviour is not known here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::Value;

/// What a provider must do with one request. Each field is a field of a rule; a missing one means
/// the usual behaviour.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// Accept the task and never finish it.
    #[serde(default)]
    pub(crate) hang: bool,
    /// The delay of the answer.
    pub(crate) delay_ms: Option<u64>,
    /// For how many milliseconds the task works.
    pub(crate) work_ms: Option<u64>,
    /// What ends the task's work in place of `work_ms`.
    pub(crate) work: Option<WorkUntil>,
    /// The HTTP status of an answer in place of the provider's own.
    pub(crate) status: Option<u16>,
    /// The body of that answer.
    pub(crate) body: Option<Value>,
    /// Headers of the answer, such as the delay that a refusal names.
    pub(crate) headers: Option<BTreeMap<String, String>>,
    /// Accept the request, then drop the connection.
    #[serde(default)]
    pub(crate) lost_answer: bool,
    /// Accept the task, and report this failure later.
    pub(crate) fail: Option<String>,
    pub(crate) webhook: Option<WebhookFault>,
    pub(crate) webhook_form: Option<WebhookForm>,
    /// The provider's own error code, sent in the shape `shape`.
    pub(crate) code: Option<i64>,
    pub(crate) shape: Option<u8>,
    pub(crate) id_as: Option<IdForm>,
    /// The word of the prediction's state after its work; it may be one that is not final.
    pub(crate) prediction_status: Option<String>,
    /// Whether input, output and files are removed as soon as the task has ended.
    #[serde(default)]
    pub(crate) data_removed: bool,
    /// A fault of a webhook's signature.
    pub(crate) signature: Option<SignatureFault>,
    /// The provider's word for why its answer ended. Gemini: `blocked:<reason>` if the prompt
    /// itself is blocked.
    pub(crate) finish_reason: Option<String>,
    /// RunningHub: whether its cancel knows the task although it is one of an AI app.
    #[serde(default)]
    pub(crate) cancellable: bool,
    /// RunningHub accepts the task with code 0 and announces these errors in `promptTips`.
    pub(crate) node_errors: Option<Value>,
    /// What a text model writes in place of its own text.
    pub(crate) text: Option<Value>,
    /// After how many chunks a text model's stream ends.
    pub(crate) stop_after: Option<usize>,
    /// Stripe: the order of the events of one payment.
    pub(crate) events: Option<EventOrder>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkUntil {
    /// The task works until `POST /__finish` names it.
    UntilFinished,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventOrder {
    Reversed,
    /// All events are sent at once.
    Together,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WebhookFault {
    Lost,
    Twice,
    Late,
    Early,
    Forged,
    Redirected,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SignatureFault {
    Wrong,
    Old,
    /// A wrong signature before the right one, as while a secret is replaced.
    Two,
    None,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WebhookForm {
    String,
    Object,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IdForm {
    String,
    Number,
}

impl Behaviour {
    /// Whether it decides how a task ends, so that it can only apply to a submit.
    fn is_about_submit(&self) -> bool {
        self.hang
            || self.work_ms.is_some()
            || self.work.is_some()
            || self.fail.is_some()
            || self.webhook.is_some()
            || self.webhook_form.is_some()
            || self.id_as.is_some()
            || self.prediction_status.is_some()
            || self.data_removed
            || self.cancellable
            || self.signature.is_some()
            || self.node_errors.is_some()
            || self.text.is_some()
            || self.stop_after.is_some()
            || self.finish_reason.is_some()
            || self.events.is_some()
    }

    /// Whether it usually applies to a submit, but may apply to any request that `match` names.
    fn is_refusal_or_loss(&self) -> bool {
        self.lost_answer || self.code.is_some()
    }

    fn is_about_any_answer(&self) -> bool {
        self.status.is_some()
            || self.body.is_some()
            || self.headers.is_some()
            || self.delay_ms.is_some()
    }
}

/// A request as rules see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    pub(crate) is_submit: bool,
    /// The method, path and body of this request.
    pub(crate) text: String,
    /// The method, path and body of the submit of its task.
    pub(crate) submit_text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawRule {
    #[serde(rename = "match")]
    matches: Option<String>,
    times: Option<u64>,
    /// Whether the rule applies to every request, also to those that others send at the same time.
    #[serde(default)]
    all: bool,
    capacity: Option<usize>,
    #[serde(flatten)]
    behaviour: serde_json::Map<String, Value>,
}

#[derive(Debug)]
struct Rule {
    matches: Option<String>,
    left: Option<u64>,
    behaviour: Behaviour,
}

impl Rule {
    fn applies(&self, subject: &Subject) -> bool {
        if self.left == Some(0) {
            return false;
        }
        let named = self.matches.as_ref().is_some_and(|text| subject.text.contains(text));
        if subject.is_submit {
            return named || self.matches.is_none();
        }
        if named {
            return self.behaviour.is_refusal_or_loss() || self.behaviour.is_about_any_answer();
        }
        let inherited = self.matches.as_ref().is_none_or(|text| {
            subject.submit_text.as_ref().is_some_and(|submit| submit.contains(text))
        });
        // The queries about a task must not use up a rule about how the task ends.
        inherited
            && self.behaviour.is_about_any_answer()
            && !self.behaviour.is_about_submit()
            && !self.behaviour.is_refusal_or_loss()
    }
}

/// What a script changed besides the rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) reset: bool,
    pub(crate) capacity: BTreeMap<String, usize>,
}

/// All rules, by provider.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<HashMap<String, Vec<Rule>>>);

impl Script {
    /// Adds a posted script completely, or on an error nothing of it.
    pub(crate) fn add(&self, posted: &Value, providers: &[&str]) -> Result<Changes, String> {
        let entries = posted.as_object().ok_or("a script is an object by provider")?;
        let mut changes = Changes::default();
        let mut added = Vec::new();
        for (name, value) in entries {
            if name == "reset" {
                changes.reset = value.as_bool().ok_or("`reset` is true or false")?;
                continue;
            }
            if !providers.contains(&name.as_str()) {
                return Err(format!("no provider `{name}` here, only {providers:?}"));
            }
            let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for item in list {
                let (capacity, rule) =
                    parse_rule(item).map_err(|error| format!("{name}: {error}"))?;
                changes.capacity.extend(capacity.map(|limit| (name.clone(), limit)));
                added.extend(rule.map(|rule| (name.clone(), rule)));
            }
        }
        let mut rules = self.rules();
        if changes.reset {
            rules.clear();
        }
        for (name, rule) in added {
            rules.entry(name).or_default().push(rule);
        }
        Ok(changes)
    }

    /// The behaviour for a request. It uses up one of the rule's `times`.
    pub(crate) fn take(&self, provider: &str, subject: &Subject) -> Behaviour {
        let mut rules = self.rules();
        let found = rules
            .get_mut(provider)
            .and_then(|list| list.iter_mut().find(|rule| rule.applies(subject)));
        let Some(rule) = found else {
            return Behaviour::default();
        };
        rule.left = rule.left.map(|left| left - 1);
        rule.behaviour.clone()
    }

    fn rules(&self) -> MutexGuard<'_, HashMap<String, Vec<Rule>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses a rule. A `capacity` alone sets the limit and makes no rule.
fn parse_rule(item: &Value) -> Result<(Option<usize>, Option<Rule>), String> {
    let raw: RawRule = serde_json::from_value(item.clone()).map_err(|error| error.to_string())?;
    if raw.behaviour.is_empty() {
        return match raw.capacity {
            Some(_) => Ok((raw.capacity, None)),
            None => Err("a rule without a behaviour".to_owned()),
        };
    }
    if raw.matches.is_none() && raw.times.is_none() && !raw.all {
        return Err("a rule says whom it means: `match`, `times` or `\"all\": true`".to_owned());
    }
    let behaviour =
        serde_json::from_value(Value::Object(raw.behaviour)).map_err(|error| error.to_string())?;
    let rule = Rule { matches: raw.matches, left: raw.times, behaviour };
    if rule.behaviour.shape.is_some_and(|shape| !(1..=3).contains(&shape)) {
        return Err("`shape` is 1, 2 or 3".to_owned());
    }
    if rule.behaviour.status.is_some_and(|status| !(100..=999).contains(&status)) {
        return Err("`status` is an HTTP status".to_owned());
    }
    Ok((raw.capacity, Some(rule)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn script(posted: &Value) -> Script {
        let script = Script::default();
        script.add(posted, &["p", "q"]).unwrap();
        script
    }

    fn submit(text: &str) -> Subject {
        Subject { is_submit: true, text: text.to_owned(), submit_text: None }
    }

    fn query(text: &str, submit: &str) -> Subject {
        Subject { is_submit: false, text: text.to_owned(), submit_text: Some(submit.to_owned()) }
    }

    #[test]
    fn the_first_match_wins_until_its_times_are_used_up() {
        let script = script(&json!({"p": [{"match": "job-1", "times": 1, "status": 500},
            {"all": true, "status": 501}]}));
        assert_eq!(script.take("p", &submit("POST /run job-2")).status, Some(501));
        assert_eq!(script.take("p", &submit("POST /run job-1")).status, Some(500));
        assert_eq!(script.take("p", &submit("POST /run job-1")).status, Some(501));
        assert_eq!(script.take("q", &submit("POST /run job-1")).status, None);
    }

    #[test]
    fn a_match_reaches_the_queries_of_the_submit_it_names() {
        let script = script(&json!({"p": {"match": "job-1", "status": 503}}));
        assert_eq!(script.take("p", &query("POST /query 7", "POST /run job-1")).status, Some(503));
        assert_eq!(script.take("p", &query("POST /query 8", "POST /run job-2")).status, None);
    }

    #[test]
    fn the_fate_of_a_task_is_not_used_up_by_queries() {
        let script = script(&json!({"p": {"fail": "no", "delay_ms": 9, "times": 1}}));
        assert_eq!(script.take("p", &query("POST /query", "POST /run")).delay_ms, None);
        assert_eq!(script.take("p", &submit("POST /run")).fail.as_deref(), Some("no"));
    }

    #[test]
    fn a_loss_reaches_a_query_only_by_name() {
        let all = script(&json!({"p": {"all": true, "lost_answer": true}}));
        assert!(!all.take("p", &query("POST /query", "POST /run")).lost_answer);
        let named = script(&json!({"p": {"match": "/query", "lost_answer": true}}));
        assert!(named.take("p", &query("POST /query", "POST /run")).lost_answer);
        assert!(!named.take("p", &submit("POST /run")).lost_answer);
    }

    #[test]
    fn scripts_add_up_and_reset_clears() {
        let script = script(&json!({"p": {"all": true, "status": 500}}));
        let changes = script
            .add(&json!({"p": [{"capacity": 5}, {"all": true, "status": 501}]}), &["p"])
            .unwrap();
        assert_eq!(changes.capacity.get("p"), Some(&5));
        assert_eq!(script.take("p", &submit("x")).status, Some(500));
        assert!(
            script
                .add(&json!({"reset": true, "p": {"all": true, "status": 502}}), &["p"])
                .unwrap()
                .reset
        );
        assert_eq!(script.take("p", &submit("x")).status, Some(502));
    }

    #[test]
    fn a_script_that_cannot_be_meant_is_refused_whole() {
        let script = Script::default();
        for bad in [
            json!([]),
            json!({"r": {"all": true, "status": 500}}),
            json!({"p": {"all": true, "statuss": 500}}),
            json!({"p": {"all": true, "webhook": "never"}}),
            json!({"p": {"all": true, "shape": 4}}),
            json!({"p": {"all": true, "work": "forever"}}),
            json!({"p": {"times": 1}}),
            json!({"p": {"status": 500}}),
            json!({"p": {"all": false, "status": 500}}),
            json!({"p": [{"all": true, "status": 500}, {"times": "x"}]}),
        ] {
            assert!(script.add(&bad, &["p"]).is_err(), "{bad}");
        }
        assert_eq!(script.take("p", &submit("x")).status, None);
    }
}
