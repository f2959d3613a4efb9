//! `replicate-async-worker` submits each step once, whatever is lost, killed, refused or done twice
//! at the same moment.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use unstuck_tests::e2e::hold::Hold;

use unstuck_tests::e2e::order::{lease_is_over, overdue, retry_now, sweep_until};
use unstuck_tests::e2e::try_on::{
    PRICE, START, TABLE, TryOn, WORKER, check, killed_during, sent_a_while_ago, until_at_provider,
};

#[test]
fn it_tells_what_it_started_and_waits_for_no_result() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        assert_eq!(
            world.call(WORKER).by_service().ok().await,
            json!({ "message": "No pending tasks" })
        );
        let try_on = TryOn::waiting(world, 3).await;
        let answer = world.get(WORKER).bearer(&world.stack().info().cron_secret.clone()).ok().await;
        assert_has!(answer, { "task_id": try_on.job, "step": "1/3", "started": 1 });
        assert_eq!(answer["prediction_id"], try_on.step(world, 1).await["provider_task_id"]);
        let create = try_on.creates(world).await.remove(0);
        let input = &create["body"]["input"];
        assert_has!(input, { "category": "upper_body", "garment_des": "plain" }, "{create}");
        let deadline = &create["response"]["deadline"];
        assert!(deadline.is_string(), "told when to stop: {create}");
        world.fire(WORKER).await;
        assert_eq!(try_on.creates(world).await.len(), 1);
        world.call(WORKER).by(&try_on.user).refused(403, "forbidden").await;
        world.call(WORKER).refused(401, "unauthorized").await;
    });
}

#[test]
fn two_at_the_same_instant_start_each_step_once() {
    e2e::run(async |world| {
        let mut try_ons = Vec::new();
        for _ in 0..4 {
            try_ons.push(TryOn::waiting(world, 1).await);
        }
        let work = || world.call(WORKER).by_service().ok();
        let answers = futures::join!(work(), work(), work());
        let started = [answers.0, answers.1, answers.2]
            .iter()
            .filter_map(|answer| answer["started"].as_i64())
            .sum::<i64>();
        assert_eq!(started, 4);
        for try_on in &try_ons {
            try_on.assert_completed(world).await;
        }
    });
}

#[test]
fn killed_between_claim_and_create_it_continues() {
    e2e::run(async |world| {
        let try_on = TryOn::waiting(world, 2).await;
        let hold = Hold::before_submit(world.stack().db().await.expect("a connection"))
            .await
            .expect("a trigger");
        killed_during(world, WORKER, async {
            let look = async || hold.has_caught().await.expect("the locks").then_some(());
            world.until("a worker is about to create", look).await;
        })
        .await;
        hold.release().await.expect("the trigger goes");
        lease_is_over(world, try_on.job).await;
        world.sweep().await;
        try_on.assert_completed(world).await;
    });
}

#[test]
fn killed_between_create_and_record_the_list_finds_the_prediction() {
    e2e::run(async |world| {
        let try_on = TryOn::waiting(world, 3).await;
        world
            .script(json!({ "replicate": [{ "times": 1, "delay_ms": 20_000, "webhook": "lost" },
                    { "all": true, "webhook": "lost" }] }))
            .await;
        killed_during(world, WORKER, async {
            let look = async || (try_on.creates(world).await.len() == 1).then_some(());
            world.until("the create arrives", look).await;
        })
        .await;
        let step = try_on.step(world, 1).await;
        assert_has!(step, { "status": "starting", "provider_task_id": null });
        lease_is_over(world, try_on.job).await;
        let look = async || {
            check(world).await;
            (try_on.row(world).await["status"] == "completed").then_some(())
        };
        world.until("the try-on ends", look).await;
        try_on.assert_completed(world).await;
    });
}

#[test]
fn a_lost_answer_is_found_by_the_sweep_too() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": { "all": true,
            "lost_answer": true, "webhook": "lost" } }))
            .await;
        let try_on = TryOn::new(world, 1).await;
        try_on.start(world).ok().await;
        let look = async || (!try_on.step(world, 1).await["sent_at"].is_null()).then_some(());
        world.until("it is sent", look).await;
        lease_is_over(world, try_on.job).await;
        sweep_until(world, "it is found", async |_| {
            lease_is_over(world, try_on.job).await;
            world.db().age(try_on.job, "1 second").await;
            try_on.step(world, 1).await["provider_task_id"].is_string()
        })
        .await;
        let look = async || {
            check(world).await;
            (try_on.row(world).await["status"] == "completed").then_some(())
        };
        world.until("the try-on ends", look).await;
        try_on.assert_completed(world).await;
    });
}

#[test]
fn a_lost_answer_whose_webhook_comes_needs_no_list() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "lost_answer": true } })).await;
        let try_on = TryOn::new(world, 2).await;
        try_on.start(world).ok().await;
        try_on.assert_completed(world).await;
        let lists = world.provider_calls("created_after").await;
        assert!(lists.is_empty(), "{lists:?}");
    });
}

#[test]
fn what_the_provider_never_took_is_sent_again_and_only_that() {
    e2e::run(async |world| {
        // A gateway in front of the provider fails: no prediction was created, but the worker
        // cannot know that.
        world
            .script(json!({ "replicate": { "times": 1, "match": "POST", "status": 502,
            "body": "<html>Bad gateway</html>" } }))
            .await;
        let try_on = TryOn::new(world, 1).await;
        try_on.start(world).ok().await;
        let look = async || (try_on.creates(world).await.len() == 1).then_some(());
        world.until("it is sent", look).await;
        lease_is_over(world, try_on.job).await;
        check(world).await;
        assert_eq!(
            try_on.creates(world).await.len(),
            1,
            "a list right after the submit proves nothing yet"
        );
        assert_eq!(try_on.row(world).await["status"], "starting");
        sent_a_while_ago(world, try_on.job).await;
        check(world).await;
        world.until_status(try_on.job, "completed").await;
        assert_eq!(try_on.creates(world).await.len(), 2);
        assert_eq!(world.db().entries(try_on.job).await, [-PRICE]);
    });
}

#[test]
fn an_unreadable_list_sends_nothing_again_and_the_deadline_returns_the_credits() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": [{ "match": "created_after", "status": 500 },
            { "all": true, "lost_answer": true, "hang": true }] }))
            .await;
        let try_on = TryOn::new(world, 2).await;
        try_on.start(world).ok().await;
        let look = async || (try_on.creates(world).await.len() == 1).then_some(());
        world.until("it is sent", look).await;
        sent_a_while_ago(world, try_on.job).await;
        let report = check(world).await;
        assert_has!(report, { "checked": 1, "skipped": 1 });
        overdue(world, try_on.job).await;
        sweep_until(world, "it is over", async |_| try_on.row(world).await["status"] == "failed")
            .await;
        try_on.assert_returned(world, "failed", "TIMEOUT").await;
        assert_eq!(try_on.creates(world).await.len(), 1);
    });
}

#[test]
fn a_throttled_create_waits_as_long_as_it_is_told_and_is_no_attempt() {
    e2e::run(async |world| {
        let body = json!({ "detail": "Request was throttled. Your rate limit resets in ~40s.",
            "status": 429 });
        world
            .script(json!({ "replicate": { "times": 1, "match": "POST", "status": 429,
            "body": body } }))
            .await;
        let try_on = TryOn::new(world, 1).await;
        try_on.start(world).ok().await;
        let look = async || {
            let step = try_on.step(world, 1).await;
            (!step["not_before"].is_null()).then_some(step)
        };
        let step = world.until("it is put back", look).await;
        assert_has!(step, { "status": "queued", "attempts": 0 });
        let waits = format!(
            "select extract(epoch from not_before - clock_timestamp())::int from unstuck.job_steps
                where job_id = '{}'",
            try_on.job
        );
        let seconds = world.db().int(&waits).await;
        assert!((20..=51).contains(&seconds), "{seconds}");
        assert_eq!(world.call(WORKER).by_service().ok().await["message"], "No pending tasks");
        retry_now(world, try_on.job).await;
        world.call(WORKER).by_service().ok().await;
        world.until_status(try_on.job, "completed").await;
        assert_eq!(world.db().entries(try_on.job).await, [-PRICE]);
    });
}

#[test]
fn a_refused_create_returns_the_credits_and_tells_the_operator_what_is_theirs() {
    e2e::run(async |world| {
        let cases = [
            (402, json!({ "title": "Insufficient credit", "detail": "buy more" })),
            (422, json!({ "detail": "- input.garm_img: not a picture\n", "status": 422 })),
            (401, json!({ "title": "Unauthenticated", "detail": "no", "status": 401 })),
        ];
        for (status, body) in cases {
            world
                .script(json!({ "reset": true, "replicate": { "match": "POST", "status": status,
                    "body": body } }))
                .await;
            let try_on = TryOn::new(world, 2).await;
            try_on.start(world).ok().await;
            let row = try_on.assert_returned(world, "failed", "PROVIDER_REJECTED").await;
            let message = row["error_message"].as_str().expect("a message");
            assert_eq!(message.contains("garm_img"), status == 422, "{message}");
            assert!(!message.contains("buy more"), "{message}");
            let log = std::fs::read_to_string(world.stack().workers_log()).expect("the log");
            let alarm = log
                .lines()
                .filter(|line| line.contains("provider_alarm"))
                .any(|line| line.contains(&format!("http {status}")));
            assert_eq!(alarm, status != 422, "{status}");
        }
    });
}

#[test]
fn a_cancelled_try_on_is_cancelled_at_the_provider_also_when_it_does_not_listen_at_first() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": [{ "match": "/cancel", "times": 1, "status": 503 },
                { "all": true, "hang": true }] }))
            .await;
        let try_on = TryOn::running(world, 2).await;
        let prediction = try_on.until_at_work(world, 1).await;
        world.admin_cancels(TABLE, try_on.job).await;
        let refused = async || {
            world.provider_calls("/cancel").await.pop().filter(|call| call["status"] == 503)
        };
        world.until("the provider does not listen", refused).await;
        let owed = async || {
            world.db().age(try_on.job, "16 seconds").await;
            world.sweep().await;
            (try_on.step(world, 1).await["provider_cancel_due"] == json!([])).then_some(())
        };
        world.until("the cancel is made good", owed).await;
        until_at_provider(world, &prediction, "canceled").await;
        try_on.assert_returned(world, "cancelled", "CANCELLED").await;
    });
}

#[test]
fn a_waiting_try_on_is_cancelled_by_its_owner_and_one_at_work_is_not() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        let running = TryOn::running(world, 1).await;
        let cancel = "runninghub-queue-manager/cancel";
        let named = |try_on: &TryOn| json!({ "table": TABLE, "jobId": try_on.job });
        world
            .call(cancel)
            .by(&running.user)
            .json(&named(&running))
            .refused(409, "in_progress")
            .await;
        let waits = TryOn::waiting(world, 3).await;
        let answer = world.call(cancel).by(&waits.user).json(&named(&waits)).ok().await;
        assert_eq!(answer["refundedCredits"], 3 * PRICE);
        waits.assert_returned(world, "cancelled", "CANCELLED").await;
        assert!(waits.creates(world).await.is_empty());
    });
}

#[test]
fn each_category_has_the_version_that_is_set() {
    e2e::run(async |world| {
        let id = "c871bb9b046607b680449ecbae55fd8c6d945e0a1948644bf2361b3d021d3ff4";
        let versions = json!({ "upper_body": format!("shop/tops:{id}"), "default": "shop/all" });
        let vars = [("REPLICATE_VERSIONS".to_owned(), Some(versions.to_string()))];
        world.restart_workers([(START.to_owned(), vars.into())].into()).await;
        let try_on = TryOn::new(world, 2).await;
        try_on.start(world).ok().await;
        try_on.assert_completed(world).await;
        let creates = try_on.creates(world).await;
        let sent: Vec<_> = creates
            .iter()
            .map(|create| create["body"]["version"].as_str().expect("a version"))
            .collect();
        assert_eq!(sent, [format!("shop/tops:{id}").as_str(), "shop/all"]);
    });
}
