//! Events as facts: checkout sessions, payments, charges, refunds and disputes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::metadata::{Metadata, OurMetadata};
use super::{Reader, id, invoice, keys, number, text};
use crate::core::id::UserId;
use crate::core::seller::{
    AmountAt, DisputeAt, NOT_KNOWN_AS_OURS, PurchaseFact, RefundAt, SellerEvent,
};

pub(super) const NOTHING_TO_GRANT: &str = "nothing_to_grant";
pub(super) const OTHER_DEPLOYMENT: &str = "other_deployment";

/// An event's object, its type and its time.
pub(super) struct ReadEvent<'a> {
    pub(super) object: &'a Value,
    pub(super) kind: &'a str,
    pub(super) at: i64,
    pub(super) reader: Reader<'a>,
}

impl<'a> ReadEvent<'a> {
    /// A fact of the object's payment, from whatever of these pointers names it.
    pub(super) fn fact(&self, names: &[&str]) -> PurchaseFact {
        let keys = keys(names.iter().map(|name| id(self.object, name)));
        PurchaseFact { keys, at: self.at, ..PurchaseFact::default() }
    }

    fn metadata(&self) -> Metadata<'a> {
        Metadata::first_of([self.object.get("metadata")], self.reader.deployment)
    }
}

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
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => session(&read),
        "payment_intent.succeeded" => payment(&read),
        "charge.succeeded" | "charge.captured" => charge(&read),
        "charge.refunded" => refunded_charge(&read),
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            refund(&read)
        }
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.closed"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => dispute(&read),
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

/// A session that was completed. Where the money comes later, or by the invoice of a subscription,
/// it ties the payment's names to its user.
fn session(event: &ReadEvent<'_>) -> SellerEvent {
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
        // Its invoice tells the same, but for a user whom only the session names.
        Some("subscription") if fact.user_id.is_none() => SellerEvent::Nothing(NOT_KNOWN_AS_OURS),
        Some("subscription") => {
            fact.bound = true;
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

/// Adds what was bought. Only the metadata of our own checkout makes the line items superfluous:
/// a payment link with metadata of ours may still sell several.
fn with_items(
    session: &Value,
    mut fact: PurchaseFact,
    ours: Option<OurMetadata<'_>>,
) -> SellerEvent {
    if ours.is_some_and(OurMetadata::of_our_checkout) {
        return SellerEvent::tells(fact);
    }
    fact.price_ids.extend(id(session, "/payment_link"));
    match text(session, "/id") {
        Some(session) => SellerEvent::TellsWithItems { fact: Box::new(fact), session },
        None => SellerEvent::Nothing(NOT_KNOWN_AS_OURS),
    }
}

/// A payment that neither a pack nor a price knows is not ours.
pub(super) fn known(fact: PurchaseFact) -> SellerEvent {
    if !fact.is_of_something() {
        return SellerEvent::Nothing(NOT_KNOWN_AS_OURS);
    }
    SellerEvent::tells(fact)
}

fn payment(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/id", "/latest_charge", "/invoice"]);
    fact.paid = true;
    fact.amount = number(event.object, "/amount_received").or(number(event.object, "/amount"));
    with_metadata(event, fact)
}

fn charge(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/id", "/payment_intent", "/invoice"]);
    if !is_captured(event.object) {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    }
    fact.paid = true;
    fact.amount = charged(event.object);
    with_metadata(event, fact)
}

/// A payment alone says nothing without our metadata: what sold it, a session or an invoice, does.
fn with_metadata(event: &ReadEvent<'_>, mut fact: PurchaseFact) -> SellerEvent {
    match event.metadata() {
        Metadata::Ours(ours) => ours.add_to(&mut fact),
        Metadata::Others => return SellerEvent::Nothing(OTHER_DEPLOYMENT),
        Metadata::None => return SellerEvent::Nothing(NOT_KNOWN_AS_OURS),
    }
    SellerEvent::tells(fact)
}

/// An authorisation that nobody has captured is no payment.
fn is_captured(charge: &Value) -> bool {
    let flag = |name: &str| charge.get(name).and_then(Value::as_bool) == Some(true);
    flag("paid") && flag("captured")
}

fn charged(charge: &Value) -> Option<i64> {
    let captured = number(charge, "/amount_captured").filter(|amount| *amount > 0);
    captured.or_else(|| number(charge, "/amount"))
}

/// A charge's refunds in all. It may be the first that is heard of a payment, so it counts also
/// without metadata; the payment's other names tell whose it is.
fn refunded_charge(event: &ReadEvent<'_>) -> SellerEvent {
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
    fact.refund_total = Some(AmountAt { amount, at: event.at });
    SellerEvent::tells(fact)
}

fn refund(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/charge", "/payment_intent"]);
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
    fact.refunds = BTreeMap::from([(id, RefundAt { amount, status, at: event.at })]);
    SellerEvent::tells(fact)
}

fn dispute(event: &ReadEvent<'_>) -> SellerEvent {
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
        // Inquiries and prevented disputes move no money; a refund, if any, is told by itself.
        "prevented" | "charge_refunded" => "warning",
        warning if warning.starts_with("warning") => "warning",
        _ if event.kind.ends_with("funds_reinstated") => "won",
        _ => "open",
    };
    fact.disputes = BTreeMap::from([(id, DisputeAt { amount, status, at: event.at })]);
    SellerEvent::tells(fact)
}
