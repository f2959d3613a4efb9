//! The accept loop. Unlike axum's own it can drop a connection without an answer, which plays a
//! lost answer. It knows no routes.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A response extension: close the connection instead of sending this response.
#[derive(Clone, Copy)]
pub(crate) struct DropConnection;

/// Serves until the listener fails for good.
pub async fn serve(listener: TcpListener, router: Router) -> anyhow::Result<()> {
    loop {
        // Running out of file descriptors is an error of accept too, and passes.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| answer(router.clone(), request));
            // A peer that goes away is an everyday event here, and nobody is left to tell.
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
