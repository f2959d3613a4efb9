//! `replicate-webhook`: only a signed webhook counts, its body is never trusted, and it settles a
//! step only once.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::try_on::{TryOn, at_provider, check, sent_a_while_ago, until_at_provider};

/// The statuses that the provider got for its webhooks about this try-on.
async fn answers(world: &World, try_on: &TryOn) -> Vec<i64> {
    let mut deliveries = world.deliveries().await;
    deliveries.retain(|delivery| {
        delivery["url"].as_str().is_some_and(|url| url.contains(&try_on.job.to_string()))
    });
    deliveries.iter().filter_map(|delivery| delivery["status"].as_i64()).collect()
}

async fn inbox(world: &World, try_on: &TryOn) -> i64 {
    world.count(&format!("webhook_inbox where job_id = '{}'", try_on.job)).await
}

#[test]
fn a_signature_that_is_not_the_provider_s_changes_nothing() {
    e2e::run(async |world| {
        for fault in [
            json!({ "all": true, "signature": "wrong" }),
            json!({ "all": true, "signature": "old" }),
            json!({ "all": true, "signature": "none" }),
            json!({ "all": true, "webhook": "forged" }),
        ] {
            world.script(json!({ "reset": true, "replicate": fault })).await;
            let try_on = TryOn::running(world, 1).await;
            let refused = async || (answers(world, &try_on).await.len() >= 3).then_some(());
            let prediction = try_on.until_at_work(world, 1).await;
            until_at_provider(world, &prediction, "succeeded").await;
            world.until("the provider gives up calling", refused).await;
            assert!(answers(world, &try_on).await.iter().all(|status| *status == 401), "{fault}");
            assert_eq!(inbox(world, &try_on).await, 0);
            assert_eq!(try_on.row(world).await["status"], "running");
            check(world).await;
            try_on.assert_completed(world).await;
        }
    });
}

#[test]
fn two_signatures_repeats_and_early_calls_are_good() {
    e2e::run(async |world| {
        for fate in [
            json!({ "all": true, "signature": "two" }),
            json!({ "all": true, "webhook": "twice" }),
            json!({ "all": true, "webhook": "early" }),
        ] {
            world.script(json!({ "reset": true, "replicate": fate })).await;
            let try_on = TryOn::new(world, 2).await;
            try_on.start(world).ok().await;
            try_on.assert_completed(world).await;
            assert!(answers(world, &try_on).await.iter().all(|status| *status == 200), "{fate}");
            assert_eq!(inbox(world, &try_on).await, 2, "a repeated id is one call: {fate}");
        }
    });
}

#[test]
fn a_call_is_not_good_for_another_body_address_or_secret() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        let try_on = TryOn::running(world, 1).await;
        let url = try_on.webhook(world).await;
        let target = url
            .strip_prefix(&world.stack().info().functions_url)
            .expect("ours")
            .trim_start_matches('/')
            .to_owned();
        let prediction = at_provider(world, &try_on.until_at_work(world, 1).await).await;
        let mut lie = prediction.clone();
        lie["status"] = json!("succeeded");
        lie["output"] = json!("https://replicate.delivery/evil.png");
        // Without a signature, and with the signature of another webhook.
        world.call(&target).json(&lie).refused(401, "unauthorized").await;
        let signed = world
            .call(&target)
            .json(&lie)
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", "1795256430");
        let signed =
            signed.header("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        signed.refused(401, "unauthorized").await;
        assert_eq!(inbox(world, &try_on).await, 0);
        let row = try_on.row(world).await;
        assert_has!(row, { "status": "running", "output_url": null });
    });
}

#[test]
fn one_sent_to_another_try_on_s_address_moves_neither_wrongly() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": [{ "times": 1, "work": "until_finished" }, { "times": 1,
            "work": "until_finished", "webhook": "redirected" }] }))
            .await;
        let slow = TryOn::running(world, 1).await;
        let misled = TryOn::running(world, 1).await;
        world.finish(misled.job).await;
        let redirected = async || (!answers(world, &slow).await.is_empty()).then_some(());
        world.until("the redirected call", redirected).await;
        world.finish(slow.job).await;
        slow.assert_completed(world).await;
        check(world).await;
        misled.assert_completed(world).await;
        assert!(
            answers(world, &slow).await.iter().all(|status| *status == 200),
            "authentic, if misled"
        );
    });
}

#[test]
fn one_sent_to_the_address_of_a_lost_submit_gives_nobody_another_s_picture() {
    e2e::run(async |world| {
        let (misled, other) = (TryOn::new(world, 1).await, TryOn::new(world, 1).await);
        let rule = |job, webhook| {
            json!({ "match": job, "lost_answer": true, "work": "until_finished",
                "webhook": webhook })
        };
        let rules = [rule(misled.job, "lost"), rule(other.job, "redirected")];
        world.script(json!({ "replicate": rules })).await;
        for try_on in [&misled, &other] {
            try_on.start(world).ok().await;
            let taken = async || (!try_on.creates(world).await.is_empty()).then_some(());
            world.until("the provider has taken it", taken).await;
        }
        // No answer has named a task, so the redirected webhook names the only one that we know.
        world.finish(other.job).await;
        let applied =
            format!("webhook_inbox where job_id = '{}' and applied_at is not null", misled.job);
        let look = async || (world.count(&applied).await == 1).then_some(());
        world.until("the redirected call is dealt with", look).await;
        let step = misled.step(world, 1).await;
        assert_has!(step, { "status": "starting", "provider_task_id": null, "output": null });

        world.finish(misled.job).await;
        for try_on in [&misled, &other] {
            let look = async || {
                sent_a_while_ago(world, try_on.job).await;
                check(world).await;
                (try_on.row(world).await["status"] == "completed").then_some(())
            };
            world.until("its own prediction is found in the list", look).await;
            try_on.assert_completed(world).await;
        }
        let task = async |try_on: &TryOn| try_on.step(world, 1).await["provider_task_id"].clone();
        for try_on in [&misled, &other] {
            let given = world.submits_of(try_on.job).await[0]["task_id"].clone();
            assert_eq!(task(try_on).await, given);
        }
    });
}

#[test]
fn a_success_after_a_cancel_is_kept_and_not_shown() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": [{ "match": "/cancel", "status": 503 },
            { "all": true, "work": "until_finished" }] }))
            .await;
        let try_on = TryOn::running(world, 2).await;
        let prediction = try_on.until_at_work(world, 1).await;
        world.admin_cancels("replicate_tasks", try_on.job).await;
        world.finish(try_on.job).await;
        until_at_provider(world, &prediction, "succeeded").await;
        let events = format!(
            "select count(*) from unstuck.job_events where job_id = '{}'
                and event = 'late_success'",
            try_on.job
        );
        let look = async || (world.db().int(&events).await == 1).then_some(());
        world.until("the late success is recorded", look).await;
        try_on.assert_returned(world, "cancelled", "CANCELLED").await;
        assert_eq!(try_on.creates(world).await.len(), 1);
    });
}
