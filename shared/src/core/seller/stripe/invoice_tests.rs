//! Tests the facts of invoices in the formats of API 2025-02-24 and 2026-10-28.

use super::event_tests::{AGES, USER, assert_tells, fixture, told, with};
use super::{Reader, read};
use crate::core::seller::SellerEvent;
use serde_json::{Value, json};

#[test]
fn an_invoice_is_a_purchase_of_one_period() {
    let monthly = |keys: Value| {
        json!({"keys": keys, "paid": true, "userId": USER, "email": "buyer@example.com",
            "pack": "monthly", "credits": 300, "priceIds": ["price_monthly"], "quantity": 1,
            "subscription": "sub_1",
            "amount": 900, "at": 1_750_000_000})
    };
    assert_tells(
        &fixture("acacia", "invoice"),
        monthly(json!(["in_1", "pi_2", "ch_2", "sub_1:1750000000"])),
    );
    assert_tells(&fixture("endive", "invoice"), monthly(json!(["in_1", "sub_1:1750000000"])));
    let shown = json!({"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_2"},
        "status": "paid"}]});
    let event = with(
        fixture("endive", "invoice"),
        &[("/data/object/payments", shown), ("/type", json!("invoice.payment_succeeded"))],
    );
    assert_tells(&event, monthly(json!(["in_1", "sub_1:1750000000", "pi_2"])));
    assert_tells(
        &fixture("endive", "invoice_payment"),
        json!({"keys": ["in_1", "pi_2"], "bound": true, "at": 1_750_000_000}),
    );
}

#[test]
fn the_credits_of_the_metadata_are_those_of_one() {
    let event =
        with(fixture("endive", "invoice"), &[("/data/object/lines/data/0/quantity", json!(2))]);
    assert_eq!((&told(&event)["credits"], &told(&event)["quantity"]), (&json!(600), &json!(2)));
}

/// An invoice without our metadata.
fn without_metadata(age: &str) -> Value {
    let of_subscription = match age {
        "acacia" => "/data/object/subscription_details/metadata",
        _ => "/data/object/parent/subscription_details/metadata",
    };
    let of_line = "/data/object/lines/data/0/metadata";
    with(fixture(age, "invoice"), &[(of_subscription, json!({})), (of_line, json!({}))])
}

#[test]
fn an_invoice_without_metadata_is_known_by_its_prices() {
    for age in AGES {
        let event =
            with(without_metadata(age), &[("/data/object/lines/data/0/quantity", json!(2))]);
        let fact = told(&event);
        assert_eq!(
            (&fact["priceIds"], &fact["quantity"], &fact["pack"], &fact["userId"]),
            (&json!(["price_monthly"]), &json!(2), &Value::Null, &Value::Null),
            "{age}"
        );
        assert_eq!(fact["email"], "buyer@example.com");
    }
}

#[test]
fn the_metadata_of_a_line_stands_in_for_that_of_its_subscription() {
    let event = with(fixture("endive", "invoice"), &[("/data/object/parent", Value::Null)]);
    assert_eq!(told(&event)["userId"], USER);
}

#[test]
fn a_subscription_that_changed_its_price_is_known_by_the_new_one() {
    for (age, pointer) in [
        ("acacia", "/data/object/lines/data/0/price/id"),
        ("endive", "/data/object/lines/data/0/pricing/price_details/price"),
    ] {
        let fact = told(&with(fixture(age, "invoice"), &[(pointer, json!("price_yearly"))]));
        assert_eq!(
            (&fact["priceIds"], &fact["pack"], &fact["credits"], &fact["userId"]),
            (&json!(["price_yearly"]), &Value::Null, &Value::Null, &json!(USER)),
            "{age}"
        );
    }
}

#[test]
fn a_free_invoice_grants_nothing_unless_its_metadata_says_so() {
    for age in AGES {
        let free = [
            ("/data/object/total", json!(0)),
            ("/data/object/amount_paid", json!(0)),
            ("/data/object/lines/data/0/amount", json!(0)),
        ];
        let event = with(fixture(age, "invoice"), &free);
        assert_eq!(told(&event), "free_invoice");
        let named = with(
            event,
            &[
                (
                    "/data/object/metadata",
                    json!({"unstuck_pack": "monthly",
            "unstuck_user": USER, "unstuck_free": "true"}),
                ),
                ("/data/object/subscription_details", Value::Null),
                ("/data/object/parent", Value::Null),
            ],
        );
        assert_eq!(
            (&told(&named)["paid"], &told(&named)["pack"]),
            (&json!(true), &json!("monthly")),
            "{age}"
        );
        let by_balance = with(fixture(age, "invoice"), &[("/data/object/amount_paid", json!(0))]);
        assert_eq!(told(&by_balance)["amount"], 900, "the customer's balance paid it");
    }
}

/// A change in the middle of a period: half a period at a price of 2000, minus half a period at
/// 900.
fn change(age: &str, told_price: &str) -> Value {
    let event = fixture(age, "invoice");
    let mut lines = event["data"]["object"]["lines"]["data"].clone();
    let mut credited = lines[0].clone();
    credited["amount"] = json!(-450);
    lines[0]["amount"] = json!(1_000);
    for line in [&mut lines[0], &mut credited] {
        if age == "acacia" {
            line["proration"] = json!(true);
        } else {
            line["parent"]["subscription_item_details"]["proration"] = json!(true);
        }
    }
    if age == "acacia" {
        lines[0]["price"] = json!({"id": "price_big", "unit_amount": 2_000});
    } else {
        lines[0]["pricing"]["price_details"]["price"] = json!("price_big");
        lines[0]["pricing"]["unit_amount_decimal"] = json!(told_price);
    }
    let lines = json!([credited, lines[0]]);
    with(
        event,
        &[
            ("/data/object/lines/data", lines),
            ("/data/object/total", json!(550)),
            ("/data/object/amount_paid", json!(550)),
        ],
    )
}

#[test]
fn a_change_within_a_period_grants_the_share_that_it_costs() {
    for age in AGES {
        let fact = told(&change(age, "2000"));
        assert_eq!(
            (&fact["share"], &fact["priceIds"], &fact["amount"]),
            (&json!(0.275), &json!(["price_big"]), &json!(550)),
            "{age}"
        );
        let keys = fact["keys"].to_string();
        assert!(!keys.contains("sub_1"), "it is for no period of its own: {keys}");
    }
    assert_eq!(told(&change("endive", "1000")), "share_unknown", "the price told is prorated");
}

#[test]
fn changes_that_the_next_invoice_collects_lessen_or_add_to_its_share() {
    for age in AGES {
        let mut event = fixture(age, "invoice");
        let lines = event.pointer_mut("/data/object/lines/data").unwrap().as_array_mut().unwrap();
        let mut credited = lines[0].clone();
        credited["amount"] = json!(-300);
        credited["proration"] = json!(true);
        credited["parent"] = json!({"invoice_item_details": {"proration": true}});
        lines.insert(0, credited);
        let fact = told(&event);
        assert_eq!(fact["share"], json!(0.666_666_667), "{age}");
        assert_eq!(fact["keys"].as_array().unwrap().last(), Some(&json!("sub_1:1750000000")));
    }
}

/// An invoice of a period with another line before its own.
fn with_line_before(age: &str, change: impl Fn(&mut Value)) -> Value {
    let mut event = fixture(age, "invoice");
    let lines = event.pointer_mut("/data/object/lines/data").unwrap().as_array_mut().unwrap();
    let mut line = lines[0].clone();
    change(&mut line);
    lines.insert(0, line);
    event
}

#[test]
fn a_change_that_is_billed_with_the_next_invoice_adds_to_a_whole_period() {
    for age in AGES {
        let billed = |amount: i64| {
            let event = with_line_before(age, |line| {
                line["amount"] = json!(amount);
                line["proration"] = json!(true);
                line["parent"] = json!({"invoice_item_details": {"proration": true}});
            });
            told(&event)["share"].clone()
        };
        assert_eq!(billed(300), json!(1.333_333_334), "{age}");
        assert_eq!(billed(1_800), json!(3.0), "{age}");
    }
}

#[test]
fn a_change_of_something_else_that_the_subscription_sells_changes_no_share_of_ours() {
    for age in AGES {
        let of_item = |line: &mut Value, item: &str, is_proration: bool| {
            line["subscription_item"] = json!(item);
            line["proration"] = json!(is_proration);
            line["parent"] = json!({ "subscription_item_details": {
                "subscription_item": item, "proration": is_proration } });
        };
        let mut event = with_line_before(age, |line| {
            line["amount"] = json!(700);
            of_item(line, "si_hats", true);
        });
        let lines = event.pointer_mut("/data/object/lines/data").unwrap().as_array_mut().unwrap();
        let mut hats = lines[1].clone();
        hats["price"] = json!({ "id": "price_hats" });
        hats["pricing"] = json!({ "price_details": { "price": "price_hats" } });
        of_item(&mut hats, "si_hats", false);
        lines.push(hats);
        assert_eq!(told(&event)["share"], json!(1.0), "{age}");
        // A change counts if it is of our own item, or of an item that is no longer sold.
        for item in ["si_1", "si_gone"] {
            of_item(&mut event["data"]["object"]["lines"]["data"][0], item, true);
            assert_eq!(told(&event)["share"], json!(1.777_777_778), "{age}: {item}");
        }
    }
}

#[test]
fn a_period_whose_price_is_by_tiers_needs_no_price_of_one() {
    for age in AGES {
        let mut event = with_line_before(age, |line| {
            line["amount"] = json!(-300);
            line["proration"] = json!(true);
            line["parent"] = json!({"invoice_item_details": {"proration": true}});
        });
        let period = event.pointer_mut("/data/object/lines/data/1").unwrap();
        match age {
            "acacia" => period["price"]["unit_amount"] = Value::Null,
            _ => period["pricing"]["unit_amount_decimal"] = Value::Null,
        }
        assert_eq!(told(&event)["share"], json!(0.666_666_667), "{age}");
    }
}

#[test]
fn an_invoice_is_known_by_the_period_of_the_line_that_was_bought() {
    for age in AGES {
        let event = with_line_before(age, |line| {
            line["amount"] = json!(100);
            line["period"]["start"] = json!(1_700_000_000);
            line["price"] = json!({"id": "price_fee"});
            line["pricing"] = json!({"price_details": {"price": "price_fee"}});
        });
        let keys = told(&event)["keys"].to_string();
        assert!(keys.contains("sub_1:1750000000"), "{age}: {keys}");
        assert!(!keys.contains("sub_1:1700000000"), "{age}: {keys}");
    }
}

#[test]
fn prices_that_were_bought_in_different_numbers_are_counted_apart() {
    for age in AGES {
        let mut event = without_metadata(age);
        let lines = event.pointer_mut("/data/object/lines/data").unwrap().as_array_mut().unwrap();
        let mut other = lines[0].clone();
        other["quantity"] = json!(3);
        other["price"] = json!({"id": "price_seat"});
        other["pricing"] = json!({"price_details": {"price": "price_seat"}});
        lines.push(other);
        let fact = told(&event);
        assert_eq!(
            (&fact["quantities"], &fact["quantity"]),
            (&json!({"price_monthly": 1, "price_seat": 3}), &Value::Null),
            "{age}"
        );
    }
}

#[test]
fn a_share_that_nobody_knows_is_told_as_lost() {
    let event = change("endive", "1000");
    let reader = Reader { deployments: &["here".to_owned()], live_only: false };
    assert_eq!(read(&event, reader), SellerEvent::Lost("share_unknown"));
}
