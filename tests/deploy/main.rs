//! `cargo xtask deploy` with the real wrangler and a stand-in of Cloudflare's API. It deploys the
//! functions as they were built.

mod bring_up;
mod busy;
mod fetch;
mod foreign;
mod kills;
mod rollback;
mod settings;
mod whole;
mod world;
