//! What buyers, banks and the seller do, and the events that Stripe sends then.

use serde_json::{Value, json};

use super::events::{EventSubject, StripeEvent};
use super::shop::{CheckoutSession, Payment, Reversal, Shop, new_id};
use crate::clock;

type Acted = Result<(Value, Vec<StripeEvent>), String>;

/// Pays a session. `None` if there is nothing to pay.
pub(super) fn pay(shop: &Shop, id: &str) -> Option<Vec<StripeEvent>> {
    let (session, payment) = shop.complete(id)?;
    let mut events = paid(&payment);
    events.push(StripeEvent::new("checkout.session.completed", EventSubject::Session(session)));
    Some(events)
}

/// Declines the card, which leaves the session open.
pub(super) fn declined(shop: &Shop, id: &str) -> Option<StripeEvent> {
    let session: CheckoutSession = shop.session(id).filter(|session| session.paid_by.is_none())?;
    let payment = Payment::of(&session);
    Some(StripeEvent::new("payment_intent.payment_failed", EventSubject::Intent(payment)))
}

/// The events of a payment, in the order in which Stripe usually sends them.
fn paid(payment: &Payment) -> Vec<StripeEvent> {
    let event = |kind: &'static str, subject: fn(Payment) -> EventSubject| {
        StripeEvent::new(kind, subject(payment.clone()))
    };
    let mut events = vec![
        event("charge.succeeded", EventSubject::Charge),
        event("payment_intent.succeeded", EventSubject::Intent),
    ];
    if payment.billed.is_some() {
        events.push(event("invoice.paid", EventSubject::Invoice));
        events.push(event("invoice.payment_succeeded", EventSubject::Invoice));
        events.push(event("invoice_payment.paid", EventSubject::InvoicePayment));
    }
    events
}

/// Performs the act that the path names.
pub(super) fn act(shop: &Shop, act: &str, body: Option<Value>) -> Acted {
    let body = body.ok_or("the body is JSON")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let amount = body.get("amount").and_then(Value::as_u64);
    match (act, text("payment"), text("status")) {
        ("__refund", Some(payment), status) => refund(shop, payment, amount, status),
        ("__refund", None, Some(status)) => {
            let id = text("refund").ok_or("`payment` or `refund`")?;
            refund_became(shop, id, status)
        }
        ("__dispute", Some(payment), status) => dispute(shop, payment, amount, status),
        ("__dispute", None, Some(status)) => {
            let id = text("dispute").ok_or("`payment` or `dispute`")?;
            dispute_became(shop, id, status)
        }
        ("__renew", ..) => {
            let id = text("subscription").ok_or("`subscription`")?;
            let payment = shop.renew(id).ok_or("no such subscription")?;
            Ok((json!({"payment": payment.intent}), paid(&payment)))
        }
        _ => Err("no such act, or a field is missing".to_owned()),
    }
}

fn reversal(prefix: &str, amount: u64, status: &str) -> Reversal {
    Reversal { id: new_id(prefix), amount, status: status.to_owned(), created: clock::now_s() }
}

fn refund(shop: &Shop, payment: &str, amount: Option<u64>, status: Option<&str>) -> Acted {
    let (refund, payment) = shop.change(Shop::is_named(payment), |payment| {
        let left = payment.amount() - payment.refunded();
        let amount = amount.unwrap_or(left);
        if amount == 0 || amount > left {
            return Err(format!("Refund amount ({amount}) is greater than what is left ({left})"));
        }
        let refund = reversal("re", amount, status.unwrap_or("succeeded"));
        payment.refunds.push(refund.clone());
        Ok(refund)
    })?;
    let answer = json!({"refund": refund.id});
    let of_refund =
        |kind| StripeEvent::new(kind, EventSubject::Refund(payment.clone(), refund.clone()));
    let charge = StripeEvent::new("charge.refunded", EventSubject::Charge(payment.clone()));
    Ok((answer, vec![of_refund("refund.created"), charge, of_refund("charge.refund.updated")]))
}

fn became(list: &mut [Reversal], id: &str, status: &str) -> Result<Reversal, String> {
    let found = list.iter_mut().find(|reversal| reversal.id == id).ok_or("no such id")?;
    status.clone_into(&mut found.status);
    Ok(found.clone())
}

fn refund_became(shop: &Shop, id: &str, status: &str) -> Acted {
    let is_meant = |payment: &Payment| payment.refunds.iter().any(|refund| refund.id == id);
    let (refund, payment) =
        shop.change(is_meant, |payment| became(&mut payment.refunds, id, status))?;
    let of_refund =
        |kind| StripeEvent::new(kind, EventSubject::Refund(payment.clone(), refund.clone()));
    let mut events = vec![of_refund("refund.updated"), of_refund("charge.refund.updated")];
    if status == "failed" {
        events.push(of_refund("refund.failed"));
    }
    Ok((json!({"refund": id}), events))
}

fn dispute(shop: &Shop, payment: &str, amount: Option<u64>, status: Option<&str>) -> Acted {
    let (dispute, payment) = shop.change(Shop::is_named(payment), |payment| {
        let amount = amount.unwrap_or(payment.amount());
        let dispute = reversal("du", amount, status.unwrap_or("needs_response"));
        payment.disputes.push(dispute.clone());
        Ok(dispute)
    })?;
    let answer = json!({"dispute": dispute.id});
    let of_dispute =
        |kind| StripeEvent::new(kind, EventSubject::Dispute(payment.clone(), dispute.clone()));
    let mut events = vec![of_dispute("charge.dispute.created")];
    if !dispute.status.starts_with("warning") {
        events.push(of_dispute("charge.dispute.funds_withdrawn"));
    }
    Ok((answer, events))
}

fn dispute_became(shop: &Shop, id: &str, status: &str) -> Acted {
    let is_meant = |payment: &Payment| payment.disputes.iter().any(|dispute| dispute.id == id);
    let (dispute, payment) =
        shop.change(is_meant, |payment| became(&mut payment.disputes, id, status))?;
    let of_dispute =
        |kind| StripeEvent::new(kind, EventSubject::Dispute(payment.clone(), dispute.clone()));
    let events = match status {
        "won" => {
            vec![of_dispute("charge.dispute.closed"), of_dispute("charge.dispute.funds_reinstated")]
        }
        "lost" | "warning_closed" => vec![of_dispute("charge.dispute.closed")],
        _ => vec![of_dispute("charge.dispute.updated")],
    };
    Ok((json!({"dispute": id}), events))
}
