//! What Replicate sends: results without a file extension, faults of its own, and a list that shows
//! no webhooks.

use serde_json::json;
use unstuck_tests::e2e::order::{lease_is_over, sweep_until};
use unstuck_tests::e2e::try_on::{PRICE, TryOn, check, sent_a_while_ago};
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

async fn check_until_completed(world: &World, try_on: &TryOn) {
    let look = async || {
        check(world).await;
        (try_on.row(world).await["status"] == "completed").then_some(())
    };
    world.until("the try-on ends", look).await;
}

#[test]
fn c05_a_result_whose_address_has_no_ending_is_delivered() {
    e2e::run(async |world| {
        let try_on = TryOn::new(world, 1).await;
        let working = json!({ "match": try_on.job, "hang": true, "webhook": "lost" });
        world.script(json!({ "replicate": working })).await;
        try_on.start(world).ok().await;
        let prediction = try_on.until_at_work(world, 1).await;
        let name = format!("replicate/out/{}", Uuid::new_v4());
        let output = format!("{}/{name}", world.stack().info().providers_url);
        world
            .script(json!({ "replicate": [
                { "match": format!("/predictions/{prediction}"), "status": 200,
                    "body": { "id": prediction, "status": "succeeded", "output": output } },
                { "match": name, "status": 200, "body": "some bytes",
                    "headers": { "content-type": "image/png" } },
            ] }))
            .await;
        check_until_completed(world, &try_on).await;
        world.db().assert_closed(try_on.job, "completed", None, 0).await;
        let url = try_on.status(world).await["result_url"].clone();
        assert!(url.as_str().is_some_and(|url| url.ends_with(".png")), "{url}");
    });
}

#[test]
fn c06_a_fault_of_the_provider_s_own_costs_a_retry_and_no_finished_step() {
    e2e::run(async |world| {
        for fault in [
            "Prediction interrupted; please retry (code: PA)",
            "Director: unexpected error handling prediction (E9828)",
        ] {
            let try_on = TryOn::new(world, 2).await;
            let second = format!("replicate/{}/2/", try_on.job);
            let rule = json!({ "match": second, "times": 1, "fail": fault });
            world.script(json!({ "replicate": rule })).await;
            try_on.start(world).ok().await;
            try_on.until_completed_step(world, 1).await;
            sweep_until(world, "the try-on ends", async |_| {
                unstuck_tests::e2e::order::retry_now(world, try_on.job).await;
                try_on.row(world).await["status"] == "completed"
            })
            .await;
            world.db().assert_closed(try_on.job, "completed", None, 0).await;
            assert_eq!(world.db().entries(try_on.job).await, [-2 * PRICE]);
            let first = format!("/replicate/{}/1/", try_on.job);
            let creates = try_on.creates(world).await;
            let firsts = creates.iter().filter(|call| call["body"].to_string().contains(&first));
            assert_eq!((firsts.count(), creates.len()), (1, 3), "{fault}");
        }
    });
}

/// Creates predictions of others on the same account, newer than ours.
async fn others_at_the_provider(world: &World, count: usize) {
    let url = format!("{}/replicate/v1/predictions", world.stack().info().providers_url);
    for number in 0..count {
        let picture = format!("https://pictures.example/{number}.png");
        let body = json!({ "version": "shop/all", "input": { "human_img": picture,
            "garm_img": picture, "category": "dresses", "garment_des": "" } });
        let request = world.http().post(&url).bearer_auth("r8_local_token").json(&body);
        let answer = request.send().await.expect("the provider answers");
        assert_eq!(answer.status(), 201);
    }
}

#[test]
fn r03_a_lost_submit_is_found_among_many_tasks_whose_webhooks_the_list_hides() {
    e2e::run(async |world| {
        let try_on = TryOn::new(world, 1).await;
        let lost = json!({ "match": try_on.job, "lost_answer": true, "webhook": "lost" });
        world.script(json!({ "replicate": lost })).await;
        try_on.start(world).ok().await;
        let look = async || (try_on.creates(world).await.len() == 1).then_some(());
        world.until("it is sent", look).await;
        others_at_the_provider(world, 15).await;
        lease_is_over(world, try_on.job).await;
        sent_a_while_ago(world, try_on.job).await;
        check_until_completed(world, &try_on).await;
        try_on.assert_completed(world).await;
        let queried = world.provider_calls("/v1/predictions/").await;
        let task = try_on.step(world, 1).await["provider_task_id"].clone();
        let is_ours = |call: &serde_json::Value| call["task_id"] == task;
        assert!(queried.iter().all(is_ours), "nobody else's is queried: {queried:#?}");
    });
}

#[test]
fn r03_a_submit_that_never_arrived_is_sent_once_more_whatever_others_do() {
    e2e::run(async |world| {
        let try_on = TryOn::new(world, 1).await;
        let gateway = json!({ "match": try_on.job, "times": 1, "status": 502, "body": "<html>" });
        world.script(json!({ "replicate": gateway })).await;
        try_on.start(world).ok().await;
        let look = async || (try_on.creates(world).await.len() == 1).then_some(());
        world.until("it is sent", look).await;
        others_at_the_provider(world, 15).await;
        lease_is_over(world, try_on.job).await;
        sent_a_while_ago(world, try_on.job).await;
        check(world).await;
        world.until_status(try_on.job, "completed").await;
        assert_eq!(try_on.creates(world).await.len(), 2);
        assert_eq!(world.db().entries(try_on.job).await, [-PRICE]);
    });
}
