//! How long a task works: a scripted number of milliseconds, or until `POST /__finish` names it.
//! What the work is is not known here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;

use super::script::Behaviour;

/// The body of `POST /__finish`; exactly one of its fields is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishRequest {
    /// The provider's id of a task.
    task_id: Option<String>,
    /// A text that the method, path or body of the submit contains.
    #[serde(rename = "match")]
    matches: Option<String>,
}

impl FinishRequest {
    fn names(&self, task: &RunningTask) -> bool {
        match (&self.task_id, &self.matches) {
            (Some(id), None) => task.id == *id,
            (None, Some(text)) => task.submit_text.contains(text),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct RunningTask {
    id: String,
    submit_text: String,
    finished: Arc<watch::Sender<bool>>,
}

/// The tasks of all providers that still work.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningTasks(Arc<Mutex<Vec<RunningTask>>>);

impl RunningTasks {
    /// Starts the clock of a task, which works for `usual_ms` unless the script says otherwise.
    pub(crate) fn begin(
        &self,
        id: &str,
        submit_text: &str,
        behaviour: &Behaviour,
        usual_ms: u64,
    ) -> WorkTime {
        let (sender, receiver) = watch::channel(false);
        let task = RunningTask {
            id: id.to_owned(),
            submit_text: submit_text.to_owned(),
            finished: Arc::new(sender),
        };
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|task| !task.finished.is_closed());
        // A task that hangs cannot be finished.
        if !behaviour.hang {
            running.push(task);
        }
        let scripted = behaviour.work_ms.unwrap_or(usual_ms);
        let work_ms = behaviour.work.is_none().then_some(scripted);
        WorkTime { work_ms, finished: receiver }
    }

    /// Ends the work of the tasks that the request names and waits until each has its result.
    /// Returns the number of these tasks.
    pub(crate) async fn finish(&self, request: &FinishRequest) -> usize {
        let named: Vec<_> = {
            let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let working = running.iter().filter(|task| !task.finished.is_closed());
            working
                .filter(|task| request.names(task))
                .map(|task| Arc::clone(&task.finished))
                .collect()
        };
        for finished in &named {
            finished.send_replace(true);
        }
        for finished in &named {
            finished.closed().await;
        }
        named.len()
    }
}

/// The clock of one task. The task has its result when this value is dropped.
#[derive(Clone, Debug)]
pub(crate) struct WorkTime {
    /// `None` if the task works until `POST /__finish`.
    work_ms: Option<u64>,
    finished: watch::Receiver<bool>,
}

impl WorkTime {
    /// Waits while the task is queued: for a third of the whole time.
    pub(crate) async fn queued(&mut self) {
        self.pass(Some(self.work_ms.unwrap_or(0) / 3)).await;
    }

    /// Waits while the task works after it has left the queue.
    pub(crate) async fn worked(&mut self) {
        self.pass(self.work_ms.map(|work_ms| work_ms - work_ms / 3)).await;
    }

    async fn pass(&mut self, limit_ms: Option<u64>) {
        let finished = async {
            if self.finished.wait_for(|finished| *finished).await.is_err() {
                // No request can finish this task any more; only its time ends it.
                std::future::pending::<()>().await;
            }
        };
        match limit_ms {
            None => finished.await,
            Some(limit_ms) => {
                let limit = Duration::from_millis(limit_ms);
                let _ = tokio::time::timeout(limit, finished).await;
            }
        }
    }
}
