//! Webhooks of providers: each authentic one is recorded and answered at once, its body is never
//! trusted, and it settles a step only once.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{
    CREDITS, Order, PRICE, TABLE, ask_at_every_sweep, deliver, lease_is_over, overdue, sweep_until,
    until_at_provider, until_cancelled_at_provider,
};

/// The statuses that the provider got for its webhooks about this job.
async fn answers(world: &World, order: &Order) -> Vec<Value> {
    let mut deliveries = world.deliveries().await;
    deliveries.retain(|delivery| {
        delivery["url"].as_str().is_some_and(|url| url.contains(&order.job.to_string()))
    });
    deliveries.into_iter().map(|delivery| delivery["status"].clone()).collect()
}

async fn inbox(world: &World, order: &Order) -> Vec<Value> {
    world
        .db()
        .rows(&format!(
            "select * from unstuck.webhook_inbox where job_id = '{}' order by id",
            order.job
        ))
        .await
}

async fn times(world: &World, order: &Order, event: &str) -> i64 {
    world.count(&format!("job_events where job_id = '{}' and event = '{event}'", order.job)).await
}

/// The body of a webhook about a task, genuine or forged.
fn body(task: &str, status: &str, results: &Value) -> Value {
    let data = json!({ "taskId": task, "status": status, "errorCode": "", "errorMessage": "",
        "results": results });
    json!({ "event": "TASK_END", "taskId": task, "eventData": data })
}

async fn cancel(world: &World, order: &Order) {
    let answer = world.admin_cancels(TABLE, order.job).await;
    assert_eq!(answer["refundedCredits"], PRICE);
}

#[test]
fn a_lost_one_is_made_good_by_the_next_sweep() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
        let order = Order::running(world).await;
        let report =
            sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        assert_has!(report, { "cleaned": 0, "refundedCredits": 0 });
        order.assert_completed(world).await;
        assert!(answers(world, &order).await.is_empty(), "nobody called");
    });
}

#[test]
fn one_about_another_s_task_keeps_nobody_from_the_deadline() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        let other = Order::running(world).await;
        other.assert_completed(world).await;
        world
            .script(json!({ "runninghub": { "all": true,
            "lost_answer": true, "webhook": "lost" } }))
            .await;
        let order = Order::new(world).await;
        order.run(world).ok().await;
        let astray = body(&other.task(world).await, "SUCCESS", &json!([]));
        assert_eq!(deliver(world, &order.webhook(world).await, &astray).await.status, 200);
        lease_is_over(world, order.job).await;
        overdue(world, order.job).await;
        sweep_until(world, "the deadline ends it", async |_| {
            order.row(world).await["status"] == "failed"
        })
        .await;
        order.assert_returned(world, "failed", "TIMEOUT").await;
        other.assert_completed(world).await;
    });
}

#[test]
fn an_early_one_is_not_lost() {
    e2e::run(async |world| {
        // The webhook arrives before the answer to the submit. With the delay, its background work
        // also runs before that answer.
        for delay_ms in [0, 600] {
            world
                .script(json!({ "reset": true, "runninghub": { "all": true, "webhook": "early",
                "delay_ms": delay_ms } }))
                .await;
            let order = Order::new(world).await;
            let answer = order.run(world).ok().await;
            assert!(answer["status"] == "running" || answer["status"] == "completed", "{answer}");
            assert!(answer["taskId"].is_string(), "{answer}");
            order.assert_completed(world).await;
            assert_eq!(answers(world, &order).await, [200]);
            assert_eq!(times(world, &order, "job_completed").await, 1);
            assert_eq!(order.submits(world).await, 1);
        }
    });
}

#[test]
fn a_late_one_changes_nothing() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        world.script(json!({ "runninghub": { "all": true, "webhook": "late" } })).await;
        let order = Order::running(world).await;
        sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        let before = order.assert_completed(world).await;
        world
            .until("the late call", async || {
                Some(answers(world, &order).await).filter(|all| *all == [200])
            })
            .await;
        world
            .until("it is dealt with", async || {
                inbox(world, &order)
                    .await
                    .first()
                    .filter(|row| !row["applied_at"].is_null())
                    .map(drop)
            })
            .await;
        assert_eq!(order.assert_completed(world).await, before);
    });
}

#[test]
fn a_doubled_one_completes_once() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "webhook": "twice" } })).await;
        let order = Order::running(world).await;
        order.assert_completed(world).await;
        world
            .until("both calls", async || {
                Some(answers(world, &order).await).filter(|all| *all == [200, 200])
            })
            .await;
        assert_eq!(inbox(world, &order).await.len(), 1, "the second one is known");
        assert_eq!(times(world, &order, "job_completed").await, 1);
        assert_eq!(world.db().entries(order.job).await, [-PRICE]);
    });
}

#[test]
fn a_forged_one_changes_nothing() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        world.script(json!({ "runninghub": { "all": true, "webhook": "forged" } })).await;
        let order = Order::running(world).await;
        world
            .until("three tries", async || {
                Some(answers(world, &order).await).filter(|all| *all == [401, 401, 401])
            })
            .await;
        assert!(inbox(world, &order).await.is_empty());
        assert_eq!(order.row(world).await["status"], "running");
        sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        order.assert_completed(world).await;
    });
}

#[test]
fn a_token_is_good_for_its_own_run_alone() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let (order, other) = (Order::running(world).await, Order::running(world).await);
        let (url, others) = (order.webhook(world).await, other.webhook(world).await);
        let token = url.rsplit('/').next().expect("a token").to_owned();
        let others_token = others.rsplit('/').next().expect("a token").to_owned();
        let job = order.job.to_string();
        let forged = [
            url.replace(&token, &others_token),
            url.replace(&token, &token[..31]),
            url.replace(
                &token,
                &token.to_uppercase().replace(|digit: char| digit.is_ascii_digit(), "0"),
            ),
            url.replace(&token, &"0".repeat(32)),
            format!("{url}0"),
            url.replace(&format!("/{job}/1/1/"), &format!("/{job}/1/2/")),
            url.replace(&format!("/{job}/1/1/"), &format!("/{job}/2/1/")),
            url.replace(&job, &Uuid::new_v4().to_string()),
            url.replace("/runninghub/", "/replicate/"),
            url.replace(&format!("/{token}"), ""),
            url.replace(&job, "not-a-job"),
        ];
        let said = body(&order.task(world).await, "SUCCESS", &json!([]));
        for url in forged {
            let answer = deliver(world, &url, &said).await;
            assert_eq!(answer.status, 401, "{url}: {}", answer.text);
            answer.expect_refusal(401, "unauthorized");
        }
        assert_eq!(world.count("webhook_inbox").await, 0);
        assert_eq!(order.row(world).await["status"], "running");
    });
}

#[test]
fn a_token_of_the_previous_secret_is_still_good() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let order = Order::running(world).await;
        // The secret is replaced while the provider works.
        let keys = world.stack().keys();
        let (new, old) = ("a new secret, just made".to_owned(), keys.webhook_secret.clone());
        let secrets = || {
            [
                ("WEBHOOK_SECRET".to_owned(), Some(new.clone())),
                ("WEBHOOK_SECRET_PREVIOUS".to_owned(), Some(old.clone())),
            ]
            .into()
        };
        world.restart_workers([("provider-webhook".to_owned(), secrets())].into()).await;
        world.finish(order.job).await;
        order.assert_completed(world).await;
        assert!(answers(world, &order).await.contains(&json!(200)));
    });
}

#[test]
fn a_redirected_one_gives_nobody_anothers_picture() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        let small = Order::sized(world, 4, 4).await;
        let large = Order::sized(world, 20, 10).await;
        world
            .script(json!({ "runninghub": [
            { "match": small.job, "webhook": "redirected", "work": "until_finished" },
            { "match": large.job, "work": "until_finished" },
        ] }))
            .await;
        small.starts(world).await;
        large.starts(world).await;
        world.finish(small.job).await;
        world
            .until("the redirected call", async || {
                Some(answers(world, &large).await).filter(|all| !all.is_empty())
            })
            .await;
        sweep_until(world, "the small one", async |_| {
            small.row(world).await["status"] == "completed"
        })
        .await;
        small.assert_completed(world).await;
        world.finish(large.job).await;
        large.assert_completed(world).await;
        let size = async |order: &Order| {
            let picture = order.picture(world).await;
            (picture.width(), picture.height())
        };
        assert_eq!(size(&small).await, (8, 8));
        assert_eq!(size(&large).await, (40, 20));
        assert!(
            answers(world, &large).await.iter().all(|status| status == 200),
            "authentic, if misled"
        );
    });
}

#[test]
fn both_forms_are_read() {
    e2e::run(async |world| {
        for form in ["string", "object"] {
            world
                .script(json!({ "reset": true, "runninghub": { "all": true,
                "webhook_form": form } }))
                .await;
            let order = Order::running(world).await;
            order.assert_completed(world).await;
            let body = &inbox(world, &order).await[0]["body"];
            assert_eq!(body["eventData"].is_string(), form == "string", "{body}");
        }
    });
}

#[test]
fn a_body_is_never_believed() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let order = Order::running(world).await;
        let (url, task) = (order.webhook(world).await, order.task(world).await);
        let picture = json!([{ "url": "https://evil.example/a.png", "outputType": "png" }]);
        let lies = [
            body(&task, "SUCCESS", &picture),
            body(&task, "FAILED", &Value::Null),
            body("1", "SUCCESS", &picture),
            json!({ "event": "TASK_END", "taskId": task,
                "eventData": "{\"code\":805,\"msg\":\"failed\"}" }),
            json!({}),
        ];
        for lie in &lies {
            assert_eq!(deliver(world, &url, lie).await.expect(200), json!({ "ok": true }));
        }
        let told = async || {
            Some(world.provider_calls("/query").await).filter(|calls| calls.len() >= lies.len() - 1)
        };
        world.until("the provider is asked each time", told).await;
        let row = order.row(world).await;
        assert_has!(row, { "status": "running", "output_url": null });
        assert_eq!(world.db().entries(order.job).await, [-PRICE]);
    });
}

#[test]
fn odd_bodies_are_kept_and_answered() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let order = Order::running(world).await;
        let url = order.webhook(world).await;
        let target = url.split("/functions/v1/").nth(1).expect("a path").to_owned();
        for text in [
            "",
            "hello",
            "[]",
            "null",
            "{\"taskId\":\"\\u0000\",\"x\\u0000\":\"a\\u0000b\"}",
            "{\"taskId\":{}}",
            "\u{feff}{}",
            "{\"a\":\"\\ud800\"}",
        ] {
            let answer = world.call(&target).body(text.to_owned()).send().await;
            assert_eq!(answer.status, 200, "{text:?}: {}", answer.text);
            assert_eq!(answer.json, json!({ "ok": true }));
        }
        world.call(&target).body("x".repeat(1_100_000)).refused(413, "payload_too_large").await;
        // A caller whose address has no good token gets 401, however large its body is, and nothing
        // is recorded.
        let token = target.rsplit('/').next().expect("a token").to_owned();
        for stranger in
            [target.replace(&token, &"0".repeat(32)), target.replace(&format!("/{token}"), "")]
        {
            for bytes in [0, 1_100_000, 2_000_000] {
                world.call(&stranger).body("x".repeat(bytes)).refused(401, "unauthorized").await;
            }
        }
        world.get(&target).refused(405, "method_not_allowed").await;
        assert_eq!(order.row(world).await["status"], "running");
    });
}

#[test]
fn repeats_are_answered_without_waiting_for_the_provider() {
    e2e::run(async |world| {
        // A query of the provider takes longer than this test, so any work that waited for one
        // would show.
        world
            .script(json!({ "runninghub": [{ "match": "/query", "delay_ms": 8000 },
            { "all": true, "hang": true }] }))
            .await;
        let order = Order::running(world).await;
        let (url, said) =
            (order.webhook(world).await, body(&order.task(world).await, "SUCCESS", &json!([])));
        for _ in 0..5 {
            assert_eq!(deliver(world, &url, &said).await.expect(200), json!({ "ok": true }));
        }
        let queries = world.provider_calls("/query").await;
        assert!(
            queries.iter().all(|query| query["status"].is_null()),
            "no query was answered yet: {queries:?}"
        );
        assert_eq!(inbox(world, &order).await.len(), 1);
    });
}

#[test]
fn after_a_cancel_it_is_kept_and_changes_nothing() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } }))
            .await;
        let order = Order::running(world).await;
        let (url, task) = (order.webhook(world).await, order.task(world).await);
        cancel(world, &order).await;
        until_cancelled_at_provider(world, &task).await;
        let before = order.assert_returned(world, "cancelled", "CANCELLED").await;
        assert_eq!(deliver(world, &url, &body(&task, "CANCEL", &Value::Null)).await.status, 200);
        world.until("it is kept", async || inbox(world, &order).await.pop()).await;
        assert_eq!(order.assert_returned(world, "cancelled", "CANCELLED").await, before);
    });
}

#[test]
fn a_success_after_a_cancel_is_recorded_and_not_shown() {
    e2e::run(async |world| {
        // The provider does not accept the cancel, and finishes the task.
        world
            .script(json!({ "runninghub": [{ "match": "/task/openapi/cancel", "status": 503 },
                { "all": true, "work": "until_finished" }] }))
            .await;
        let order = Order::running(world).await;
        let task = order.task(world).await;
        cancel(world, &order).await;
        world.finish(order.job).await;
        until_at_provider(world, &task, "SUCCESS").await;
        world
            .until("the late success is recorded", async || {
                (times(world, &order, "late_success").await == 1).then_some(())
            })
            .await;
        order.assert_returned(world, "cancelled", "CANCELLED").await;
        assert_eq!(world.balance(&order.user).await, CREDITS);
        let status = order.status(world).await;
        assert_has!(status, { "status": "cancelled", "outputUrl": null });
        assert_eq!(
            order.step(world).await["provider_cancel_due"],
            json!([]),
            "a finished task is no cancel debt"
        );
    });
}

#[test]
fn a_success_after_a_cancel_of_a_lost_answer_is_recorded_and_not_shown() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true,
                "lost_answer": true, "work": "until_finished" } }))
            .await;
        let order = Order::new(world).await;
        order.run(world).ok().await;
        cancel(world, &order).await;
        world.finish(order.job).await;
        let recorded = async || (times(world, &order, "late_success").await == 1).then_some(());
        world.until("the late success is recorded", recorded).await;
        order.assert_returned(world, "cancelled", "CANCELLED").await;
        assert_eq!(order.submits(world).await, 1);
    });
}

/// The task that the provider gave to a submit, whether or not its answer arrived.
async fn given_task(world: &World, order: &Order) -> String {
    let look = async || {
        let submits = world.submits_of(order.job).await;
        submits.first().and_then(|submit| submit["task_id"].as_str().map(str::to_owned))
    };
    world.until("the provider has taken it", look).await
}

/// Waits until the recorded webhooks of this step are marked as applied.
async fn until_dealt_with(world: &World, order: &Order, calls: usize) {
    let look = async || {
        let kept = inbox(world, order).await;
        (kept.len() >= calls && kept.iter().take(calls).all(|row| !row["applied_at"].is_null()))
            .then_some(())
    };
    world.until("the calls are dealt with", look).await;
}

async fn assert_never_cancelled(world: &World, task: &str) {
    let calls = world.provider_calls("/task/openapi/cancel").await;
    assert!(calls.iter().all(|call| call["body"]["taskId"] != task), "{calls:#?}");
    let owed = format!(
        "select count(*) from unstuck.job_steps where provider_cancel_due::text like '%{task}%'"
    );
    assert_eq!(world.db().int(&owed).await, 0, "no step has a cancel debt of {task}");
}

#[test]
fn the_address_of_an_ended_step_touches_no_other_step_s_task() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        for status in ["RUNNING", "SUCCESS", "FAILED"] {
            let (ended, lost, other) =
                (Order::new(world).await, Order::new(world).await, Order::new(world).await);
            // Both submits lost their answers, so no step has a known task.
            world
                .script(json!({ "reset": true, "runninghub": [
                { "match": ended.job, "lost_answer": true, "work": "until_finished" },
                { "match": lost.job, "lost_answer": true, "work": "until_finished" },
                { "match": other.job, "work": "until_finished" },
            ] }))
                .await;
            ended.run(world).ok().await;
            lost.run(world).ok().await;
            other.starts(world).await;
            cancel(world, &ended).await;
            let (theirs, unknown) = (other.task(world).await, given_task(world, &lost).await);
            let address = ended.webhook(world).await;
            for task in [&theirs, &unknown] {
                assert_eq!(
                    deliver(world, &address, &body(task, status, &json!([]))).await.status,
                    200
                );
            }
            until_dealt_with(world, &ended, 2).await;
            world.sweep().await;
            for order in [&ended, &lost, &other] {
                world.finish(order.job).await;
            }
            for (order, task) in [(&other, &theirs), (&lost, &unknown)] {
                order.assert_completed(world).await;
                assert_never_cancelled(world, task).await;
            }
            ended.assert_returned(world, "cancelled", "CANCELLED").await;
        }
    });
}

#[test]
fn a_step_whose_answer_was_lost_takes_no_running_task_on_a_call_s_word() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        let (misled, other) = (Order::new(world).await, Order::new(world).await);
        world
            .script(json!({ "runninghub": { "all": true,
                "lost_answer": true, "work": "until_finished" } }))
            .await;
        misled.run(world).ok().await;
        other.run(world).ok().await;
        let task = given_task(world, &other).await;
        let address = misled.webhook(world).await;
        assert_eq!(deliver(world, &address, &body(&task, "SUCCESS", &json!([]))).await.status, 200);
        let asked = async || {
            world
                .provider_calls("/query")
                .await
                .iter()
                .any(|call| call["body"]["taskId"] == json!(task))
                .then_some(())
        };
        world.until("the provider was asked", asked).await;
        // After its deadline the misled step ends, and the other job's task is not cancelled.
        lease_is_over(world, misled.job).await;
        overdue(world, misled.job).await;
        sweep_until(world, "the deadline ends it", async |_| {
            misled.row(world).await["status"] == "failed"
        })
        .await;
        misled.assert_returned(world, "failed", "TIMEOUT").await;
        world.finish(other.job).await;
        other.assert_completed(world).await;
        assert_never_cancelled(world, &task).await;
    });
}

#[test]
fn a_success_after_the_deadline_is_recorded_and_not_shown() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": [{ "match": "/task/openapi/cancel", "status": 503 },
                { "all": true, "work": "until_finished" }] }))
            .await;
        let order = Order::running(world).await;
        overdue(world, order.job).await;
        world.sweep().await;
        order.assert_returned(world, "failed", "TIMEOUT").await;
        world.finish(order.job).await;
        let recorded = async || (times(world, &order, "late_success").await == 1).then_some(());
        world.until("the late success is recorded", recorded).await;
        order.assert_returned(world, "failed", "TIMEOUT").await;
        assert_eq!(world.balance(&order.user).await, CREDITS);
    });
}

#[test]
fn it_settles_a_step_whose_answer_was_lost_even_if_its_hint_was_lost_too() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true,
            "lost_answer": true, "webhook": "lost" } }))
            .await;
        let order = Order::new(world).await;
        order.run(world).ok().await;
        let submit = world.submits_of(order.job).await.remove(0);
        let task = submit["task_id"].as_str().expect("a task").to_owned();
        until_at_provider(world, &task, "SUCCESS").await;
        // Records the webhook without telling a worker, as if the webhook's background work had
        // died.
        let args = json!({
            "p_provider": "runninghub", "p_job_id": order.job, "p_step": 1, "p_run": 1,
            "p_task_id": task,
            "p_dedup_key": "lost hint", "p_body": body(&task, "SUCCESS", &Value::Null),
        });
        world.db().ask("webhook_record_v1", args).await;
        lease_is_over(world, order.job).await;
        let report =
            sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        assert_eq!(report["refundedCredits"], 0, "{report}");
        order.assert_completed(world).await;
        assert_eq!(order.submits(world).await, 1);
    });
}
