//! Use cases that several functions share, over a [`Transport`].
//!
//! Nothing here names the platform: tests drive every future by hand and drop it at any call.
//! Whatever ends a job goes through [`finalise`].

pub mod alert;
pub mod attempt;
pub mod compare;
pub mod finalise;
pub mod heal;
pub mod invocation;
pub mod join;
pub mod lease;
pub mod order;
pub mod outgoing;
pub mod permits;
pub mod provider_cancel;
pub mod purchase;
mod retry;
mod service_call;
pub mod settle;
pub mod store;
pub mod submit;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod life_tests;

use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::provider::Alarm;
use crate::core::transport::Transport;
use crate::db::Db;
use crate::flow::join::join_all;
use serde_json::{Value, json};

/// A healer does not wait for locks of others: the next pass handles what is locked now.
const HEALER: &str = "healer";
/// The history of a user's jobs shows which acts the service did on the user's behalf.
pub const SERVICE: &str = "service";

/// The world, the settings and the request of a use case.
pub struct Cx<'a, T: Transport> {
    pub transport: &'a T,
    pub config: &'a Config,
    pub request_id: &'a str,
    /// Who calls the database, where it matters there: [`HEALER`] or [`SERVICE`].
    pub caller: Option<&'static str>,
}

impl<'a, T: Transport> Cx<'a, T> {
    pub fn db(&self) -> Db<'a, T> {
        let Self { transport, config, request_id, caller } = *self;
        Db { transport, config, request_id, caller }
    }

    /// The same for a healer's part.
    pub fn of_healer(&self) -> Self {
        Self { caller: Some(HEALER), ..*self }
    }

    /// Writes one log line beside the request's own. `event` names it; `detail` is an object.
    pub fn log(&self, event: &str, detail: Value) {
        let mut line = json!({"event": event, "request_id": self.request_id});
        if let (Some(line), Value::Object(detail)) = (line.as_object_mut(), detail) {
            line.extend(detail);
        }
        self.transport.log(&line);
    }

    /// Logs what became of the owed messages of a kind that this run has claimed, if any.
    pub fn log_sent(&self, kind: &str, claimed: usize, taken: usize) {
        if claimed > 0 {
            let detail = json!({"kind": kind, "claimed": claimed, "taken": taken});
            self.log("messages_sent", detail);
        }
    }

    /// Logs a fault that the use case survives.
    pub fn log_error(&self, event: &str, error: &ApiError, mut detail: Value) {
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("level".to_owned(), "error".into());
            detail.insert("error".to_owned(), error.to_string().into());
            detail.insert("detail".to_owned(), json!(error.internal));
        }
        self.log(event, detail);
    }

    /// Tells the operator about an alarm that `job` met: a log line, and a row. `refused` names the
    /// tool whose step was refused; then the alarm counts towards a circuit. An alarm that cannot
    /// be written is logged, and fails nothing.
    pub async fn alarm(
        &self,
        provider: &str,
        job: JobId,
        refused: Option<&str>,
        alarm: Option<&Alarm>,
    ) {
        let Some(Alarm { about, code }) = alarm else { return };
        let about = about.as_str();
        self.log(
            "provider_alarm",
            json!({"level": "error", "provider": provider, "tool": refused, "job_id": job,
                "about": about, "cause": code}),
        );
        let counted = refused.map(|_| about);
        let written = self.db().provider_alarm_v1(provider, refused, counted, code, job).await;
        if let Err(error) = written {
            self.log_error("alarm_error", &error.into(), json!({"provider": provider}));
        }
    }
}

/// Runs `work` `count` times. The runs begin `interval_ms` apart by the clock and overlap: slow
/// work, such as the copy of a large result, delays none of the others, and a fault stops none of
/// them.
pub(crate) async fn at_intervals<T: Transport>(
    cx: &Cx<'_, T>,
    count: u32,
    interval_ms: u32,
    work: impl AsyncFn() -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let all = join_all((0..count).map(async |number| {
        cx.transport.sleep(number * interval_ms).await;
        work().await
    }));
    all.await.into_iter().collect()
}
