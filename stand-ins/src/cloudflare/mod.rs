//! A stand-in of Cloudflare's API as `wrangler` 4.116 and `cargo xtask deploy` call it, written
//! after wrangler's source: Workers with their versions, releases and triggers, queues, assets.
//! Where the service is lenient or its answer is not known, the stand-in refuses.
//!
//! * [`account`] holds the account's state, for the calls and for tests
//! * [`routes`] dispatches the calls
//! * [`scripts`]: uploads, versions, releases, triggers
//! * [`bindings`] checks what a version is bound to
//! * [`queues`], [`assets`]
//! * [`busy`] refuses callers that call too often
//! * [`running`] tells `edge.mjs`, which runs the Workers, what is in force

mod account;
mod answer;
mod assets;
mod bindings;
mod busy;
mod queues;
mod routes;
mod running;
mod scripts;

pub use account::{CloudAccount, CloudOptions};
