//! The seam between use cases and the world: what `flow` may ask for, without saying how.
//!
//! It does no I/O itself. `edge` implements it over the platform's fetch, tests over a script.

use serde_json::Value;

/// A request with a time limit that covers head and body of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub timeout_ms: u32,
}

/// Any answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl HttpResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// Refused before it left: nothing can have happened.
    NotSent(String),
    /// Sent, or maybe sent, and no answer: anything can have happened.
    Unknown(String),
}

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TransportError::NotSent(detail) => write!(f, "not sent: {detail}"),
            TransportError::Unknown(detail) => write!(f, "no answer: {detail}"),
        }
    }
}

/// A body to be moved from one place to another without being held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    pub from: String,
    /// Where it goes; its `body` is not used. The content type of the source is added.
    pub to: HttpRequest,
    pub bytes_max: u64,
    /// What the source may be, by the part of `content-type` before any `;`.
    pub content_types: &'static [&'static str],
    /// How long nothing may come from the source. `to.timeout_ms` covers all of it.
    pub stall_ms: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyError {
    /// Final: wrong type, empty, too large, a redirect, or a refusal that will not change.
    Rejected(String),
    /// Worth another try.
    Transient(String),
}

/// A file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInMemory {
    /// The part of `content-type` before any `;`, in lower case.
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// Everything a use case may ask of the world.
#[expect(async_fn_in_trait, reason = "one isolate is one thread; no caller needs Send futures")]
pub trait Transport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
    /// Copies all of it or fails, whether or not the source says how long it is. Dropped, it stops.
    async fn copy(&self, copy: FileCopy) -> Result<(), CopyError>;
    async fn sleep(&self, ms: u32);
    fn now_ms(&self) -> u64;
    fn random(&self) -> u128;
    /// Sends bytes as the request's body; its own `body` is not used.
    async fn upload(
        &self,
        request: HttpRequest,
        bytes: Vec<u8>,
    ) -> Result<HttpResponse, TransportError>;
    /// Reads a file of at most that many bytes. Redirects are not followed.
    async fn download(
        &self,
        url: &str,
        bytes_max: u64,
        timeout_ms: u32,
    ) -> Result<FileInMemory, CopyError>;
    /// Sends a JSON text to the queue bound under `queue`, to arrive after a delay.
    async fn notify(&self, queue: &str, message: &str, delay_s: u32) -> Result<(), TransportError>;
    fn log(&self, line: &Value);
}

/// A world whose answers can be read while they arrive.
#[expect(async_fn_in_trait, reason = "one isolate is one thread; no caller needs Send futures")]
pub trait Streams: Transport {
    /// Sends a request and shows the body of a good answer piece by piece, until `take` has enough; a refusal comes
    /// whole. The request's time limit is for the head, `silence_ms` for each wait after it.
    async fn stream(
        &self,
        request: HttpRequest,
        silence_ms: u32,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Result<HttpResponse, TransportError>;
}

/// A world in which our functions reach each other without a public address.
#[expect(async_fn_in_trait, reason = "one isolate is one thread; no caller needs Send futures")]
pub trait FunctionCalls: Transport {
    /// Calls the function of that name; the request's host does not count.
    async fn call(
        &self,
        function: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError>;
}
