//! The front door of a Supabase project on one origin. It plays auth and storage itself and passes
//! everything else on: `/rest/v1` to PostgREST, `/functions/v1` and the pages to the workers.

mod auth;
mod caller;
mod cors;
mod proxy;
mod session;
mod storage;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{any, post};

use crate::config::StandInConfig;
use caller::ProjectKeys;
use session::Sessions;
use storage::Storage;
use token::Signer;

/// What the routes share.
pub(crate) struct Front {
    keys: ProjectKeys,
    signer: Signer,
    sessions: Sessions,
    storage: Storage,
    proxy: proxy::Proxy,
    issuer: String,
    token_lifetime_s: u64,
    rest_url: String,
    functions_url: String,
}

pub(crate) type SharedFront = Arc<Front>;

/// The routes of the origin.
pub fn router(config: &StandInConfig) -> anyhow::Result<Router> {
    let front = Arc::new(Front {
        keys: ProjectKeys::new(config),
        signer: Signer::new(config)?,
        sessions: Sessions::new(config),
        storage: Storage::new(config)?,
        proxy: proxy::client(),
        issuer: format!("{}/auth/v1", config.url(1)),
        token_lifetime_s: config.token_lifetime_s,
        rest_url: config.url(4),
        functions_url: config.url(5),
    });
    let own = Router::new()
        .nest("/auth/v1", auth::routes())
        .nest("/storage/v1", storage::routes(&front))
        .route("/rest/v1", any(proxy::rest))
        .route("/rest/v1/", any(proxy::rest))
        .route("/rest/v1/{*path}", any(proxy::rest))
        .layer(middleware::from_fn(cors::allow));
    let router = Router::new()
        .merge(own)
        .route("/__storage", post(storage::misbehave))
        .fallback(proxy::functions)
        .with_state(front);
    Ok(router)
}
