//! The objects of the API as far as a seller of packs sees them, with invoices of both versions.

use serde_json::{Value, json};

use super::shop::{Billed, CheckoutSession, PERIOD_S, Payment, Price, Reversal};

/// Sessions expire after a day.
const OPEN_S: u64 = 86_400;

pub(super) fn session(session: &CheckoutSession, base_url: &str) -> Value {
    let paid = session.paid_by.as_ref();
    let billed = paid.and_then(|payment| payment.billed.as_ref());
    let intent = paid.filter(|payment| payment.billed.is_none());
    let is_open = paid.is_none();
    json!({
        "id": session.id,
        "object": "checkout.session",
        "amount_subtotal": session.amount(),
        "amount_total": session.amount(),
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id,
        "created": session.created,
        "currency": "eur",
        "customer": null,
        "customer_details": paid.map(|payment| json!({"email": payment.email, "name": "A buyer"})),
        "customer_email": session.email,
        "expires_at": session.created + OPEN_S,
        "invoice": billed.map(|billed| &billed.invoice),
        "livemode": false,
        "metadata": session.metadata,
        "mode": if session.price.recurring { "subscription" } else { "payment" },
        "payment_intent": intent.map(|payment| &payment.intent),
        "payment_link": session.payment_link,
        "payment_method_types": ["card"],
        "payment_status": if is_open { "unpaid" } else { "paid" },
        "status": if is_open { "open" } else { "complete" },
        "subscription": billed.map(|billed| &billed.subscription),
        "success_url": session.success_url,
        "url": is_open.then(|| format!("{base_url}/c/pay/{}", session.id)),
    })
}

pub(super) fn line_items(session: &CheckoutSession) -> Value {
    let item = json!({
        "id": format!("li_{}", session.id),
        "object": "item",
        "amount_total": session.amount(),
        "currency": "eur",
        "description": session.price.name,
        "price": price(session.price),
        "quantity": session.quantity,
    });
    json!({
        "object": "list",
        "data": [item],
        "has_more": false,
        "url": format!("/v1/checkout/sessions/{}/line_items", session.id),
    })
}

fn price(price: &Price) -> Value {
    json!({
        "id": price.id,
        "object": "price",
        "active": true,
        "currency": "eur",
        "recurring": price.recurring.then(|| json!({"interval": "month", "interval_count": 1})),
        "type": if price.recurring { "recurring" } else { "one_time" },
        "unit_amount": price.amount,
    })
}

/// The object with its payment's invoice, which was named there before API 2025-03-31.
fn with_invoice(mut object: Value, payment: &Payment, is_old: bool) -> Value {
    if is_old {
        object["invoice"] = json!(payment.billed.as_ref().map(|billed| &billed.invoice));
    }
    object
}

pub(super) fn intent(payment: &Payment, is_old: bool) -> Value {
    let object = json!({
        "id": payment.intent,
        "object": "payment_intent",
        "amount": payment.amount(),
        "amount_received": payment.amount(),
        "created": payment.created,
        "currency": "eur",
        "latest_charge": payment.charge,
        "livemode": false,
        "metadata": payment.metadata,
        "status": "succeeded",
    });
    with_invoice(object, payment, is_old)
}

pub(super) fn charge(payment: &Payment, is_old: bool) -> Value {
    let object = json!({
        "id": payment.charge,
        "object": "charge",
        "amount": payment.amount(),
        "amount_captured": payment.amount(),
        "amount_refunded": payment.refunded(),
        "billing_details": {"email": payment.email, "name": "A buyer"},
        "captured": true,
        "created": payment.created,
        "currency": "eur",
        "disputed": !payment.disputes.is_empty(),
        "livemode": false,
        "metadata": payment.metadata,
        "paid": true,
        "payment_intent": payment.intent,
        "refunded": payment.refunded() == payment.amount(),
        "status": "succeeded",
    });
    with_invoice(object, payment, is_old)
}

pub(super) fn refund(payment: &Payment, refund: &Reversal) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": payment.charge,
        "created": refund.created,
        "currency": "eur",
        "metadata": {},
        "payment_intent": payment.intent,
        "reason": null,
        "status": refund.status,
    })
}

pub(super) fn dispute(payment: &Payment, dispute: &Reversal) -> Value {
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "charge": payment.charge,
        "created": dispute.created,
        "currency": "eur",
        "livemode": false,
        "metadata": {},
        "payment_intent": payment.intent,
        "reason": "fraudulent",
        "status": dispute.status,
    })
}

pub(super) fn invoice(payment: &Payment, is_old: bool) -> Option<Value> {
    let billed = payment.billed.as_ref()?;
    let reason = if billed.is_first { "subscription_create" } else { "subscription_cycle" };
    let mut invoice = json!({
        "id": billed.invoice,
        "object": "invoice",
        "amount_due": payment.amount(),
        "amount_paid": payment.amount(),
        "amount_remaining": 0,
        "billing_reason": reason,
        "created": payment.created,
        "currency": "eur",
        "customer_email": payment.email,
        "lines": {"object": "list", "data": [line(payment, billed, is_old)], "has_more": false},
        "livemode": false,
        "metadata": {},
        "period_end": billed.period_start,
        "period_start": billed.period_start,
        "status": "paid",
        "subtotal": payment.amount(),
        "total": payment.amount(),
    });
    if is_old {
        invoice["charge"] = json!(payment.charge);
        invoice["paid"] = json!(true);
        invoice["payment_intent"] = json!(payment.intent);
        invoice["subscription"] = json!(billed.subscription);
        invoice["subscription_details"] = json!({"metadata": billed.metadata});
    } else {
        let details = json!({"metadata": billed.metadata, "subscription": billed.subscription});
        invoice["parent"] = json!({"quote_details": null, "subscription_details": details,
            "type": "subscription_details"});
    }
    Some(invoice)
}

fn line(payment: &Payment, billed: &Billed, is_old: bool) -> Value {
    let period = json!({"start": billed.period_start, "end": billed.period_start + PERIOD_S});
    let mut line = json!({
        "id": format!("il_{}", billed.invoice),
        "object": "line_item",
        "amount": payment.amount(),
        "currency": "eur",
        "description": payment.price.name,
        "livemode": false,
        "metadata": billed.metadata,
        "period": period,
        "quantity": payment.quantity,
        "subscription": billed.subscription,
    });
    if is_old {
        line["price"] = price(payment.price);
        line["proration"] = json!(false);
        line["type"] = json!("subscription");
    } else {
        let item = json!({"invoice_item": null, "proration": false, "proration_details": null,
            "subscription": billed.subscription, "subscription_item": "si_1"});
        line["parent"] = json!({"invoice_item_details": null, "subscription_item_details": item,
            "type": "subscription_item_details"});
        line["pricing"] = json!({"price_details": {"price": payment.price.id, "product": "prod_1"},
            "type": "price_details", "unit_amount_decimal": payment.price.amount.to_string()});
    }
    line
}

pub(super) fn invoice_payment(payment: &Payment) -> Option<Value> {
    let billed = payment.billed.as_ref()?;
    Some(json!({
        "id": format!("inpay_{}", billed.invoice),
        "object": "invoice_payment",
        "amount_paid": payment.amount(),
        "amount_requested": payment.amount(),
        "created": payment.created,
        "currency": "eur",
        "invoice": billed.invoice,
        "is_default": true,
        "livemode": false,
        "payment": {"payment_intent": payment.intent, "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": null, "paid_at": payment.created},
    }))
}
