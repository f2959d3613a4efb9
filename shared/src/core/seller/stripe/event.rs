//! Sorts events by their type, and reads those that matter.

use serde_json::Value;

use super::fields::number;
use super::object::{NOTHING_TO_GRANT, ReadEvent, Reader};
use super::{invoice, payment};
use crate::core::seller::SellerEvent;

/// Reads an authentic event.
pub fn read(event: &Value, reader: Reader<'_>) -> SellerEvent {
    use SellerEvent::Nothing;
    if event.get("object").and_then(Value::as_str) == Some("v2.core.event") {
        return Nothing("thin_event");
    }
    if event.get("account").is_some_and(|account| !account.is_null()) {
        return Nothing("connected_account");
    }
    if reader.live_only && event.get("livemode").and_then(Value::as_bool) != Some(true) {
        return Nothing("test_mode");
    }
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let Some(object) = event.pointer("/data/object") else { return Nothing("unknown_type") };
    let read = ReadEvent { object, kind, at: number(event, "/created").unwrap_or(0), reader };
    match kind {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => {
            payment::session(&read)
        }
        "payment_intent.succeeded" => payment::payment(&read),
        "charge.succeeded" | "charge.captured" => payment::charge(&read),
        "charge.refunded" => payment::refunded_charge(&read),
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            payment::refund(&read)
        }
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.closed"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => payment::dispute(&read),
        "invoice.paid" | "invoice.payment_succeeded" => invoice::paid(&read),
        "invoice_payment.paid" => invoice::payment(&read),
        "checkout.session.async_payment_failed"
        | "checkout.session.expired"
        | "payment_intent.payment_failed"
        | "charge.failed"
        | "invoice.payment_failed"
        | "invoice.voided" => Nothing(NOTHING_TO_GRANT),
        _ => Nothing("unknown_type"),
    }
}
