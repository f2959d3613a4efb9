//! What every provider's stand-in has: a name, what a request of it is about, and an answer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;

use super::script::Behaviour;
use super::work_time::WorkTime;

/// A request with its whole body.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) method: Method,
    /// The path with the provider's prefix and the query, as rules and the log see it.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Arrival {
    /// The path after the provider's prefix, without the query.
    pub(crate) fn route(&self, provider: &str) -> &str {
        let path = self.path.split('?').next().unwrap_or_default();
        path.strip_prefix('/').and_then(|path| path.strip_prefix(provider)).unwrap_or(path)
    }

    /// The body as text. Of a multipart body it shows the size only.
    pub(crate) fn text(&self) -> String {
        match self.header("content-type") {
            Some(kind) if kind.starts_with("multipart/") => {
                format!("<multipart, {} bytes>", self.bytes.len())
            }
            _ => String::from_utf8_lossy(&self.bytes).into_owned(),
        }
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.bytes).ok()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The text in which rules look for their `match`.
    pub(crate) fn rule_text(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.text())
    }
}

/// What a request is about: a new task, or a known one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Concern {
    pub(crate) is_submit: bool,
    pub(crate) task_id: Option<String>,
    pub(crate) submit_text: Option<String>,
}

/// An answer before the scripted delays and losses.
#[derive(Clone, Debug)]
pub(crate) struct ProviderAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    pub(crate) task_id: Option<String>,
    /// One more header, such as the address of a redirect.
    pub(crate) header: Option<(&'static str, String)>,
    /// The parts of a body that is sent in place of `body`, one after the other.
    pub(crate) chunks: Option<Box<Chunks>>,
}

/// A body that is sent slowly.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    pub(crate) list: Vec<String>,
    /// The pause before each part.
    pub(crate) pause: Duration,
    /// The clock of the work; the second half of the parts waits for its end.
    pub(crate) time: WorkTime,
    /// If set, the stream stays open after the last part until this value changes.
    pub(crate) hang: Option<watch::Receiver<u64>>,
}

impl Chunks {
    pub(crate) fn into_body(self) -> Body {
        let Self { list, pause, time, hang } = self;
        let half = list.len() / 2;
        let chunks = stream::iter(list).enumerate().then(move |(number, chunk)| {
            let mut time = time.clone();
            async move {
                tokio::time::sleep(pause).await;
                if number == half {
                    time.worked().await;
                }
                Ok::<_, std::convert::Infallible>(Bytes::from(chunk))
            }
        });
        let silence = stream::once(async move {
            if let Some(mut hang) = hang {
                // The sender exists as long as the stand-in.
                let _ = hang.changed().await;
            }
        });
        Body::from_stream(chunks.chain(silence.filter_map(|()| std::future::ready(None))))
    }
}

impl ProviderAnswer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
            task_id: None,
            header: None,
            chunks: None,
        }
    }

    pub(crate) fn text(status: u16, body: String) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body,
            task_id: None,
            header: None,
            chunks: None,
        }
    }

    pub(crate) fn page(status: u16, html: String) -> Self {
        Self { content_type: "text/html; charset=utf-8", ..Self::text(status, html) }
    }

    /// An answer whose events are sent one after the other.
    pub(crate) fn stream(chunks: Chunks) -> Self {
        let body = chunks.list.concat();
        Self {
            status: 200,
            content_type: "text/event-stream",
            body,
            task_id: None,
            header: None,
            chunks: Some(Box::new(chunks)),
        }
    }

    /// An answer of the type `application/problem+json`.
    pub(crate) fn problem(status: u16, body: &Value) -> Self {
        Self { content_type: "application/problem+json", ..Self::json(status, body) }
    }

    pub(crate) fn about(self, task_id: String) -> Self {
        Self { task_id: Some(task_id), ..self }
    }
}

pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = ProviderAnswer> + Send + 'a>>;

/// A provider, mounted at `/<name>/…`.
pub(crate) trait StandInProvider: Send + Sync {
    fn name(&self) -> &'static str;
    fn concern(&self, arrival: &Arrival) -> Concern;
    fn answer<'a>(&'a self, arrival: &'a Arrival, behaviour: &'a Behaviour) -> Answering<'a>;
    /// Sets how many live tasks one key may have.
    fn set_capacity(&self, limit: usize);
    /// Restores the usual limit. Unfinished tasks no longer count.
    fn reset(&self);
}
