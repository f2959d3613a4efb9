//! The HTTP client of the stand-ins: streams both ways and never follows a redirect. It sets no time limit;
//! callers that need one put it around the call.

use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Legacy, Error};
use hyper_util::rt::TokioExecutor;

/// Cheap to clone; clones share the connection pool.
#[derive(Clone)]
pub(crate) struct Client(Legacy<HttpsConnector<HttpConnector>, Body>);

impl Client {
    pub(crate) fn new() -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        // Without idle connections a restarted peer can never be met on a dead one.
        let client =
            Legacy::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self(client)
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        self.0.request(request).await.map(|response| response.map(Body::new))
    }

    /// The body and headers of a good answer of at most `bytes_max` bytes.
    pub(crate) async fn download(
        &self,
        url: &str,
        bytes_max: usize,
        limit: Duration,
    ) -> anyhow::Result<(HeaderMap, Bytes)> {
        let uri: Uri = url.parse().context("not a URL")?;
        let request = Request::builder().method(Method::GET).uri(uri).body(Body::empty())?;
        let fetch = async {
            let response = self.send(request).await?;
            if !response.status().is_success() {
                bail!("answered {}", response.status());
            }
            let (parts, body) = response.into_parts();
            let collected = Limited::new(body, bytes_max).collect().await;
            let bytes = collected.map_err(|error| anyhow::anyhow!("body: {error}"))?.to_bytes();
            Ok((parts.headers, bytes))
        };
        tokio::time::timeout(limit, fetch).await.context("timed out")?
    }

    /// Posts JSON; gives the status and the start of the answer.
    pub(crate) async fn post_json(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
        limit: Duration,
    ) -> anyhow::Result<(u16, String)> {
        let mut request = Request::post(url.parse::<Uri>().context("not a URL")?)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body))?;
        let post = async {
            let response = self.send(request).await?;
            let status = response.status().as_u16();
            let collected = Limited::new(response.into_body(), 65_536).collect().await;
            let text = collected
                .map(|all| String::from_utf8_lossy(&all.to_bytes()).into_owned())
                .unwrap_or_default();
            Ok((status, text))
        };
        tokio::time::timeout(limit, post).await.context("timed out")?
    }
}
