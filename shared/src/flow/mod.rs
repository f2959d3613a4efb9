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

/// The caller for which SQL functions do not wait for locks: the next pass handles what is locked
/// now.
const HEALER: &str = "healer";
/// The caller for acts of the service on a user's behalf, which the history of the user's jobs
/// shows.
pub const SERVICE: &str = "service";

/// The transport, the settings and the request of a use case.
pub struct Cx<'a, T: Transport> {
    pub transport: &'a T,
    pub config: &'a Config,
    pub request_id: &'a str,
    /// The caller for the database, if it matters there: [`HEALER`] or [`SERVICE`].
    pub caller: Option<&'static str>,
}

impl<'a, T: Transport> Cx<'a, T> {
    pub fn db(&self) -> Db<'a, T> {
        let Self { transport, config, request_id, caller } = *self;
        Db { transport, config, request_id, caller }
    }

    /// The same context for the work of a healer.
    pub fn of_healer(&self) -> Self {
        Self { caller: Some(HEALER), ..*self }
    }

    /// Writes a log line in addition to the request's own. `event` names it; `detail` is an object.
    pub fn log(&self, event: &str, detail: Value) {
        let mut line = json!({"event": event, "request_id": self.request_id});
        if let (Some(line), Value::Object(detail)) = (line.as_object_mut(), detail) {
            line.extend(detail);
        }
        self.transport.log(&line);
    }

    /// Logs how many of the owed messages of a kind this run has claimed and sent, if any.
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

    /// Reports an alarm about `job` to the operator: a log line, and a row. `refused` names the
    /// tool whose step was refused; the alarm then counts towards a circuit. If the alarm cannot be
    /// written, that is logged and fails nothing.
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
/// work, such as the copy of a large result, delays no other run, and a fault stops none.
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
