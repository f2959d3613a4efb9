//! Sessions of pages that leave and of pages that stay: the waiting jobs of a page that left are
//! cancelled after its grace, by every healer, and no other job is.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::Session;
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, VIDEO, WEBSITE, requeue_args};
use uuid::Uuid;

/// The session of each order that `Session::order` places.
const SESSION: &str = "session";

fn leave_args(user: Uuid, session: &str, seconds: i64) -> Value {
    json!({ "p_user_id": user, "p_session_id": session, "p_grace_seconds": seconds })
}

fn stay_args(user: Uuid, session: &str) -> Value {
    json!({ "p_user_id": user, "p_session_id": session })
}

async fn leave(db: &Session, user: Uuid, seconds: i64) -> Value {
    db.ask("session_leave_v1", leave_args(user, SESSION, seconds)).await["cancel_at"].clone()
}

async fn stay(db: &Session, user: Uuid) -> Value {
    db.ask("session_stay_v1", stay_args(user, SESSION)).await["cancel_at"].clone()
}

/// Lets time pass for the sessions of pages and for jobs.
async fn pass(db: &Session, seconds: i64) {
    let by = format!("{seconds} seconds");
    db.exec(&format!(
        "update sessions set left_at = left_at - interval '{by}',
         seen_at = seen_at - interval '{by}'"
    ))
    .await;
    db.age_all(&by).await;
}

async fn status(db: &Session, job: Uuid) -> Value {
    db.job(job).await["status"].clone()
}

/// How many seconds from now that time is.
async fn seconds_until(db: &Session, at: &Value) -> i64 {
    let at = at.as_str().unwrap();
    db.int(&format!("select round(extract(epoch from '{at}' - clock_timestamp()))::int")).await
}

#[tokio::test]
async fn what_waits_of_a_page_that_left_is_cancelled_after_its_grace_with_every_tool() {
    let db = Database::open().await;
    let (user, other) = (db.user(1000).await, db.user(1000).await);
    let running = db.order(user, UPSCALER, 1).await;
    db.run("runninghub", "t1").await;
    let mut waiting = Vec::new();
    for (tool, steps) in [(UPSCALER, 1), (VIDEO, 1), (CARDS, 3), (TRY_ON, 2), (WEBSITE, 1)] {
        waiting.push((db.order(user, tool, steps).await, tool, steps));
    }
    let elsewhere = db.order(user, UPSCALER, 1).await;
    db.exec(&format!("update jobs set session_id = 'other' where id = '{elsewhere}'")).await;
    let strangers = db.order(other, UPSCALER, 1).await;

    let at = leave(&db, user, 30).await;
    assert!((28..=30).contains(&seconds_until(&db, &at).await), "{at}");
    // An order that was being sent when the page left belongs to the page.
    waiting.push((db.order(user, UPSCALER, 1).await, UPSCALER, 1));
    pass(&db, 25).await;
    assert_eq!(db.sweep().await["cleaned"], 0);
    pass(&db, 6).await;
    let swept = db.sweep().await;
    assert_eq!(swept["cleaned"], 6, "{swept}");
    for (job, tool, steps) in waiting {
        let charged = db.job(job).await["credits_charged"].as_i64().unwrap();
        db.assert_cancelled(job, charged).await;
        let message = db.job(job).await["error_message"].clone();
        let expected = format!("CANCELLED: the page was closed. {charged} credits were returned.");
        assert_eq!(message, expected);
        let replayed = db.enqueue(user, job, tool, steps).await.unwrap();
        assert_eq!(replayed["status"], "cancelled", "{tool}");
    }
    for (job, expected) in [(running, "running"), (elsewhere, "queued"), (strangers, "queued")] {
        assert_eq!(status(&db, job).await, expected);
    }
    assert_eq!(db.balance(user).await, 1000 - 60 - 60);
    let again = db.sweep().await;
    assert_eq!((&again["cleaned"], &again["remaining"]), (&json!(0), &json!(0)));
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_healer_cancels_what_was_left() {
    let db = Database::open().await;
    for healer in ["cleanup_all_stale_ai_jobs", "jobs_sweep_v1", "user_heal_v1", "user_active_v1"] {
        let (user, job) = db.ordered(100, UPSCALER, 1).await;
        leave(&db, user, 0).await;
        let args = match healer {
            "cleanup_all_stale_ai_jobs" => json!({}),
            "jobs_sweep_v1" => json!({ "p_sweep_id": db.begin_sweep().await, "p_limit": 9 }),
            _ => json!({ "p_user_id": user }),
        };
        db.call(healer, args).await;
        db.assert_cancelled(job, 60).await;
        assert_eq!(db.balance(user).await, 100, "{healer}");
    }
}

#[tokio::test]
async fn a_page_that_comes_back_in_time_keeps_what_waits() {
    let db = Database::open().await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    leave(&db, user, 30).await;
    pass(&db, 29).await;
    let at = stay(&db, user).await;
    assert!((148..=150).contains(&seconds_until(&db, &at).await), "{at}");
    pass(&db, 60).await;
    assert_eq!(db.sweep().await["cleaned"], 0);
    assert_eq!(status(&db, job).await, "queued");
    // A page that leaves and at once calls `stay` has not left.
    leave(&db, user, 0).await;
    stay(&db, user).await;
    assert_eq!(db.sweep().await["cleaned"], 0);
    assert_eq!(status(&db, job).await, "queued");
}

#[tokio::test]
async fn a_page_that_stayed_and_fell_silent_counts_as_left_and_one_that_never_did_does_not() {
    let db = Database::open().await;
    // One slot, which another user has, so that the jobs wait.
    db.set_slots("runninghub", 1).await;
    db.ordered(100, UPSCALER, 1).await;
    db.run("runninghub", "t1").await;
    let (old, job_of_old) = db.ordered(100, UPSCALER, 1).await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    let silent = async |seconds: i64| {
        pass(&db, seconds).await;
        db.sweep().await["cleaned"].as_i64().unwrap()
    };
    stay(&db, user).await;
    assert_eq!(silent(100).await, 0);
    stay(&db, user).await;
    assert_eq!(silent(100).await, 0, "a `stay` starts the 150 seconds anew");
    assert_eq!(silent(51).await, 1);
    db.assert_cancelled(job, 60).await;
    // The page was idle for long: its order counts as a `stay`, and then the page is silent.
    let late = db.order(user, UPSCALER, 1).await;
    assert_eq!(silent(100).await, 0);
    assert_eq!(silent(51).await, 1);
    db.assert_cancelled(late, 60).await;
    assert_eq!(status(&db, job_of_old).await, "queued", "this page never called `stay`");
    // A page that left, came back and orders without a `stay` is an older client.
    leave(&db, old, 0).await;
    assert_eq!(silent(0).await, 1);
    let came_back = db.order(old, UPSCALER, 1).await;
    assert_eq!(silent(160).await, 0);
    assert_eq!(status(&db, came_back).await, "queued");
}

#[tokio::test]
async fn a_session_by_hand_counts_as_left_after_its_silence() {
    let db = Database::fresh().await;
    db.exec(
        "insert into sessions (id, user_id, seen_at)
        values ('s', gen_random_uuid(), clock_timestamp() - interval '100 seconds')",
    )
    .await;
    let left = db.value("select left_at from sessions").await;
    assert_eq!(seconds_until(&db, &left).await, 50);
}

#[tokio::test]
async fn what_an_admin_retried_waits_for_no_page() {
    let db = Database::open().await;
    let admin = db.admin().await;
    let retry = async |job: Uuid| {
        let args = requeue_args(admin, "upscaler_jobs", job, false, Uuid::new_v4());
        let id = db.ask("job_requeue_v1", args).await["job_id"].clone();
        serde_json::from_value::<Uuid>(id).unwrap()
    };
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    leave(&db, user, 0).await;
    db.sweep().await;
    db.assert_cancelled(job, 60).await;
    let repeated = retry(job).await;
    let (other, live) = db.ordered(100, UPSCALER, 1).await;
    stay(&db, other).await;
    db.exec(&format!("update jobs set deadline_at = clock_timestamp() where id = '{live}'")).await;
    db.exec(&format!(
        "update job_steps set deadline_at = clock_timestamp() where job_id = '{live}'"
    ))
    .await;
    assert_eq!(retry(live).await, live, "it waits on");
    pass(&db, 200).await;
    db.sweep().await;
    for id in [repeated, live] {
        assert_eq!(status(&db, id).await, "queued");
    }
}

#[tokio::test]
async fn a_job_that_was_at_work_is_retried_without_its_page() {
    for (kind, expected) in
        [("transient", "queued"), ("capacity", "cancelled"), ("dead worker", "queued")]
    {
        let db = Database::open().await;
        let (user, job) = db.ordered(100, UPSCALER, 1).await;
        stay(&db, user).await;
        if kind == "dead worker" {
            db.claim_one("runninghub").await;
            pass(&db, 200).await;
            db.sweep().await;
        } else {
            let attempt = db.submit("runninghub").await;
            pass(&db, 200).await;
            assert_eq!(db.requeue(attempt, kind, 600_000).await["outcome"], "queued");
        }
        db.sweep().await;
        assert_eq!(status(&db, job).await, expected, "{kind}");
    }
}

#[tokio::test]
async fn a_left_page_cancels_an_unpaid_row_for_good_and_no_running_step() {
    let db = Database::open().await;
    let user = db.user(200).await;
    let pending = db.insert_job(user, UPSCALER, "pending", &[("session_id", "'session'")]).await;
    let starting = db.order(user, UPSCALER, 1).await;
    db.claim_one("runninghub").await;
    leave(&db, user, 0).await;
    assert_eq!(db.sweep().await["cleaned"], 1);
    db.assert_cancelled(pending, 0).await;
    assert_eq!(db.enqueue(user, pending, UPSCALER, 1).await.unwrap_err().message, "already_final");
    assert_eq!(status(&db, starting).await, "starting");
}

#[tokio::test]
async fn a_healer_waits_for_no_page_and_no_page_for_a_healer() {
    let db = Database::open().await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    leave(&db, user, 0).await;
    let holder = db.connect().await;
    holder.exec("begin").await;
    holder.exec(&format!("select from credit_accounts where user_id = '{user}' for update")).await;
    let swept = db.sweep().await;
    assert_eq!((&swept["cleaned"], &swept["remaining"]), (&json!(0), &json!(1)));
    holder.exec("rollback; begin").await;
    let sweep = holder.begin_sweep().await;
    holder.sweep_page(&sweep, 10).await;
    // The cancel is not committed yet, but the page's `stay` is recorded.
    stay(&db, user).await;
    holder.exec("commit").await;
    db.assert_cancelled(job, 60).await;
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_page_says_what_is_valid_and_a_user_has_a_thousand_pages() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(0).await, db.user(0).await);
    for seconds in [-1, 301] {
        let refused = db.refusal("session_leave_v1", leave_args(user, SESSION, seconds)).await;
        assert_eq!(refused.reason(), ("PT400", "bad_request"));
    }
    assert_eq!(db.refusal("session_stay_v1", stay_args(user, "")).await.state, "PT400");
    assert_eq!(db.refusal("session_leave_v1", leave_args(user, "", 30)).await.state, "PT400");
    stay(&db, user).await;
    db.exec(&format!(
        "insert into sessions (id, user_id, left_at)
         select n, '{user}', clock_timestamp() from generate_series(2, 1000) n"
    ))
    .await;
    let error = db.refusal("session_stay_v1", stay_args(user, "one more")).await;
    assert_eq!(error.reason(), ("PT429", "rate_limited"));
    let after = error.detail["retry_after"].as_i64().unwrap();
    assert!((86_300..=86_400).contains(&after), "until the first of them goes: {after}");
    let for_ages = "update retention set keep = '1000 years' where kind = 'sessions'";
    db.exec(&format!("begin; {for_ages}")).await;
    let error = db.refusal("session_stay_v1", stay_args(user, "one more")).await;
    assert_eq!(error.detail["retry_after"], i32::MAX, "{error:?}");
    db.exec("rollback").await;
    stay(&db, user).await;
    stay(&db, other).await;
    assert_eq!(db.count("sessions").await, 1001, "a page that is known needs no room");
}
