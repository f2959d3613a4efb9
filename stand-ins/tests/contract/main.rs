//! The stand-ins over HTTP: what the real services promise, and every scripted way to break the
//! promise.

mod auth;
mod cloudflare;
mod database;
mod finish;
mod llm;
mod management;
mod proxy;
mod realtime;
mod replicate;
mod resumable;
mod running;
mod runninghub;
mod storage;
mod storage_deletion;
mod stripe;
mod webhooks;
