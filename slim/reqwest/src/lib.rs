//! Stands for the crate `reqwest` 0.11 behind `postgrest`: holds the request that it builds.
//!
//! Our own transport sends the request, with a time limit. The crate's client, its map of headers
//! and its parsing of URLs would be a tenth of each wasm file and are never used. What is here has
//! the names and the behaviour of the crate; what is not here does not compile.

use std::fmt;

pub mod header;

use header::HeaderMap;

/// A request method that `postgrest` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    GET,
    HEAD,
    POST,
    PATCH,
    DELETE,
}

/// Why there is no request, or no answer.
#[derive(Debug)]
pub struct Error(&'static str);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Error {}

/// Begins requests and sends none.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnsentClient;

pub use UnsentClient as Client;

impl UnsentClient {
    pub fn new() -> Self {
        Self
    }

    pub fn request(&self, method: Method, url: String) -> RequestBuilder {
        let (headers, body, has_query) = (HeaderMap::new(), RequestText::default(), false);
        RequestBuilder { request: Request { method, url, headers, body }, has_query }
    }
}

#[derive(Debug)]
pub struct RequestBuilder {
    request: Request,
    has_query: bool,
}

impl RequestBuilder {
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.request.headers = headers;
        self
    }

    /// Takes no parameters: an RPC has its arguments in the body.
    #[must_use]
    pub fn query(mut self, parameters: &[(String, String)]) -> Self {
        self.has_query = !parameters.is_empty();
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<RequestText>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Fails if the URL is not one of the web, or parameters were given.
    pub fn build(self) -> Result<Request, Error> {
        let after_scheme =
            ["https://", "http://"].iter().find_map(|s| self.request.url.strip_prefix(s));
        let is_host =
            |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        if self.has_query || !after_scheme.is_some_and(is_host) {
            return Err(Error("this request cannot be built"));
        }
        Ok(self.request)
    }

    /// Fails: nothing here sends.
    #[expect(clippy::unused_async, reason = "as in the crate")]
    pub async fn send(self) -> Result<Response, Error> {
        Err(Error("this request is not sent from here"))
    }
}

/// There is none.
#[derive(Debug)]
pub enum Response {}

#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: RequestText,
}

impl Request {
    pub fn method(&self) -> Method {
        self.method
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub fn body(&self) -> Option<&RequestText> {
        Some(&self.body)
    }
}

/// The text of a body.
#[derive(Debug, Clone, Default)]
pub struct RequestText(String);

impl RequestText {
    pub fn as_bytes(&self) -> Option<&[u8]> {
        Some(self.0.as_bytes())
    }
}

impl From<String> for RequestText {
    fn from(text: String) -> Self {
        Self(text)
    }
}
