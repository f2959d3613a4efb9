//! Decisions from values in hand: no clock, environment, randomness or I/O, and no await.

pub mod address;
pub mod alert;
pub mod auth;
pub mod body;
pub mod config;
pub mod digest;
pub mod error;
pub mod file_url;
pub mod id;
pub mod job;
pub mod json;
pub mod measure;
pub mod media;
pub mod origin;
pub mod outgoing;
pub mod provider;
pub mod reply;
pub mod return_page;
pub mod seller;
pub mod standard_webhooks;
pub mod storage;
pub mod transport;
pub mod webhook;
pub mod website;
