//! Cancels by a user, by a session that closes, by an admin; and an admin's retry.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, id, requeue_args, session_args};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

/// The answer to a cancel of an upscale, and the refusal of a second cancel.
fn cancelled() -> (Value, Value) {
    (
        json!({ "status": "cancelled", "refunded_credits": 60, "provider": PROVIDER }),
        json!({ "status": "cancelled", "refundedCredits": 60 }),
    )
}

#[tokio::test]
async fn a_user_cancels_a_waiting_job_once() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    assert_eq!(db.cancel(user, job).await.unwrap(), cancelled().0);
    let error = db.cancel(user, job).await.unwrap_err();
    assert_eq!(error.reason(), ("PT409", "already_final"));
    assert_eq!(error.detail, cancelled().1);
    assert_eq!(db.balance(user).await, 60);
    assert!(db.claim(PROVIDER, 3).await.is_empty());
    db.assert_cancelled(job, 60).await;
}

#[tokio::test]
async fn a_user_cancels_only_own_jobs_of_the_named_table() {
    let db = Database::fresh().await;
    let other = db.user(60).await;
    let (user, job) = db.upscale().await;
    for (caller, table, job, state) in [
        (other, Some("upscaler_jobs"), job, "PT404"),
        (user, Some("upscaler_jobs"), Uuid::new_v4(), "PT404"),
        (user, Some("veste_ai_jobs"), job, "PT404"),
        (user, Some("jobs"), job, "PT400"),
        (user, Some("no_such_table"), job, "PT400"),
        (user, None, job, "PT400"),
    ] {
        let args = json!({ "p_user_id": caller, "p_table": table, "p_job_id": job });
        assert_eq!(db.refusal("job_cancel_v1", args).await.state, state, "{table:?}");
    }
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
async fn a_user_cancels_a_job_that_waits_for_a_retry() {
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
        assert_eq!(db.cancel_as_admin(admin, job).await.unwrap(), cancelled().0);
        assert_eq!(db.cancel_as_admin(admin, job).await.unwrap_err().detail, cancelled().1);
        db.assert_cancelled(job, 60).await;
    }
    assert_eq!(db.balance(user).await, 1000);
}

#[tokio::test]
async fn job_cancel_admin_v1_checks_the_actors_role_before_anything_else() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (user, job) = db.upscale().await;
    let (table, none) = ("upscaler_jobs", Uuid::new_v4());
    let call = |actor: Option<Uuid>, table: &str, job: Uuid| -> Value {
        json!({ "p_actor": actor, "p_table": table, "p_job_id": job, "p_reason": "test" })
    };
    let set_role = async |role: &str| {
        db.exec(&format!("update user_roles set role = '{role}' where user_id = '{admin}'")).await
    };
    for (role, actor, table, job, state) in [
        ("admin", Some(user), table, job, "PT403"),
        ("admin", Some(user), "no_such_table", none, "PT403"),
        ("admin", None, table, job, "PT403"),
        ("admin", Some(admin), "no_such_table", job, "PT400"),
        ("admin", Some(admin), "veste_ai_jobs", job, "PT404"),
        ("admin", Some(admin), table, none, "PT404"),
        ("moderator", Some(admin), table, job, "PT403"),
    ] {
        set_role(role).await;
        let refused = db.refusal("job_cancel_admin_v1", call(actor, table, job)).await;
        assert_eq!(refused.state, state, "{role} {actor:?} {table}");
    }
    set_role("admin").await;
    db.ask("job_cancel_admin_v1", call(Some(admin), table, job)).await;
    let message = "CANCELLED: cancelled by an admin: test. 60 credits were returned.";
    assert_eq!(db.job(job).await["error_message"], message);
    let event = format!("job_events where job_id = '{job}' and event = 'job_cancelled'");
    let actors = db.texts(&format!("select actor from {event}")).await;
    assert_eq!(actors, [format!("admin:{admin}")]);
}

#[tokio::test]
async fn an_admin_cancels_a_job_without_steps_or_account() {
    let db = Database::fresh().await;
    let job = db.insert_job(Uuid::new_v4(), UPSCALER, "running", &[]).await;
    assert_eq!(db.cancel_by_admin(job).await["refunded_credits"], 0);
    db.assert_cancelled(job, 0).await;
}

#[tokio::test]
async fn a_closing_session_cancels_its_waiting_jobs_and_nothing_else() {
    let db = Database::open().await;
    let (user, other) = (db.user(1000).await, db.user(1000).await);
    let running = db.order(user, UPSCALER, 1).await;
    db.run(PROVIDER, "t1").await;
    let waiting = db.order(user, UPSCALER, 1).await;
    let try_on = db.order(user, TRY_ON, 2).await;
    let elsewhere = db.order(user, UPSCALER, 1).await;
    let named = db.order(user, UPSCALER, 1).await;
    db.exec(&format!(
        "update jobs set session_id = 'other' where id in ('{elsewhere}', '{named}')"
    ))
    .await;
    let strangers = db.order(other, UPSCALER, 1).await;
    let coming = Uuid::new_v4();
    let ids = [named, strangers, running, coming];
    let rows = db.cancel_session(user, "session", &ids).await;
    let mut closed: Vec<Uuid> = rows.iter().map(|row| id(&row["job_id"])).collect();
    let mut expected = vec![waiting, try_on, named];
    closed.sort();
    expected.sort();
    assert_eq!(closed, expected);
    let refunds = rows.iter().filter_map(|row| row["refunded_credits"].as_i64());
    assert_eq!(refunds.sum::<i64>(), 60 + 80 + 60);
    assert!(rows.iter().any(|row| row["table_name"] == "replicate_tasks"));
    for (job, status) in [(running, "running"), (elsewhere, "queued"), (strangers, "queued")] {
        assert_eq!(db.job(job).await["status"], status);
    }
    assert!(db.cancel_session(user, "session", &ids).await.is_empty(), "repeated");
    assert_eq!(db.enqueue(user, coming, UPSCALER, 1).await.unwrap_err().message, "already_final");
    assert_eq!(db.enqueue(user, running, UPSCALER, 1).await.unwrap()["status"], "running");
    db.assert_healthy().await;
}

#[tokio::test]
async fn session_cancel_v1_refuses_missing_arguments_and_too_many_ids() {
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

#[tokio::test]
async fn an_admins_requeue_of_a_stale_job_keeps_its_finished_steps() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let job = db.order(user, TRY_ON, 3).await;
    let first = db.run("replicate", "t1").await;
    db.done(first, "t1").await;
    db.complete(first).await;
    let second = db.run("replicate", "t2").await;
    let call = requeue_args(admin, "replicate_tasks", job, false, Uuid::new_v4());
    let error = db.refusal("job_requeue_v1", call.clone()).await;
    assert_eq!(error.reason(), ("PT409", "in_progress"), "not past its deadline");
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
async fn an_admins_requeue_keeps_a_result_that_waits_for_its_copy() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "t1").await;
    db.done(attempt, "t1").await;
    db.exec("update job_steps set lease_until = clock_timestamp() - interval '1 second'").await;
    let call = requeue_args(admin, "upscaler_jobs", job, false, Uuid::new_v4());
    assert_eq!(db.ask("job_requeue_v1", call).await["retried"], true);
    assert_has!(db.step(job, 1).await, { "status": "running", "run": attempt.run,
        "provider_task_id": "t1", "provider_cancel_due": [] });
    let due = db.call("steps_due_v1", json!({ "p_provider": "runninghub", "p_limit": 5 })).await;
    assert_eq!((due.len(), &due[0]["due"]), (1, &json!("copy")), "{due:?}");
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
    db.assert_completed(job, 0).await;
}

#[tokio::test]
async fn an_admins_requeue_leaves_cards_alone_whose_queue_ttl_is_paused() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    db.set_slots("gemini", 1).await;
    let job = db.order(user, CARDS, 3).await;
    db.age(job, "9 minutes").await;
    let card = db.claim_one("gemini").await;
    // The queued cards are past their deadline, and the first one is at work.
    db.age(job, "61 seconds").await;
    db.exec(
        "update job_steps set lease_until = clock_timestamp() + interval '1 minute',
        deadline_at = clock_timestamp() + interval '5 minutes' where lease_until is not null",
    )
    .await;
    let call = requeue_args(admin, "generation_jobs", job, false, Uuid::new_v4());
    let error = db.refusal("job_requeue_v1", call).await;
    assert_eq!(error.reason(), ("PT409", "in_progress"));
    assert_eq!(db.complete(card).await["outcome"], "completed");
}

#[tokio::test]
async fn an_admins_requeue_leaves_the_steps_alone_that_a_worker_has() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let job = db.order(user, CARDS, 3).await;
    let (dead, alive) = (db.claim_one("gemini").await, db.claim_one("gemini").await);
    db.exec(&format!(
        "update job_steps set lease_until = clock_timestamp() - interval '1 second'
        where step = {}",
        dead.step
    ))
    .await;
    let call = requeue_args(admin, "generation_jobs", job, false, Uuid::new_v4());
    assert_eq!(db.ask("job_requeue_v1", call).await["retried"], true);
    assert_has!(db.step(job, dead.step).await, { "status": "queued", "run": dead.run + 1 });
    assert_has!(db.step(job, alive.step).await, { "status": "running", "run": alive.run });
    assert_eq!(db.complete(alive).await["outcome"], "completed");
    assert_eq!(db.complete(dead).await["outcome"], "stale");
    db.assert_healthy().await;
}

#[tokio::test]
async fn an_admins_requeue_of_a_final_job_makes_one_new_job() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    db.fail(db.run(PROVIDER, "t1").await, "PROVIDER_FAILED").await;
    let (free, again, paid) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let requeue = async |charge: bool, new: Uuid| {
        let args = requeue_args(admin, "upscaler_jobs", job, charge, new);
        db.ask("job_requeue_v1", args).await
    };
    let made = json!({ "job_id": free, "retried": false, "retry_of": job, "provider": PROVIDER });
    assert_eq!(requeue(false, free).await, made);
    let second = requeue(false, again).await;
    assert_eq!(second["job_id"], json!(free), "a second click answers with the first one's job");
    assert!(db.entries(free).await.is_empty());
    let row = db.job(free).await;
    assert_has!(row, { "credits_charged": 0, "retry_of": job, "user_id": user });
    db.cancel(user, free).await.unwrap();
    requeue(true, paid).await;
    assert_eq!(db.entries(paid).await, [-60]);
    assert_eq!(db.step(paid, 1).await["input"], db.step(job, 1).await["input"]);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_refused_requeue_says_why() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (user, job) = db.upscale().await;
    db.cancel(user, job).await.unwrap();
    let refused = async |actor: Uuid, table: &str, charge: bool, new: Uuid| {
        db.refusal("job_requeue_v1", requeue_args(actor, table, job, charge, new)).await
    };
    let (table, new) = ("upscaler_jobs", Uuid::new_v4);
    for (actor, table, state) in
        [(user, table, "PT403"), (admin, "jobs", "PT400"), (admin, "veste_ai_jobs", "PT404")]
    {
        assert_eq!(refused(actor, table, false, new()).await.state, state);
    }
    let other = db.order(user, UPSCALER, 1).await;
    let error = refused(admin, table, false, new()).await;
    assert_eq!(error.message, "active_job_exists");
    let active = json!({ "activeJobId": other, "activeTool": UPSCALER, "activeStatus": "queued" });
    assert_eq!(error.detail, active);
    db.cancel(user, other).await.unwrap();
    db.adjust("consume", user, 1, "spent").await;
    let error = refused(admin, table, true, new()).await;
    assert_eq!(error.state, "PT402");
    assert_eq!(error.detail, json!({ "balance": 59, "required": 60 }));
    let error = refused(admin, table, false, other).await;
    assert_eq!(error.message, "idempotency_conflict", "the new id is taken");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_user_cancels_at_most_a_thousand_requests_ahead() {
    let db = Database::open().await;
    let (user, other) = (db.user(1000).await, db.user(60).await);
    let kept = format!("cancelled_requests where user_id = '{user}'");
    let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::new_v4()).collect();
    for ids in ids.chunks(100) {
        db.cancel_session(user, "s", ids).await;
    }
    assert_eq!(db.count(&kept).await, 1000);
    let one_more = session_args(user, "s", &[Uuid::new_v4()]);
    let error = db.refusal("session_cancel_v1", one_more.clone()).await;
    assert_eq!(error.reason(), ("PT429", "rate_limited"));
    let after = error.detail["retry_after"].as_i64().unwrap();
    assert!((86_300..=86_400).contains(&after), "until the first of them goes: {after}");
    let for_ages = "update retention set keep = '1000 years' where kind = 'cancelled_requests'";
    db.exec(&format!("begin; {for_ages}")).await;
    let error = db.refusal("session_cancel_v1", one_more).await;
    assert_eq!(error.detail["retry_after"], i32::MAX, "{error:?}");
    db.exec("rollback").await;
    // An id that is kept already needs no further room. Waiting jobs are cancelled in spite of the
    // limit, and stay cancelled.
    assert!(db.cancel_session(user, "s", &ids[..100]).await.is_empty());
    let (one, two) = (db.order(user, UPSCALER, 1).await, db.order(user, UPSCALER, 1).await);
    db.cancel(user, one).await.unwrap();
    assert_eq!(db.cancel_session(user, "session", &[two]).await.len(), 1);
    for job in [one, two] {
        assert_eq!(db.enqueue(user, job, UPSCALER, 1).await.unwrap()["status"], "cancelled");
    }
    assert_eq!(db.count(&kept).await, 1000);
    // Another user has a limit of their own, and a day later there is room again.
    db.cancel_session(other, "s", &[Uuid::new_v4()]).await;
    db.exec("update cancelled_requests set at = at - interval '25 hours'").await;
    db.cancel_session(user, "s", &[ids[0], Uuid::new_v4()]).await;
    assert_eq!(db.count(&kept).await, 2, "what is kept no longer has made room");
    assert_eq!(db.enqueue(user, ids[0], UPSCALER, 1).await.unwrap_err().message, "already_final");
    assert_eq!(
        db.enqueue(user, ids[1], UPSCALER, 1).await.unwrap()["status"],
        "queued",
        "a day has gone by"
    );
    db.assert_healthy().await;
}
