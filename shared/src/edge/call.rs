//! The input of a handler. It never holds a raw header or a credential.

use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::core::auth::{Caller, Quota};
use crate::core::body;
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::id::JobId;
use crate::core::reply::{IntoReply, Reply};
use crate::core::webhook::Signature;
use crate::edge::fetch::Fetch;
use crate::edge::rate;
use crate::flow::invocation::Invocation;
use crate::flow::{Cx, SERVICE};

/// A [`Cx`] that background work can own.
#[derive(Clone)]
pub struct OwnedCx {
    pub fetch: Fetch,
    pub config: Rc<Config>,
    pub request_id: Rc<str>,
    /// Whether the service calls on behalf of a user.
    pub is_on_behalf: bool,
}

impl OwnedCx {
    pub(super) fn of(fetch: Fetch, config: Rc<Config>, request_id: Rc<str>) -> Self {
        Self { fetch, config, request_id, is_on_behalf: false }
    }

    /// Borrows the context that `flow` takes.
    pub fn cx(&self) -> Cx<'_, Fetch> {
        Cx {
            transport: &self.fetch,
            config: &self.config,
            request_id: &self.request_id,
            caller: self.is_on_behalf.then_some(SERVICE),
        }
    }
}

/// A request whose caller [`crate::edge::serve`] has admitted and whose body it has read.
pub struct Call {
    pub caller: Caller,
    /// The JSON body. If the operation answers a GET, it includes the query's fields. Null for a
    /// webhook, whose body is `raw_body`.
    pub body: Value,
    pub raw_body: String,
    /// The signature headers of a webhook; empty for other calls.
    pub signature: Signature,
    /// The path segments after the operation.
    pub path: Vec<String>,
    pub idempotency_key: Option<String>,
    /// The job in the log line of this request.
    pub job_id: Rc<std::cell::RefCell<Option<String>>>,
    pub cx: OwnedCx,
    pub(crate) context: Rc<worker::Context>,
}

impl Invocation for Call {
    type Transport = Fetch;

    fn cx(&self) -> Cx<'_, Fetch> {
        self.cx.cx()
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    fn log_job(&self, job: JobId) {
        *self.job_id.borrow_mut() = Some(job.to_string());
    }

    fn background(&self, work: impl AsyncFnOnce(Cx<'_, Fetch>) + 'static) {
        let owned = self.cx.clone();
        self.context.wait_until(async move { work(owned.cx()).await });
    }

    async fn count_against(&self, quota: Quota) -> Result<(), ApiError> {
        match self.caller.user_id() {
            Some(user) => rate::count(self.cx.fetch.env(), quota, user).await,
            None => Ok(()),
        }
    }
}

/// Deserialises the body and calls `handler`. Answers 400 and names the field at fault.
pub async fn handle<B: DeserializeOwned, R: IntoReply>(
    call: Call,
    handler: impl AsyncFnOnce(&Call, B) -> Result<R, ApiError>,
) -> Result<Reply, ApiError> {
    let input = body::typed(&call.body)?;
    handler(&call, input).await?.into_reply()
}
