//! The queue of all RunningHub tools: status, cancels, the start of waiting steps, reconciliation.

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::retry_now;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

const TABLE: &str = "upscaler_jobs";

fn op(name: &str) -> String {
    format!("runninghub-queue-manager/{name}")
}

/// Fills every slot with a job that never ends at the provider, each of another user.
async fn fill(world: &World) -> Vec<(TestUser, Uuid)> {
    world.script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } })).await;
    let mut running = Vec::new();
    for number in 1..=3 {
        let user = world.user(number).await;
        let (job, answer) = world.order(&user).await;
        assert_eq!(answer["status"], "running", "{answer}");
        assert!(answer["taskId"].is_string(), "{answer}");
        running.push((user, job));
    }
    running
}

async fn active(world: &World, user: &TestUser) -> Value {
    world.call(&op("check-user-active")).by(user).ok().await
}

async fn status_of(world: &World, user: &TestUser, job: Uuid) -> Value {
    world
        .call("runninghub-upscaler/queue-status")
        .by(user)
        .json(&json!({ "jobId": job }))
        .ok()
        .await
}

fn named(table: &str, job: impl Into<Value>) -> Value {
    json!({ "table": table, "jobId": job.into() })
}

fn of(job: Uuid) -> Value {
    named(TABLE, job.to_string())
}

#[test]
fn check_and_status_count_what_runs_and_waits() {
    e2e::run(async |world| {
        let user = world.user(4).await;
        let check = async || world.call(&op("check")).by(&user).ok().await;
        let status = async || world.call(&op("status")).by_service().ok().await;
        assert_eq!(
            check().await,
            json!({ "available": true, "running": 0, "maxConcurrent": 3, "slotsAvailable": 3,
                "totalQueued": 0 })
        );
        let idle = status().await;
        assert_has!(idle, { "totalQueued": 0, "queuedByTool": {}, "oldestQueuedSeconds": null });
        assert!(idle["lastSweepAt"].is_string(), "{idle}");

        fill(world).await;
        world.order(&user).await;
        assert_eq!(
            check().await,
            json!({ "available": false, "running": 3, "maxConcurrent": 3, "slotsAvailable": 0,
                "totalQueued": 1 })
        );
        assert_eq!(world.get(&op("check")).by(&user).ok().await, check().await);
        let busy = status().await;
        assert_has!(busy, { "running": 3, "maxConcurrent": 3, "totalQueued": 1 });
        assert_eq!(busy["queuedByTool"], json!({ "runninghub-upscaler": 1 }));
        assert!(busy["oldestQueuedSeconds"].is_i64(), "{busy}");

        world.set_provider("runninghub", "enabled = false").await;
        assert_eq!(check().await["available"], false);
    });
}

#[test]
fn the_fourth_waits_with_a_place_and_starts_when_one_finishes() {
    e2e::run(async |world| {
        // The provider finishes this task, but its webhook is lost: the slot stays taken until a
        // query.
        world.script(json!({ "runninghub": { "times": 1, "webhook": "lost" } })).await;
        let finishes = world.new_user(60).await;
        let (first, _) = world.order(&finishes).await;
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        for number in 2..=3 {
            world.order(&world.user(number).await).await;
        }
        let user = world.user(4).await;
        let (fourth, answer) = world.order(&user).await;
        assert_has!(answer, { "success": true, "queued": true, "status": "queued" });
        assert_has!(answer, { "position": 1, "creditsCharged": 60, "balance": 940 });
        assert!(answer["etaSeconds"].as_i64().is_some_and(|eta| eta > 0), "{answer}");
        let fifth_user = world.user(5).await;
        let (fifth, answer) = world.order(&fifth_user).await;
        assert_eq!(answer["position"], 2, "{answer}");
        let seen = status_of(world, &user, fourth).await;
        assert_has!(seen, { "status": "queued", "position": 1 });
        assert!(seen["etaSeconds"].as_i64().is_some_and(|eta| eta > 0), "{seen}");

        let look = async || {
            let found = world.call(&op("reconcile")).by_service().json(&of(first)).ok().await;
            (found["resolved"] == true).then_some(found)
        };
        let found = world.until("the provider has finished the first", look).await;
        assert_eq!(found["status"], "completed", "{found}");
        world.until_status(fourth, "running").await;
        let seen = status_of(world, &user, fourth).await;
        assert_has!(seen, { "status": "running", "position": null, "etaSeconds": null });
        assert_eq!(status_of(world, &fifth_user, fifth).await["position"], 1);
    });
}

#[test]
fn a_queue_runs_dry_by_webhooks_alone_and_never_exceeds_the_limit() {
    e2e::run(async |world| {
        let mut users = Vec::new();
        for _ in 0..8 {
            users.push(world.new_user(60).await);
        }
        let jobs: Vec<Uuid> = join_all(users.iter().map(|user| world.order(user)))
            .await
            .into_iter()
            .map(|(job, _)| job)
            .collect();
        for job in &jobs {
            world.until_status(*job, "completed").await;
        }
        for user in &users {
            assert_eq!(world.balance(user).await, 0);
        }
        let refused = world
            .provider_log()
            .await
            .into_iter()
            .filter(|entry| entry["response"]["errorCode"] == "421");
        assert_eq!(refused.count(), 0, "the provider never had to refuse for capacity");
    });
}

#[test]
fn check_user_active_sees_running_before_queued() {
    e2e::run(async |world| {
        let idle = world.user(4).await;
        assert_eq!(
            active(world, &idle).await,
            json!({ "hasActiveJob": false, "activeTool": null, "activeJobId": null,
                "activeStatus": null, "position": null })
        );
        let running = fill(world).await;
        let (user, job) = &running[0];
        let seen = active(world, user).await;
        assert_eq!(
            seen,
            json!({ "hasActiveJob": true, "activeTool": "runninghub-upscaler", "activeJobId": job,
                "activeStatus": "running", "position": null })
        );
        let (waiting, _) = world.order(&idle).await;
        let seen = active(world, &idle).await;
        assert_has!(seen, { "activeJobId": waiting, "activeStatus": "queued", "position": 1 });

        // A user gets their own answer, whichever user the body names; the service must name a
        // user.
        let body = json!({ "userId": user.id });
        assert_eq!(
            world.call(&op("check-user-active")).by(&idle).json(&body).ok().await["activeJobId"],
            json!(waiting)
        );
        assert_eq!(
            world.call(&op("check-user-active")).by_service().json(&body).ok().await["activeJobId"],
            json!(job)
        );
        world.call(&op("check-user-active")).by_service().refused(400, "bad_request").await;
        world
            .call(&op("check-user-active"))
            .by_service()
            .json(&json!({ "userId": "me" }))
            .refused(400, "bad_request")
            .await;
    });
}

#[test]
fn a_call_names_a_hundred_jobs_at_most_and_one_that_ends_nothing_starts_nothing() {
    e2e::run(async |world| {
        let user = world.user(4).await;
        let close = |body: Value| world.call(&op("cancel-session")).by(&user).json(&body);
        let ids = |count: usize| (0..count).map(|_| Uuid::new_v4().to_string()).collect::<Vec<_>>();
        let refusal = close(json!({ "sessionId": "a page", "jobIds": ids(101) }))
            .refused(400, "bad_request")
            .await;
        assert_eq!(refusal["field"], "jobIds", "{refusal}");
        assert_eq!(
            close(json!({ "sessionId": "a page",
                "jobIds": ids(100) }))
            .ok()
            .await["cancelledCount"],
            0
        );
        let long = json!({ "sessionId": "x".repeat(201) });
        assert_eq!(close(long).refused(400, "bad_request").await["field"], "sessionId");

        // A waiting step could start now, if any of these calls started steps.
        let open = |enabled| {
            format!(
                "update unstuck.providers set enabled = {enabled} where provider = 'runninghub'"
            )
        };
        world.db().exec(&open(false)).await;
        let (job, _) = world.order(&world.user(5).await).await;
        world.db().exec(&open(true)).await;
        for _ in 0..10 {
            close(json!({ "sessionId": "another page" })).ok().await;
            close(json!({ "sessionId": "" })).refused(400, "bad_request").await;
            world.call(&op("cancel")).by(&user).json(&of(job)).refused(404, "not_found").await;
        }
        assert_eq!(world.job(job).await["status"], "queued");
        world.call(&op("process-next")).by_service().ok().await;
        world.until_status(job, "completed").await;
    });
}

#[test]
fn ten_thousand_cancels_ahead_are_refused_past_the_bound_and_harm_no_reads() {
    e2e::run(async |world| {
        let (user, other) = (world.new_user(60).await, world.new_user(60).await);
        world.set_provider("runninghub", "enabled = false").await;
        let (job, _) = world.order(&other).await;
        for number in 0..100 {
            let ids: Vec<String> = (0..100).map(|_| Uuid::new_v4().to_string()).collect();
            let body = json!({ "sessionId": "a page", "jobIds": ids });
            let close = world.call(&op("cancel-session")).by(&user).json(&body);
            if number < 10 {
                close.ok().await;
            } else {
                close.refused(429, "rate_limited").await;
            }
            assert_eq!(status_of(world, &other, job).await["status"], "queued");
        }
        let kept = format!("cancelled_requests where user_id = '{}'", user.id);
        assert_eq!(world.count(&kept).await, 1_000);
    });
}

/// Inserts a row as an older client does before its upload.
async fn old_row(world: &World, user: &TestUser) -> Uuid {
    let id = Uuid::new_v4();
    let info = world.stack().info();
    let request =
        world.http().post(format!("{}/rest/v1/upscaler_jobs", info.url)).bearer_auth(&user.token);
    let row = json!({ "id": id, "user_id": user.id, "status": "queued" });
    let answer = request
        .header("apikey", &info.anon_key)
        .json(&row)
        .send()
        .await
        .expect("PostgREST answers");
    let status = answer.status();
    assert_eq!(status, 201, "{}", answer.text().await.unwrap_or_default());
    id
}

#[test]
fn an_orphan_is_healed_and_hides_no_real_job() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let young = old_row(world, &user).await;
        assert_eq!(
            active(world, &user).await["hasActiveJob"],
            false,
            "an unpaid row does not block its user"
        );
        assert_eq!(
            world.job(young).await["status"],
            "pending",
            "its upload may still be on its way"
        );
        world.db().age(young, "3 minutes").await;
        assert_eq!(active(world, &user).await["hasActiveJob"], false);
        let row = world.job(young).await;
        assert_has!(row, { "status": "cancelled", "error_code": "ORPHANED" });

        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let old = old_row(world, &user).await;
        world.db().age(old, "3 minutes").await;
        let (real, answer) = world.order(&user).await;
        assert_eq!(answer["status"], "running", "an orphan does not block its user: {answer}");
        let seen = active(world, &user).await;
        assert_has!(seen, { "activeJobId": real, "activeStatus": "running" });
        assert_eq!(world.job(old).await["status"], "cancelled");
        assert_eq!(world.job(real).await["status"], "running");
        assert_eq!(world.balance(&user).await, 940);
    });
}

/// Two rows that were abandoned, and a young one that may still get its `/run`.
async fn orphans(world: &World, user: &TestUser) -> [(Uuid, &'static str); 3] {
    let [first, young, second] =
        [old_row(world, user).await, old_row(world, user).await, old_row(world, user).await];
    for old in [first, second] {
        world.db().age(old, "121 seconds").await;
    }
    [(first, "cancelled"), (young, "pending"), (second, "cancelled")]
}

#[test]
fn orphans_and_a_real_job_at_once_in_every_order() {
    e2e::run(async |world| {
        for real in ["none", "running", "queued"] {
            // The provider takes three tasks at once, so only those run without end that the test
            // must see running.
            let fate = if real == "none" {
                json!({ "reset": true })
            } else {
                json!({ "runninghub": { "all": true, "hang": true } })
            };
            world.script(fate).await;
            let open = format!(
                "update unstuck.providers set enabled = {} where provider = 'runninghub'",
                real != "queued"
            );
            world.db().exec(&open).await;
            for orphans_first in [true, false] {
                let case = format!("{real}, orphans first: {orphans_first}");
                let user = world.new_user(60).await;
                let before = if orphans_first { Some(orphans(world, &user).await) } else { None };
                let job = if real == "none" { None } else { Some(world.order(&user).await.0) };
                let left = match before {
                    Some(left) => left,
                    None => orphans(world, &user).await,
                };
                for _ in 0..2 {
                    let seen = active(world, &user).await;
                    assert_eq!(seen["hasActiveJob"], job.is_some(), "{case}: {seen}");
                    assert_eq!(seen["activeJobId"], json!(job), "{case}: {seen}");
                    assert_eq!(seen["activeStatus"], json!(job.map(|_| real)), "{case}: {seen}");
                    assert_eq!(seen["position"].is_i64(), real == "queued", "{case}: {seen}");
                }
                for (orphan, status) in left {
                    assert_eq!(world.job(orphan).await["status"], status, "{case}");
                }
                assert_eq!(
                    world.balance(&user).await,
                    if job.is_some() { 0 } else { 60 },
                    "{case}"
                );
                if job.is_none() {
                    let ordered = world.order(&user).await.0;
                    world.until_status(ordered, "completed").await;
                }
            }
        }
        world.db().assert_healthy().await;
    });
}

/// A row that the app's own SQL could leave: live, unpaid, without a step.
#[test]
fn a_ghost_in_the_exclusive_place_is_healed_and_its_user_free() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let ghost = Uuid::new_v4();
        world
            .db()
            .exec(&format!(
                "insert into unstuck.jobs (id, tool, user_id, status, exclusive_key, created_at)
                 values ('{ghost}', 'runninghub-upscaler', '{0}', 'queued', 'runninghub:{0}',
                 clock_timestamp() - interval '3 minutes')",
                user.id
            ))
            .await;
        assert_eq!(active(world, &user).await["hasActiveJob"], false);
        assert_eq!(world.job(ghost).await["status"], "cancelled");
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
    });
}

#[test]
fn cancel_ends_a_waiting_job_once_and_returns_its_credits() {
    e2e::run(async |world| {
        fill(world).await;
        let (user, next) = (world.user(4).await, world.user(5).await);
        let (job, _) = world.order(&user).await;
        let (following, answer) = world.order(&next).await;
        assert_eq!(answer["position"], 2, "{answer}");
        let cancel = || world.call(&op("cancel")).by(&user);
        let answer = cancel().json(&of(job)).ok().await;
        assert_eq!(
            answer,
            json!({ "success": true, "status": "cancelled", "refundedCredits": 60 })
        );
        assert_eq!(world.balance(&user).await, 1000);
        world.db().assert_closed(job, "cancelled", Some("CANCELLED"), 60).await;
        assert_eq!(status_of(world, &next, following).await["position"], 1);
        assert_eq!(world.submits_of(job).await, Vec::<Value>::new());

        let refusal = cancel().json(&of(job)).refused(409, "already_final").await;
        assert_has!(refusal, { "status": "cancelled", "refundedCredits": 60 });
        assert_eq!(world.balance(&user).await, 1000);
    });
}

#[test]
fn cancel_of_a_running_job_is_the_tools_choice() {
    e2e::run(async |world| {
        let running = fill(world).await;
        let (user, job) = &running[0];
        let cancel = || world.call(&op("cancel")).by(user).json(&of(*job));
        cancel().refused(409, "in_progress").await;
        assert_eq!(
            (world.balance(user).await, &world.job(*job).await["status"]),
            (940, &json!("running"))
        );

        let waiting = world.user(4).await;
        let (fourth, _) = world.order(&waiting).await;
        world.set_tool("runninghub-upscaler", "user_cancel_running = true").await;
        assert_eq!(cancel().ok().await["refundedCredits"], 60);
        assert_eq!(world.balance(user).await, 1000);
        let told =
            async || (!world.provider_calls("/task/openapi/cancel").await.is_empty()).then_some(());
        world.until("the provider is told", told).await;
        world.until_status(fourth, "running").await;
    });
}

#[test]
fn cancel_names_a_job_of_ones_own_or_nothing() {
    e2e::run(async |world| {
        fill(world).await;
        let (user, other) = (world.user(4).await, world.user(5).await);
        let (job, _) = world.order(&user).await;
        let cancel = |user: &TestUser| world.call(&op("cancel")).by(user);
        cancel(&other).json(&of(job)).refused(404, "not_found").await;
        cancel(&user).json(&of(Uuid::new_v4())).refused(404, "not_found").await;
        cancel(&user)
            .json(&named("video_upscaler_jobs", job.to_string()))
            .refused(404, "not_found")
            .await;
        for body in [
            named("jobs", job.to_string()),
            named("upscaler_jobs; drop table jobs", job.to_string()),
            named(TABLE, "1"),
            named(TABLE, Value::Null),
            json!({ "jobId": job }),
            json!({}),
        ] {
            cancel(&user).json(&body).refused(400, "bad_request").await;
        }
        assert_eq!(world.job(job).await["status"], "queued");
        assert_eq!(world.balance(&user).await, 940);
    });
}

#[test]
fn cancel_of_a_finished_job_says_what_it_came_to() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        let refusal =
            world.call(&op("cancel")).by(&user).json(&of(job)).refused(409, "already_final").await;
        assert_has!(refusal, { "status": "completed", "refundedCredits": 0 });
        assert_eq!(world.balance(&user).await, 940);
    });
}

#[test]
fn a_closing_page_takes_its_waiting_jobs_with_it_and_the_queue_moves_up() {
    e2e::run(async |world| {
        let running = fill(world).await;
        let (user, next) = (world.user(4).await, world.user(5).await);
        let (job, _) =
            world.order_as(&user, Uuid::new_v4(), json!({ "sessionId": "page-1" })).await;
        let (following, answer) =
            world.order_as(&next, Uuid::new_v4(), json!({ "sessionId": "page-1" })).await;
        assert_eq!(answer["position"], 2, "{answer}");
        let close =
            |user: &TestUser, body: Value| world.call(&op("cancel-session")).by(user).json(&body);
        for body in [
            json!({}),
            json!({ "sessionId": "" }),
            json!({ "sessionId": "  " }),
            json!({ "sessionId": 1 }),
        ] {
            close(&user, body).refused(400, "bad_request").await;
        }
        close(&user, json!({ "sessionId": "page-1", "jobIds": ["x"] }))
            .refused(400, "bad_request")
            .await;
        assert_eq!(close(&user, json!({ "sessionId": "another" })).ok().await["cancelledCount"], 0);
        assert_eq!(
            close(
                &user,
                json!({ "sessionId": "another",
                "jobIds": null })
            )
            .ok()
            .await["cancelledCount"],
            0
        );

        let answer = close(&user, json!({ "sessionId": "page-1" })).ok().await;
        assert_eq!(
            answer,
            json!({ "success": true, "cancelledCount": 1, "refundedCredits": 60,
                "cancelledJobs": [{ "table": TABLE, "id": job }] })
        );
        assert_eq!(world.balance(&user).await, 1000);
        world.db().assert_closed(job, "cancelled", Some("CANCELLED"), 60).await;
        let seen = status_of(world, &next, following).await;
        assert_has!(seen, { "status": "queued", "position": 1 }, "another user's session: {seen}");

        assert_eq!(close(&user, json!({ "sessionId": "page-1" })).ok().await["cancelledCount"], 0);
        assert_eq!(world.balance(&user).await, 1000);
        let (runner, running_job) = &running[0];
        let answer =
            close(runner, json!({ "sessionId": "page-1", "jobIds": [running_job, following] }))
                .ok()
                .await;
        assert_eq!(answer["cancelledCount"], 0, "neither a running job nor another's: {answer}");
        assert_eq!(world.job(*running_job).await["status"], "running");
        assert_eq!(world.job(following).await["status"], "queued");
    });
}

#[test]
fn a_cancel_that_overtakes_its_run_wins() {
    e2e::run(async |world| {
        let (user, other) = (world.user(1).await, world.user(2).await);
        let job = Uuid::new_v4();
        let close = json!({ "sessionId": "page-1", "jobIds": [job] });
        assert_eq!(
            world.call(&op("cancel-session")).by(&user).json(&close).ok().await["cancelledCount"],
            0
        );
        let body = world.order_body(&user, job, json!({ "sessionId": "page-1" })).await;
        let refusal = world
            .call("runninghub-upscaler/run")
            .by(&user)
            .json(&body)
            .refused(409, "already_final")
            .await;
        assert_has!(refusal, { "status": "cancelled", "refundedCredits": 0 });
        assert_eq!(world.balance(&user).await, 1000);
        assert_eq!(world.count("jobs").await, 0);
        assert_eq!(world.submits_of(job).await, Vec::<Value>::new());
        let (job, _) = world.order_as(&other, job, json!({})).await;
        world.until_status(job, "completed").await;
    });
}

#[test]
fn process_next_starts_what_may_start_and_says_why_not() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let next =
            async || world.call(&op("process-next")).by_service().json(&json!({})).ok().await;
        assert_eq!(next().await, json!({ "processed": 0, "started": [], "reason": "queue_empty" }));
        world.db().exec("update unstuck.providers set enabled = false").await;
        let mut jobs = Vec::new();
        for number in 1..=4 {
            let (job, answer) = world.order(&world.user(number).await).await;
            assert_has!(answer, { "queued": true, "position": number });
            jobs.push(job);
        }
        assert_eq!(
            next().await,
            json!({ "processed": 0, "started": [], "reason": "provider_disabled" })
        );
        world.db().exec("update unstuck.providers set enabled = true").await;
        let answer = next().await;
        assert_eq!(answer["processed"], 3, "{answer}");
        let started = answer["started"].as_array().expect("a list").clone();
        assert_eq!(started.len(), 3, "{answer}");
        for (entry, job) in started.iter().zip(&jobs) {
            assert_has!(entry, {
                "table": TABLE,
                "jobId": job,
            }, "first come, first served: {answer}");
            assert!(entry["taskId"].is_string(), "{answer}");
        }
        assert_eq!(
            next().await,
            json!({ "processed": 0, "started": [], "reason": "no_free_slot" })
        );
        assert_eq!(world.job(jobs[3]).await["status"], "queued");
    });
}

#[test]
fn a_capacity_refusal_puts_a_job_back_in_every_error_shape() {
    e2e::run(async |world| {
        for shape in 1..=3 {
            world
                .script(json!({ "reset": true, "runninghub": { "times": 1, "code": 421,
                "shape": shape } }))
                .await;
            let user = world.new_user(60).await;
            let (job, answer) = world.order(&user).await;
            assert_has!(answer, { "queued": true, "status": "queued" }, "shape {shape}: {answer}");
            assert!(
                answer["position"].is_i64() && answer["etaSeconds"].is_i64(),
                "shape {shape}: {answer}"
            );
            let row = world.job(job).await;
            assert_has!(row, { "error_code": null, "credits_refunded": 0 }, "shape {shape}: {row}");
            assert_eq!(world.balance(&user).await, 0, "shape {shape}: it stays paid");
            let seen = status_of(world, &user, job).await;
            assert_has!(seen, { "status": "queued", "errorCode": "PROVIDER_BUSY" });
            retry_now(world, job).await;
            let next = world.call(&op("process-next")).by_service().ok().await;
            // The background work of the order may still run, and then it starts the job first.
            let is_started = next["started"][0]["jobId"] == json!(job)
                || world.db().step(job, 1).await["status"] != "queued";
            assert!(is_started, "shape {shape}: {next}");
            world.until_status(job, "completed").await;
            assert_eq!(
                world.submits_of(job).await.len(),
                2,
                "shape {shape}: one refused, one accepted"
            );
        }
    });
}

#[test]
fn at_the_providers_own_limit_jobs_wait_and_none_fails() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": [{ "capacity": 1 },
                { "times": 1, "hang": true, "cancellable": true }] }))
            .await;
        let (first, second) = (world.user(1).await, world.user(2).await);
        let (running, answer) = world.order(&first).await;
        assert_eq!(answer["status"], "running", "{answer}");
        let (waiting, answer) = world.order(&second).await;
        assert_has!(answer, { "queued": true, "balance": 940 });
        assert_eq!(world.job(waiting).await["status"], "queued");
        let admin = world.admin(1).await;
        world.call("admin-cancel-job").by(&admin).json(&of(running)).ok().await;
        // The freed slot starts the job, or the next probe does if the provider had not freed its
        // own slot yet.
        let look = async || {
            world.db().probe_is_due().await;
            world.call(&op("process-next")).by_service().ok().await;
            Some(world.job(waiting).await).filter(|row| row["status"] == "completed")
        };
        world.until("the second one has had its turn", look).await;
    });
}

#[test]
fn reconcile_asks_the_provider() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "times": 1, "webhook": "lost" } })).await;
        let (user, admin) = (world.user(1).await, world.admin(1).await);
        let (job, _) = world.order(&user).await;
        let reconcile = |job: Uuid| world.call(&op("reconcile")).by(&admin).json(&of(job));
        let look =
            async || Some(reconcile(job).ok().await).filter(|found| found["resolved"] == true);
        let found = world.until("the provider has finished", look).await;
        assert_eq!(found["status"], "completed", "{found}");
        assert_eq!(world.balance(&user).await, 940);
        let again = reconcile(job).ok().await;
        assert_has!(again, { "resolved": true, "status": "completed", "reason": "already_final" });

        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let (job, _) = world.order(&user).await;
        // This number is wrong: the steps that exist are queried.
        let many = format!("update unstuck.jobs set total_steps = 2147483647 where id = '{job}'");
        world.db().exec(&many).await;
        let found = reconcile(job).ok().await;
        assert_eq!(
            found,
            json!({ "resolved": false, "status": "running", "reason": "still_running" })
        );
        reconcile(Uuid::new_v4()).refused(404, "not_found").await;
        let elsewhere = named("veste_ai_jobs", job.to_string());
        world.call(&op("reconcile")).by_service().json(&elsewhere).refused(404, "not_found").await;
        let unknown = named("nothing", job.to_string());
        world.call(&op("reconcile")).by_service().json(&unknown).refused(400, "bad_request").await;
    });
}

#[test]
fn reconcile_of_a_failed_task_returns_the_credits() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true,
            "fail": "out of memory", "webhook": "lost" } }))
            .await;
        let user = world.user(1).await;
        let (job, _) = world.order(&user).await;
        let look = async || {
            let found = world.call(&op("reconcile")).by_service().json(&of(job)).ok().await;
            (found["resolved"] == true).then_some(found)
        };
        let found = world.until("the provider has failed", look).await;
        assert_eq!(found["status"], "failed", "{found}");
        world.db().assert_closed(job, "failed", Some("PROVIDER_FAILED"), 60).await;
        assert_eq!(world.balance(&user).await, 1000);
    });
}
