//! The tasks, their states, their ids, and the limit of a key. A final state never changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::super::script::{Behaviour, IdForm};
use super::request::{RunningHubRefusal, Submit};
use crate::clock;

/// The limit that public clients assume for an ordinary key.
const CAPACITY: usize = 3;
const TASKS_MAX: usize = 5_000;
/// The ids have 19 digits, like the real ones, which a double cannot hold exactly.
const ID_BASE: u64 = 1_900_000_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunningHubState {
    Queued,
    Running,
    /// The names of the files; the result is the last one.
    Success {
        files: Vec<String>,
    },
    Failed {
        code: i64,
        reason: String,
    },
    Cancelled,
}

impl RunningHubState {
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

#[derive(Clone, Debug)]
pub(super) struct RunningHubTask {
    pub(super) id: u64,
    pub(super) submit: Submit,
    pub(super) submit_text: String,
    pub(super) behaviour: Behaviour,
    pub(super) state: RunningHubState,
    pub(super) cost_s: u64,
    /// Whether its success was reported before; its files are listed from then on.
    is_told: bool,
    /// Whether it counts towards the key's limit while it is live.
    counts: bool,
    created_ms: u64,
}

impl RunningHubTask {
    /// The id in the form that the script names. The ids are odd, so that a double rounds them.
    pub(super) fn id_value(&self) -> Value {
        match self.behaviour.id_as {
            Some(IdForm::Number) => Value::from(self.id),
            _ => Value::from(self.id.to_string()),
        }
    }
}

#[derive(Debug)]
struct RunningHubTaskList {
    capacity: usize,
    last_id: u64,
    tasks: BTreeMap<u64, RunningHubTask>,
}

#[derive(Debug)]
pub(super) struct Tasks(Mutex<RunningHubTaskList>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Mutex::new(RunningHubTaskList {
            capacity: CAPACITY,
            last_id: 0,
            tasks: BTreeMap::new(),
        }))
    }
}

impl Tasks {
    /// Creates a task, unless the key has too many live ones.
    pub(super) fn accept(
        &self,
        submit: Submit,
        submit_text: String,
        behaviour: Behaviour,
    ) -> Result<RunningHubTask, RunningHubRefusal> {
        let mut inner = self.inner();
        if inner.live(&submit.key) >= inner.capacity {
            return Err(RunningHubRefusal::named(421));
        }
        let created_ms = clock::now_ms();
        let id = (ID_BASE + created_ms * 1000).max(inner.last_id + 1) | 1;
        inner.last_id = id;
        let task = RunningHubTask {
            id,
            submit,
            submit_text,
            behaviour,
            state: RunningHubState::Queued,
            cost_s: 0,
            is_told: false,
            counts: true,
            created_ms,
        };
        inner.tasks.insert(id, task.clone());
        inner.forget_oldest();
        Ok(task)
    }

    pub(super) fn get(&self, id: u64) -> Option<RunningHubTask> {
        self.inner().tasks.get(&id).cloned()
    }

    /// Whether a success is reported for the first time, when its files are not listed yet. That is
    /// why clients of RunningHub query the files several times after SUCCESS.
    pub(super) fn is_first_told(&self, id: u64) -> bool {
        let mut inner = self.inner();
        let success = |task: &&mut RunningHubTask| {
            matches!(task.state, RunningHubState::Success { .. }) && !task.is_told
        };
        let first = inner.tasks.get_mut(&id).filter(success);
        first.is_some_and(|task| {
            task.is_told = true;
            true
        })
    }

    /// Starts a queued task; any other state stays.
    pub(super) fn start(&self, id: u64) {
        if let Some(task) =
            self.inner().tasks.get_mut(&id).filter(|task| task.state == RunningHubState::Queued)
        {
            task.state = RunningHubState::Running;
        }
    }

    /// Ends a live task and returns it, or `None` if it had ended already.
    pub(super) fn finish(&self, id: u64, state: RunningHubState) -> Option<RunningHubTask> {
        let mut inner = self.inner();
        let task = inner.tasks.get_mut(&id).filter(|task| task.state.is_live())?;
        task.state = state;
        task.cost_s = (clock::now_ms() - task.created_ms) / 1000;
        Some(task.clone())
    }

    /// Another live task with a webhook.
    pub(super) fn other_open(&self, id: u64) -> Option<RunningHubTask> {
        let inner = self.inner();
        let open = |task: &&RunningHubTask| {
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

    /// Restores the usual limit. Unfinished tasks stay, but no longer count towards it.
    pub(super) fn reset(&self) {
        let mut inner = self.inner();
        inner.capacity = CAPACITY;
        for task in inner.tasks.values_mut() {
            task.counts = false;
        }
    }

    fn inner(&self) -> MutexGuard<'_, RunningHubTaskList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningHubTaskList {
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
