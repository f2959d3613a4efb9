//! Use cases shared by functions, over a [`Transport`].
//!
//! Nothing here names the platform: tests drive every future by hand and drop it at any call.
//! What ends a job goes through [`finalise`] and nowhere else.

pub mod attempt;
pub mod finalise;
pub mod heal;
pub mod invocation;
pub mod lease;
pub mod order;
pub mod provider_cancel;
pub mod settle;
pub mod store;
pub mod submit;

#[cfg(test)]
mod crash_tests;

use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::transport::Transport;
use crate::db::Db;
use futures_util::future::join_all;
use serde_json::{Value, json};

/// What a use case works with.
pub struct Cx<'a, T: Transport> {
    pub transport: &'a T,
    pub config: &'a Config,
    pub request_id: &'a str,
}

impl<'a, T: Transport> Cx<'a, T> {
    pub fn db(&self) -> Db<'a, T> {
        Db { transport: self.transport, config: self.config }
    }

    /// One log line beside the request's own: `event` names it, `detail` is an object.
    pub fn log(&self, event: &str, detail: Value) {
        let mut line = json!({"event": event, "request_id": self.request_id});
        if let (Some(line), Value::Object(detail)) = (line.as_object_mut(), detail) {
            line.extend(detail);
        }
        self.transport.log(&line);
    }

    /// Something only the operator can mend: a dead key, an empty account, a missing app.
    pub fn alarm(&self, provider: &str, cause: Option<&str>) {
        if let Some(cause) = cause {
            self.log(
                "provider_alarm",
                json!({"level": "error", "provider": provider, "cause": cause}),
            );
        }
    }
}

/// Does something `count` times, begun `every_ms` apart by the clock: slow work, such as the copy of
/// a large result, holds up none of the others, nor does a fault.
pub(crate) async fn every<T: Transport>(
    cx: &Cx<'_, T>,
    count: u32,
    every_ms: u32,
    work: impl AsyncFn() -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let all = join_all((0..count).map(async |number| {
        cx.transport.sleep(number * every_ms).await;
        work().await
    }));
    all.await.into_iter().collect()
}
