//! `runninghub-pose-changer`: both pictures go to the right nodes, and both are in the result.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;

use unstuck_tests::e2e::order::{CREDITS, Order, POSE, VESTE, assert_field_at_fault, nodes_of};

#[test]
fn the_result_is_made_of_both_pictures() {
    e2e::run(async |world| {
        let order = Order::by(world, &POSE).await;
        let answer = order.starts(world).await;
        assert_has!(answer, { "creditsCharged": 60, "balance": CREDITS - 60 });
        order.assert_completed(world).await;
        order.assert_real(world).await;
        let submit = world.submits_of(order.job).await.remove(0);
        let path = submit["path"].as_str().unwrap_or_default();
        assert!(path.ends_with("/openapi/v2/run/ai-app/1900000000000000007"), "{path}");
        let [person, reference] = order.urls()[..] else { panic!("two files") };
        assert_eq!(nodes_of(&submit), [("1", "image", person), ("2", "image", reference)]);
    });
}

#[test]
fn the_other_way_round_is_another_request_with_another_result() {
    e2e::run(async |world| {
        let order = Order::by(world, &POSE).await;
        order.starts(world).await;
        order.assert_completed(world).await;
        let [person, reference] = order.urls()[..] else { panic!("two files") };
        let mut swapped = Order::with(&POSE, order.user.clone(), &[reference, person]);
        swapped.body["jobId"] = json!(order.job);
        swapped.run(world).refused(409, "idempotency_conflict").await;
        swapped.body["jobId"] = json!(swapped.job);
        swapped.starts(world).await;
        swapped.assert_completed(world).await;
        swapped.assert_real(world).await;
        assert_ne!(order.picture(world).await, swapped.picture(world).await);
    });
}

#[test]
fn the_same_id_at_another_tool_is_a_conflict() {
    e2e::run(async |world| {
        let order = Order::by(world, &POSE).await;
        order.starts(world).await;
        let mut elsewhere = Order::with(&VESTE, order.user.clone(), &order.urls());
        elsewhere.body["jobId"] = json!(order.job);
        elsewhere.run(world).refused(409, "idempotency_conflict").await;
        order.assert_completed(world).await;
    });
}

#[test]
fn a_field_at_fault_is_named() {
    e2e::run(async |world| {
        let order = Order::by(world, &POSE).await;
        for field in POSE.files {
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
