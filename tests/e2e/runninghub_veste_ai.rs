//! `runninghub-veste-ai`: both pictures go to the right nodes, and both are in the result.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;

use unstuck_tests::e2e::order::{CREDITS, Order, VESTE, assert_field_at_fault, nodes_of};

#[test]
fn the_result_is_made_of_both_pictures() {
    e2e::run(async |world| {
        let order = Order::by(world, &VESTE).await;
        let answer = order.starts(world).await;
        assert_has!(answer, { "creditsCharged": 60, "balance": CREDITS - 60 });
        order.assert_completed(world).await;
        order.assert_real(world).await;
        let submit = world.submits_of(order.job).await.remove(0);
        let path = submit["path"].as_str().unwrap_or_default();
        assert!(path.ends_with("/openapi/v2/run/ai-app/1900000000000000009"), "{path}");
        let [person, clothing] = order.urls()[..] else { panic!("two files") };
        assert_eq!(nodes_of(&submit), [("1", "image", person), ("2", "image", clothing)]);
    });
}

#[test]
fn a_field_at_fault_is_named() {
    e2e::run(async |world| {
        let order = Order::by(world, &VESTE).await;
        for field in VESTE.files {
            assert_field_at_fault(
                world,
                &order,
                field,
                &[json!(null), json!(7), json!(""), json!("a.png")],
            )
            .await;
        }
        assert_field_at_fault(world, &order, "sessionId", &[json!(5), json!("x".repeat(201))])
            .await;
    });
}
