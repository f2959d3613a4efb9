//! The HTTP client of the providers' stand-ins. It never follows a redirect.

use std::time::Duration;

use anyhow::{bail, ensure};
use reqwest::{Response, header};

/// The largest answer to a webhook that is read.
const ANSWER_BYTES_MAX: usize = 65_536;

/// Cheap to clone; clones share the connection pool.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

impl Client {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // It keeps no idle connection, so that no request goes to a peer that was restarted
            // meanwhile.
            .pool_max_idle_per_host(0)
            .build();
        Self(client.expect("the TLS roots are compiled in"))
    }

    /// Returns the body of a successful answer of at most `bytes_max` bytes.
    pub(crate) async fn download(
        &self,
        url: &str,
        bytes_max: usize,
        limit: Duration,
    ) -> anyhow::Result<Vec<u8>> {
        let answer = self.0.get(url).timeout(limit).send().await?;
        let status = answer.status();
        // The words of Python's `requests`, with which models and apps load their inputs.
        let side = if status.is_server_error() { "Server" } else { "Client" };
        let reason = status.canonical_reason().unwrap_or_default();
        let code = status.as_u16();
        ensure!(status.is_success(), "{code} {side} Error: {reason} for url: {url}");
        read(answer, bytes_max).await
    }

    /// Posts JSON; returns the status and the text of the answer.
    pub(crate) async fn post_json(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
        limit: Duration,
    ) -> anyhow::Result<(u16, String)> {
        let mut request = self.0.post(url).timeout(limit).body(body);
        request = request.header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = read(answer, ANSWER_BYTES_MAX).await.unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

async fn read(mut answer: Response, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > bytes_max {
            bail!("more than {bytes_max} bytes");
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
