//! Reads answers while they arrive.
//!
//! A reader that stops or is dropped aborts the exchange, so that the provider stops sending.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use worker::web_sys::{AbortController, Response};
use worker::{Date, Delay};

use super::fetch::Fetch;
use super::http::{describe, exchange, is_redirect, text, text_body};
use crate::core::transport::{HttpRequest, HttpResponse, Streams, TransportError};

/// The headers that callers read from an answer: its type, and when to retry.
const READ_HEADERS: [&str; 4] = ["content-type", "retry-after", "retry-after-ms", "x-should-retry"];

/// Aborts an exchange when it is dropped.
pub(super) struct Exchange(pub(super) AbortController);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exchange {
    pub(super) fn new() -> Result<Self, TransportError> {
        AbortController::new().map(Self).map_err(|error| TransportError::NotSent(describe(&error)))
    }
}

impl Streams for Fetch {
    async fn stream(
        &self,
        request: HttpRequest,
        silence_ms: u32,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Result<HttpResponse, TransportError> {
        let exchanged = Exchange::new()?;
        let signal = exchanged.0.signal();
        let body = text_body(request.body.as_deref());
        let head = async {
            let response = exchange(&request, body, &signal).await?;
            let status = response.status();
            if is_redirect(status) {
                return Err(TransportError::Unknown("redirected".to_owned()));
            }
            let body = if is_good(status) { String::new() } else { text(&response).await? };
            Ok((HttpResponse { status, headers: headers(&response), body }, response))
        };
        let (answer, response) = within(request.timeout_ms, head).await?;
        if is_good(answer.status) {
            read(response, silence_ms, take).await?;
        }
        Ok(answer)
    }
}

/// Fails with `Unknown` if `work` takes longer than `ms`.
pub(super) async fn within<T>(
    ms: u32,
    work: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    match select(pin!(work), pin!(pause(ms))).await {
        Either::Left((done, _)) => done,
        Either::Right(((), _)) => Err(TransportError::Unknown("no answer in time".to_owned())),
    }
}

fn is_good(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Cuts the text of an error to 200 characters, for a log line.
pub(super) fn short(error: &worker::Error) -> String {
    error.to_string().chars().take(200).collect()
}

/// Passes each piece of the body to `take` until it returns false. Fails with `Unknown` after a
/// pause of `silence_ms`. One timer serves all pieces: when it fires, it measures the time since
/// the last piece.
async fn read(
    response: Response,
    silence_ms: u32,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), TransportError> {
    let broken = |error: worker::Error| TransportError::Unknown(short(&error));
    let mut pieces = worker::Response::from(response).stream().map_err(broken)?;
    let mut last_ms = Date::now().as_millis();
    let mut silence = Box::pin(pause(silence_ms));
    loop {
        match select(pieces.next(), silence.as_mut()).await {
            Either::Left((None, _)) => return Ok(()),
            Either::Left((Some(Err(error)), _)) => return Err(broken(error)),
            Either::Left((Some(Ok(piece)), _)) => {
                if !take(&piece) {
                    return Ok(());
                }
                last_ms = Date::now().as_millis();
            }
            Either::Right(((), _)) => {
                let silent_ms = Date::now().as_millis().saturating_sub(last_ms);
                let left_ms = u64::from(silence_ms).saturating_sub(silent_ms);
                if left_ms == 0 {
                    return Err(TransportError::Unknown(format!(
                        "silent for {} s",
                        silence_ms / 1000
                    )));
                }
                silence = Box::pin(pause(u32::try_from(left_ms).unwrap_or(silence_ms)));
            }
        }
    }
}

async fn pause(ms: u32) {
    Delay::from(Duration::from_millis(u64::from(ms))).await;
}

fn headers(response: &Response) -> Vec<(String, String)> {
    let headers = response.headers();
    let read =
        |name: &&str| headers.get(name).ok().flatten().map(|value| ((*name).to_owned(), value));
    READ_HEADERS.iter().filter_map(read).collect()
}
