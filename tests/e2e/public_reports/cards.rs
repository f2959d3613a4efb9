//! What Gemini sends: refusals of the caller's location, and pictures of another type than it
//! names.

use serde_json::{Value, json};
use unstuck_tests::e2e::cards::{CREATE, Cards, PRICE, prompt_of};
use unstuck_tests::e2e::order::retry_now;
use unstuck_tests::e2e::{self, World};

use super::assert_alarm;

/// Expires the delays of retries until the card is delivered, and returns its address.
async fn delivered(world: &World, order: &Cards) -> String {
    world
        .until("the card is delivered", async || {
            retry_now(world, order.job).await;
            let seen = order.seen(world).await;
            assert_ne!(seen["status"], "failed", "{seen:#}");
            let url = seen["tasks"][0]["imageUrl"].as_str().map(str::to_owned);
            url.filter(|_| seen["status"] == "completed")
        })
        .await
}

#[test]
fn c07_a_refusal_of_the_place_leads_to_a_retry_and_an_alarm() {
    e2e::run(async |world| {
        let refusal = json!({ "error": { "code": 400, "status": "FAILED_PRECONDITION",
            "message": "User location is not supported for the API use." } });
        let rule = json!({ "match": prompt_of(1), "times": 2, "status": 400, "body": refusal });
        world.script(json!({ "gemini": rule })).await;
        let order = Cards::ordered(world, &[1]).await;
        delivered(world, &order).await;
        assert_eq!(world.db().entries(order.job).await, [-PRICE]);
        assert_alarm(world, "location");
    });
}

#[test]
fn c10_a_picture_is_stored_as_what_its_bytes_are() {
    e2e::run(async |world| {
        // The first bytes of a JPEG and of a WebP, in base64.
        for (data, ending) in [("/9j/4AAQSkZJRg==", ".jpg"), ("UklGRiQAAABXRUJQVlA4IA==", ".webp")]
        {
            let answer = json!({ "candidates": [{ "finishReason": "STOP", "content": { "parts": [
                { "inlineData": { "mimeType": "image/png", "data": data } }] } }] });
            let rule = json!({ "match": prompt_of(2), "status": 200, "body": answer });
            world.script(json!({ "reset": true, "gemini": rule })).await;
            let order = Cards::ordered(world, &[2]).await;
            let url = delivered(world, &order).await;
            assert!(url.ends_with(ending), "{url}");
            assert_eq!(order.calls_of(world, 2).await, 1, "one call is enough");
        }
    });
}

#[test]
fn r17_a_ratio_that_the_model_does_not_make_is_refused_before_any_debit() {
    e2e::run(async |world| {
        let mut order = Cards::new(world, &[1]).await;
        order.body["aspectRatio"] = json!("1:8");
        let model = [("GEMINI_MODEL".to_owned(), Some("gemini-3-pro-image".to_owned()))];
        world.restart_workers([(CREATE.to_owned(), model.into())].into()).await;
        let refusal: Value = order.create(world).refused(400, "bad_request").await;
        assert_eq!(refusal["field"], "aspectRatio", "{refusal}");
        assert_eq!(world.balance(&order.user).await, 1_000);
        assert!(world.provider_calls(":generateContent").await.is_empty());
    });
}
