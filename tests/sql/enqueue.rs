//! Orders: a request becomes a paid, queued job, or changes nothing.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, VIDEO, enqueue_args};
use uuid::Uuid;

#[tokio::test]
async fn an_order_takes_the_price_once_and_queues_the_job() {
    let db = Database::fresh().await;
    let user = db.user(100).await;
    let job = Uuid::new_v4();
    let answer = db.enqueue(user, job, UPSCALER, 1).await.unwrap();
    assert_has!(answer, { "job_id": job, "status": "queued", "replayed": false });
    assert_has!(answer, { "credits_charged": 60, "balance": 40 });
    assert_eq!(db.entries(job).await, [-60]);
    let step = db.step(job, 1).await;
    assert_has!(step, { "status": "queued", "share": 60, "run": 0 });
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_repeated_request_changes_nothing() {
    let db = Database::fresh().await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    let again = db.enqueue(user, job, UPSCALER, 1).await.unwrap();
    assert_has!(again, { "replayed": true, "status": "queued", "position": 1 });
    assert!(again["eta_seconds"].as_i64().unwrap() > 0);
    assert_eq!(db.balance(user).await, 40);

    db.cancel(user, job).await.unwrap();
    let after = db.enqueue(user, job, UPSCALER, 1).await.unwrap();
    assert_has!(after, { "replayed": true, "status": "cancelled", "credits_refunded": 60 });
    assert_eq!(db.balance(user).await, 100);
    assert_eq!(db.count("jobs").await, 1);
    db.assert_healthy().await;
}

#[tokio::test]
async fn every_refusal_leaves_nothing_behind() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(60).await, db.user(60).await);
    let job = db.order(user, UPSCALER, 1).await;
    let poor = db.user(59).await;
    db.set_tool(VIDEO, "enabled = false").await;
    let stored = "select (select count(*) from jobs) as jobs,
        (select count(*) from credit_entries) as entries";
    let before = db.row(stored).await;
    let new = Uuid::new_v4;
    let bad = |name: &str, value: Value| {
        let mut args = enqueue_args(other, new(), UPSCALER, 1);
        args[name] = value;
        (args, "PT400", "bad_request", json!({}))
    };
    let mut changed = enqueue_args(user, job, UPSCALER, 1);
    changed["p_request_hash"] = json!("else");
    let active = json!({ "activeJobId": job, "activeTool": UPSCALER, "activeStatus": "queued" });
    let money = json!({ "balance": 59, "required": 60 });
    let cases = [
        bad("p_tool", json!("no-such-tool")),
        bad("p_steps", json!([])),
        bad("p_steps", json!({ "url": "x" })),
        bad("p_steps", json!(null)),
        bad("p_user_id", json!(null)),
        bad("p_job_id", json!(null)),
        bad("p_request_hash", json!("")),
        (enqueue_args(other, new(), VIDEO, 1), "PT503", "tool_disabled", json!({})),
        (enqueue_args(other, job, UPSCALER, 1), "PT409", "idempotency_conflict", json!({})),
        (changed, "PT409", "idempotency_conflict", json!({})),
        (enqueue_args(user, new(), UPSCALER, 1), "PT409", "active_job_exists", active),
        (enqueue_args(poor, new(), UPSCALER, 1), "PT402", "insufficient_credits", money),
    ];
    for (args, state, message, detail) in cases {
        let error = db.refusal("job_enqueue_v1", args).await;
        assert_eq!(error.reason(), (state, message));
        assert_eq!(error.detail, detail);
    }
    assert_eq!(db.row(stored).await, before);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_refused_id_may_be_ordered_after_a_purchase() {
    let db = Database::fresh().await;
    let user = db.user(10).await;
    let job = Uuid::new_v4();
    assert_eq!(
        db.enqueue(user, job, UPSCALER, 1).await.unwrap_err().message,
        "insufficient_credits"
    );
    db.grant(user, 50).await;
    assert_eq!(db.enqueue(user, job, UPSCALER, 1).await.unwrap()["replayed"], false);
    assert_eq!(db.balance(user).await, 0);
}

#[tokio::test]
async fn a_user_has_one_live_job_over_all_tools_of_an_exclusive_group() {
    let db = Database::fresh().await;
    db.exec("update tools set enabled = true").await;
    let (user, job) = db.ordered(1000, VIDEO, 1).await;
    let error = db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(error.detail["activeJobId"], json!(job));
    // The user may order tools of other groups, and other users may order.
    db.order(user, CARDS, 3).await;
    let other = db.user(60).await;
    db.order(other, UPSCALER, 1).await;
    db.cancel(user, job).await.unwrap();
    db.order(user, UPSCALER, 1).await;
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_request_that_its_user_cancelled_before_it_arrived_never_runs() {
    let db = Database::fresh().await;
    let user = db.user(100).await;
    let job = Uuid::new_v4();
    let rows = db.cancel_session(user, "session", &[job]).await;
    assert!(rows.is_empty());
    let error = db.enqueue(user, job, UPSCALER, 1).await.unwrap_err();
    assert_eq!(
        (error.message.as_str(), &error.detail),
        ("already_final", &json!({ "status": "cancelled", "refundedCredits": 0 }))
    );
    // For another user the same id is a new one.
    let other = db.user(60).await;
    db.enqueue(other, job, UPSCALER, 1).await.unwrap();
    assert_eq!(db.balance(user).await, 100);
}

#[tokio::test]
async fn an_order_that_would_wait_longer_than_its_tools_deadline_is_refused() {
    let db = Database::fresh().await;
    let (first, second, third) = (db.user(60).await, db.user(60).await, db.user(60).await);
    let job = db.order(first, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "t1").await;
    db.set_steps(job, "started_at = started_at - interval '2 hours'").await;
    db.done(attempt, "t1").await;
    db.complete(attempt).await;
    db.set_slots("runninghub", 1).await;
    // A job takes two hours. An order is accepted if a slot is free; if it must wait for one, it
    // would wait longer than the ten minutes that it may.
    db.order(second, UPSCALER, 1).await;
    db.run("runninghub", "t2").await;
    let error = db.enqueue(third, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(error.reason(), ("PT503", "queue_full"));
    assert!(error.detail["retry_after"].as_i64().unwrap() > 0);
    assert_eq!(db.balance(third).await, 60);
}

#[tokio::test]
async fn a_free_tool_writes_no_entry() {
    let db = Database::fresh().await;
    db.set_tool(UPSCALER, "credit_cost = 0").await;
    let (user, job) = db.ordered(0, UPSCALER, 1).await;
    assert!(db.entries(job).await.is_empty());
    db.cancel(user, job).await.unwrap();
    db.assert_cancelled(job, 0).await;
    assert!(db.entries(job).await.is_empty());
}

#[tokio::test]
async fn shares_add_up_to_the_price_and_come_back_exactly() {
    let db = Database::open().await;
    for steps in 1..=7 {
        for price in [0, 1, 2, 6, 7, 10, 59, 100, 101] {
            db.set_tool(CARDS, &format!("credit_cost = {price}, priced_per = 'job'")).await;
            let user = db.user(price.max(1)).await;
            let start = db.balance(user).await;
            let job = db.order(user, CARDS, steps as usize).await;
            let shares = db
                .rows(&format!("select share from job_steps where job_id = '{job}' order by step"))
                .await;
            let shares: Vec<i64> =
                shares.iter().map(|row| row["share"].as_i64().unwrap()).collect();
            assert_eq!(shares.iter().sum::<i64>(), price, "{price} over {steps}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");

            // Every second step is delivered, and the shares of the others are refunded.
            db.exec("update providers set max_concurrent = 20").await;
            let mut kept = 0;
            for attempt in db.claim("gemini", 20).await {
                if attempt.step % 2 == 0 {
                    assert_eq!(db.complete(attempt).await["outcome"], "completed");
                    kept += shares[attempt.step as usize - 1];
                } else {
                    assert_eq!(db.fail(attempt, "CONTENT_REFUSED").await["outcome"], "failed");
                }
            }
            assert_eq!(db.balance(user).await, start - kept, "{price} over {steps}");
        }
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_step_price_is_taken_for_each_step() {
    let db = Database::open().await;
    let (_, job) = db.ordered(1000, TRY_ON, 5).await;
    assert_eq!(db.entries(job).await, [-200]);
    assert_eq!(db.step_statuses(job).await, ["queued", "blocked", "blocked", "blocked", "blocked"]);
}
