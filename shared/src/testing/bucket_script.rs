//! Both buckets behind a [`Transport`], with scripted faults, and a database that reports every
//! listed file as due.
//!
//! Storage's part follows supabase/storage: a DELETE removes all of its files or none.

use super::single_step::SingleStepWorld;
use crate::core::config::Config;
use crate::core::transport::{self, HttpRequest, HttpResponse, Transport, TransportError};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const USER: &str = "00000000-0000-4000-8000-000000000001";
/// The database chooses at most so many names.
const CHOSEN: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct BucketScriptState {
    pub now: u64,
    /// The duration of each call.
    pub call_ms: u64,
    /// The files as `<bucket>/<name>`.
    pub files: BTreeSet<String>,
    /// Files that storage refuses to delete.
    pub stuck: BTreeSet<String>,
    /// Files that a trigger of the app keeps without an error.
    pub kept: BTreeSet<String>,
    /// Whether a live job needs all files.
    pub is_held: bool,
    /// The status of storage's answers to `<method> <path>`, in place of its own; 0 is no answer.
    pub faults: BTreeMap<&'static str, u16>,
    /// The answer of `files_due_v1`.
    pub due: Value,
    /// `<method> <path>` of each call.
    pub calls: Vec<String>,
    /// The arguments of each `files_deleted_v1`.
    pub reports: Vec<Value>,
}

pub(crate) struct BucketScript(pub RefCell<BucketScriptState>);

impl BucketScript {
    /// `due` has pairs of kind and cursor.
    pub(crate) fn new(due: &[(&str, Option<&str>)]) -> Self {
        let row = |(kind, cursor): &(&str, Option<&str>)| {
            let user = (*kind == "erased").then_some(USER);
            json!({"kind": kind, "user_id": user, "cursor": cursor})
        };
        let due = due.iter().map(row).collect();
        Self(RefCell::new(BucketScriptState { call_ms: 5, due, ..BucketScriptState::default() }))
    }

    /// Adds that many files of the user to a bucket; their names are in order.
    pub(crate) fn fill(&self, bucket: &str, count: usize) {
        let name = |number| format!("{bucket}/{USER}/{number:05}.png");
        self.0.borrow_mut().files.extend((0..count).map(name));
    }

    pub(crate) fn config() -> Config {
        SingleStepWorld::config()
    }

    /// The number of calls whose `<method> <path>` begins with `start`.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.0.borrow().calls.iter().filter(|call| call.starts_with(start)).count()
    }
}

impl BucketScriptState {
    fn rpc(&mut self, function: &str, args: &Value) -> Value {
        match function {
            "files_due_v1" => self.due.clone(),
            "files_choose_v1" => {
                let files = args["p_objects"].as_array().unwrap();
                let names = files.iter().map(|file| file["name"].clone());
                let names: Vec<Value> = names.take(if self.is_held { 0 } else { CHOSEN }).collect();
                json!([{"names": names, "due": files.len()}])
            }
            "files_deleted_v1" => {
                self.reports.push(args.clone());
                Value::Null
            }
            other => panic!("there is no double of {other}"),
        }
    }

    /// Lists a page. The cursor is the last name.
    fn list(&self, bucket: &str, listing: &Value) -> Value {
        let below = |name: &String| name.strip_prefix(&format!("{bucket}/")).map(str::to_owned);
        let (prefix, after) = (listing["prefix"].as_str(), listing["cursor"].as_str());
        let mut names: Vec<String> = self.files.iter().filter_map(below).collect();
        names.retain(|name| name.starts_with(prefix.unwrap()));
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        let limit = usize::try_from(listing["limit"].as_u64().unwrap()).unwrap();
        let has_next = names.len() > limit;
        names.truncate(limit);
        let next = names.last().filter(|_| has_next);
        let objects: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"hasNext": has_next, "nextCursor": next, "folders": [], "objects": objects})
    }

    fn delete(&mut self, bucket: &str, body: &Value) -> (u16, Value) {
        let names = body["prefixes"].as_array().unwrap().iter();
        let names: Vec<String> =
            names.map(|name| format!("{bucket}/{}", name.as_str().unwrap())).collect();
        if names.iter().any(|name| self.stuck.contains(name)) {
            let body = json!({"statusCode": "500", "code": "DatabaseError", "error": "x"});
            return (500, body);
        }
        let gone =
            names.iter().filter(|name| !self.kept.contains(*name) && self.files.remove(*name));
        (200, gone.map(|name| json!({"name": name})).collect())
    }
}

impl Transport for BucketScript {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut state = self.0.borrow_mut();
        state.now += state.call_ms;
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
        let rpc = request.url.split_once("/rpc/").map(|(_, function)| function.to_owned());
        let path = request.url.split_once("/object/").map(|(_, path)| path.to_owned());
        let call = path.map(|path| format!("{} {path}", request.method));
        state.calls.push(call.clone().or(rpc.clone()).unwrap());
        let fault = call.as_ref().and_then(|call| state.faults.get(call.as_str())).copied();
        let (status, answer) = match (fault, rpc, call.as_deref()) {
            (Some(0), ..) => return Err(TransportError::Unknown("lost".to_owned())),
            (Some(status), ..) => (status, Value::Null),
            (None, Some(function), _) => (200, state.rpc(&function, &body)),
            (None, None, Some(call)) => match call.rsplit_once('/') {
                Some((_, bucket)) => (200, state.list(bucket, &body)),
                None => state.delete(call.trim_start_matches("DELETE "), &body),
            },
            (None, None, None) => panic!("nobody answers {}", request.url),
        };
        Ok(HttpResponse { status, headers: Vec::new(), body: answer.to_string() })
    }

    fn now_ms(&self) -> u64 {
        self.0.borrow().now
    }

    async fn sleep(&self, ms: u32) {
        self.0.borrow_mut().now += u64::from(ms);
    }

    unused_calls!(copy upload download random notify log);
}
