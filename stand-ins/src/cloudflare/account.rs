//! What the account holds, what a test reads of it, and what a test sets up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{busy, routes, running};

/// The account that the stand-in serves.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    pub account_id: String,
    pub token: String,
    /// The account's subdomain of workers.dev, if it has one.
    pub subdomain: Option<String>,
}

/// A handle of the account; all clones share one state.
#[derive(Clone)]
pub struct CloudAccount {
    pub(super) options: Arc<CloudOptions>,
    state: Arc<Mutex<CloudState>>,
    stopped: Arc<Notify>,
}

#[derive(Default)]
pub(super) struct CloudState {
    pub(super) scripts: BTreeMap<String, CloudScript>,
    pub(super) queues: BTreeMap<String, StoredQueue>,
    /// Hash of a page → its bytes.
    pub(super) assets: BTreeMap<String, Bytes>,
    /// Digest of a module → its bytes.
    pub(super) code: BTreeMap<String, Bytes>,
    pub(super) sessions: BTreeMap<String, super::assets::AssetSession>,
    counter: u32,
    /// Changes with every change of what is in force.
    pub(super) revision: u64,
    pub(super) calls: busy::CallCount,
    /// Every call that changed something, in order.
    writes: Vec<String>,
    /// Further accounts that the token may use.
    pub(super) other_accounts: Vec<String>,
    unknown: Vec<String>,
    /// After how many more writes the API stops answering.
    stop_after: Option<usize>,
    is_stopped: bool,
}

#[derive(Default)]
pub(super) struct CloudScript {
    pub(super) versions: Vec<StoredVersion>,
    /// The releases, newest last.
    pub(super) releases: Vec<StoredRelease>,
    pub(super) crons: Vec<String>,
    pub(super) enabled: bool,
    pub(super) previews_enabled: bool,
    pub(super) settings: Value,
    pub(super) tag: String,
}

#[derive(Clone)]
pub(super) struct StoredVersion {
    pub(super) id: String,
    pub(super) number: usize,
    pub(super) bindings: Vec<Value>,
    pub(super) annotations: Value,
    /// The parts of the metadata that are neither bindings nor annotations.
    pub(super) runtime: Value,
    /// Module → digest.
    pub(super) modules: BTreeMap<String, String>,
    /// Module → content type.
    pub(super) kinds: BTreeMap<String, String>,
    /// Page → hash.
    pub(super) pages: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(super) struct StoredRelease {
    pub(super) id: String,
    pub(super) versions: Value,
    pub(super) annotations: Value,
}

pub(super) struct StoredQueue {
    pub(super) id: String,
    pub(super) consumer: Option<StoredConsumer>,
}

#[derive(Clone)]
pub(super) struct StoredConsumer {
    pub(super) id: String,
    pub(super) script: String,
    pub(super) settings: Value,
}

impl CloudState {
    /// A new id. Its first eight digits differ from those of every other id too.
    pub(super) fn new_id(&mut self) -> String {
        self.counter += 1;
        let spread = self.counter.wrapping_mul(2_654_435_761);
        format!("{spread:08x}-0000-4000-8000-{:012x}", self.counter)
    }
}

impl CloudState {
    pub(super) fn note_unknown(&mut self, call: &str) {
        self.unknown.push(call.to_owned());
    }
}

impl CloudAccount {
    pub fn new(options: CloudOptions) -> Self {
        Self { options: Arc::new(options), state: Arc::default(), stopped: Arc::default() }
    }

    /// Serves the API under `/client/v4`.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, CloudState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the API still handles calls.
    pub(super) fn admit(&self) -> bool {
        !self.state().is_stopped
    }

    /// Records that a call changed something. If it returns false, neither this call nor a later
    /// one may be answered.
    pub(super) fn wrote(&self, call: String) -> bool {
        let mut state = self.state();
        state.writes.push(call);
        state.revision += 1;
        if let Some(left) = state.stop_after.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 && !state.is_stopped {
                state.is_stopped = true;
                self.stopped.notify_one();
            }
        }
        !state.is_stopped
    }

    /// The calls so far that changed something.
    pub fn writes(&self) -> Vec<String> {
        self.state().writes.clone()
    }

    /// The calls that this stand-in does not know.
    pub fn unknown(&self) -> Vec<String> {
        self.state().unknown.clone()
    }

    /// Stops the API after this many more changes: the last change is made but not answered.
    pub fn stop_after(&self, writes: usize) {
        let mut state = self.state();
        state.stop_after = Some(writes);
        state.is_stopped = false;
    }

    /// Waits until the API has stopped answering.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Lets the API answer again.
    pub fn go_on(&self) {
        let mut state = self.state();
        state.stop_after = None;
        state.is_stopped = false;
    }

    /// Lets the token use another account too.
    pub fn add_account(&self, id: &str) {
        self.state().other_accounts.push(id.to_owned());
    }

    pub(super) fn accounts(&self, others: &[String]) -> Value {
        let ids = [&self.options.account_id].into_iter().chain(others);
        ids.map(|id| json!({ "id": id, "name": format!("Account {id}"), "type": "standard" }))
            .collect()
    }

    /// Refuses every so many-th call with 429 or 502 without handling it; 0 refuses none.
    pub fn refuse_every(&self, calls: usize, status: u16) {
        self.state().calls.refuse_every(calls, status);
    }

    /// Lets five minutes pass for the limit of calls.
    pub fn let_calls_grow_old(&self) {
        self.state().calls.grow_old();
    }

    /// The number of calls since the last `refuse_every`.
    pub fn calls(&self) -> usize {
        self.state().calls.count()
    }

    /// What runs now, for `edge.mjs`, which runs it. `None` if that is the known revision.
    pub fn running(&self, known: u64) -> Option<Value> {
        running::describe(&self.state(), self.options.subdomain.as_deref(), known)
    }

    /// Changes one secret of a Worker, as the dashboard and `wrangler secret put` do.
    pub fn change_secret(&self, worker: &str, name: &str, text: &str) {
        let state = &mut *self.state();
        let (version, release) = (state.new_id(), state.new_id());
        state.revision += 1;
        let script = state.scripts.get_mut(worker).expect("a Worker");
        let mut changed = script.live().expect("a version").clone();
        (changed.id, changed.number) = (version.clone(), script.versions.len() + 1);
        changed.annotations = json!({ "workers/triggered_by": "secret" });
        let secrets = changed.bindings.iter_mut();
        let secret = secrets.into_iter().find(|binding| binding["name"] == *name);
        secret.expect("a secret")["text"] = json!(text);
        script.versions.push(changed);
        script.releases.push(StoredRelease {
            id: release,
            versions: json!([{ "version_id": version, "percentage": 100 }]),
            annotations: json!({}),
        });
    }

    /// Removes a Worker's crons.
    pub fn remove_crons(&self, worker: &str) {
        let state = &mut *self.state();
        state.revision += 1;
        state.scripts.get_mut(worker).expect("a Worker").crons.clear();
    }

    /// Adds a Worker that the same deployment has made and whose function is in no checkout any
    /// more. It is a copy of another Worker.
    pub fn add_copy(&self, worker: &str, name: &str) {
        let state = &mut *self.state();
        let (version, release) = (state.new_id(), state.new_id());
        state.revision += 1;
        let mut copy = state.scripts[worker].live().expect("a version").clone();
        copy.id = version.clone();
        let release = StoredRelease {
            id: release,
            versions: json!([{ "version_id": version, "percentage": 100 }]),
            annotations: json!({}),
        };
        let script =
            CloudScript { versions: vec![copy], releases: vec![release], ..CloudScript::default() };
        state.scripts.insert(name.to_owned(), script);
    }

    /// Adds a Worker that another owner has made.
    pub fn add_foreign_worker(&self, name: &str) {
        let mut state = self.state();
        let id = state.new_id();
        let version = StoredVersion {
            id: id.clone(),
            number: 1,
            bindings: Vec::new(),
            annotations: json!({}),
            runtime: json!({}),
            modules: BTreeMap::new(),
            kinds: BTreeMap::new(),
            pages: BTreeMap::new(),
        };
        let release = StoredRelease {
            id: state.new_id(),
            versions: json!([{ "version_id": id, "percentage": 100 }]),
            annotations: json!({}),
        };
        let script = CloudScript {
            versions: vec![version],
            releases: vec![release],
            ..CloudScript::default()
        };
        state.scripts.insert(name.to_owned(), script);
    }

    /// All that is in force, without ids and history.
    pub fn view(&self) -> Value {
        let state = self.state();
        let scripts: BTreeMap<&String, Value> =
            state.scripts.iter().map(|(name, script)| (name, script.view())).collect();
        let queues: BTreeMap<&String, Value> = state
            .queues
            .iter()
            .map(|(name, queue)| {
                let consumer = queue.consumer.as_ref();
                let shown = consumer.map(|consumer| json!([consumer.script, consumer.settings]));
                (name, json!(shown))
            })
            .collect();
        json!({ "scripts": scripts, "queues": queues })
    }
}

impl CloudScript {
    /// The version to which the newest release gives all or most of the traffic.
    pub(super) fn live(&self) -> Option<&StoredVersion> {
        let id = &self.releases.last()?.versions[0]["version_id"];
        self.versions.iter().find(|version| version.id == *id)
    }

    fn view(&self) -> Value {
        let live = self.live().map(|version| {
            json!({
                "bindings": version.bindings,
                "annotations": version.annotations,
                "runtime": version.runtime,
                "modules": version.modules,
            })
        });
        json!({
            "live": live,
            "crons": self.crons,
            "enabled": self.enabled,
            "previews_enabled": self.previews_enabled,
        })
    }
}
