//! Tests the facts of events in the formats of API 2025-02-24 and 2026-10-28.

use super::{Reader, read};
use crate::core::seller::SellerEvent;
use serde_json::{Value, json};

pub(super) const USER: &str = "00000000-0000-4000-8000-000000000001";
pub(super) const AGES: [&str; 2] = ["acacia", "endive"];

pub(super) fn fixture(age: &str, name: &str) -> Value {
    let text = match (age, name) {
        ("acacia", "session") => include_str!("fixtures/acacia/session.json"),
        ("acacia", "payment_intent") => include_str!("fixtures/acacia/payment_intent.json"),
        ("acacia", "charge") => include_str!("fixtures/acacia/charge.json"),
        ("acacia", "charge_refunded") => include_str!("fixtures/acacia/charge_refunded.json"),
        ("acacia", "refund") => include_str!("fixtures/acacia/refund.json"),
        ("acacia", "dispute") => include_str!("fixtures/acacia/dispute.json"),
        ("acacia", "invoice") => include_str!("fixtures/acacia/invoice.json"),
        ("endive", "session") => include_str!("fixtures/endive/session.json"),
        ("endive", "payment_intent") => include_str!("fixtures/endive/payment_intent.json"),
        ("endive", "charge") => include_str!("fixtures/endive/charge.json"),
        ("endive", "charge_refunded") => include_str!("fixtures/endive/charge_refunded.json"),
        ("endive", "refund") => include_str!("fixtures/endive/refund.json"),
        ("endive", "dispute") => include_str!("fixtures/endive/dispute.json"),
        ("endive", "invoice") => include_str!("fixtures/endive/invoice.json"),
        ("endive", "invoice_payment") => include_str!("fixtures/endive/invoice_payment.json"),
        _ => panic!("no fixture {age}/{name}"),
    };
    serde_json::from_str(text).unwrap()
}

/// The event with these values at these pointers.
pub(super) fn with(mut event: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        match name.parse::<usize>() {
            Ok(index) if parent.is_array() => parent[index] = value.clone(),
            _ => parent[name] = value.clone(),
        }
    }
    event
}

fn understood(event: &Value, live_only: bool) -> Value {
    let deployments = &["here".to_owned(), "before".to_owned()];
    match read(event, Reader { deployments, live_only }) {
        SellerEvent::Tells(fact) => serde_json::to_value(fact).unwrap(),
        SellerEvent::TellsWithItems { fact, session } => {
            let mut fact = serde_json::to_value(fact).unwrap();
            fact["asks"] = session.into();
            fact
        }
        SellerEvent::Nothing(reason) | SellerEvent::Lost(reason) => reason.into(),
    }
}

pub(super) fn told(event: &Value) -> Value {
    understood(event, false)
}

#[track_caller]
pub(super) fn assert_tells(event: &Value, expected: Value) {
    assert_eq!(told(event), expected, "{}", event["api_version"]);
}

fn small(more: &Value) -> Value {
    let mut fact = json!({"userId": USER, "pack": "small", "credits": 100, "paid": true,
        "amount": 500, "at": 1_750_000_000});
    fact.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fact
}

#[test]
fn a_session_a_payment_and_a_charge_tell_the_same_purchase() {
    for age in AGES {
        let session = small(&json!({"keys": ["cs_1", "pi_1"], "email": "buyer@example.com"}));
        assert_tells(&fixture(age, "session"), session);
        assert_tells(&fixture(age, "payment_intent"), small(&json!({"keys": ["pi_1", "ch_1"]})));
        assert_tells(&fixture(age, "charge"), small(&json!({"keys": ["ch_1", "pi_1"]})));
    }
}

#[test]
fn an_expanded_object_is_known_by_its_id() {
    let event = with(
        fixture("endive", "charge"),
        &[("/data/object/payment_intent", json!({"id": "pi_1", "object": "payment_intent"}))],
    );
    assert_eq!(told(&event)["keys"], json!(["ch_1", "pi_1"]));
}

#[test]
fn a_payment_that_comes_later_is_told_by_its_own_event() {
    let unpaid =
        with(fixture("endive", "session"), &[("/data/object/payment_status", json!("unpaid"))]);
    assert_eq!(
        (&told(&unpaid)["paid"], &told(&unpaid)["keys"]),
        (&Value::Null, &json!(["cs_1", "pi_1"]))
    );
    let arrived = with(unpaid, &[("/type", json!("checkout.session.async_payment_succeeded"))]);
    assert_eq!(told(&arrived)["paid"], true);
}

#[test]
fn a_session_that_a_coupon_pays_whole_grants() {
    let free = with(
        fixture("endive", "session"),
        &[
            ("/data/object/payment_status", json!("no_payment_required")),
            ("/data/object/payment_intent", Value::Null),
            ("/data/object/amount_total", json!(0)),
        ],
    );
    assert_tells(
        &free,
        small(&json!({"keys": ["cs_1"], "email": "buyer@example.com",
        "amount": 0})),
    );
}

#[test]
fn a_session_of_a_subscription_only_ties_its_first_invoice_to_its_user() {
    let event = with(
        fixture("endive", "session"),
        &[
            ("/data/object/mode", json!("subscription")),
            ("/data/object/payment_intent", Value::Null),
            ("/data/object/invoice", json!("in_1")),
            ("/data/object/subscription", json!("sub_1")),
        ],
    );
    let fact = told(&event);
    assert_eq!(
        (&fact["keys"], &fact["bound"], &fact["paid"], &fact["userId"]),
        (&json!(["cs_1", "in_1"]), &json!(true), &Value::Null, &json!(USER))
    );
    assert_eq!(fact["subscription"], "sub_1", "its renewals are of the same user");
}

#[test]
fn a_session_of_a_subscription_that_names_no_user_tells_nothing() {
    let event = with(
        fixture("endive", "session"),
        &[
            ("/data/object/mode", json!("subscription")),
            ("/data/object/metadata", json!({})),
            ("/data/object/client_reference_id", Value::Null),
        ],
    );
    assert_eq!(told(&event), "not_known_as_ours");
}

#[test]
fn a_payment_link_is_known_by_itself_and_by_what_it_sold() {
    let link = with(
        fixture("endive", "session"),
        &[("/data/object/metadata", json!({})), ("/data/object/payment_link", json!("plink_1"))],
    );
    assert_tells(
        &link,
        json!({"keys": ["cs_1", "pi_1"], "paid": true, "userId": USER,
        "email": "buyer@example.com", "link": "plink_1", "amount": 500,
        "at": 1_750_000_000, "asks": "cs_1"}),
    );
    let by_email = with(link, &[("/data/object/client_reference_id", json!("order-7"))]);
    assert_eq!(told(&by_email)["userId"], Value::Null);
}

#[test]
fn a_charge_tells_its_refunds_in_all_and_a_refund_its_own() {
    for age in AGES {
        let fact = told(&fixture(age, "charge_refunded"));
        let total = json!({"charge": "ch_1", "amount": 200, "at": 1_750_000_100});
        assert_eq!(fact["refundTotal"], total);
        assert_eq!((&fact["amount"], &fact["paid"]), (&json!(500), &Value::Null), "{age}");
        assert_tells(
            &fixture(age, "refund"),
            json!({"keys": ["ch_1", "pi_1"],
            "refunds": {"re_1": {"charge": "ch_1", "amount": 200, "status": "succeeded",
                "at": 1_750_000_100}},
            "at": 1_750_000_100}),
        );
    }
    let keys = told(&fixture("acacia", "charge_refunded"))["keys"].clone();
    assert_eq!(keys, json!(["ch_1", "pi_1", "in_1"]), "before basil a charge names its invoice");
    for (status, expected) in [
        ("pending", "pending"),
        ("requires_action", "pending"),
        ("failed", "failed"),
        ("canceled", "canceled"),
    ] {
        let event = with(fixture("endive", "refund"), &[("/data/object/status", json!(status))]);
        assert_eq!(told(&event)["refunds"]["re_1"]["status"], expected);
    }
    for kind in ["refund.created", "refund.failed", "charge.refund.updated"] {
        let event = with(fixture("endive", "refund"), &[("/type", json!(kind))]);
        assert!(told(&event)["refunds"].is_object(), "{kind}");
    }
}

#[test]
fn what_was_never_captured_is_neither_paid_nor_refunded() {
    for name in ["charge", "charge_refunded"] {
        let event = with(fixture("endive", name), &[("/data/object/captured", json!(false))]);
        assert_eq!(told(&event), "nothing_to_grant");
    }
}

#[test]
fn a_dispute_is_open_won_lost_or_an_inquiry() {
    for age in AGES {
        assert_tells(
            &fixture(age, "dispute"),
            json!({"keys": ["ch_1", "pi_1"],
            "disputes": {"dp_1": {"amount": 500, "status": "open", "at": 1_750_000_200}},
            "at": 1_750_000_200}),
        );
    }
    for (kind, status, expected) in [
        ("updated", "under_review", "open"),
        ("updated", "appeal_under_review", "open"),
        ("funds_withdrawn", "needs_response", "open"),
        ("funds_reinstated", "under_review", "won"),
        ("funds_reinstated", "won", "won"),
        ("closed", "won", "won"),
        ("closed", "lost", "lost"),
        ("created", "warning_needs_response", "warning"),
        ("closed", "warning_closed", "warning"),
        ("closed", "prevented", "warning"),
    ] {
        let event = with(
            fixture("endive", "dispute"),
            &[
                ("/type", json!(format!("charge.dispute.{kind}"))),
                ("/data/object/status", json!(status)),
            ],
        );
        assert_eq!(told(&event)["disputes"]["dp_1"]["status"], expected, "{kind} {status}");
    }
}

#[test]
fn what_was_sold_under_an_older_name_of_this_deployment_is_ours() {
    let named = |name: &str| {
        let before = json!({"unstuck_deployment": name, "unstuck_user": USER,
            "unstuck_pack": "small"});
        told(&with(fixture("endive", "charge"), &[("/data/object/metadata", before)]))
    };
    assert_eq!(named("before")["pack"], "small");
    assert_eq!(named("there"), "other_deployment");
}

#[test]
fn what_is_not_ours_grants_nothing_and_says_why() {
    let session = fixture("endive", "session");
    let metadata = "/data/object/metadata";
    let other = json!({"unstuck_deployment": "there", "unstuck_user": USER});
    for (reason, event) in [
        ("connected_account", with(session.clone(), &[("/account", json!("acct_2"))])),
        (
            "thin_event",
            json!({"id": "evt_1", "object": "v2.core.event",
            "type": "v1.billing.meter.no_meter_found"}),
        ),
        ("unknown_type", with(session.clone(), &[("/type", json!("customer.created"))])),
        ("unknown_type", json!({})),
        ("other_deployment", with(session.clone(), &[(metadata, other.clone())])),
        ("other_deployment", with(fixture("endive", "charge"), &[(metadata, other.clone())])),
        (
            "other_deployment",
            with(fixture("endive", "charge_refunded"), &[(metadata, other.clone())]),
        ),
        ("other_deployment", with(fixture("endive", "payment_intent"), &[(metadata, other)])),
        ("not_known_as_ours", with(fixture("endive", "payment_intent"), &[(metadata, json!({}))])),
        ("not_known_as_ours", with(fixture("endive", "charge"), &[(metadata, json!({}))])),
        ("nothing_to_grant", with(session.clone(), &[("/data/object/mode", json!("setup"))])),
        (
            "nothing_to_grant",
            with(session.clone(), &[("/type", json!("checkout.session.expired"))]),
        ),
        (
            "nothing_to_grant",
            with(session, &[("/type", json!("checkout.session.async_payment_failed"))]),
        ),
        (
            "nothing_to_grant",
            with(fixture("endive", "invoice"), &[("/data/object/status", json!("open"))]),
        ),
        (
            "nothing_to_grant",
            with(fixture("endive", "invoice"), &[("/type", json!("invoice.voided"))]),
        ),
    ] {
        assert_eq!(told(&event), reason, "{event}");
    }
}

#[test]
fn test_mode_grants_unless_only_live_events_count() {
    let event = fixture("endive", "session");
    assert_eq!(understood(&event, true), "test_mode");
    let live = with(event, &[("/livemode", json!(true))]);
    assert!(understood(&live, true).is_object() && understood(&live, false).is_object());
}
