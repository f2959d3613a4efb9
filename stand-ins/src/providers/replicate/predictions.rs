//! The predictions, their states, and what answers show of them. A final state never changes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::request::PredictionRequest;
use crate::clock;
use crate::providers::files::ProviderFiles;
use crate::providers::script::Behaviour;

const KEPT_MAX: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PredictionState {
    Starting,
    Processing,
    Succeeded {
        file: String,
    },
    Failed {
        reason: String,
    },
    Canceled,
    Aborted,
    /// A word of the script; nobody can know whether it is final.
    Other(String),
}

impl PredictionState {
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Succeeded { .. } | Self::Failed { .. } | Self::Canceled | Self::Aborted
        )
    }

    pub(super) fn word(&self) -> &str {
        match self {
            Self::Starting => "starting",
            Self::Processing => "processing",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Canceled => "canceled",
            Self::Aborted => "aborted",
            Self::Other(word) => word,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Prediction {
    pub(super) id: String,
    pub(super) order: PredictionRequest,
    pub(super) submit_text: String,
    pub(super) behaviour: Behaviour,
    pub(super) state: PredictionState,
    created_ms: u64,
    started_ms: Option<u64>,
    completed_ms: Option<u64>,
    /// Whether it counts towards the limit while it is live.
    counts: bool,
}

impl Prediction {
    /// The answer to a create: it lacks the keys whose values are not known yet.
    pub(super) fn just_created(&self) -> Value {
        Value::Object(self.common("starting"))
    }

    pub(super) fn shown(&self, files: &ProviderFiles) -> Value {
        let mut shown = self.common(self.state.word());
        let gone = self.behaviour.data_removed && self.state.is_over();
        shown.insert("data_removed".to_owned(), gone.into());
        if gone {
            shown.insert("input".to_owned(), json!({}));
        }
        if let Some(ms) = self.started_ms {
            shown.insert("started_at".to_owned(), clock::iso(ms).into());
        }
        if let Some(ms) = self.completed_ms {
            shown.insert("completed_at".to_owned(), clock::iso(ms).into());
            shown.insert("output".to_owned(), Value::Null);
            let took = (ms - self.created_ms) / 1_000;
            shown.insert("metrics".to_owned(), json!({"total_time": took}));
        }
        match &self.state {
            PredictionState::Succeeded { file } if !gone => {
                drop(shown.insert("output".to_owned(), files.url(file).into()))
            }
            PredictionState::Failed { reason } => {
                drop(shown.insert("error".to_owned(), reason.as_str().into()))
            }
            PredictionState::Canceled => drop(shown.insert("logs".to_owned(), Value::Null)),
            _ => {}
        }
        Value::Object(shown)
    }

    /// The prediction as an item of the list, which shows no webhook, no events and no deadline.
    /// Source: Replicate's OpenAPI description, `predictions.list`; replicate-python-beta,
    /// types/prediction.py.
    pub(super) fn listed(&self, files: &ProviderFiles) -> Value {
        const FIELDS: [&str; 15] = [
            "id",
            "model",
            "version",
            "status",
            "source",
            "data_removed",
            "created_at",
            "started_at",
            "completed_at",
            "error",
            "logs",
            "metrics",
            "input",
            "output",
            "urls",
        ];
        let mut shown = self.shown(files);
        let fields = FIELDS.map(|name| (name.to_owned(), shown[name].take()));
        Value::Object(fields.into_iter().collect())
    }

    /// The answer to a create that waited for the result: it has the output, but its status is
    /// still `processing`.
    pub(super) fn in_block_mode(&self, files: &ProviderFiles) -> Option<Value> {
        let PredictionState::Succeeded { file } = &self.state else { return None };
        let mut shown = self.common("processing");
        shown.insert("output".to_owned(), files.url(file).into());
        Some(Value::Object(shown))
    }

    fn common(&self, status: &str) -> Map<String, Value> {
        let url = |end: &str| format!("https://api.replicate.com/v1/predictions/{}{end}", self.id);
        let (model, version) =
            self.order.version.split_once(':').unwrap_or((&self.order.version, "hidden"));
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("id", self.id.as_str().into());
        put("model", model.into());
        put("version", version.into());
        put("logs", "".into());
        put("error", Value::Null);
        put("status", status.into());
        put("source", "api".into());
        put("input", self.order.raw_input.clone());
        put("created_at", clock::iso(self.created_ms).into());
        put("urls", json!({"get": url(""), "cancel": url("/cancel")}));
        put("webhook", self.order.webhook.clone().into());
        put("webhook_events_filter", json!(self.order.events));
        if let Some(seconds) = self.order.cancel_after_s {
            put("deadline", clock::iso(self.created_ms + seconds * 1_000).into());
        }
        shown
    }
}

#[derive(Debug)]
struct PredictionList {
    capacity: usize,
    /// The predictions, oldest first.
    kept: Vec<Prediction>,
}

#[derive(Debug)]
pub(super) struct Predictions(Mutex<PredictionList>);

impl Default for Predictions {
    fn default() -> Self {
        Self(Mutex::new(PredictionList { capacity: usize::MAX, kept: Vec::new() }))
    }
}

impl Predictions {
    /// Creates a prediction, unless too many are live.
    pub(super) fn accept(
        &self,
        order: PredictionRequest,
        submit_text: String,
        behaviour: Behaviour,
    ) -> Option<Prediction> {
        let mut inner = self.inner();
        let live = inner.kept.iter().filter(|kept| kept.counts && !kept.state.is_over()).count();
        if live >= inner.capacity {
            return None;
        }
        let prediction = Prediction {
            id: clock::random_hex().chars().take(26).collect(),
            order,
            submit_text,
            behaviour,
            state: PredictionState::Starting,
            created_ms: clock::now_ms(),
            started_ms: None,
            completed_ms: None,
            counts: true,
        };
        inner.kept.push(prediction.clone());
        if inner.kept.len() > KEPT_MAX {
            inner.kept.remove(0);
        }
        Some(prediction)
    }

    pub(super) fn get(&self, id: &str) -> Option<Prediction> {
        self.inner().kept.iter().rev().find(|kept| kept.id == id).cloned()
    }

    /// Starts a prediction that is `starting`; any other state stays.
    pub(super) fn start(&self, id: &str) {
        let mut inner = self.inner();
        if let Some(kept) = inner
            .kept
            .iter_mut()
            .find(|kept| kept.id == id && kept.state == PredictionState::Starting)
        {
            kept.state = PredictionState::Processing;
            kept.started_ms = Some(clock::now_ms());
        }
    }

    /// Ends a live prediction and returns it, or `None` if it had ended already.
    pub(super) fn finish(&self, id: &str, state: PredictionState) -> Option<Prediction> {
        let mut inner = self.inner();
        let kept = inner.kept.iter_mut().find(|kept| kept.id == id && !kept.state.is_over())?;
        if state.is_over() {
            kept.completed_ms = Some(clock::now_ms());
        }
        kept.state = state;
        Some(kept.clone())
    }

    /// The webhook's address of another live prediction.
    pub(super) fn other_webhook(&self, id: &str) -> Option<String> {
        let inner = self.inner();
        let mut open =
            inner.kept.iter().rev().filter(|kept| kept.id != id && !kept.state.is_over());
        open.find_map(|kept| kept.order.webhook.clone())
    }

    pub(super) fn newest_first(&self, after_ms: u64, before_ms: u64) -> Vec<Prediction> {
        let inner = self.inner();
        let within = |kept: &&Prediction| (after_ms..before_ms).contains(&kept.created_ms);
        inner.kept.iter().rev().filter(within).cloned().collect()
    }

    pub(super) fn set_capacity(&self, limit: usize) {
        self.inner().capacity = limit;
    }

    /// Removes the limit. Unfinished predictions stay, but no longer count towards it.
    pub(super) fn reset(&self) {
        let mut inner = self.inner();
        inner.capacity = usize::MAX;
        for kept in &mut inner.kept {
            kept.counts = false;
        }
    }

    fn inner(&self) -> MutexGuard<'_, PredictionList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
