//! Events: their content, their signature, and their delivery until the receiver accepts them.

use futures_util::future::join_all;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::shop::{CheckoutSession, Payment, Reversal, new_id};
use super::{NAME, StripeShared, WEBHOOK_SECRET, objects};
use crate::clock;
use crate::providers::script::{Behaviour, EventOrder, SignatureFault, WebhookFault};
use crate::providers::webhook_delivery::WebhookDelivery;

/// The object of an event, as it was when the event happened.
#[derive(Clone, Debug)]
pub(super) enum EventSubject {
    Session(CheckoutSession),
    Intent(Payment),
    Charge(Payment),
    Invoice(Payment),
    InvoicePayment(Payment),
    Refund(Payment, Reversal),
    Dispute(Payment, Reversal),
}

#[derive(Clone, Debug)]
pub(super) struct StripeEvent {
    kind: &'static str,
    subject: EventSubject,
}

impl StripeEvent {
    pub(super) fn new(kind: &'static str, subject: EventSubject) -> Self {
        Self { kind, subject }
    }

    /// The event's body. With `is_old` it has the shapes of API 2025-02-24, which has no
    /// `invoice_payment.paid`.
    fn shown(&self, is_old: bool, base_url: &str) -> Option<Value> {
        let object = match &self.subject {
            EventSubject::Session(session) => objects::session(session, base_url),
            EventSubject::Intent(payment) => objects::intent(payment, is_old),
            EventSubject::Charge(payment) => objects::charge(payment, is_old),
            EventSubject::Invoice(payment) => objects::invoice(payment, is_old)?,
            EventSubject::InvoicePayment(_) if is_old => return None,
            EventSubject::InvoicePayment(payment) => objects::invoice_payment(payment)?,
            EventSubject::Refund(payment, refund) => objects::refund(payment, refund),
            EventSubject::Dispute(payment, dispute) => objects::dispute(payment, dispute),
        };
        let version = if is_old { "2025-02-24.acacia" } else { "2026-10-28.endive" };
        Some(json!({
            "id": new_id("evt"),
            "object": "event",
            "api_version": version,
            "created": clock::now_s(),
            "data": {"object": object},
            "livemode": false,
            "pending_webhooks": 1,
            "request": {"id": null, "idempotency_key": null},
            "type": self.kind,
        }))
    }
}

/// Delivers the events, each until it is accepted or its attempts are used up.
pub(super) async fn deliver(
    stripe: &StripeShared,
    events: Vec<StripeEvent>,
    behaviour: &Behaviour,
) {
    let is_old = behaviour.shape == Some(1);
    let shown = events.iter().filter_map(|event| event.shown(is_old, &stripe.base_url));
    let mut bodies: Vec<Value> = shown.collect();
    if behaviour.events == Some(EventOrder::Reversed) {
        bodies.reverse();
    }
    let sending = bodies.into_iter().map(|body| send(stripe, body, behaviour));
    if behaviour.events == Some(EventOrder::Together) {
        join_all(sending).await;
        return;
    }
    for sent in sending {
        sent.await;
    }
}

async fn send(stripe: &StripeShared, body: Value, behaviour: &Behaviour) {
    let forged = behaviour.webhook == Some(WebhookFault::Forged);
    let fault = if forged { Some(SignatureFault::Wrong) } else { behaviour.signature };
    let delivery = WebhookDelivery {
        client: &stripe.client,
        log: &stripe.log,
        provider: NAME,
        task_id: body["id"].as_str().unwrap_or_default().to_owned(),
        headers: headers(fault, &body.to_string()),
        body,
    };
    let fault = behaviour.webhook.filter(|_| !forged);
    delivery.send(fault, &stripe.webhook_url, None).await;
}

fn headers(fault: Option<SignatureFault>, body: &str) -> Vec<(&'static str, String)> {
    let sent_s = match fault {
        Some(SignatureFault::Old) => clock::now_s() - 3_600,
        _ => clock::now_s(),
    };
    let right = signature(WEBHOOK_SECRET, sent_s, body);
    let wrong = signature("whsec_stripe_before", sent_s, body);
    let entries = match fault {
        Some(SignatureFault::None) => return Vec::new(),
        Some(SignatureFault::Wrong) => format!("v1={wrong}"),
        Some(SignatureFault::Two) => format!("v1={wrong},v1={right}"),
        Some(SignatureFault::Old) | None => format!("v1={right}"),
    };
    vec![("stripe-signature", format!("t={sent_s},{entries}"))]
}

/// The signature of a body. Its key is the secret's text itself.
fn signature(secret: &str, sent_s: u64, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{sent_s}.{body}").as_bytes());
    base16ct::lower::encode_string(&mac.finalize().into_bytes())
}
