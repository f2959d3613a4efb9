//! The tasks: their states, their ids and the limit per key. A final state never changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::super::script::{Behaviour, IdForm};
use super::request::{Refusal, Submit};
use crate::clock;

/// What public clients assume of an ordinary key.
const CAPACITY: usize = 3;
const TASKS_MAX: usize = 5_000;
/// 19 digits, like the real ones, and far beyond what a double can hold.
const ID_BASE: u64 = 1_900_000_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Running,
    Success { file: String },
    Failed { code: i64, reason: String },
    Cancelled,
}

impl State {
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: u64,
    pub(super) submit: Submit,
    pub(super) submit_text: String,
    pub(super) behaviour: Behaviour,
    pub(super) state: State,
    pub(super) cost_s: u64,
    /// Whether it takes one of the key's places while it lives.
    counts: bool,
    created_ms: u64,
}

impl Task {
    /// The id as the script wants it spelt. A double rounds it: ids are odd.
    pub(super) fn id_value(&self) -> Value {
        match self.behaviour.id_as {
            Some(IdForm::Number) => Value::from(self.id),
            _ => Value::from(self.id.to_string()),
        }
    }
}

#[derive(Debug)]
struct Inner {
    capacity: usize,
    last_id: u64,
    tasks: BTreeMap<u64, Task>,
}

#[derive(Debug)]
pub(super) struct Tasks(Mutex<Inner>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Mutex::new(Inner { capacity: CAPACITY, last_id: 0, tasks: BTreeMap::new() }))
    }
}

impl Tasks {
    /// Takes a task on, unless the key has too many live ones.
    pub(super) fn accept(
        &self,
        submit: Submit,
        submit_text: String,
        behaviour: Behaviour,
    ) -> Result<Task, Refusal> {
        let mut inner = self.inner();
        if inner.live(&submit.key) >= inner.capacity {
            return Err(Refusal::named(421));
        }
        let created_ms = clock::now_ms();
        let id = (ID_BASE + created_ms * 1000).max(inner.last_id + 1) | 1;
        inner.last_id = id;
        let task = Task {
            id,
            submit,
            submit_text,
            behaviour,
            state: State::Queued,
            cost_s: 0,
            counts: true,
            created_ms,
        };
        inner.tasks.insert(id, task.clone());
        inner.forget_oldest();
        Ok(task)
    }

    pub(super) fn get(&self, id: u64) -> Option<Task> {
        self.inner().tasks.get(&id).cloned()
    }

    /// Queued tasks run; any other state stays.
    pub(super) fn start(&self, id: u64) {
        if let Some(task) =
            self.inner().tasks.get_mut(&id).filter(|task| task.state == State::Queued)
        {
            task.state = State::Running;
        }
    }

    /// Makes a live task final; gives it as it then is, or nothing if it was final already.
    pub(super) fn finish(&self, id: u64, state: State) -> Option<Task> {
        let mut inner = self.inner();
        let task = inner.tasks.get_mut(&id).filter(|task| task.state.is_live())?;
        task.state = state;
        task.cost_s = (clock::now_ms() - task.created_ms) / 1000;
        Some(task.clone())
    }

    /// Another live task that waits for a webhook.
    pub(super) fn other_open(&self, id: u64) -> Option<Task> {
        let inner = self.inner();
        let open = |task: &&Task| {
            task.id != id && task.state.is_live() && task.submit.webhook_url.is_some()
        };
        inner.tasks.values().rev().find(open).cloned()
    }

    pub(super) fn live(&self, key: &str) -> usize {
        self.inner().live(key)
    }

    pub(super) fn set_capacity(&self, limit: usize) {
        self.inner().capacity = limit;
    }

    /// The usual limit again; what is unfinished stays so but frees its place.
    pub(super) fn reset(&self) {
        let mut inner = self.inner();
        inner.capacity = CAPACITY;
        for task in inner.tasks.values_mut() {
            task.counts = false;
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn live(&self, key: &str) -> usize {
        self.tasks
            .values()
            .filter(|task| task.counts && task.submit.key == key && task.state.is_live())
            .count()
    }

    fn forget_oldest(&mut self) {
        if self.tasks.len() > TASKS_MAX {
            let oldest = self.tasks.values().find(|task| !task.state.is_live()).map(|task| task.id);
            oldest.and_then(|id| self.tasks.remove(&id));
        }
    }
}
