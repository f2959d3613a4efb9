//! Orders of cards: what is accepted, charged and answered, and what the owner sees.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use uuid::Uuid;

use unstuck_tests::e2e::cards::{CREATE, Cards, PRICE};

#[test]
fn an_order_is_paid_at_once_and_a_replay_charges_nothing() {
    e2e::run(async |world| {
        let order = Cards::new(world, &[0, 3, 6]).await;
        let answer = order.create(world).send().await.expect(202);
        assert_eq!(answer["success"], true);
        assert_has!(answer, { "jobId": order.job, "totalCards": 3 });
        assert_has!(answer, { "creditsCharged": 3 * PRICE, "balance": 1_000 - 3 * PRICE });
        let seen = order.until_over(world, "completed", 3).await;
        let numbers: Vec<&Value> =
            seen["tasks"].as_array().unwrap().iter().map(|task| &task["cardIndex"]).collect();
        assert_eq!(numbers, [&json!(0), &json!(3), &json!(6)]);

        let again = order.create(world).send().await.expect(200);
        assert_has!(again, { "replayed": true, "creditsCharged": 3 * PRICE });
        assert_eq!(world.balance(&order.user).await, 1_000 - 3 * PRICE);
        let mut other = order.body.clone();
        other["selectedCards"] = json!([1]);
        world.call(CREATE).by(&order.user).json(&other).refused(409, "idempotency_conflict").await;
    });
}

#[test]
fn what_is_wrong_is_named_before_anything_is_charged() {
    e2e::run(async |world| {
        let order = Cards::new(world, &[0]).await;
        let gone = order.body["productImages"][0]["url"]
            .as_str()
            .unwrap()
            .replace("product.png", "gone.png");
        for (field, value) in [
            ("productName", json!("")),
            ("productName", Value::Null),
            ("productImages", json!([])),
            ("productImages", json!([{ "url": "https://elsewhere.example/a.png" }])),
            ("productImages", json!([{ "url": gone }])),
            ("selectedCards", json!([])),
            ("selectedCards", json!([7])),
            ("selectedCards", json!([1, 1])),
            ("selectedCards", json!("0")),
            ("aspectRatio", json!("wide")),
            ("jobId", json!("not an id")),
        ] {
            let mut body = order.body.clone();
            body[field] = value.clone();
            let refusal =
                world.call(CREATE).by(&order.user).json(&body).refused(400, "bad_request").await;
            assert!(
                refusal["message"].as_str().unwrap_or_default().contains(field),
                "{field} {value}: {refusal}"
            );
        }
        assert_eq!(world.balance(&order.user).await, 1_000);
        assert_eq!(world.count("jobs").await, 0);

        world
            .db()
            .exec(&format!(
                "insert into unstuck.credit_entries (user_id, kind, amount)
                    values ('{}', 'adjustment', -995)",
                order.user.id
            ))
            .await;
        let refusal = order.create(world).refused(402, "insufficient_credits").await;
        assert_has!(refusal, { "balance": 5, "required": 10 });
    });
}

#[test]
fn only_its_owner_sees_a_job() {
    e2e::run(async |world| {
        let order = Cards::ordered(world, &[2]).await;
        order.until_over(world, "completed", 1).await;
        let stranger = world.user(1).await;
        let path = format!("{CREATE}?jobId={}", order.job);
        world.get(&path).by(&stranger).refused(404, "not_found").await;
        world
            .get(&format!("{CREATE}?jobId={}", Uuid::new_v4()))
            .by(&stranger)
            .refused(404, "not_found")
            .await;
        world.get(CREATE).by(&stranger).refused(400, "bad_request").await;
        world.get(&path).refused(401, "unauthorized").await;
        world.get(&path).by_service().refused(403, "forbidden").await;
        world.call(CREATE).json(&order.body).refused(401, "unauthorized").await;
        world.call(CREATE).by_service().json(&order.body).refused(403, "forbidden").await;
    });
}

#[test]
fn the_cards_are_in_the_old_tables_too() {
    e2e::run(async |world| {
        let order = Cards::ordered(world, &[5, 1]).await;
        order.until_over(world, "completed", 2).await;
        let rest = format!("{}/rest/v1", world.stack().info().url);
        let rows = async |path: &str| -> Value {
            let request = world.http().get(format!("{rest}/{path}")).bearer_auth(&order.user.token);
            let request = request.header("apikey", &world.stack().info().anon_key);
            request.send().await.unwrap().json().await.unwrap()
        };
        let jobs = rows("generation_jobs?select=id,status,total_cards,product_name").await;
        assert_eq!(
            jobs,
            json!([{ "id": order.job, "status": "completed", "total_cards": 2,
                "product_name": "Steel bottle" }])
        );
        let tasks =
            rows("generation_tasks?select=card_index,status,image_url&order=task_index").await;
        assert_eq!(
            (&tasks[0]["card_index"], &tasks[1]["card_index"]),
            (&json!(5), &json!(1)),
            "{tasks}"
        );
        assert!(tasks[0]["image_url"].is_string());
    });
}
