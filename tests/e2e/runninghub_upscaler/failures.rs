//! How a job ends when the provider refuses, has no capacity, has a passing fault, or does not
//! answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::order::{
    CREDITS, Order, PRICE, ask_at_every_sweep, lease_is_over, overdue, retry_now, sweep_until,
    until_cancelled_at_provider,
};

/// Makes the provider refuse this order's submit once, with that code in that shape.
async fn refuse(world: &World, order: &Order, code: i64, shape: i64) {
    let rule = json!({ "match": order.job, "times": 1, "code": code, "shape": shape });
    world.script(json!({ "runninghub": rule })).await;
}

#[test]
fn a_refusal_fails_the_job_and_returns_the_credits() {
    e2e::run(async |world| {
        for (code, word) in [
            (301, "PROVIDER_REJECTED"),
            (380, "PROVIDER_REJECTED"),
            (412, "PROVIDER_REJECTED"),
            (416, "PROVIDER_REJECTED"),
            (433, "PROVIDER_REJECTED"),
            (803, "PROVIDER_REJECTED"),
            (901, "PROVIDER_REJECTED"),
            (1007, "PROVIDER_REJECTED"),
            (1014, "PROVIDER_REJECTED"),
            (1101, "PROVIDER_REJECTED"),
            (987_654, "PROVIDER_REJECTED"),
            (1501, "CONTENT_REFUSED"),
            (1505, "CONTENT_REFUSED"),
        ] {
            for shape in [1, 2, 3] {
                let order = Order::new(world).await;
                refuse(world, &order, code, shape).await;
                let refusal = order.run(world).refused(422, "provider_rejected").await;
                // An HTTP status alone does not say why.
                let word = if shape == 3 { "PROVIDER_REJECTED" } else { word };
                assert_rejected(world, &order, &refusal, word).await;
                // Three such refusals in a row would open the circuit and let the next order wait.
                world.close_circuits().await;
            }
        }
    });
}

async fn assert_rejected(world: &World, order: &Order, refusal: &Value, word: &str) {
    assert_has!(refusal, { "refunded": true, "refundedCredits": PRICE });
    let message = refusal["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(&format!("{word}: ")), "{message}");
    order.assert_returned(world, "failed", word).await;
    assert_eq!(world.balance(&order.user).await, CREDITS);
    assert_eq!(order.submits(world).await, 1);
    let replay = order.run(world).ok().await;
    assert_has!(replay, { "replayed": true, "status": "failed" });
    assert_eq!(order.submits(world).await, 1, "a replay submits nothing");
}

#[test]
fn a_full_provider_puts_the_job_back_and_not_to_failure() {
    e2e::run(async |world| {
        for code in [421, 415, 814, 1003, 1520] {
            for shape in [1, 2, 3] {
                let order = Order::new(world).await;
                refuse(world, &order, code, shape).await;
                assert_full(world, &order).await;
                world.admin_cancels(order.tool.table, order.job).await;
                world.set_provider("runninghub", "learned_limit = null").await;
            }
        }
        let order = Order::new(world).await;
        world
            .script(json!({ "runninghub": { "match": order.job, "times": 1, "status": 429 } }))
            .await;
        assert_full(world, &order).await;
        retry_now(world, order.job).await;
        world.sweep().await;
        order.assert_completed(world).await;
        assert_eq!(order.submits(world).await, 2);
        let waited_long = format!(
            "select j.queued_at < s.claimed_at - interval '2 seconds'
             from unstuck.jobs j join unstuck.job_steps s on s.job_id = j.id where j.id = '{}'",
            order.job
        );
        assert_eq!(
            order.row(world).await["waited_in_queue"],
            world.db().value(&waited_long).await,
            "less than two seconds in the queue do not count"
        );
    });
}

/// Asserts that the job is queued and that the provider's learned limit is 0 until a probe.
async fn assert_full(world: &World, order: &Order) {
    // The step has no delay of its own, so a freed slot or a probe starts it at once.
    assert_put_back(world, order, 0..=0).await;
    assert_eq!(order.step(world).await["attempts"], 0, "a full provider is no attempt");
    let full = "providers where learned_limit = 0 and limit_probe_at > clock_timestamp()";
    assert_eq!(world.count(full).await, 1);
    assert_has!(order.status(world).await, { "status": "queued", "errorCode": "PROVIDER_BUSY" });
}

/// Asserts that the job is queued and paid, with a position and an estimate, and that its retry is
/// due in that many seconds.
async fn assert_put_back(world: &World, order: &Order, seconds: std::ops::RangeInclusive<i64>) {
    let answer = order.run(world).ok().await;
    assert_has!(answer, { "queued": true, "status": "queued" });
    assert!(answer["position"].is_u64() && answer["etaSeconds"].is_u64(), "{answer}");
    assert_eq!(answer["balance"], CREDITS - PRICE);
    let step = order.step(world).await;
    assert_has!(step, { "status": "queued", "sent_at": null, "lease_until": null });
    let sql = format!(
        "select coalesce(ceil(extract(epoch from not_before - clock_timestamp())), 0)::int
            from unstuck.job_steps where job_id = '{}'",
        order.job
    );
    let wait = world.db().int(&sql).await;
    assert!(seconds.contains(&wait), "tried again in {wait} s");
    assert_eq!(world.db().entries(order.job).await, [-PRICE]);
}

#[test]
fn a_passing_fault_is_tried_a_few_times_and_then_returned() {
    e2e::run(async |world| {
        let faults = [
            json!({ "code": 500, "shape": 1 }),
            json!({ "code": 1011, "shape": 2 }),
            json!({ "code": 1010, "shape": 3 }),
            json!({ "status": 502, "body": "<html>Bad Gateway</html>" }),
        ];
        for fault in faults {
            let order = Order::new(world).await;
            let mut rule = fault.clone();
            rule["match"] = json!(order.job);
            world.script(json!({ "runninghub": rule })).await;
            assert_put_back(world, &order, 0..=60).await;
            for attempts in 1..3 {
                assert_eq!(order.step(world).await["attempts"], attempts, "{fault}");
                assert!(order.is_active(world).await);
                retry_now(world, order.job).await;
                world.call("runninghub-queue-manager/process-next").by_service().ok().await;
            }
            order.assert_returned(world, "failed", "PROVIDER_FAILED").await;
            assert_eq!(order.submits(world).await, 3, "{fault}");
        }
    });
}

#[test]
fn a_passing_fault_that_passes_costs_nothing_but_time() {
    e2e::run(async |world| {
        for code in [1000, 1005, 1006, 1012, 1013, 1015, 1504] {
            let order = Order::new(world).await;
            refuse(world, &order, code, 2).await;
            assert_put_back(world, &order, 0..=60).await;
            retry_now(world, order.job).await;
            world.sweep().await;
            order.assert_completed(world).await;
            assert_eq!(order.submits(world).await, 2, "{code}");
        }
    });
}

/// Asserts that a submit without an answer is neither refunded nor sent a second time.
async fn assert_unknown(world: &World, order: &Order) {
    let answer = order.run(world).ok().await;
    assert_has!(answer, { "status": "running", "taskId": null });
    assert_eq!(answer["balance"], CREDITS - PRICE);
    for _ in 0..2 {
        lease_is_over(world, order.job).await;
        world.sweep().await;
    }
    let row = order.row(world).await;
    assert!(row["status"] == "starting" || row["status"] == "running", "{row:#}");
    assert_eq!(world.db().entries(order.job).await, [-PRICE]);
    assert_eq!(order.submits(world).await, 1, "never sent twice");
    assert!(order.is_active(world).await);
}

async fn assert_settled_by_the_deadline(world: &World, order: &Order) {
    overdue(world, order.job).await;
    sweep_until(world, "the job is over", async |_| order.row(world).await["status"] == "failed")
        .await;
    order.assert_returned(world, "failed", "TIMEOUT").await;
    world.sweep().await;
    assert_eq!(order.submits(world).await, 1, "never sent twice");
}

#[test]
fn a_lost_answer_waits_for_the_deadline_where_nobody_tells() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        world
            .script(json!({ "runninghub": { "all": true,
            "lost_answer": true, "webhook": "lost" } }))
            .await;
        assert_unknown(world, &order).await;
        assert_settled_by_the_deadline(world, &order).await;
    });
}

#[test]
fn a_lost_answer_is_settled_by_the_webhook() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        world
            .script(json!({ "runninghub": { "all": true,
                "lost_answer": true, "work": "until_finished" } }))
            .await;
        let answer = order.run(world).ok().await;
        assert_has!(answer, { "status": "running", "taskId": null });
        world.finish(order.job).await;
        order.assert_completed(world).await;
        assert_eq!(order.submits(world).await, 1);
        assert!(!order.task(world).await.is_empty(), "the webhook told the task");
    });
}

#[test]
fn an_answer_that_says_nothing_is_no_answer() {
    e2e::run(async |world| {
        for body in [
            json!("<html>welcome</html>"),
            json!({}),
            json!({ "code": 0, "data": null }),
            json!({ "taskId": 0 }),
        ] {
            let order = Order::new(world).await;
            world
                .script(
                    json!({ "runninghub": { "match": order.job, "status": 200, "body": body } }),
                )
                .await;
            assert_unknown(world, &order).await;
            assert_settled_by_the_deadline(world, &order).await;
        }
    });
}

#[test]
fn a_submit_that_times_out_is_never_repeated() {
    e2e::run(async |world| {
        // The provider takes longer than the 20 s that a submit may take. It works on the task
        // meanwhile, and its webhook is lost.
        let order = Order::new(world).await;
        world
            .script(json!({ "runninghub": { "all": true,
            "delay_ms": 21_500, "webhook": "lost" } }))
            .await;
        assert_unknown(world, &order).await;
        assert_settled_by_the_deadline(world, &order).await;
    });
}

#[test]
fn a_provider_that_cannot_be_reached_costs_nothing() {
    e2e::run(async |world| {
        let nowhere = || {
            BTreeMap::from([(
                "RUNNINGHUB_BASE_URL".to_owned(),
                Some("http://127.0.0.1:9".to_owned()),
            )])
        };
        let functions = ["runninghub-upscaler", "runninghub-queue-manager", "cleanup-stale-jobs"];
        world
            .restart_workers(functions.iter().map(|name| ((*name).to_owned(), nowhere())).collect())
            .await;
        let order = Order::new(world).await;
        let answer = order.run(world).ok().await;
        assert!(answer["status"] == "queued" || answer["status"] == "running", "{answer}");
        assert_eq!(world.db().entries(order.job).await, [-PRICE]);
        // The job may still be queued or count as sent; after its deadline it has ended in both
        // cases.
        overdue(world, order.job).await;
        world.sweep().await;
        lease_is_over(world, order.job).await;
        sweep_until(world, "the job is over", async |_| {
            order.row(world).await["status"] == "failed"
        })
        .await;
        let row = order.row(world).await;
        assert_eq!(row["credits_refunded"], PRICE, "{row:#}");
        assert_eq!(world.balance(&order.user).await, CREDITS);
        assert_eq!(order.submits(world).await, 0);
    });
}

#[test]
fn a_task_id_that_is_a_number_keeps_all_its_digits() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "id_as": "number" } })).await;
        let order = Order::new(world).await;
        let answer = order.starts(world).await;
        let submit = world.submits_of(order.job).await.remove(0);
        assert_eq!(answer["taskId"], submit["task_id"], "{answer}");
        assert_eq!(answer["taskId"].as_str().map(str::len), Some(19));
        order.assert_completed(world).await;
    });
}

#[test]
fn a_failure_announced_with_the_task_is_a_refusal() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true,
            "node_errors": { "3": "bad input" } } }))
            .await;
        let order = Order::new(world).await;
        let refusal = order.run(world).refused(422, "provider_rejected").await;
        assert_eq!(refusal["refundedCredits"], PRICE, "{refusal}");
        order.assert_returned(world, "failed", "PROVIDER_REJECTED").await;
    });
}

#[test]
fn work_that_fails_is_returned_with_the_reason() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "fail": "CUDA out of memory" } })).await;
        let order = Order::running(world).await;
        let row = order.assert_returned(world, "failed", "PROVIDER_FAILED").await;
        let message = row["error_message"].as_str().unwrap_or_default();
        assert!(
            message.contains("CUDA out of memory") && message.contains("60 credits"),
            "{message}"
        );
        let status = order.status(world).await;
        assert_has!(status, { "status": "failed", "errorCode": "PROVIDER_FAILED" });
        assert_has!(status, { "creditsRefunded": PRICE, "errorMessage": row["error_message"] });
    });
}

/// A provider's words may quote our request, and with it the webhook's address, which only the
/// provider may know.
#[test]
fn what_a_provider_says_names_no_address() {
    e2e::run(async |world| {
        const SECRET: &str = "0123456789abcdef0123456789abcdef";
        let quoted = format!(
            "cannot call https://gate.example/functions/v1/provider-webhook/runninghub/x/1/1/\
             {SECRET}, \u{202e}see\u{0}\n\
             www.a.example or gate.example/functions/v1/{SECRET}"
        );
        let told = |row: &Value, code: &str| {
            let message = row["error_message"].as_str().unwrap_or_default();
            assert!(
                message.starts_with(code)
                    && message.contains('…')
                    && message.contains("60 credits"),
                "{message}"
            );
            for part in ["://", "example", SECRET, "provider-webhook", "\u{202e}", "\n"] {
                assert!(!message.contains(part), "{part:?} in {message}");
            }
        };
        world.script(json!({ "runninghub": { "all": true, "fail": quoted } })).await;
        let failed = Order::running(world).await;
        told(&failed.assert_returned(world, "failed", "PROVIDER_FAILED").await, "PROVIDER_FAILED");
        for shape in [
            json!({ "code": 301, "msg": quoted }),
            json!({ "errorCode": "1007", "errorMessage": quoted }),
        ] {
            world
                .script(json!({ "reset": true, "runninghub": { "all": true,
                    "status": 200, "body": shape } }))
                .await;
            let refused = Order::new(world).await;
            let refusal = refused.run(world).refused(422, "provider_rejected").await;
            assert!(
                !refusal.to_string().contains(SECRET) && !refusal.to_string().contains("://"),
                "{refusal}"
            );
            told(
                &refused.assert_returned(world, "failed", "PROVIDER_REJECTED").await,
                "PROVIDER_REJECTED",
            );
        }
        let kept = "select string_agg(e::text, ' ') from unstuck.job_events e";
        let kept = world.db().value(kept).await.to_string();
        assert!(!kept.contains(SECRET), "{kept}");
    });
}

#[test]
fn content_found_out_later_is_refused_and_a_passing_fault_then_is_tried_again() {
    e2e::run(async |world| {
        let refused = Order::new(world).await;
        world
            .script(
                json!({ "runninghub": { "match": refused.job, "fail": "nudity", "code": 1501 } }),
            )
            .await;
        refused.starts(world).await;
        refused.assert_returned(world, "failed", "CONTENT_REFUSED").await;

        let passing = Order::new(world).await;
        world
            .script(json!({ "runninghub": { "match": passing.job, "times": 1, "fail": "busy",
            "code": 1011 } }))
            .await;
        passing.starts(world).await;
        world.until_status(passing.job, "queued").await;
        retry_now(world, passing.job).await;
        world.sweep().await;
        passing.assert_completed(world).await;
        assert_eq!(passing.submits(world).await, 2);
    });
}

#[test]
fn a_picture_the_provider_cannot_read_is_returned() {
    e2e::run(async |world| {
        let user = world.new_user(CREDITS).await;
        let url = world.upload(&user, "in.png", "image/png", b"not a picture".to_vec()).await;
        let order = Order::of(user, &url);
        order.starts(world).await;
        order.assert_returned(world, "failed", "PROVIDER_FAILED").await;
    });
}

#[test]
fn a_task_the_provider_has_forgotten_is_returned() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        for code in [1004, 807, 423] {
            let order = Order::new(world).await;
            world.script(json!({ "runninghub": [{ "match": order.job, "hang": true }] })).await;
            order.starts(world).await;
            let task = order.task(world).await;
            let query = format!("query {{\"taskId\":\"{task}\"}}");
            let refusal = json!({ "match": query, "code": code, "shape": 2 });
            world.script(json!({ "runninghub": refusal })).await;
            sweep_until(world, "the job is over", async |_| {
                order.row(world).await["status"] == "failed"
            })
            .await;
            order.assert_returned(world, "failed", "PROVIDER_FAILED").await;
            world.script(json!({ "reset": true })).await;
        }
    });
}

#[test]
fn a_query_that_meets_an_error_says_nothing_about_the_task() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        world
            .script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } }))
            .await;
        let order = Order::running(world).await;
        for silence in [
            json!({ "match": "/query", "status": 503 }),
            json!({ "match": "/query", "status": 401 }),
            json!({ "match": "/query", "lost_answer": true }),
            json!({ "match": "/query", "status": 200, "body": "<html>" }),
            json!({ "match": "/query", "code": 1003, "shape": 2 }),
            json!({ "match": "/query", "code": 500, "shape": 1 }),
        ] {
            world.script(json!({ "reset": true, "runninghub": silence })).await;
            world.sweep().await;
            assert_eq!(order.row(world).await["status"], "running", "{silence}");
        }
        world.script(json!({ "reset": true })).await;
        let task = order.task(world).await;
        overdue(world, order.job).await;
        sweep_until(world, "the job is over", async |_| {
            order.row(world).await["status"] == "failed"
        })
        .await;
        order.assert_returned(world, "failed", "TIMEOUT").await;
        until_cancelled_at_provider(world, &task).await;
    });
}
