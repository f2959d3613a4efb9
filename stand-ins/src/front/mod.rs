//! The front door of a Supabase project on one origin. It serves auth, storage and Realtime itself
//! and passes everything else on: `/rest/v1` to PostgREST, `/functions/v1` and the pages to the
//! Workers.

mod auth;
mod auth_mail;
mod caller;
mod cors;
mod mail;
mod people;
mod proxy;
mod realtime;
mod role;
mod session;
mod storage;
mod token;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::config::StandInConfig;
use caller::ProjectKeys;
use mail::{Mail, Mailbox};
use people::People;
use realtime::Realtime;
use session::Sessions;
use storage::Storage;
use token::Signer;

/// The state that all routes share.
pub(crate) struct Front {
    keys: ProjectKeys,
    signer: Signer,
    sessions: Sessions,
    mailbox: Mailbox,
    people: People,
    storage: Storage,
    realtime: Realtime,
    proxy: proxy::Proxy,
    issuer: String,
    token_lifetime_s: u64,
    rest_url: String,
    functions_url: String,
}

pub(crate) type SharedFront = Arc<Front>;

/// The routes of the origin.
pub fn router(config: &StandInConfig) -> anyhow::Result<Router> {
    let issuer = format!("{}/auth/v1", config.url(1));
    let front = Arc::new(Front {
        keys: ProjectKeys::new(config),
        signer: Signer::new(config)?,
        sessions: Sessions::new(config),
        storage: Storage::new(config)?,
        realtime: Realtime::new(config),
        proxy: proxy::client(),
        mailbox: Mailbox::new(&issuer, config.mail_lifetime_s),
        people: People::new(config.replication_url.clone()),
        issuer,
        token_lifetime_s: config.token_lifetime_s,
        rest_url: config.url(4),
        functions_url: config.url(5),
    });
    let own = Router::new()
        .nest("/auth/v1", auth::routes().fallback(no_route))
        .nest("/storage/v1", storage::routes(&front).fallback(no_route))
        .nest("/realtime/v1", realtime::routes().fallback(no_route))
        .route("/rest/v1", any(proxy::rest))
        .route("/rest/v1/", any(proxy::rest))
        .route("/rest/v1/{*path}", any(proxy::rest))
        .layer(middleware::from_fn(cors::allow));
    let router = Router::new()
        .merge(own)
        .route("/__storage", post(storage::misbehave))
        .route("/__mail", get(mails))
        .fallback(proxy::functions)
        .with_state(front);
    Ok(router)
}

/// Every mail that auth has sent, newest last.
async fn mails(State(front): State<SharedFront>) -> Json<Vec<Mail>> {
    Json(front.mailbox.all())
}

/// The answer where the project has no route. The request does not go to the Workers, which would
/// pass it back.
async fn no_route() -> Response {
    let body = json!({"message": "no Route matched with those values"});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}
