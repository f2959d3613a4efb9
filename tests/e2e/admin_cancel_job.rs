//! `admin-cancel-job`: an admin cancels a live job of any tool. It is refunded once, its provider
//! is told to cancel the task, and the next job starts.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

const TABLE: &str = "upscaler_jobs";

fn of(job: Uuid) -> Value {
    json!({ "table": TABLE, "jobId": job })
}

async fn hanging_job(world: &World, user: &TestUser) -> (Uuid, String) {
    world.script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } })).await;
    let (job, answer) = world.order(user).await;
    assert_has!(answer, { "status": "running", "creditsCharged": 60 });
    // Another request may have claimed and submitted the step, and then it knows the task first.
    let sql = format!("select provider_task_id from unstuck.job_steps where job_id = '{job}'");
    let task = async || world.db().value(&sql).await.as_str().map(str::to_owned);
    (job, world.until("the provider has a task", task).await)
}

/// A task as the provider shows it.
async fn at_provider(world: &World, task: &str) -> Value {
    let url = format!("{}/runninghub/openapi/v2/query", world.stack().info().providers_url);
    let request =
        world.http().post(url).bearer_auth("rh-local-key").json(&json!({ "taskId": task }));
    request.send().await.expect("the provider answers").json().await.expect("JSON")
}

#[test]
fn a_running_job_is_cancelled_refunded_and_stopped_at_the_provider() {
    e2e::run(async |world| {
        let (user, admin) = (world.user(1).await, world.admin(1).await);
        let (job, task) = hanging_job(world, &user).await;
        assert_eq!(world.balance(&user).await, 940);
        let mut body = of(job);
        body["reason"] = "stuck for an hour".into();
        let answer = world.call("admin-cancel-job").by(&admin).json(&body).ok().await;
        assert_eq!(
            answer,
            json!({
                "success": true, "table": TABLE, "jobId": job, "status": "cancelled",
                "refundedCredits": 60,
                "message": "Job cancelled and 60 credits refunded",
            })
        );
        assert_eq!(world.balance(&user).await, 1000);
        world.db().assert_closed(job, "cancelled", Some("CANCELLED"), 60).await;
        let message = world.job(job).await["error_message"].clone();
        assert!(
            message.as_str().is_some_and(|text| text.contains("stuck for an hour")),
            "{message}"
        );

        let told = async || {
            world
                .provider_calls("/task/openapi/cancel")
                .await
                .into_iter()
                .find(|entry| entry["status"] == 200)
        };
        let told = world.until("the provider is told", told).await;
        assert_eq!(
            (&told["body"]["taskId"], &told["response"]["code"]),
            (&json!(task), &json!(0)),
            "{told}"
        );
        let state = at_provider(world, &task).await;
        assert!(
            !["QUEUED", "RUNNING"].contains(&state["status"].as_str().unwrap_or_default()),
            "{state}"
        );
        let owed = "select count(*) from unstuck.job_steps where provider_cancel_due <> '[]'";
        let settled = async || (world.db().int(owed).await == 0).then_some(());
        world.until("no cancel is owed any more", settled).await;
        let events = world
            .db()
            .rows(&format!(
                "select actor from unstuck.job_events where job_id = '{job}'
                and event = 'job_cancelled'"
            ))
            .await;
        assert_eq!(events, [json!({ "actor": format!("admin:{}", admin.id) })]);

        let (next, _) = world.order(&user).await;
        assert_eq!(world.job(next).await["status"], "running", "the user is free at once");
    });
}

#[test]
fn a_second_click_says_so_and_returns_nothing_more() {
    e2e::run(async |world| {
        let (user, admin) = (world.user(1).await, world.admin(1).await);
        let (job, _) = hanging_job(world, &user).await;
        let cancel = || world.call("admin-cancel-job").by(&admin).json(&of(job));
        cancel().ok().await;
        let refusal = cancel().refused(409, "already_final").await;
        assert_has!(refusal, { "status": "cancelled", "refundedCredits": 60 });
        assert_eq!(world.balance(&user).await, 1000);
        assert_eq!(world.db().entries(job).await, [-60, 60]);
    });
}

#[test]
fn two_admins_at_once_refund_once() {
    e2e::run(async |world| {
        let (one, two) = (world.admin(1).await, world.admin(2).await);
        for _ in 0..5 {
            let user = world.new_user(60).await;
            let (job, _) = hanging_job(world, &user).await;
            let cancel =
                |admin: &TestUser| world.call("admin-cancel-job").by(admin).json(&of(job)).send();
            let (first, second) = tokio::join!(cancel(&one), cancel(&two));
            let (won, lost) = if first.status == 200 { (first, second) } else { (second, first) };
            assert_eq!(won.expect(200)["refundedCredits"], 60);
            assert_eq!(lost.expect_refusal(409, "already_final")["refundedCredits"], 60);
            assert_eq!(world.balance(&user).await, 60);
            assert_eq!(world.db().entries(job).await, [-60, 60]);
        }
    });
}

#[test]
fn the_queue_moves_up() {
    e2e::run(async |world| {
        let admin = world.admin(1).await;
        let (first, _) = hanging_job(world, &world.user(1).await).await;
        for number in 2..=3 {
            world.order(&world.user(number).await).await;
        }
        let (fourth, answer) = world.order(&world.user(4).await).await;
        let (fifth, _) = world.order(&world.user(5).await).await;
        assert_eq!(answer["position"], 1, "{answer}");
        world.call("admin-cancel-job").by(&admin).json(&of(first)).ok().await;
        world.until_status(fourth, "running").await;
        assert_eq!(world.job(fifth).await["status"], "queued");
        let answer = world.call("admin-cancel-job").by(&admin).json(&of(fifth)).ok().await;
        assert_eq!(answer["refundedCredits"], 60, "a waiting job is refunded too");
        assert_eq!(world.submits_of(fifth).await, Vec::<Value>::new());
    });
}

#[test]
fn only_an_admin_of_this_moment() {
    e2e::run(async |world| {
        let (user, admin) = (world.user(1).await, world.admin(1).await);
        let (job, _) = hanging_job(world, &user).await;
        let call = || world.call("admin-cancel-job").json(&of(job));
        call().refused(401, "unauthorized").await;
        call().by(&user).refused(403, "forbidden").await;
        call().by_service().refused(403, "forbidden").await;
        world
            .db()
            .exec(&format!("delete from unstuck.user_roles where user_id = '{}'", admin.id))
            .await;
        call().by(&admin).refused(403, "forbidden").await;
        assert_eq!(
            (world.balance(&user).await, &world.job(job).await["status"]),
            (940, &json!("running"))
        );
        assert_eq!(world.provider_calls("/task/openapi/cancel").await, Vec::<Value>::new());
        world
            .db()
            .exec(&format!("insert into unstuck.user_roles values ('{}', 'admin')", admin.id))
            .await;
        call().by(&admin).ok().await;
    });
}

#[test]
fn what_names_no_job_is_refused() {
    e2e::run(async |world| {
        let admin = world.admin(1).await;
        let (job, _) = hanging_job(world, &world.user(1).await).await;
        let cancel = |body: Value| world.call("admin-cancel-job").by(&admin).json(&body);
        cancel(of(Uuid::new_v4())).refused(404, "not_found").await;
        cancel(json!({ "table": "video_upscaler_jobs", "jobId": job }))
            .refused(404, "not_found")
            .await;
        for body in [
            json!({ "table": "jobs", "jobId": job }),
            json!({ "table": TABLE, "jobId": "1" }),
            json!({ "table": TABLE }),
            json!({ "jobId": job }),
            json!({ "table": TABLE, "jobId": job, "reason": 1 }),
        ] {
            cancel(body).refused(400, "bad_request").await;
        }
        assert_eq!(world.job(job).await["status"], "running");
    });
}

#[test]
fn a_finished_job_keeps_its_result_and_its_price() {
    e2e::run(async |world| {
        let (user, admin) = (world.user(1).await, world.admin(1).await);
        let (job, _) = world.order(&user).await;
        let row = world.until_status(job, "completed").await;
        let refusal = world
            .call("admin-cancel-job")
            .by(&admin)
            .json(&of(job))
            .refused(409, "already_final")
            .await;
        assert_has!(refusal, { "status": "completed", "refundedCredits": 0 });
        assert_eq!(world.job(job).await["output_url"], row["output_url"]);
        assert_eq!(world.balance(&user).await, 940);
    });
}
