//! `purchase-checkout`: the session that it makes at Stripe names the user, and grants nothing by
//! itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::e2e::{self, TestUser, World};

/// The forms that Stripe received during this test, as names and values.
async fn forms(world: &World) -> Vec<BTreeMap<String, String>> {
    let log = world.provider_log().await;
    let sessions = log.iter().filter(|entry| entry["path"] == "/stripe/v1/checkout/sessions");
    sessions
        .map(|entry| {
            let text = entry["body"].as_str().unwrap_or_default();
            let url = reqwest::Url::parse(&format!("http://x/?{text}")).unwrap();
            url.query_pairs().into_owned().collect()
        })
        .collect()
}

fn overrides(changes: &[(&str, Option<&str>)]) -> e2e::world::Overrides {
    let changes =
        changes.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
    BTreeMap::from([("purchase-checkout".to_owned(), changes.collect())])
}

/// The refusal of this user's checkout of a pack.
async fn refused(world: &World, user: &TestUser, status: u16, code: &str) -> Value {
    let call = world.call("purchase-checkout").by(user);
    call.json(&json!({ "pack": "small" })).refused(status, code).await
}

#[test]
fn a_session_names_its_user_in_everything_that_follows() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.user(1).await;
        for (pack, mode, inner, credits) in [
            ("small", "payment", "payment_intent_data", "100"),
            ("monthly", "subscription", "subscription_data", "300"),
        ] {
            let page = world.checkout(&user, pack).await;
            assert!(page.contains("/stripe/c/pay/cs_test_"), "{page}");
            let form = forms(world).await.pop().unwrap();
            let field = |name: &str| form.get(name).map_or("", String::as_str);
            let own = world.stack().info().url.clone();
            assert_eq!(field("mode"), mode);
            assert_eq!(field("client_reference_id"), user.id.to_string());
            assert_eq!(field("line_items[0][price]"), format!("price_{pack}"));
            assert_eq!(field("success_url"), format!("{own}/?purchase=paid"));
            assert_eq!(field("cancel_url"), format!("{own}/?purchase=cancelled"));
            for at in ["metadata".to_owned(), format!("{inner}[metadata]")] {
                let told = |name: &str| field(&format!("{at}[unstuck_{name}]"));
                assert_eq!(told("user"), user.id.to_string(), "{form:?}");
                assert_eq!((told("pack"), told("credits")), (pack, credits));
                assert_eq!(told("deployment"), "127.0.0.1");
            }
        }
        assert_eq!(world.balance(&user).await, 1_000, "nothing is paid yet");
    });
}

#[test]
fn the_same_attempt_gets_the_same_page() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.user(2).await;
        let page = async |pack: &str, key: &str| {
            let call = world.call("purchase-checkout").by(&user).header("idempotency-key", key);
            call.json(&json!({ "pack": pack })).ok().await["url"].clone()
        };
        let first = page("small", "one").await;
        assert_eq!(page("small", "one").await, first);
        assert_ne!(page("small", "two").await, first);
        assert_ne!(page("large", "one").await, first);
        world
            .script(json!({ "stripe": { "match": "/v1/checkout/sessions", "times": 1,
                "lost_answer": true } }))
            .await;
        let lost = page("small", "three").await;
        assert_eq!(page("small", "three").await, lost, "a lost answer opens no second session");
    });
}

#[test]
fn a_checkout_that_cannot_be_is_refused() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.user(3).await;
        let call = || world.call("purchase-checkout");
        call().json(&json!({ "pack": "small" })).refused(401, "unauthorized").await;
        let service = call().by_service().json(&json!({ "pack": "small" }));
        service.refused(403, "forbidden").await;
        let anonymous = world.anonymous().await;
        let by_nobody = call().by(&anonymous).json(&json!({ "pack": "small" }));
        by_nobody.refused(403, "forbidden").await;
        let unknown = call().by(&user).json(&json!({ "pack": "huge" }));
        unknown.refused(404, "not_found").await;
        call().by(&user).json(&json!({})).refused(400, "bad_request").await;
        for url in ["https://evil.example/", "/back", "javascript:alert(1)"] {
            let body = json!({ "pack": "small", "returnUrl": url });
            let refused = call().by(&user).json(&body).refused(400, "bad_request").await;
            assert_eq!(refused["field"], "returnUrl");
        }
        let back = format!("{}/?from=shop#top", world.stack().info().url);
        call().by(&user).json(&json!({ "pack": "small", "returnUrl": back })).ok().await;
        let form = forms(world).await.pop().unwrap();
        assert!(form["success_url"].ends_with("/?from=shop&purchase=paid#top"), "{form:?}");
        world.db().exec("update unstuck.credit_packs set enabled = false").await;
        let off = call().by(&user).json(&json!({ "pack": "small" }));
        off.refused(404, "not_found").await;
    });
}

#[test]
fn a_fault_of_stripe_is_told_without_its_words() {
    e2e::run(async |world| {
        world.stock().await;
        let user = world.user(4).await;
        for (at_stripe, status, code) in [
            (401, 500, "misconfigured"),
            (503, 503, "upstream_unavailable"),
            (400, 500, "internal"),
        ] {
            let error = json!({"error": {"type": "invalid_request_error",
                "message": "about a secret", "param": "customer_email"}});
            world
                .script(json!({ "reset": true, "stripe": { "match": "/v1/checkout/sessions",
                    "status": at_stripe, "body": error } }))
                .await;
            let answer = refused(world, &user, status, code).await;
            assert!(!answer.to_string().contains("secret"), "{answer}");
        }
        world.script(json!({ "reset": true })).await;
        world.restart_workers(overrides(&[("STRIPE_API_KEY", None)])).await;
        let answer = refused(world, &user, 500, "misconfigured").await;
        assert!(answer["message"].as_str().unwrap().contains("STRIPE_API_KEY"));
        assert!(!world.functions_log().contains("about a secret"));
        let page = "https://shop.example/buy";
        world.restart_workers(overrides(&[("BUY_URL", Some(page))])).await;
        assert_eq!(Value::from(world.checkout(&user, "small").await), json!(page));
    });
}
