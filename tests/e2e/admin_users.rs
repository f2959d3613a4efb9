//! `admin-users`: an admin finds a user who wrote to support, grants credits once, and erases a
//! user.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::{self, World};

async fn found(world: &World, query: &str) -> Value {
    let admin = world.admin(1).await;
    world.call("admin-users/find").by(&admin).json(&json!({ "query": query })).ok().await
}

#[test]
fn a_user_is_found_given_credits_and_seen_in_the_log() {
    e2e::run(async |world| {
        let admin = world.admin(1).await;
        let user = world.user(1).await;
        let balance = world.balance(&user).await;
        let answer = found(world, "USER1@example").await;
        assert_has!(answer["users"][0], { "userId": user.id, "email": "user1@example.com" });
        assert_has!(answer["users"][0], { "balance": balance });
        let gift = json!({ "userId": user.id, "amount": 100, "reason": "waited an hour",
            "idempotencyKey": "ticket-1" });
        let grant = || world.call("admin-users/grant").by(&admin).json(&gift);
        let given = grant().ok().await;
        assert_eq!(given, json!({ "balance": balance + 100, "replayed": false }));
        assert_has!(grant().ok().await, { "replayed": true });
        assert_eq!(world.balance(&user).await, balance + 100);
        let shown = world
            .call("admin-users/show")
            .by(&admin)
            .json(&json!({ "userId": user.id }))
            .ok()
            .await;
        assert_has!(shown["ledger"][0], { "kind": "goodwill", "amount": 100 });
        let log = world.get("admin-settings/log?act=credits_granted").by(&admin).ok().await;
        assert_has!(log["log"][0], { "actor": admin.id, "subject": user.id });
        assert_has!(log["log"][0], { "reason": "waited an hour" });
        for (field, value) in [("amount", json!(0)), ("reason", json!(" ")), ("userId", json!(1))] {
            let mut wrong = gift.clone();
            wrong[field] = value;
            let call = world.call("admin-users/grant").by(&admin).json(&wrong);
            call.refused(400, "bad_request").await;
        }
    });
}

#[test]
fn an_order_is_found_by_the_id_of_its_request_and_by_the_beginning_of_its_own() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        order.run(world).header("x-request-id", "support-case-42").ok().await;
        let short = order.job.to_string()[..8].to_owned();
        for query in ["support-case-42", short.as_str()] {
            let answer = found(world, query).await;
            assert_has!(answer["jobs"][0], { "jobId": order.job, "userId": order.user.id });
            assert_has!(answer["users"][0], { "userId": order.user.id });
        }
    });
}

#[test]
fn nobody_but_an_admin_asks() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        for op in ["find", "show", "grant", "erase"] {
            let path = format!("admin-users/{op}");
            world.call(&path).json(&json!({})).refused(401, "unauthorized").await;
            world.call(&path).by(&user).json(&json!({})).refused(403, "forbidden").await;
            world.call(&path).by_service().json(&json!({})).refused(403, "forbidden").await;
        }
    });
}
