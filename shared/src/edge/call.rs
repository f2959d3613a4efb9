//! What a handler is given and what it gives back.
//!
//! It never holds a raw header or a credential.

use std::future::Future;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::core::auth::Caller;
use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::webhook::Signature;
use crate::edge::fetch::Fetch;
use crate::edge::rate;
use crate::edge::spec::Quota;
use crate::flow::Cx;

/// A [`Cx`] that can be moved into work that outlives the answer.
#[derive(Clone)]
pub struct OwnedCx {
    pub fetch: Fetch,
    pub config: Rc<Config>,
    pub request_id: Rc<str>,
}

impl OwnedCx {
    pub fn cx(&self) -> Cx<'_, Fetch> {
        Cx { transport: &self.fetch, config: &self.config, request_id: &self.request_id }
    }
}

/// One request after everything functions have in common was done.
pub struct Call {
    pub op: &'static str,
    pub method: String,
    pub caller: Caller,
    /// The JSON body; `{}` where it was empty. Null for webhooks, see `raw_body`.
    pub body: Value,
    pub raw_body: String,
    /// Of a webhook; empty for other calls.
    pub signature: Signature,
    pub query: Vec<(String, String)>,
    /// Path segments after the operation.
    pub path_tail: Vec<String>,
    pub idempotency_key: Option<String>,
    /// For the log line: set it as soon as it is known.
    pub job_id: Rc<std::cell::RefCell<Option<String>>>,
    pub cx: OwnedCx,
    pub(crate) context: Rc<worker::Context>,
}

impl Call {
    pub fn cx(&self) -> Cx<'_, Fetch> {
        self.cx.cx()
    }

    /// The body as `T`, or a 400 that names the field at fault.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        crate::edge::body::typed(&self.body)
    }

    /// A named input: from the body, else from the query.
    pub fn param(&self, name: &str) -> Option<Value> {
        match self.body.get(name) {
            Some(value) if !value.is_null() => Some(value.clone()),
            _ => self
                .query
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| Value::from(value.as_str())),
        }
    }

    /// The user this call works for. A function whose policy lets only users in always has one.
    pub fn user(&self) -> Result<UserId, ApiError> {
        self.caller.user_id().ok_or_else(ApiError::forbidden)
    }

    /// Counts this call against another limit too: it does more than its operation's own promises.
    pub async fn count_as(&self, quota: Quota) -> Result<(), ApiError> {
        match self.caller.user_id() {
            Some(user) => rate::count(self.cx.fetch.env(), quota, user).await,
            None => Ok(()),
        }
    }

    /// Names the job in the log line.
    pub fn log_job(&self, job_id: impl ToString) {
        *self.job_id.borrow_mut() = Some(job_id.to_string());
    }

    /// Work that goes on after the answer; the platform gives it 30 s.
    pub fn background(&self, work: impl Future<Output = ()> + 'static) {
        self.context.wait_until(work);
    }
}

/// A good answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Json(Value),
    /// Offered to the browser under a name, which holds no quotes.
    Download {
        name: String,
        content_type: &'static str,
        bytes: Vec<u8>,
    },
}

impl Reply {
    pub fn ok(body: impl Serialize) -> Result<Reply, ApiError> {
        Reply::with_status(200, body)
    }

    pub fn with_status(status: u16, body: impl Serialize) -> Result<Reply, ApiError> {
        let body =
            serde_json::to_value(body).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(Reply { status, body: Body::Json(body) })
    }

    pub fn download(name: String, content_type: &'static str, bytes: Vec<u8>) -> Reply {
        Reply { status: 200, body: Body::Download { name, content_type, bytes } }
    }
}
