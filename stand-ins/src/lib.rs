//! Stand-ins of the services around a local stack: the front door of a Supabase project (auth,
//! storage, proxy) and the providers. Nothing here runs in production or knows the application's
//! own rules.
//!
//! | module | for |
//! |---|---|
//! | [`cloudflare`] | Cloudflare's API, for `cargo xtask deploy` |
//! | [`config`] | the configuration file |
//! | [`front`] | the server on the origin's port (base + 1) |
//! | [`management`] | the Management API of a hosted project: exposed schemas, keys |
//! | [`media`] | the results of the providers, and clips to upload |
//! | [`providers`] | the servers on the providers' port (base + 3) and the results' (base + 7) |
//! | [`serve`] | the accept loop, which can drop a connection without an answer |
//! | [`tokens`] | signs tokens with a secret or a published key |

mod client;
mod clock;
pub mod cloudflare;
pub mod config;
pub mod front;
pub mod management;
pub mod media;
pub mod providers;
pub mod serve;
pub mod tokens;

use anyhow::Context;
use config::StandInConfig;
use tokio::net::TcpListener;

/// Listens on the ports, prints `ready`, and serves until the process ends.
pub async fn run(config: StandInConfig) -> anyhow::Result<()> {
    let origin = listen(config.port(1)).await?;
    let providers = listen(config.port(3)).await?;
    let results = listen(config.port(7)).await?;
    let front = front::router(&config)?;
    let (stand_ins, files) = providers::routers(&config)?;
    println!("ready");
    tokio::try_join!(
        serve::serve(origin, front),
        serve::serve(providers, stand_ins),
        serve::serve(results, files)
    )?;
    Ok(())
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))
}
