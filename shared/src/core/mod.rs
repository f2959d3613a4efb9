//! What can be decided from values in hand: no clock, environment, randomness or I/O, and no await.

pub mod address;
pub mod auth;
pub mod body;
pub mod config;
pub mod digest;
pub mod error;
pub mod id;
pub mod job;
pub mod json;
pub mod media;
pub mod origin;
pub mod provider;
pub mod reply;
pub mod storage;
pub mod transport;
pub mod webhook;
pub mod website;
