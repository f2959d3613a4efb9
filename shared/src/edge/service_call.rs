//! Calls our own functions over the platform's service bindings.

use super::fetch::Fetch;
use super::http::{built, text_body};
use super::stream::{Exchange, short, within};
use crate::core::transport::{FunctionCalls, HttpRequest, HttpResponse, TransportError};

impl FunctionCalls for Fetch {
    async fn call(
        &self,
        function: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        let not_bound = |error: worker::Error| TransportError::NotSent(short(&error));
        let binding = function.to_ascii_uppercase().replace('-', "_");
        let service = self.env().service(&binding).map_err(not_bound)?;
        let exchanged = Exchange::new()?;
        let body = text_body(request.body.as_deref());
        let built = built(&request, body, &exchanged.0.signal())?;
        let called = async {
            let unknown = |error: worker::Error| TransportError::Unknown(short(&error));
            let mut response =
                service.fetch_request(worker::Request::from(built)).await.map_err(unknown)?;
            let body = response.text().await.map_err(unknown)?;
            Ok(HttpResponse { status: response.status_code(), headers: Vec::new(), body })
        };
        within(request.timeout_ms, called).await
    }
}
