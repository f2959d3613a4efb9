//! Apps that were there before us, moved in as `cargo xtask adopt` does it: each step of a job in
//! the app's own table, publication, triggers and wallet.

mod cards_app;
mod sites_app;
mod tools_app;
