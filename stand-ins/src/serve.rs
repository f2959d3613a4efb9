//! The accept loop. Unlike axum's own it can drop a connection without an answer, as if the answer
//! were lost. It has no routes.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A response extension that closes the connection in place of sending the response.
#[derive(Clone, Copy)]
pub(crate) struct DropConnection;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, router: Router) -> anyhow::Result<()> {
    loop {
        // An accept may also fail because there are too many open files, which passes.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| answer(router.clone(), request));
            // A peer that disconnects is no fault, and there is no one left to answer.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

async fn answer(
    router: Router,
    request: hyper::Request<hyper::body::Incoming>,
) -> std::io::Result<Response> {
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.extensions().get::<DropConnection>().is_some() {
        return Err(std::io::Error::other("dropped on purpose"));
    }
    Ok(response)
}
