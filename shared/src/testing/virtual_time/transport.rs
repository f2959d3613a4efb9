//! The answers of database, provider, storage and clock in [`VirtualTime`].

use futures_util::future::poll_fn;
use serde_json::{Value, json};
use std::task::Poll;

use super::VirtualTime;
use crate::core::transport::{
    self, CopyError, FileInMemory, HttpRequest, HttpResponse, Transport, TransportError,
};

fn answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.to_string() }
}

impl Transport for VirtualTime {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.url.contains(":generateContent") {
            return Ok(self.generate(&request).await);
        }
        if self.0.borrow().ignores_heartbeats && request.url.ends_with("step_heartbeat_v1") {
            self.sleep(request.timeout_ms).await;
            return Err(TransportError::Unknown("no answer".to_owned()));
        }
        let args: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
        Ok(self
            .call(|state| match request.url.split_once("/rpc/") {
                Some((_, "provider_alarm_v1")) if state.refuses_alarms => answer(500, &json!({})),
                Some((_, function)) => answer(200, &state.rpc(function, &args)),
                None if request.url.ends_with("/object/list/results") => {
                    answer(200, &state.list(&args))
                }
                None => panic!("no server has the address {}", request.url),
            })
            .await)
    }

    async fn upload(
        &self,
        request: HttpRequest,
        _bytes: Vec<u8>,
    ) -> Result<HttpResponse, TransportError> {
        Ok(self
            .call(|state| match state.storage_down {
                true => answer(503, &json!({})),
                false => {
                    state.objects.push(request.url);
                    answer(200, &json!({}))
                }
            })
            .await)
    }

    async fn download(
        &self,
        _url: &str,
        bytes_max: u64,
        _timeout_ms: u32,
    ) -> Result<FileInMemory, CopyError> {
        self.call(|state| match state.file_bytes > bytes_max {
            true => Err(CopyError::Rejected("too large".to_owned())),
            false => Ok(FileInMemory { content_type: "image/png".to_owned(), bytes: vec![1] }),
        })
        .await
    }

    unused_calls!(copy log);

    async fn sleep(&self, ms: u32) {
        let at = self.0.borrow().now + u64::from(ms);
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.now >= at {
                return Poll::Ready(());
            }
            state.timers.push((at, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn now_ms(&self) -> u64 {
        self.0.borrow().now
    }

    fn random(&self) -> u128 {
        let mut state = self.0.borrow_mut();
        state.random += 1;
        state.random
    }

    async fn notify(
        &self,
        _queue: &str,
        _message: &str,
        delay_s: u32,
    ) -> Result<(), TransportError> {
        self.call(|state| state.hints.push(delay_s)).await;
        Ok(())
    }
}
