//! Stripe: its signature, its events as facts, and the two calls that we make of its API.
//!
//! Sources: `stripe` 17.7.0 (API 2025-02-24, "acacia") and 23.1.0 (API 2026-10-28, "endive") of
//! npm, their types of events, sessions, invoices, charges, refunds and disputes. With API
//! 2025-03-31 ("basil") invoices lost `charge`, `payment_intent`, `subscription` and the prices of
//! their lines; both forms are read.

pub mod api;
mod event;
mod invoice;
mod metadata;
mod object;
mod payment;
pub mod signature;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod invoice_tests;

pub use event::read;

use serde_json::Value;

/// The name in the address of its events and in rows.
pub const NAME: &str = "stripe";

/// For which deployment an event is read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub deployment: &'a str,
    /// Events of Stripe's test mode grant nothing.
    pub live_only: bool,
}

fn text(object: &Value, pointer: &str) -> Option<String> {
    let text = object.pointer(pointer)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer)?.as_i64()
}

/// The id of an object that is named, or shown whole.
fn id(object: &Value, pointer: &str) -> Option<String> {
    text(object, pointer).or_else(|| text(object, &format!("{pointer}/id")))
}

/// The ids that are there, each once.
fn keys(ids: impl IntoIterator<Item = Option<String>>) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for id in ids.into_iter().flatten() {
        if !keys.contains(&id) {
            keys.push(id);
        }
    }
    keys
}
