//! Reads checkout sessions, payments, charges, refunds and disputes as facts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{id, number, text};
use super::metadata::{Metadata, OurMetadata};
use super::object::{NOTHING_TO_GRANT, OTHER_DEPLOYMENT, ReadEvent};
use crate::core::id::UserId;
use crate::core::seller::{
    DisputeAt, NOT_KNOWN_AS_OURS, PurchaseFact, RefundAt, RefundTotal, SellerEvent,
};

/// Reads a completed checkout session. If the money arrives later, or by the invoice of a
/// subscription, the fact connects the payment's keys to the user.
pub(super) fn session(event: &ReadEvent<'_>) -> SellerEvent {
    let session = event.object;
    let mode = session.get("mode").and_then(Value::as_str);
    let metadata = event.metadata();
    if matches!(metadata, Metadata::Others) {
        return SellerEvent::Nothing(OTHER_DEPLOYMENT);
    }
    let mut fact = event.fact(&["/id", "/payment_intent", "/invoice"]);
    let ours = match metadata {
        Metadata::Ours(ours) => Some(ours),
        _ => None,
    };
    if let Some(ours) = ours {
        ours.add_to(&mut fact);
    }
    let reference = || UserId::parse(session.get("client_reference_id")?.as_str()?);
    fact.user_id = fact.user_id.or_else(reference);
    fact.email =
        text(session, "/customer_details/email").or_else(|| text(session, "/customer_email"));
    match mode {
        // Its invoice tells the same, except for a user whom only the session names.
        Some("subscription") if fact.user_id.is_none() => SellerEvent::Nothing(NOT_KNOWN_AS_OURS),
        Some("subscription") => {
            fact.bound = true;
            fact.subscription = id(session, "/subscription");
            SellerEvent::tells(fact)
        }
        Some("payment") => {
            let status = session.get("payment_status").and_then(Value::as_str);
            fact.paid = event.kind.ends_with("async_payment_succeeded")
                || matches!(status, Some("paid" | "no_payment_required"));
            fact.amount = number(session, "/amount_total");
            with_items(session, fact, ours)
        }
        _ => SellerEvent::Nothing(NOTHING_TO_GRANT),
    }
}

/// Adds what was bought. The line items are needed unless our own checkout wrote the metadata: a
/// payment link with our metadata may still sell several things.
fn with_items(
    session: &Value,
    mut fact: PurchaseFact,
    ours: Option<OurMetadata<'_>>,
) -> SellerEvent {
    if ours.is_some_and(OurMetadata::of_our_checkout) {
        return SellerEvent::tells(fact);
    }
    fact.link = id(session, "/payment_link");
    match text(session, "/id") {
        Some(session) => SellerEvent::TellsWithItems { fact: Box::new(fact), session },
        None => SellerEvent::Nothing(NOT_KNOWN_AS_OURS),
    }
}

pub(super) fn payment(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/id", "/latest_charge", "/invoice"]);
    fact.paid = true;
    fact.amount = number(event.object, "/amount_received").or(number(event.object, "/amount"));
    with_metadata(event, fact)
}

pub(super) fn charge(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/id", "/payment_intent", "/invoice"]);
    if !is_captured(event.object) {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    }
    fact.paid = true;
    fact.amount = charged(event.object);
    with_metadata(event, fact)
}

/// Adds our metadata. Without it, the session or the invoice of the payment tells what was paid
/// for.
fn with_metadata(event: &ReadEvent<'_>, mut fact: PurchaseFact) -> SellerEvent {
    match event.metadata() {
        Metadata::Ours(ours) => ours.add_to(&mut fact),
        Metadata::Others => return SellerEvent::Nothing(OTHER_DEPLOYMENT),
        Metadata::None => return SellerEvent::Nothing(NOT_KNOWN_AS_OURS),
    }
    SellerEvent::tells(fact)
}

/// An authorisation without a capture is no payment.
fn is_captured(charge: &Value) -> bool {
    let flag = |name: &str| charge.get(name).and_then(Value::as_bool) == Some(true);
    flag("paid") && flag("captured")
}

fn charged(charge: &Value) -> Option<i64> {
    let captured = number(charge, "/amount_captured").filter(|amount| *amount > 0);
    captured.or_else(|| number(charge, "/amount"))
}

/// Reads the total refunds of a charge. It may be the first event of a payment, so it counts even
/// without metadata; the payment's other keys tell whose it is.
pub(super) fn refunded_charge(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/id", "/payment_intent", "/invoice"]);
    match event.metadata() {
        Metadata::Ours(ours) => {
            ours.add_to(&mut fact);
            fact.paid = is_captured(event.object);
        }
        Metadata::Others => return SellerEvent::Nothing(OTHER_DEPLOYMENT),
        Metadata::None => {}
    }
    if !is_captured(event.object) {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    }
    fact.amount = charged(event.object);
    let amount = number(event.object, "/amount_refunded").unwrap_or(0);
    let charge = id(event.object, "/id");
    fact.refund_total = Some(RefundTotal { charge, amount, at: event.at });
    SellerEvent::tells(fact)
}

pub(super) fn refund(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/charge", "/payment_intent"]);
    let charge = id(event.object, "/charge");
    let (Some(id), Some(amount)) = (text(event.object, "/id"), number(event.object, "/amount"))
    else {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    };
    if fact.keys.is_empty() {
        return SellerEvent::Nothing(NOT_KNOWN_AS_OURS);
    }
    let status = match event.object.get("status").and_then(Value::as_str) {
        Some("pending" | "requires_action") => "pending",
        Some("failed") => "failed",
        Some("canceled") => "canceled",
        _ => "succeeded",
    };
    fact.refunds = BTreeMap::from([(id, RefundAt { charge, amount, status, at: event.at })]);
    SellerEvent::tells(fact)
}

pub(super) fn dispute(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/charge", "/payment_intent"]);
    let (Some(id), Some(amount)) = (text(event.object, "/id"), number(event.object, "/amount"))
    else {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    };
    if fact.keys.is_empty() {
        return SellerEvent::Nothing(NOT_KNOWN_AS_OURS);
    }
    let status = match event.object.get("status").and_then(Value::as_str).unwrap_or_default() {
        "lost" => "lost",
        "won" => "won",
        // Inquiries and prevented disputes move no money. A refund has an event of its own.
        "prevented" | "charge_refunded" => "warning",
        warning if warning.starts_with("warning") => "warning",
        _ if event.kind.ends_with("funds_reinstated") => "won",
        _ => "open",
    };
    fact.disputes = BTreeMap::from([(id, DisputeAt { amount, status, at: event.at })]);
    SellerEvent::tells(fact)
}
