//! Existing apps that `cargo xtask adopt` has adopted: each transition of a job in the app's own
//! table, publication, triggers and wallet.

mod cards_app;
mod sites_app;
mod tools_app;
