//! Stripe: its signature, its events as facts, and our two calls to its API.
//!
//! Sources: `stripe` 17.7.0 (API 2025-02-24, "acacia") and 23.1.0 (API 2026-10-28, "endive") of
//! npm, their types of events, sessions, invoices, charges, refunds and disputes. With API
//! 2025-03-31 ("basil") invoices lost `charge`, `payment_intent`, `subscription` and the prices of
//! their lines; both forms are read.

pub mod api;
mod event;
mod fields;
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
pub use object::Reader;

/// The seller's name in the URL for its events and in rows.
pub const NAME: &str = "stripe";
