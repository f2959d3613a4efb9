//! Cancels by the user, by the session that closes, by an admin; and the admin's requeue.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{TRY_ON, UPSCALER, id};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

#[tokio::test]
async fn a_user_cancels_a_waiting_job_once() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    let answer = db.cancel(user, job).await.unwrap();
    assert_eq!(
        answer,
        json!({ "status": "cancelled", "refunded_credits": 60, "provider": "runninghub" })
    );
    let error = db.cancel(user, job).await.unwrap_err();
    assert_eq!(error.reason(), ("PT409", "already_final"));
    assert_eq!(error.detail, json!({ "status": "cancelled", "refundedCredits": 60 }));
    assert_eq!(db.balance(user).await, 60);
    assert!(db.claim(PROVIDER, 3).await.is_empty());
    db.assert_cancelled(job, 60).await;
}

#[tokio::test]
async fn a_user_cancels_only_own_jobs_of_the_named_table() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(60).await, db.user(60).await);
    let job = db.order(user, UPSCALER, 1).await;
    let cases = [
        (other, "upscaler_jobs", job, "PT404"),
        (user, "upscaler_jobs", Uuid::new_v4(), "PT404"),
        (user, "veste_ai_jobs", job, "PT404"),
        (user, "jobs", job, "PT400"),
        (user, "no_such_table", job, "PT400"),
    ];
    for (caller, table, job, state) in cases {
        let error = db
            .refusal(
                "job_cancel_v1",
                json!({ "p_user_id": caller, "p_table": table, "p_job_id": job }),
            )
            .await;
        assert_eq!(error.state, state, "{table}");
    }
    assert_eq!(
        db.refusal("job_cancel_v1", json!({ "p_user_id": user, "p_table": null, "p_job_id": job }))
            .await
            .state,
        "PT400"
    );
    assert_eq!(db.job(job).await["status"], "queued");
}

#[tokio::test]
async fn a_running_job_is_cancelled_by_its_user_only_where_the_tool_allows_it() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    let attempt = db.claim_one(PROVIDER).await;
    for _ in ["starting", "running"] {
        let error = db.cancel(user, job).await.unwrap_err();
        assert_eq!(error.reason(), ("PT409", "in_progress"));
        db.sent(attempt).await;
        db.started(attempt, "t1").await;
    }
    db.exec("update tools set user_cancel_running = true").await;
    assert_eq!(db.cancel(user, job).await.unwrap()["refunded_credits"], 60);
    db.assert_cancelled(job, 60).await;
    db.assert_cancel_due(job, "t1", 1).await;
}

#[tokio::test]
async fn a_cancel_beats_a_pending_retry() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    let attempt = db.claim_one(PROVIDER).await;
    db.sent(attempt).await;
    db.requeue(attempt, "transient", 0).await;
    db.cancel(user, job).await.unwrap();
    assert!(db.claim(PROVIDER, 3).await.is_empty());
    db.assert_cancelled(job, 60).await;
}

#[tokio::test]
async fn an_admin_cancels_any_live_job_once() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let mut jobs = vec![db.order(user, UPSCALER, 1).await];
    db.claim_one(PROVIDER).await;
    jobs.push(db.order(user, UPSCALER, 1).await);
    db.run(PROVIDER, "t1").await;
    jobs.push(db.order(user, UPSCALER, 1).await);
    for job in jobs {
        let answer = db.cancel_as_admin(admin, job).await.unwrap();
        assert_eq!(
            answer,
            json!({ "status": "cancelled", "refunded_credits": 60, "provider": PROVIDER })
        );
        let error = db.cancel_as_admin(admin, job).await.unwrap_err();
        assert_eq!(error.detail, json!({ "status": "cancelled", "refundedCredits": 60 }));
        db.assert_cancelled(job, 60).await;
    }
    assert_eq!(db.balance(user).await, 1000);
}

#[tokio::test]
async fn the_role_is_read_now_and_before_anything_is_told() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (user, job) = db.upscale().await;
    let call = |actor: Value, table: &str, job: Uuid| {
        json!({ "p_actor": actor, "p_table": table,
        "p_job_id": job, "p_reason": "test" })
    };
    for (actor, table, job, state) in [
        (json!(user), "upscaler_jobs", job, "PT403"),
        (json!(user), "no_such_table", Uuid::new_v4(), "PT403"),
        (json!(null), "upscaler_jobs", job, "PT403"),
        (json!(admin), "no_such_table", job, "PT400"),
        (json!(admin), "veste_ai_jobs", job, "PT404"),
        (json!(admin), "upscaler_jobs", Uuid::new_v4(), "PT404"),
    ] {
        assert_eq!(db.refusal("job_cancel_admin_v1", call(actor, table, job)).await.state, state);
    }
    db.exec(&format!("update user_roles set role = 'moderator' where user_id = '{admin}'")).await;
    assert_eq!(
        db.refusal("job_cancel_admin_v1", call(json!(admin), "upscaler_jobs", job)).await.state,
        "PT403"
    );
    db.exec(&format!("update user_roles set role = 'admin' where user_id = '{admin}'")).await;
    db.ask("job_cancel_admin_v1", call(json!(admin), "upscaler_jobs", job)).await;
    assert_eq!(
        db.job(job).await["error_message"],
        "CANCELLED: cancelled by an admin: test. 60 credits were returned."
    );
    let actor = db
        .value(&format!(
            "select actor from job_events where job_id = '{job}'
            and event = 'job_cancelled'"
        ))
        .await;
    assert_eq!(actor, json!(format!("admin:{admin}")));
}

#[tokio::test]
async fn an_unfinished_row_without_steps_or_account_is_cancelled_too() {
    let db = Database::fresh().await;
    let (user, admin, job) = (Uuid::new_v4(), db.admin().await, Uuid::new_v4());
    db.exec(&format!(
        "insert into jobs (id, tool, user_id, status)
            values ('{job}', '{UPSCALER}', '{user}', 'running')"
    ))
    .await;
    assert_eq!(db.cancel_as_admin(admin, job).await.unwrap()["refunded_credits"], 0);
    db.assert_cancelled(job, 0).await;
}

#[tokio::test]
async fn a_closing_session_cancels_its_waiting_jobs_and_nothing_else() {
    let db = Database::open().await;
    let (user, other) = (db.user(1000).await, db.user(1000).await);
    let running = db.order(user, UPSCALER, 1).await;
    db.run(PROVIDER, "t1").await;
    let waiting = db.order(user, UPSCALER, 1).await;
    let chain = db.order(user, TRY_ON, 2).await;
    let elsewhere = db.order(user, UPSCALER, 1).await;
    let named = db.order(user, UPSCALER, 1).await;
    db.exec(&format!(
        "update jobs set session_id = 'other' where id in ('{elsewhere}', '{named}')"
    ))
    .await;
    let strangers = db.order(other, UPSCALER, 1).await;
    let coming = Uuid::new_v4();
    let args = json!({ "p_user_id": user, "p_session_id": "session", "p_job_ids": [named, strangers,
        running, coming] });
    let rows = db.call("session_cancel_v1", args.clone()).await;
    let mut closed: Vec<Uuid> = rows.iter().map(|row| id(&row["job_id"])).collect();
    let mut expected = vec![waiting, chain, named];
    closed.sort();
    expected.sort();
    assert_eq!(closed, expected);
    assert_eq!(
        rows.iter().filter_map(|row| row["refunded_credits"].as_i64()).sum::<i64>(),
        60 + 80 + 60
    );
    assert!(rows.iter().any(|row| row["table_name"] == "replicate_tasks"));
    for (job, status) in [(running, "running"), (elsewhere, "queued"), (strangers, "queued")] {
        assert_eq!(db.job(job).await["status"], status);
    }
    assert!(db.call("session_cancel_v1", args).await.is_empty(), "repeated");
    assert_eq!(db.enqueue(user, coming, UPSCALER, 1).await.unwrap_err().message, "already_final");
    assert_eq!(db.enqueue(user, running, UPSCALER, 1).await.unwrap()["status"], "running");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_session_needs_a_name() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let many: Vec<Uuid> = (0..101).map(|_| Uuid::new_v4()).collect();
    for args in [
        json!({ "p_user_id": user, "p_session_id": "", "p_job_ids": [] }),
        json!({ "p_user_id": user, "p_session_id": null, "p_job_ids": [] }),
        json!({ "p_user_id": null, "p_session_id": "s", "p_job_ids": [] }),
        json!({ "p_user_id": user, "p_session_id": "s", "p_job_ids": many }),
    ] {
        assert_eq!(db.refusal("session_cancel_v1", args).await.state, "PT400");
    }
    let args = json!({ "p_user_id": user, "p_session_id": "s", "p_job_ids": null });
    assert!(db.call("session_cancel_v1", args).await.is_empty());
}

fn requeue(actor: Uuid, table: &str, job: Uuid, charge: bool, new: Uuid) -> Value {
    json!({ "p_actor": actor, "p_table": table, "p_job_id": job, "p_charge": charge,
        "p_new_job_id": new })
}

#[tokio::test]
async fn a_stuck_job_is_requeued_and_keeps_its_finished_steps() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let job = db.order(user, TRY_ON, 3).await;
    let first = db.run("replicate", "t1").await;
    db.done(first, "t1").await;
    db.complete(first).await;
    let second = db.run("replicate", "t2").await;
    let call = requeue(admin, "replicate_tasks", job, false, Uuid::new_v4());
    let error = db.refusal("job_requeue_v1", call.clone()).await;
    assert_eq!(error.reason(), ("PT409", "in_progress"), "live and well");
    db.age(job, "11 minutes").await;
    assert_eq!(
        db.ask("job_requeue_v1", call.clone()).await,
        json!({ "job_id": job, "retried": true, "retry_of": null, "provider": "replicate" })
    );
    assert_eq!(db.refusal("job_requeue_v1", call).await.message, "in_progress", "once");
    let step = db.step(job, 2).await;
    assert_has!(step, { "status": "queued", "attempts": 0, "rescues": 0 });
    assert_eq!(
        step["provider_cancel_due"],
        json!([{ "task_id": "t2", "run": 1 }]),
        "the old attempt is told to stop"
    );
    assert_eq!(db.fail(second, "TIMEOUT").await["outcome"], "stale");
    assert_eq!(
        (&db.step(job, 1).await["status"], &db.step(job, 3).await["status"]),
        (&json!("completed"), &json!("blocked"))
    );
    for step in 2..=3 {
        let task = format!("new{step}");
        let attempt = db.run("replicate", &task).await;
        assert_eq!(attempt.step, step);
        db.done(attempt, &task).await;
        db.complete(attempt).await;
    }
    db.assert_completed(job, 0).await;
    assert_eq!(db.entries(job).await, [-120], "finished steps are not paid twice");
}

#[tokio::test]
async fn a_final_job_becomes_a_new_one_once() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(100).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "t1").await;
    db.fail(attempt, "PROVIDER_FAILED").await;
    let (free, again, paid) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let answer = db.ask("job_requeue_v1", requeue(admin, "upscaler_jobs", job, false, free)).await;
    assert_eq!(
        answer,
        json!({ "job_id": free, "retried": false, "retry_of": job, "provider": "runninghub" })
    );
    let second = db.ask("job_requeue_v1", requeue(admin, "upscaler_jobs", job, false, again)).await;
    assert_eq!(second["job_id"], json!(free), "a second click answers with the first one's job");
    assert!(db.entries(free).await.is_empty());
    let row = db.job(free).await;
    assert_has!(row, { "credits_charged": 0, "retry_of": job, "user_id": user });
    db.cancel(user, free).await.unwrap();
    db.ask("job_requeue_v1", requeue(admin, "upscaler_jobs", job, true, paid)).await;
    assert_eq!(db.entries(paid).await, [-60]);
    assert_eq!(db.step(paid, 1).await["input"], db.step(job, 1).await["input"]);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_requeue_is_refused_for_a_reason() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (user, job) = db.upscale().await;
    db.cancel(user, job).await.unwrap();
    let new = Uuid::new_v4;
    let refused = |args: Value| db.refusal("job_requeue_v1", args);
    assert_eq!(refused(requeue(user, "upscaler_jobs", job, false, new())).await.state, "PT403");
    assert_eq!(refused(requeue(admin, "jobs", job, false, new())).await.state, "PT400");
    assert_eq!(refused(requeue(admin, "veste_ai_jobs", job, false, new())).await.state, "PT404");
    let other = db.order(user, UPSCALER, 1).await;
    assert_eq!(
        refused(requeue(admin, "upscaler_jobs", job, false, new())).await.message,
        "active_job_exists"
    );
    db.cancel(user, other).await.unwrap();
    db.adjust("consume", user, 1, "spent").await;
    let error = refused(requeue(admin, "upscaler_jobs", job, true, new())).await;
    assert_eq!(
        (error.state.as_str(), &error.detail),
        ("PT402", &json!({ "balance": 59, "required": 60 }))
    );
    let error = refused(requeue(admin, "upscaler_jobs", job, false, other)).await;
    assert_eq!(error.message, "idempotency_conflict", "the new id is taken");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_user_cancels_at_most_a_thousand_requests_ahead() {
    let db = Database::open().await;
    let (user, other) = (db.user(1000).await, db.user(60).await);
    let leave = |user: Uuid, session: &str, ids: &[Uuid]| {
        json!({ "p_user_id": user,
        "p_session_id": session, "p_job_ids": ids })
    };
    let kept = format!("select count(*) from cancelled_requests where user_id = '{user}'");
    let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::new_v4()).collect();
    for ids in ids.chunks(100) {
        db.call("session_cancel_v1", leave(user, "s", ids)).await;
    }
    assert_eq!(db.int(&kept).await, 1000);
    let error = db.refusal("session_cancel_v1", leave(user, "s", &[Uuid::new_v4()])).await;
    assert_eq!(error.reason(), ("PT429", "rate_limited"));
    let after = error.detail["retry_after"].as_i64().unwrap();
    assert!((86_300..=86_400).contains(&after), "until the first of them goes: {after}");
    // What is known already needs no room; what waits is cancelled for all that, and for good.
    assert!(db.call("session_cancel_v1", leave(user, "s", &ids[..100])).await.is_empty());
    let (one, two) = (db.order(user, UPSCALER, 1).await, db.order(user, UPSCALER, 1).await);
    db.cancel(user, one).await.unwrap();
    assert_eq!(db.call("session_cancel_v1", leave(user, "session", &[two])).await.len(), 1);
    for job in [one, two] {
        assert_eq!(db.enqueue(user, job, UPSCALER, 1).await.unwrap()["status"], "cancelled");
    }
    assert_eq!(db.int(&kept).await, 1000);
    // Others have a list of their own, and a day later there is room again.
    db.call("session_cancel_v1", leave(other, "s", &[Uuid::new_v4()])).await;
    db.exec("update cancelled_requests set at = at - interval '25 hours'").await;
    db.call("session_cancel_v1", leave(user, "s", &[ids[0], Uuid::new_v4()])).await;
    assert_eq!(db.int(&kept).await, 2, "what is kept no longer has made room");
    assert_eq!(db.enqueue(user, ids[0], UPSCALER, 1).await.unwrap_err().message, "already_final");
    assert_eq!(
        db.enqueue(user, ids[1], UPSCALER, 1).await.unwrap()["status"],
        "queued",
        "a day has gone by"
    );
    db.assert_healthy().await;
}
