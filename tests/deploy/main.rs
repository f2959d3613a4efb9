//! `cargo xtask deploy` by wrangler itself against a stand-in of Cloudflare's API. The functions
//! are those that are built.

mod bring_up;
mod busy;
mod fetch;
mod foreign;
mod kills;
mod rollback;
mod settings;
mod whole;
mod world;
