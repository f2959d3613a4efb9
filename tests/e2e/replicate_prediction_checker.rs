//! `replicate-prediction-checker` queries open predictions, in pages and oldest first, whatever the
//! provider answers; and every way in which a try-on fails.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::hold::Hold;
use unstuck_tests::e2e::{self, World};
use unstuck_tests::shop::id;
use uuid::Uuid;

use unstuck_tests::e2e::order::{lease_is_over, overdue};
use unstuck_tests::e2e::try_on::{
    CHECKER, TryOn, WORKER, at_provider, check, killed_during, until_at_provider,
};

async fn check_until(world: &World, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let look = async || {
        check(world).await;
        is_so().await.then_some(())
    };
    world.until(what, look).await;
}

#[test]
fn only_services_call_it() {
    e2e::run(async |world| {
        world.call(CHECKER).refused(401, "unauthorized").await;
        world.call(CHECKER).by(&world.user(1).await).refused(403, "forbidden").await;
        let cron = world.stack().info().cron_secret.clone();
        let none = world.get(CHECKER).bearer(&cron).ok().await;
        assert_has!(none, { "message": "Checked 0 predictions", "checked": 0 });
    });
}

#[test]
fn a_step_that_ends_without_a_picture_returns_all_of_it() {
    e2e::run(async |world| {
        let cases = [
            (json!({ "fail": "CUDA out of memory" }), "PROVIDER_FAILED", "CUDA out of memory"),
            (json!({ "fail": "NSFW content detected" }), "CONTENT_REFUSED", "content"),
            (json!({ "prediction_status": "canceled" }), "PROVIDER_FAILED", "cancelled"),
            (json!({ "prediction_status": "aborted" }), "PROVIDER_FAILED", "before it ran"),
            (json!({ "data_removed": true }), "DELIVERY_FAILED", "removed"),
        ];
        for (fate, code, words) in cases {
            // The first garment succeeds, the second does not.
            let mut first = json!({ "times": 1, "work": "until_finished" });
            let mut second = fate.clone();
            second["all"] = json!(true);
            for webhook in ["lost", "twice"] {
                first["webhook"] = json!(webhook);
                second["webhook"] = json!(webhook);
                world.script(json!({ "reset": true, "replicate": [first, second] })).await;
                let try_on = TryOn::running(world, 3).await;
                world.finish(try_on.job).await;
                check_until(world, "the try-on fails", async || {
                    try_on.row(world).await["status"] == "failed"
                })
                .await;
                let row = try_on.assert_returned(world, "failed", code).await;
                assert!(
                    row["error_message"].as_str().is_some_and(|text| text.contains(words)),
                    "{row:#}"
                );
                assert_eq!(try_on.creates(world).await.len(), 2);
                let (done, last) = (try_on.step(world, 1).await, try_on.step(world, 3).await);
                assert_eq!(
                    (&done["status"], &last["status"]),
                    (&json!("completed"), &json!("failed"))
                );
                assert!(done["output_url"].is_string(), "kept for admins: {done:#}");
            }
        }
    });
}

#[test]
fn one_that_never_ends_is_stopped_at_its_deadline() {
    e2e::run(async |world| {
        for status in ["processing", "a word of tomorrow"] {
            world
                .script(json!({ "reset": true, "replicate": { "all": true,
                    "prediction_status": status } }))
                .await;
            let try_on = TryOn::running(world, 2).await;
            let prediction = try_on.until_at_work(world, 1).await;
            until_at_provider(world, &prediction, status).await;
            let report = check(world).await;
            assert_has!(report, { "checked": 1, "failed": 0 });
            overdue(world, try_on.job).await;
            check_until(world, "the deadline ends it", async || {
                try_on.row(world).await["status"] == "failed"
            })
            .await;
            try_on.assert_returned(world, "failed", "TIMEOUT").await;
            until_at_provider(world, &prediction, "canceled").await;
        }
    });
}

#[test]
fn the_sweep_alone_stops_it_too() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        let try_on = TryOn::running(world, 2).await;
        let prediction = try_on.until_at_work(world, 1).await;
        overdue(world, try_on.job).await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 1, "refundedCredits": 80 });
        assert!(report["tables"].as_array().is_some_and(|tables| {
            tables.iter().any(|table| {
                table["table_name"] == "replicate_tasks" && table["cancelled_count"] == 1
            })
        }));
        try_on.assert_returned(world, "failed", "TIMEOUT").await;
        until_at_provider(world, &prediction, "canceled").await;
    });
}

#[test]
fn a_finished_one_past_its_deadline_is_delivered_by_the_sweep_not_refunded() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "webhook": "lost" } })).await;
        let try_on = TryOn::running(world, 1).await;
        until_at_provider(world, &try_on.until_at_work(world, 1).await, "succeeded").await;
        overdue(world, try_on.job).await;
        let report = world.sweep().await;
        assert_has!(report, { "delivered": 1, "cleaned": 0 });
        try_on.assert_completed(world).await;
    });
}

#[test]
fn one_bad_prediction_stops_none_of_the_others() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "webhook": "lost" } })).await;
        let mut try_ons = Vec::new();
        for _ in 0..4 {
            try_ons.push(TryOn::running(world, 1).await);
        }
        let mut bad = Vec::new();
        for try_on in &try_ons[..3] {
            bad.push(try_on.until_at_work(world, 1).await);
        }
        until_at_provider(world, &try_ons[3].until_at_work(world, 1).await, "succeeded").await;
        world
            .script(json!({ "reset": true, "replicate": [
                { "match": bad[0], "status": 502, "body": "<html>Bad gateway</html>" },
                { "match": bad[1], "status": 404, "body": { "detail": "The requested resource \
                    could not be found." } },
                { "match": bad[2], "lost_answer": true },
            ] }))
            .await;
        let report = check(world).await;
        assert_has!(report, { "checked": 4, "completed": 1, "skipped": 3, "failed": 0 });
        try_ons[3].assert_completed(world).await;
        let log = std::fs::read_to_string(world.stack().workers_log()).expect("the log");
        for try_on in &try_ons[..3] {
            let logged = log
                .lines()
                .any(|line| line.contains("no_answer") && line.contains(&try_on.job.to_string()));
            assert!(logged, "what was skipped is logged");
        }
        world.script(json!({ "reset": true })).await;
        check_until(world, "they end", async || {
            let mut over = true;
            for try_on in &try_ons {
                over &= try_on.row(world).await["status"] == "completed";
            }
            over
        })
        .await;
    });
}

#[test]
fn a_picture_that_is_gone_before_it_is_copied_or_storage_that_is_down() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "webhook": "lost" } })).await;
        let try_on = TryOn::running(world, 2).await;
        until_at_provider(world, &try_on.until_at_work(world, 1).await, "succeeded").await;
        world.storage_is_down(503).await;
        let report = check(world).await;
        assert_has!(report, { "advanced": 0, "failed": 0 });
        assert!(
            !try_on.step(world, 1).await["provider_done_at"].is_null(),
            "the step holds no slot"
        );
        world.storage_is_up().await;
        lease_is_over(world, try_on.job).await;
        check_until(world, "the try-on ends", async || {
            lease_is_over(world, try_on.job).await;
            try_on.row(world).await["status"] == "completed"
        })
        .await;
        try_on.assert_completed(world).await;
    });
}

#[test]
fn killed_between_copy_and_finish_it_is_copied_again() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "webhook": "lost" } })).await;
        let try_on = TryOn::running(world, 2).await;
        until_at_provider(world, &try_on.until_at_work(world, 1).await, "succeeded").await;
        let hold = Hold::before_finish(world.stack().db().await.expect("a connection"))
            .await
            .expect("a trigger");
        killed_during(world, CHECKER, async {
            let look = async || hold.has_caught().await.expect("the locks").then_some(());
            world.until("the copy is made and about to be recorded", look).await;
        })
        .await;
        hold.release().await.expect("the trigger goes");
        let step = try_on.step(world, 1).await;
        assert_has!(step, { "status": "running", "output_url": null });
        check_until(world, "the try-on ends", async || {
            lease_is_over(world, try_on.job).await;
            try_on.row(world).await["status"] == "completed"
        })
        .await;
        try_on.assert_completed(world).await;
    });
}

#[test]
fn killed_between_two_steps_the_try_on_goes_on() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "webhook": "lost" } })).await;
        let try_on = TryOn::running(world, 3).await;
        until_at_provider(world, &try_on.until_at_work(world, 1).await, "succeeded").await;
        // The checker completes the step and submits nothing, as if it had been killed after that.
        world.set_provider("replicate", "enabled = false").await;
        check(world).await;
        try_on.until_completed_step(world, 1).await;
        assert_eq!(try_on.row(world).await["status"], "running");
        world.kill_workerd().await;
        world.set_provider("replicate", "enabled = true").await;
        world.fire(WORKER).await;
        let prediction = try_on.until_at_work(world, 2).await;
        until_at_provider(world, &prediction, "succeeded").await;
        // Now the checker is killed during its query.
        let asks = json!({ "reset": true, "replicate": [{ "match": "GET", "times": 1,
            "delay_ms": 4000 }, { "all": true, "webhook": "lost" }] });
        world.script(asks).await;
        let before = world.provider_calls(&format!("/predictions/{prediction}")).await.len();
        killed_during(world, CHECKER, async {
            let look = async || {
                let asked = world.provider_calls(&format!("/predictions/{prediction}")).await.len();
                (asked > before).then_some(())
            };
            world.until("it asks", look).await;
        })
        .await;
        check_until(world, "the try-on ends", async || {
            lease_is_over(world, try_on.job).await;
            try_on.row(world).await["status"] == "completed"
        })
        .await;
        try_on.assert_completed(world).await;
    });
}

/// Inserts jobs with one running step each, whose predictions exist at the provider. Returns their
/// ids.
async fn open_predictions(world: &World, count: usize) -> Vec<Uuid> {
    let try_on = TryOn::new(world, 1).await;
    let user = world.new_user(40 * 1_000).await;
    world.set_provider("replicate", &format!("max_concurrent = {count}")).await;
    let input = json!({ "human_img": try_on.body["person_image"],
        "garm_img": try_on.body["garments"][0]["image"],
        "category": "dresses", "garment_des": "" });
    let mut jobs = Vec::new();
    for _ in 0..count {
        let job = Uuid::new_v4();
        let args = json!({ "p_user_id": user.id, "p_job_id": job, "p_tool": "replicate-async-start",
            "p_session_id": null,
            "p_input": {}, "p_request_hash": "x", "p_steps": [{ "version": "shop/all",
            "input": input }] });
        world.db().ask("job_enqueue_v1", args).await;
        jobs.push(job);
    }
    let at_work = "select count(*) from unstuck.job_steps where provider_task_id is not null";
    let look = async || {
        world.call(WORKER).by_service().ok().await;
        (world.db().int(at_work).await == i64::try_from(count).expect("some")).then_some(())
    };
    world.until("all are at work", look).await;
    jobs
}

#[test]
fn more_open_predictions_than_a_page_are_checked_in_one_run() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        // A page has 50. No query begins after 15 s, so a slow machine checks no 200 in a run.
        open_predictions(world, 80).await;
        let report = check(world).await;
        assert_has!(report, { "checked": 80, "remaining": 0 });
        let asked = world.provider_calls("/predictions/").await.len();
        assert_eq!(asked, 80, "each once");
        stop_all(world).await;
    });
}

#[test]
fn with_a_small_budget_the_rest_remain_and_come_first_next_time() {
    e2e::run(async |world| {
        let budget = [("SUBREQUEST_BUDGET".to_owned(), Some("100".to_owned()))];
        world.restart_workers([(CHECKER.to_owned(), budget.into())].into()).await;
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        open_predictions(world, 40).await;
        let (mut asked, mut heard) = (std::collections::BTreeSet::new(), 0);
        while asked.len() < 40 {
            let report = check(world).await;
            let (now, rest) = (
                report["checked"].as_u64().expect("a number"),
                report["remaining"].as_u64().expect("a number"),
            );
            assert!(now > 0 && now < 40, "{report}");
            assert_eq!(now + rest, 40, "{report}");
            let calls = world.provider_calls("/predictions/").await;
            let before = asked.len();
            asked.extend(
                calls[heard..].iter().map(|call| call["path"].as_str().expect("a path").to_owned()),
            );
            let all_new = asked.len() - before == calls.len() - heard;
            assert!(
                all_new || asked.len() == 40,
                "no prediction is queried twice before all were queried once"
            );
            heard = calls.len();
        }
        stop_all(world).await;
    });
}

/// Cancels all live jobs that the test leaves.
async fn stop_all(world: &World) {
    let admin = world.admin(1).await;
    let live = "select id from unstuck.jobs where completed_at is null";
    for row in world.db().rows(live).await {
        let args = json!({ "p_actor": admin.id, "p_table": "replicate_tasks",
            "p_job_id": id(&row["id"]), "p_reason": null });
        world.db().ask("job_cancel_admin_v1", args).await;
    }
}

#[test]
fn what_is_stuck_is_reset_and_finished_steps_are_kept() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": [{ "times": 1, "webhook": "lost" }, { "times": 1,
            "hang": true }, { "all": true, "webhook": "lost" }] }))
            .await;
        let try_on = TryOn::running(world, 2).await;
        let first = try_on.until_at_work(world, 1).await;
        until_at_provider(world, &first, "succeeded").await;
        check(world).await;
        let stuck = try_on.until_at_work(world, 2).await;
        overdue(world, try_on.job).await;
        let admin = world.admin(1).await;
        let args = json!({
            "p_actor": admin.id, "p_table": "replicate_tasks", "p_job_id": try_on.job,
            "p_charge": false, "p_new_job_id": Uuid::new_v4(),
        });
        let reset = world.db().ask("job_requeue_v1", args).await;
        assert_eq!(reset["retried"], true, "{reset}");
        check_until(world, "the try-on ends", async || {
            lease_is_over(world, try_on.job).await;
            try_on.row(world).await["status"] == "completed"
        })
        .await;
        assert_eq!(try_on.creates(world).await.len(), 3, "the first step was not made again");
        assert_eq!(
            world.db().entries(try_on.job).await.len(),
            1,
            "the try-on is not paid a second time"
        );
        world.db().age(try_on.job, "16 seconds").await;
        world.sweep().await;
        assert_eq!(
            at_provider(world, &stuck).await["status"],
            "canceled",
            "what was stuck is stopped"
        );
    });
}

#[test]
fn a_cron_run_makes_two_passes() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "hang": true } })).await;
        let try_on = TryOn::running(world, 1).await;
        let prediction = try_on.until_at_work(world, 1).await;
        world.fire(CHECKER).await;
        let asked = world.provider_calls(&format!("/predictions/{prediction}")).await;
        assert_eq!(asked.len(), 2, "{asked:?}");
        let times: Vec<_> =
            asked.iter().map(|call| call["at"].as_str().expect("a time").to_owned()).collect();
        assert_ne!(times[0], times[1]);
        assert_eq!(try_on.row(world).await["error_message"], Value::Null);
    });
}
