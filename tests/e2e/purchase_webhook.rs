//! `purchase-webhook`: each payment grants its credits once, however many events report it, and a
//! refund takes them back.

use std::time::Duration;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::purchase::{STRIPE_SECRET, stripe_signature};
use unstuck_tests::e2e::{self, TestUser, World, user::now_s};
use uuid::Uuid;

/// The event of a payment intent: 5 € paid for the pack `small`.
fn payment(user: &TestUser, id: &str) -> Value {
    let metadata = json!({ "unstuck_user": user.id, "unstuck_pack": "small",
        "unstuck_credits": "100", "unstuck_deployment": "127.0.0.1" });
    let intent = json!({ "id": id, "object": "payment_intent", "amount_received": 500,
        "latest_charge": format!("ch_{id}"), "metadata": metadata });
    json!({ "id": format!("evt_{id}"), "object": "event", "created": now_s(), "livemode": false,
        "type": "payment_intent.succeeded", "data": { "object": intent } })
}

/// The name of a payment at Stripe that begins with `prefix`.
fn key<'a>(keys: &'a [String], prefix: &str) -> &'a str {
    keys.iter().find(|key| key.starts_with(prefix)).expect("the payment has this name")
}

async fn purchases(world: &World, user: &TestUser) -> i64 {
    world.count(&format!("purchases where user_id = '{}'", user.id)).await
}

/// The reasons why events were ignored during this test.
fn ignored(world: &World) -> Vec<String> {
    let lines = world.functions_log();
    let lines = lines.lines().filter(|line| line.contains("purchase_ignored"));
    lines
        .filter_map(|line| {
            let (_, rest) = line.split_once("\"reason\":\"")?;
            Some(rest.split('"').next()?.to_owned())
        })
        .collect()
}

#[test]
fn a_payment_that_several_events_tell_grants_once() {
    e2e::run(async |world| {
        world.stock().await;
        for (number, script) in [
            json!({ "all": true, "webhook": "twice" }),
            json!({ "all": true, "events": "reversed" }),
            json!({ "all": true, "events": "together", "webhook": "twice" }),
            json!({ "all": true, "shape": 1, "signature": "two" }),
        ]
        .into_iter()
        .enumerate()
        {
            world.script(json!({ "reset": true, "stripe": script })).await;
            let user = world.new_user(10).await;
            world.buy(&user, "small").await;
            assert_eq!(world.balance(&user).await, 110, "{number}");
            assert_eq!(purchases(world, &user).await, 1, "{number}");
            world.buy(&user, "large").await;
            assert_eq!(world.balance(&user).await, 610, "{number}");
        }
    });
}

#[test]
fn a_subscription_grants_with_each_invoice() {
    e2e::run(async |world| {
        world.stock().await;
        for shape in [1, 2] {
            for order in [json!({}), json!({ "events": "reversed" })] {
                let mut script = order;
                script["all"] = json!(true);
                script["shape"] = json!(shape);
                world.script(json!({ "reset": true, "stripe": script })).await;
                let user = world.new_user(10).await;
                let keys = world.buy(&user, "monthly").await;
                assert_eq!(world.balance(&user).await, 310, "{shape} {script}");
                let period = key(&keys, "sub_");
                let subscription = period.split(':').next().unwrap();
                world.at_stripe("__renew", json!({ "subscription": subscription })).await;
                assert_eq!(world.balance(&user).await, 610, "{shape} {script}");
                assert_eq!(purchases(world, &user).await, 2);
                let payment = key(&keys, "pi_");
                world.at_stripe("__refund", json!({ "payment": payment })).await;
                assert_eq!(world.balance(&user).await, 310, "the first period is refunded");
            }
        }
    });
}

#[test]
fn refunds_take_back_in_parts_and_a_failed_one_gives_back() {
    e2e::run(async |world| {
        world.stock().await;
        for script in [json!({ "all": true }), json!({ "all": true, "events": "reversed" })] {
            let mut script = script;
            script["webhook"] = json!("twice");
            world.script(json!({ "reset": true, "stripe": script })).await;
            let user = world.new_user(10).await;
            let keys = world.buy(&user, "small").await;
            let payment = key(&keys, "pi_");
            let refund = async |amount: i64| {
                let body = json!({ "payment": payment, "amount": amount, "status": "pending" });
                world.at_stripe("__refund", body).await["refund"].clone()
            };
            let first = refund(125).await;
            assert_eq!(world.balance(&user).await, 85);
            refund(375).await;
            assert_eq!(world.balance(&user).await, 10);
            let body = json!({ "refund": first, "status": "failed" });
            world.at_stripe("__refund", body).await;
            assert_eq!(world.balance(&user).await, 35);
        }
    });
}

#[test]
fn a_lost_dispute_of_spent_credits_is_a_debt_that_the_next_purchase_settles() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let keys = world.buy(&user, "small").await;
        let charge = key(&keys, "ch_");
        let dispute = async |status: &str| {
            let body = json!({ "payment": charge, "status": status });
            world.at_stripe("__dispute", body).await["dispute"].clone()
        };
        dispute("warning_needs_response").await;
        assert_eq!(world.balance(&user).await, 110, "an inquiry takes nothing");
        let first = dispute("needs_response").await;
        assert_eq!(world.balance(&user).await, 10);
        world.at_stripe("__dispute", json!({ "dispute": first, "status": "won" })).await;
        assert_eq!(world.balance(&user).await, 110);
        let spent = format!(
            "select success from unstuck_private.credit_adjust('{}', -80, 'spent')",
            user.id
        );
        assert_eq!(world.db().value(&spent).await, json!(true));
        let second = dispute("needs_response").await;
        world.at_stripe("__dispute", json!({ "dispute": second, "status": "lost" })).await;
        assert_eq!(world.balance(&user).await, 0);
        world.buy(&user, "small").await;
        assert_eq!(world.balance(&user).await, 30, "70 of the 100 settle what is owed");
    });
}

#[test]
fn a_payment_link_is_known_by_what_it_sold() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let reference = format!("client_reference_id={}", user.id);
        world.pay_by_link("price_small", &format!("{reference}&quantity=3")).await;
        assert_eq!(world.balance(&user).await, 310);
        world.pay_by_link("price_mug", &reference).await;
        assert_eq!(world.balance(&user).await, 310, "a mug is no pack");
        world.pay_by_link("price_monthly", &reference).await;
        assert_eq!(world.balance(&user).await, 610);
    });
}

#[test]
fn an_event_that_grants_nothing_is_taken_and_its_reason_logged() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let with = |pointer: &str, value: Value| {
            let mut event = payment(&user, "pi_other");
            match event.pointer_mut(pointer) {
                Some(field) => *field = value,
                None => event["account"] = value,
            }
            event
        };
        let before = ignored(world).len();
        let events = [
            (with("/account", json!("acct_1")), "connected_account"),
            (with("/object", json!("v2.core.event")), "thin_event"),
            (with("/type", json!("customer.created")), "unknown_type"),
            (with("/type", json!("checkout.session.expired")), "nothing_to_grant"),
            (with("/data/object/metadata", json!({})), "not_known_as_ours"),
            (with("/data/object/metadata/unstuck_deployment", json!("there")), "other_deployment"),
        ];
        for (number, (event, reason)) in events.into_iter().enumerate() {
            let answer = world.stripe_event(&event).await;
            assert_has!(answer, { "ok": true, "granted": 0, "taken": 0, "replayed": false });
            let look = async || ignored(world).get(before + number).cloned();
            assert_eq!(world.until("the reason is logged", look).await, reason);
        }
        assert_eq!((world.balance(&user).await, purchases(world, &user).await), (10, 0));
        let granted = world.stripe_event(&payment(&user, "pi_own")).await;
        assert_has!(granted, { "ok": true, "granted": 100, "replayed": false });
        let again = world.stripe_event(&payment(&user, "pi_own")).await;
        assert_has!(again, { "ok": true, "granted": 0, "replayed": true });
    });
}

#[test]
fn only_live_events_grant_where_the_setting_says_so() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let live = [("PURCHASE_LIVE".to_owned(), Some("true".to_owned()))].into();
        world.restart_workers([("purchase-webhook".to_owned(), live)].into()).await;
        let mut event = payment(&user, "pi_live");
        assert_eq!(world.stripe_event(&event).await["granted"], 0);
        event["livemode"] = json!(true);
        assert_eq!(world.stripe_event(&event).await["granted"], 100);
    });
}

#[test]
fn a_signature_that_is_not_the_seller_s_changes_nothing() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let body = payment(&user, "pi_forged").to_string();
        let call = || world.call("purchase-webhook/stripe").body(body.clone());
        call().refused(401, "unauthorized").await;
        for header in [
            stripe_signature("whsec_other", now_s(), &body),
            stripe_signature(STRIPE_SECRET, now_s() - 301, &body),
            stripe_signature(STRIPE_SECRET, now_s() + 400, &body),
            stripe_signature(STRIPE_SECRET, now_s(), &body.replace("100", "900")),
            "t=,v1=".to_owned(),
            "nonsense".to_owned(),
        ] {
            let forged = call().header("stripe-signature", &header);
            forged.refused(401, "unauthorized").await;
        }
        let not_json = "{half";
        let header = stripe_signature(STRIPE_SECRET, now_s(), not_json);
        let call = world.call("purchase-webhook/stripe").header("stripe-signature", &header);
        call.body(not_json).refused(400, "bad_request").await;
        world.call("purchase-webhook/other").body(body.clone()).refused(404, "not_found").await;
        world.call("purchase-webhook").body(body.clone()).refused(404, "not_found").await;
        let large = "x".repeat(1024 * 1024 + 1);
        world.call("purchase-webhook/stripe").body(large).refused(413, "payload_too_large").await;
        assert_eq!((world.balance(&user).await, purchases(world, &user).await), (10, 0));
    });
}

#[test]
fn what_a_later_delivery_may_mend_is_told_to_the_seller() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let unset = [("PURCHASE_STRIPE_SECRETS".to_owned(), None)].into();
        world.restart_workers([("purchase-webhook".to_owned(), unset)].into()).await;
        let body = payment(&user, "pi_1").to_string();
        let header = stripe_signature(STRIPE_SECRET, now_s(), &body);
        let call = world.call("purchase-webhook/stripe").header("stripe-signature", &header);
        call.body(body).refused(500, "misconfigured").await;
        world.restart_workers([].into()).await;
        world
            .script(json!({ "stripe": { "match": "/line_items", "status": 503, "times": 1 } }))
            .await;
        let link = format!("client_reference_id={}", user.id);
        world.pay_by_link("price_small", &link).await;
        assert_eq!(world.balance(&user).await, 110, "the event is delivered once more");
        let told = world.deliveries().await;
        let of_session = told.iter().filter(|delivery| {
            delivery["body"]["data"]["object"]["client_reference_id"] == json!(user.id)
        });
        let statuses: Vec<i64> =
            of_session.filter_map(|delivery| delivery["status"].as_i64()).collect();
        assert_eq!(statuses, [503, 200]);
    });
}

#[test]
fn a_fact_that_the_database_refuses_is_taken_and_logged() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let mut event = payment(&user, "pi_strange");
        event["data"]["object"]["amount_received"] = json!(-1);
        assert_has!(world.stripe_event(&event).await, { "ok": true, "granted": 0 });
        let refused = async || {
            let log = world.functions_log();
            log.lines().find(|line| line.contains("purchase_refused")).map(str::to_owned)
        };
        let line = world.until("the refused one is logged", refused).await;
        assert!(line.contains("evt_pi_strange"), "{line}");
    });
}

#[test]
fn a_payment_that_gives_nothing_is_told_from_one_that_is_lost() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let mut unknown = payment(&user, "pi_hat");
        unknown["data"]["object"]["metadata"] = json!({ "unstuck_user": user.id,
            "unstuck_pack": "hat", "unstuck_deployment": "127.0.0.1" });
        assert_has!(world.stripe_event(&unknown).await, { "ok": true, "granted": 0 });
        let stranger = TestUser { id: Uuid::new_v4(), token: String::new() };
        let waiting = payment(&stranger, "pi_waiting");
        assert_has!(world.stripe_event(&waiting).await, { "ok": true, "granted": 0 });
        let told = async || (ignored(world) == ["unknown_pack", "waits_for_user"]).then_some(());
        world.until("both reasons are logged", told).await;
        // An invoice that names the prorated price of a change, and nothing else.
        let line = json!({ "amount": 450, "quantity": 1, "proration": true,
            "pricing": { "price_details": { "price": "price_monthly" },
                "unit_amount_decimal": "450" } });
        let lost = json!({ "id": "evt_lost", "object": "event", "created": now_s(),
            "livemode": false, "type": "invoice.paid",
            "data": { "object": { "id": "in_lost", "object": "invoice", "status": "paid",
                "total": 450, "amount_paid": 450, "lines": { "data": [line] } } } });
        assert_has!(world.stripe_event(&lost).await, { "ok": true, "granted": 0 });
        let refused = async || {
            let log = world.functions_log();
            let mut lines = log.lines();
            lines.find(|line| line.contains("purchase_refused")).map(str::to_owned)
        };
        let line = world.until("the lost one is logged", refused).await;
        assert!(line.contains("share_unknown") && line.contains("evt_lost"), "{line}");
        assert!(line.contains("\"level\":\"error\""), "{line}");
    });
}

#[test]
fn another_seller_grants_and_takes_back_by_shares() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.new_user(10).await;
        let told = async |kind: &str, data: Value| {
            world.generic_event(&format!("purchase.{kind}"), data).await.expect(200)
        };
        let paid = json!({ "id": "o-1", "userId": user.id, "credits": 100 });
        assert_has!(told("paid", paid.clone()).await, { "granted": 100, "replayed": false });
        assert_has!(told("paid", paid).await, { "granted": 0, "replayed": true });
        told("refunded", json!({ "id": "o-1", "refundedShare": 0.25 })).await;
        assert_eq!(world.balance(&user).await, 85);
        told("disputed", json!({ "id": "o-1" })).await;
        assert_eq!(world.balance(&user).await, 10);
        told("dispute_won", json!({ "id": "o-1" })).await;
        assert_eq!(world.balance(&user).await, 85);
        // These events have no time of their own, and each delivery is signed anew, with the second
        // in which it is sent.
        let a_second = async || tokio::time::sleep(Duration::from_millis(1100)).await;
        a_second().await;
        assert_has!(told("disputed", json!({ "id": "o-1" })).await, { "granted": 0, "taken": 0 });
        assert_eq!(world.balance(&user).await, 85);
        told("refunded", json!({ "id": "o-1", "refundedShare": 1 })).await;
        assert_eq!(world.balance(&user).await, 10);
        a_second().await;
        let repeated = told("refunded", json!({ "id": "o-1", "refundedShare": 0.25 })).await;
        assert_has!(repeated, { "granted": 0, "taken": 0 });
        assert_eq!(world.balance(&user).await, 10);
        let by_pack = json!({ "id": "o-2", "userId": user.id, "pack": "large" });
        assert_eq!(told("paid", by_pack).await["granted"], 500);
        let unknown = world.generic_event("ping", json!({})).await.expect(200);
        assert_has!(unknown, { "ok": true, "granted": 0 });
        let refused = world.generic_event("purchase.paid", json!({ "id": "o-3" })).await;
        assert_eq!(refused.expect_refusal(400, "bad_request")["field"], "userId");
        let unsigned = world.call("purchase-webhook/generic").json(&json!({ "type": "x" }));
        unsigned.refused(401, "unauthorized").await;
    });
}
