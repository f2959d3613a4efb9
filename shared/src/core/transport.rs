//! The interface between `flow` and the outside world: calls, copies, time and randomness.
//!
//! This module does no I/O. `edge` implements the traits with the platform's fetch, tests with
//! scripts.

use super::json;
use super::media::{MediaKind, MediaType};
use serde_json::Value;

/// A request. `timeout_ms` covers the head and the body of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub timeout_ms: u32,
}

/// An answer of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// Pairs of name and value; names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl HttpResponse {
    /// Returns the first header of that name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        json::lenient(&self.body).unwrap_or(Value::Null)
    }

    /// Whether the body is a text that is not JSON: a page of a firewall or a proxy, and not the
    /// API's own answer.
    pub fn is_page(&self) -> bool {
        !self.body.trim().is_empty() && json::lenient(&self.body).is_none()
    }

    /// The delay that the server asks for: `retry-after-ms`, else `retry-after` in seconds, also
    /// with a fraction. A date counts as no delay, because none of our providers is known to send
    /// one.
    pub fn retry_after_ms(&self) -> Option<u32> {
        let number = |name: &str| decimal(self.header(name)?);
        let seconds = number("retry-after-ms").map(|ms| ms / 1_000.0);
        seconds.or_else(|| number("retry-after")).and_then(delay_ms)
    }
}

/// Reads a number as JSON writes it. `str::parse` would add 15 KB of tables to every function.
pub fn decimal(text: &str) -> Option<f64> {
    serde_json::from_str(text.trim()).ok()
}

/// A delay in seconds as whole milliseconds, rounded up, at most a day. `None` for a number that is
/// no delay.
pub fn delay_ms(seconds: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a day's milliseconds"
    )]
    let ms = (seconds.min(86_400.0) * 1_000.0).ceil() as u32;
    (seconds >= 0.0 && seconds.is_finite()).then_some(ms)
}

/// The outcome of a request.
pub type HttpResult = Result<HttpResponse, TransportError>;

/// The reason why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The request never left: it has had no effect.
    NotSent(String),
    /// The request may have been sent: it may have had any effect.
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

/// A file to copy from one host to another without holding it in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// The URL of the source.
    pub from: String,
    /// The request that uploads the file. Its `body` is ignored; its URL gets the file's extension,
    /// its headers the content type. `timeout_ms` covers the whole copy.
    pub to: HttpRequest,
    pub bytes_max: u64,
    /// The type by the provider's name of the file's type, or by the URL.
    pub hint: Option<&'static MediaType>,
    /// The kind of file that was sold. `None`: any.
    pub kind: Option<MediaKind>,
    /// The longest pause of the source.
    pub stall_ms: u32,
}

/// The reason why a file was not copied or downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyError {
    /// A retry cannot help: the file is something else than was sold, empty, too large or gone.
    Rejected(String),
    /// A retry may help.
    Transient(String),
    /// A retry may help after the operator has corrected the cause.
    Misconfigured(String),
}

/// A file that is held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInMemory {
    /// The content type without parameters, in lower case.
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// The calls that `flow` makes to the outside world.
#[expect(async_fn_in_trait, reason = "one isolate is one thread; no caller needs Send futures")]
pub trait Transport {
    /// Sends a request and reads the whole answer. Redirects are not followed.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
    /// Copies the whole file or fails, whether or not the source declares its length. Returns the
    /// type under which it is stored. Dropping the future stops the copy.
    async fn copy(&self, copy: FileCopy) -> Result<&'static MediaType, CopyError>;
    async fn sleep(&self, ms: u32);
    /// Returns milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// Returns 128 random bits.
    fn random(&self) -> u128;
    /// Sends `bytes` as the body of `request`, whose own `body` is ignored.
    async fn upload(
        &self,
        request: HttpRequest,
        bytes: Vec<u8>,
    ) -> Result<HttpResponse, TransportError>;
    /// Reads a file of at most `bytes_max` bytes. Redirects are not followed.
    async fn download(
        &self,
        url: &str,
        bytes_max: u64,
        timeout_ms: u32,
    ) -> Result<FileInMemory, CopyError>;
    /// Sends a JSON text to the queue of that binding. It arrives after `delay_s` seconds.
    async fn notify(&self, queue: &str, message: &str, delay_s: u32) -> Result<(), TransportError>;
    /// Writes one line of the structured log.
    fn log(&self, line: &Value);
    /// The origin at which the caller has reached us, such as `https://app.example`. It is empty if
    /// no request is being handled.
    fn origin(&self) -> &str {
        ""
    }
}

/// A transport that can read an answer piece by piece.
#[expect(async_fn_in_trait, reason = "one isolate is one thread; no caller needs Send futures")]
pub trait Streams: Transport {
    /// Sends a request and passes each piece of a 2xx body to `take` until that returns false; the
    /// response then has an empty body. Any other answer is returned whole. The request's time
    /// limit covers the head, `silence_ms` each wait for a piece.
    async fn stream(
        &self,
        request: HttpRequest,
        silence_ms: u32,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Result<HttpResponse, TransportError>;
}

/// A transport that calls our own functions without a public address.
#[expect(async_fn_in_trait, reason = "one isolate is one thread; no caller needs Send futures")]
pub trait FunctionCalls: Transport {
    /// Calls the function of that name. The host of the request's URL is ignored.
    async fn call(
        &self,
        function: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError>;
}

#[cfg(test)]
mod tests {
    use super::{HttpResponse, delay_ms};

    #[test]
    fn a_delay_has_milliseconds_seconds_or_is_none() {
        let asked = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            HttpResponse { status: 429, headers: headers.collect(), body: String::new() }
                .retry_after_ms()
        };
        assert_eq!(asked(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(asked(&[("retry-after", " 0.25 ")]), Some(250));
        assert_eq!(asked(&[("retry-after", "7"), ("retry-after-ms", "1500")]), Some(1_500));
        assert_eq!(asked(&[("retry-after", "7"), ("retry-after-ms", "soon")]), Some(7_000));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 10:00:00 GMT")]), None);
        assert_eq!(asked(&[("retry-after", "-1")]), None);
        assert_eq!(asked(&[]), None);
        assert_eq!(delay_ms(99_999_999_999.0), Some(86_400_000));
        assert_eq!(delay_ms(1.000_1), Some(1_001));
        assert_eq!(delay_ms(f64::NAN).or(delay_ms(f64::INFINITY)), None);
    }
}
