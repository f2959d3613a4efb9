//! The requests that arrived, newest last, in limited memory. The log keeps no headers and masks
//! keys in bodies.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::clock;

const ENTRIES_MAX: usize = 10_000;
const TEXT_CHARS_MAX: usize = 16_384;

/// One request. `status` is null until it is answered, and stays null if its answer is lost.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    #[serde(skip)]
    number: u64,
    at: String,
    provider: &'static str,
    method: String,
    path: String,
    body: Value,
    status: Option<u16>,
    response: Value,
    task_id: Option<String>,
}

/// One delivery of a webhook.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivery {
    pub(crate) at: String,
    pub(crate) provider: &'static str,
    pub(crate) url: String,
    pub(crate) body: Value,
    pub(crate) attempt: u32,
    pub(crate) status: Option<u16>,
    pub(crate) response: String,
    pub(crate) task_id: String,
}

#[derive(Debug, Default)]
struct Lists {
    next: u64,
    entries: VecDeque<Entry>,
    deliveries: VecDeque<Delivery>,
}

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Lists>);

impl Log {
    /// Records a request on arrival, so that a request which is never answered shows too.
    pub(crate) fn begin(
        &self,
        provider: &'static str,
        method: &str,
        path: &str,
        body: &str,
        task_id: Option<String>,
    ) -> u64 {
        let body = masked(body_value(body));
        let mut lists = self.lists();
        let number = lists.next;
        lists.next += 1;
        let (method, path) = (method.to_owned(), path.to_owned());
        let at = clock::iso(clock::now_ms());
        let entry = Entry {
            number,
            at,
            provider,
            method,
            path,
            body,
            status: None,
            response: Value::Null,
            task_id,
        };
        push_bounded(&mut lists.entries, entry);
        number
    }

    /// Adds the answer to an entry.
    pub(crate) fn finish(
        &self,
        number: u64,
        status: Option<u16>,
        response: &str,
        task_id: Option<String>,
    ) {
        let mut lists = self.lists();
        if let Some(entry) = lists.entries.iter_mut().rev().find(|entry| entry.number == number) {
            entry.status = status;
            entry.response = body_value(response);
            entry.task_id = task_id.or_else(|| entry.task_id.take());
        }
    }

    pub(crate) fn delivered(&self, delivery: Delivery) {
        push_bounded(&mut self.lists().deliveries, delivery);
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lists().entries.iter().cloned().collect()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.lists().deliveries.iter().cloned().collect()
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= ENTRIES_MAX {
        list.pop_front();
    }
    list.push_back(item);
}

/// JSON as JSON, and anything else as text of limited length.
fn body_value(text: &str) -> Value {
    match text {
        "" => Value::Null,
        _ if text.len() <= TEXT_CHARS_MAX => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        }
        _ => Value::String(text.chars().take(TEXT_CHARS_MAX).collect()),
    }
}

fn masked(mut body: Value) -> Value {
    for name in ["apiKey", "apikey"] {
        if let Some(key) = body.get_mut(name) {
            *key = Value::String("***".to_owned());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_shows_before_and_after_its_answer() {
        let log = Log::default();
        let first = log.begin("p", "POST", "/a", r#"{"apiKey":"secret","taskId":"1"}"#, None);
        log.begin("p", "POST", "/b", "not json", Some("7".to_owned()));
        log.finish(first, Some(200), r#"{"code":0}"#, Some("1".to_owned()));
        let entries = serde_json::to_value(log.entries()).unwrap();
        assert_eq!(entries[0]["body"], json!({"apiKey": "***", "taskId": "1"}));
        assert_eq!((&entries[0]["status"], &entries[0]["task_id"]), (&json!(200), &json!("1")));
        assert_eq!(
            (&entries[1]["body"], &entries[1]["status"]),
            (&json!("not json"), &Value::Null)
        );
    }

    #[test]
    fn memory_is_bounded() {
        let log = Log::default();
        for number in 0..=ENTRIES_MAX {
            log.begin("p", "GET", &format!("/{number}"), "", None);
        }
        let entries = log.entries();
        assert_eq!((entries.len(), entries[0].path.as_str()), (ENTRIES_MAX, "/1"));
    }
}
