//! `process-generation-tasks-banana`: five cards from order to end, refusals and retries in
//! Gemini's words, and who may call it.

mod crashes;
mod incident;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::world::png;
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::cards::{CREATE, Cards, PLACED, PRICE, PROCESS, prompt_of, queue_is_off};
use unstuck_tests::e2e::order::retry_now;

fn only(card: u8, behaviour: Value) -> Value {
    let mut rule = behaviour;
    rule["match"] = json!(prompt_of(card));
    rule
}

fn error(code: u16, status: &str, details: Value) -> Value {
    json!({ "error": { "code": code, "message": "Words.", "status": status, "details": details } })
}

/// The owner's view of one card.
fn task(seen: &Value, card: u8) -> Value {
    let tasks = seen["tasks"].as_array().expect("tasks");
    tasks
        .iter()
        .find(|task| task["cardIndex"] == card)
        .unwrap_or_else(|| panic!("no card {card}: {seen}"))
        .clone()
}

/// Expires the delay of every retry, again and again, until the job is final.
async fn hurry(world: &World, order: &Cards) {
    world
        .until("the job is over", async || {
            retry_now(world, order.job).await;
            world.call(PROCESS).by_service().ok().await;
            let seen = order.seen(world).await;
            (seen["status"] != "processing" && seen["status"] != "pending").then_some(())
        })
        .await;
}

#[test]
fn five_cards_with_all_that_can_happen_to_them() {
    e2e::run(async |world| {
        world
            .script(json!({ "gemini": [
                // The provider answers 503 to both keys, in two attempts.
                only(1, json!({ "status": 503, "times": 4, "body": error(503, "UNAVAILABLE",
                    json!([])) })),
                only(2, json!({ "finish_reason": "IMAGE_SAFETY" })),
                only(3, json!({ "finish_reason": "NO_IMAGE" })),
            ] }))
            .await;
        let order = Cards::ordered(world, &[0, 1, 2, 3, 4]).await;
        // Only the queue starts attempts here, because crons do not run in tests. The owner can
        // watch each card.
        let waiting = world
            .until("a card waits for its retry", async || {
                Some(order.seen(world).await).filter(|seen| task(seen, 1)["status"] == "retrying")
            })
            .await;
        assert_eq!(
            (&waiting["status"], waiting["tasks"].as_array().map(Vec::len)),
            (&json!("processing"), Some(5))
        );
        for shown in waiting["tasks"].as_array().expect("tasks") {
            assert_eq!(
                shown["imageUrl"].is_string(),
                shown["status"] == "completed",
                "{waiting:#}"
            );
        }
        assert!(
            task(&waiting, 1)["lastError"]
                .as_str()
                .unwrap_or_default()
                .starts_with("PROVIDER_FAILED: ")
        );
        let seen = order.until_over(world, "completed", 3).await;
        assert_eq!(seen["creditsRefunded"], 2 * PRICE);
        assert!(
            task(&seen, 2)["lastError"]
                .as_str()
                .unwrap_or_default()
                .starts_with("CONTENT_REFUSED: "),
            "{seen:#}"
        );
        assert!(
            task(&seen, 3)["lastError"]
                .as_str()
                .unwrap_or_default()
                .starts_with("PROVIDER_FAILED: ")
        );
        assert_eq!(task(&seen, 1)["lastError"], Value::Null);
        let mut calls = Vec::new();
        for card in 0..5 {
            calls.push(order.calls_of(world, card).await);
        }
        assert_eq!(calls, [1, 5, 1, 3, 1]);
        let mut entries = world.db().entries(order.job).await;
        entries.sort_unstable();
        assert_eq!(entries, [-5 * PRICE, PRICE, PRICE]);
        assert!(
            order.steps(world).await.iter().all(|step| !step["started_at"].is_null()),
            "started before all else"
        );
    });
}

#[test]
fn a_job_without_a_single_card_fails_and_returns_everything() {
    e2e::run(async |world| {
        world
            .script(json!({ "gemini": [
                only(0, json!({ "finish_reason": "blocked:PROHIBITED_CONTENT" })),
                only(1, json!({ "status": 402, "body": error(402, "RESOURCE_EXHAUSTED",
                    json!([])) })),
                only(2, json!({ "status": 404, "body": [error(404, "NOT_FOUND", json!([]))] })),
            ] }))
            .await;
        let order = Cards::ordered(world, &[0, 1, 2]).await;
        let seen = order.until_over(world, "failed", 0).await;
        assert_eq!(seen["creditsRefunded"], 3 * PRICE);
        for card in 0..3 {
            assert_eq!(order.calls_of(world, card).await, 1, "none is worth another try");
        }
        assert!(
            task(&seen, 2)["lastError"]
                .as_str()
                .unwrap_or_default()
                .starts_with("PROVIDER_REJECTED: ")
        );
    });
}

#[test]
fn faults_that_pass_are_tried_again_as_often_as_they_are_worth() {
    e2e::run(async |world| {
        queue_is_off(world).await;
        world
            .script(json!({ "gemini": [
                only(0, json!({ "status": 500 })),
                only(1, json!({ "finish_reason": "MAX_TOKENS" })),
                only(2, json!({ "status": 504 })),
                only(3, json!({ "lost_answer": true, "times": 1 })),
                only(4, json!({ "status": 200, "body": "<html>", "times": 2 })),
                only(5, json!({ "status": 429, "times": 1, "body": error(429, "RESOURCE_EXHAUSTED",
                    json!([])) })),
            ] }))
            .await;
        let order = Cards::ordered(world, &[0, 1, 2, 3, 4, 5]).await;
        hurry(world, &order).await;
        order.until_over(world, "completed", 3).await;
        let mut calls = Vec::new();
        for card in 0..6 {
            calls.push(order.calls_of(world, card).await);
        }
        // The last card: the first key was over its quota, the second was not, so no retry was
        // needed.
        assert_eq!(calls, [3, 2, 2, 2, 3, 2]);
        assert_eq!(order.steps(world).await[5]["attempts"], 1);
    });
}

#[test]
fn the_delay_that_gemini_names_is_kept_and_a_quota_of_the_day_is_not_waited_for() {
    e2e::run(async |world| {
        let info =
            json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "47.5s" }]);
        let day =
            json!([{ "violations": [{ "quotaId": "GenerateRequestsPerDayPerProjectPerModel" }] }]);
        world
            .script(json!({ "gemini": [
                only(0, json!({ "status": 429, "body": error(429, "RESOURCE_EXHAUSTED", info) })),
                only(1, json!({ "status": 429, "body": error(429, "RESOURCE_EXHAUSTED", day) })),
            ] }))
            .await;
        let order = Cards::ordered(world, &[0, 1]).await;
        let seen = world
            .until("one waits, one is given up", async || {
                let seen = order.seen(world).await;
                (task(&seen, 0)["status"] == "retrying" && task(&seen, 1)["status"] == "failed")
                    .then_some(seen)
            })
            .await;
        assert_has!(seen, { "status": "processing", "creditsRefunded": PRICE });
        let steps = order.steps(world).await;
        assert_has!(steps[0], { "status": "queued", "lease_until": null }, "holds no slot");
        let waits = format!(
            "select extract(epoch from not_before - clock_timestamp())::int from unstuck.job_steps
                where job_id = '{}' and step = 1",
            order.job
        );
        assert!((30..=48).contains(&world.db().int(&waits).await));
        world.script(json!({ "reset": true })).await;
        hurry(world, &order).await;
        order.until_over(world, "completed", 1).await;
    });
}

#[test]
fn a_model_that_takes_no_urls_gets_the_pictures_themselves() {
    e2e::run(async |world| {
        let refusal = error(400, "INVALID_ARGUMENT", json!([]));
        world
            .script(json!({ "gemini": { "match": "fileUri", "status": 400, "body": refusal } }))
            .await;
        let order = Cards::ordered(world, &[1]).await;
        order.until_over(world, "completed", 1).await;
        let calls = world.provider_calls(":generateContent").await;
        assert_eq!(calls.len(), 2, "{calls:#?}");
        assert!(calls[1]["body"].to_string().contains("inlineData"));
        assert_eq!(order.steps(world).await[0]["attempts"], 1);

        // Pictures are sent inline only up to the size of one request.
        let mut large = Cards::new(world, &[1]).await;
        let bytes = [png(40, 30), vec![0; 4 * 1024 * 1024]].concat();
        large.body["productImages"][0]["url"] =
            json!(world.upload(&large.user, "large.png", "image/png", bytes).await);
        large.create(world).send().await.expect(202);
        let seen = large.until_over(world, "failed", 0).await;
        assert!(
            task(&seen, 1)["lastError"].as_str().unwrap_or_default().contains("too large"),
            "{seen:#}"
        );
    });
}

#[test]
fn a_retired_model_fails_fast_and_alarms_the_operator() {
    e2e::run(async |world| {
        let gone = [("GEMINI_MODEL".to_owned(), Some("gemini-2.5-flash-image".to_owned()))];
        world.restart_workers([(PLACED.to_owned(), gone.into())].into()).await;
        let order = Cards::ordered(world, &[0, 1]).await;
        order.until_over(world, "failed", 0).await;
        assert_eq!(world.provider_calls(":generateContent").await.len(), 2);
        let log = std::fs::read_to_string(world.stack().workers_log()).unwrap();
        assert!(log.lines().any(|line| line.contains("provider_alarm") && line.contains("404")));
    });
}

#[test]
fn with_the_queue_down_the_cron_does_everything() {
    e2e::run(async |world| {
        queue_is_off(world).await;
        world.script(json!({ "gemini": only(2, json!({ "status": 503, "times": 2 })) })).await;
        let order = Cards::ordered(world, &[1, 2]).await;
        assert_eq!(order.seen(world).await["status"], "pending");
        world.fire(PROCESS).await;
        assert_eq!(order.seen(world).await["completedCards"], 1);
        retry_now(world, order.job).await;
        world.fire(PROCESS).await;
        order.until_over(world, "completed", 2).await;
    });
}

#[test]
fn runs_and_redeliveries_at_once_make_each_card_once() {
    e2e::run(async |world| {
        world.script(json!({ "gemini": { "all": true, "work": "until_finished" } })).await;
        let order = Cards::ordered(world, &[0, 1, 2, 3, 4, 5, 6]).await;
        // Two runs over HTTP beside the queue's own, and a replay of the order, which sends the
        // hint once more. No card is finished before the replay is answered.
        let run = || world.call(PROCESS).by_service().json(&json!({ "jobId": order.job })).ok();
        let replay = async {
            let again = order.create(world).send().await;
            assert!(again.status == 202 || again.status == 200, "{again:?}");
            let drawn = async || {
                world.finish_now(order.user.id).await;
                (order.seen(world).await["status"] == "completed").then_some(())
            };
            world.until("all cards are drawn", drawn).await;
        };
        let (one, other, ()) = tokio::join!(run(), run(), replay);
        order.until_over(world, "completed", 7).await;
        for card in 0..7 {
            assert_eq!(order.calls_of(world, card).await, 1, "card {card}; {one} {other}");
        }
        assert!(order.steps(world).await.iter().all(|step| step["run"] == 1));
    });
}

#[test]
fn never_more_calls_at_once_than_the_provider_takes() {
    e2e::run(async |world| {
        world.set_provider("gemini", "max_concurrent = 2").await;
        world.script(json!({ "gemini": { "all": true, "work": "until_finished" } })).await;
        let orders =
            [Cards::ordered(world, &[0, 1, 2]).await, Cards::ordered(world, &[4, 5]).await];
        let live = "select count(*) from unstuck.job_steps where status = 'running'";
        let full = async || (world.db().int(live).await == 2).then_some(());
        world.until("both slots are taken", full).await;
        let open = "select count(*) from unstuck.jobs where completed_at is null";
        let all_done = async || {
            assert!(world.db().int(live).await <= 2);
            world.finish_now(":generateContent").await;
            (world.db().int(open).await == 0).then_some(())
        };
        world.until("all are done", all_done).await;
        for order in &orders {
            assert_eq!(order.seen(world).await["status"], "completed");
        }
    });
}

#[test]
fn a_cancelled_job_is_not_made_and_its_slot_wakes_the_next() {
    e2e::run(async |world| {
        world.set_provider("gemini", "max_concurrent = 1").await;
        world.script(json!({ "gemini": { "times": 1, "hang": true } })).await;
        let stuck = Cards::ordered(world, &[0]).await;
        world
            .until("it is at work", async || {
                (stuck.seen(world).await["status"] == "processing").then_some(())
            })
            .await;
        let next = Cards::ordered(world, &[1]).await;
        let answer = world.admin_cancels("generation_jobs", stuck.job).await;
        assert_eq!(answer["refundedCredits"], PRICE);
        next.until_over(world, "completed", 1).await;
        assert_eq!(stuck.seen(world).await["status"], "cancelled");
    });
}

#[test]
fn its_callers_are_the_service_and_schedulers() {
    e2e::run(async |world| {
        let secret = world.stack().info().cron_secret.clone();
        for call in [world.call(PROCESS).by_service(), world.get(PROCESS).bearer(&secret)] {
            let report = call.ok().await;
            assert_eq!(report["success"], true);
            for name in ["processed", "succeeded", "failed", "retrying", "remaining"] {
                assert_eq!(report[name], 0, "{name}: {report}");
            }
        }
        let user = world.user(1).await;
        world.call(PROCESS).by(&user).refused(403, "forbidden").await;
        world.call(PROCESS).refused(401, "unauthorized").await;
        world
            .call(PROCESS)
            .by_service()
            .json(&json!({ "jobId": "x" }))
            .refused(400, "bad_request")
            .await;
        world.call(CREATE).bearer(&secret).refused(401, "unauthorized").await;
    });
}
