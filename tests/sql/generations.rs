//! Websites whose attempt stopped: each is reserved once, retried once, given up once; and what a
//! retry may never change.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::WEBSITE;
use unstuck_tests::{Database, Session};
use uuid::Uuid;

/// A paid website whose first attempt has started and whose worker has died.
async fn stale(db: &Session, user: Uuid) -> Uuid {
    let job = db.order(user, WEBSITE, 1).await;
    db.claim_one("llm").await;
    lease_is_over(db, job).await;
    job
}

async fn lease_is_over(db: &Session, job: Uuid) {
    db.set_steps(job, "lease_until = clock_timestamp() - interval '1 second'").await;
}

async fn stale_ones(db: &Session, limit: i64) -> Vec<Value> {
    db.call("generations_stale_v1", json!({ "p_limit": limit })).await
}

fn retry_args(job: Uuid, tool: &str, user: Option<Uuid>) -> Value {
    json!({ "p_job_id": job, "p_tool": tool, "p_user_id": user })
}

async fn retry(db: &Session, job: Uuid, user: Option<Uuid>) -> Value {
    db.ask("generation_retry_v1", retry_args(job, WEBSITE, user)).await
}

/// The message of the refusal of a retry.
async fn refused(db: &Session, job: Uuid, tool: &str, user: Option<Uuid>) -> String {
    db.refusal("generation_retry_v1", retry_args(job, tool, user)).await.message
}

#[tokio::test]
async fn generations_stale_v1_reserves_a_website_once_and_generation_put_back_v1_releases_it() {
    let db = Database::fresh().await;
    let job = stale(&db, db.user(50).await).await;
    let found = stale_ones(&db, 10).await;
    assert_eq!(found.len(), 1);
    assert_has!(found[0], { "job_id": job, "action": "retry", "tool": WEBSITE });
    assert!(stale_ones(&db, 10).await.is_empty(), "reserved");
    let run = found[0]["run"].clone();
    db.ask("generation_put_back_v1", json!({ "p_job_id": job, "p_run": run })).await;
    assert_eq!(stale_ones(&db, 10).await.len(), 1, "put back");
    db.exec("update job_steps set checked_at = clock_timestamp() - interval '46 seconds'").await;
    assert_eq!(stale_ones(&db, 10).await.len(), 1, "the reservation of a dead function expires");
    assert_eq!(db.job(job).await["retries"], 0);
}

#[tokio::test]
async fn generations_stale_v1_counts_the_websites_beyond_its_limit() {
    let db = Database::fresh().await;
    let user = db.user(500).await;
    for _ in 0..3 {
        stale(&db, user).await;
    }
    let found = stale_ones(&db, 2).await;
    assert_eq!((found.len(), &found[0]["remaining"]), (2, &json!(1)));
    assert_eq!(stale_ones(&db, 2).await.len(), 1);
}

#[tokio::test]
async fn a_website_is_retried_twice_then_failed_and_refunded_once() {
    let db = Database::fresh().await;
    let user = db.user(50).await;
    let job = stale(&db, user).await;
    for number in 1..=2 {
        let retried = retry(&db, job, None).await;
        assert_has!(retried, { "outcome": "retried", "retries": number });
        assert_has!(retried, { "user_id": user, "balance": 0 });
        assert_eq!(refused(&db, job, WEBSITE, None).await, "in_progress", "the second of two");
        assert!(stale_ones(&db, 10).await.is_empty(), "no longer stale");
        let attempt = db.claim_one("llm").await;
        assert_eq!(attempt.run, number + 1);
        let note = format!("select admin_note from generation_history where id = '{job}'");
        assert_eq!(db.value(&note).await, format!("retry:{number}"));
        lease_is_over(&db, job).await;
    }
    let found = stale_ones(&db, 10).await;
    assert_has!(found[0], { "action": "failed", "refunded": 50 }, "{found:?}");
    db.assert_failed(job, "TIMEOUT", 50).await;
    assert_eq!(db.balance(user).await, 50);
    assert_eq!(db.step(job, 1).await["attempts"], 3);
    assert!(stale_ones(&db, 10).await.is_empty());
    assert_eq!(refused(&db, job, WEBSITE, None).await, "already_final");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_retry_of_a_website_without_attempts_left_closes_it() {
    let db = Database::fresh().await;
    let user = db.user(50).await;
    let job = stale(&db, user).await;
    db.exec("update job_steps set attempts = 3").await;
    let closed = retry(&db, job, Some(user)).await;
    assert_has!(closed, { "outcome": "closed", "status": "failed", "refunded": 50 });
    assert_eq!(closed["balance"], 50);
    db.assert_failed(job, "TIMEOUT", 50).await;
}

/// An older version counted its retries in the job alone.
#[tokio::test]
async fn the_retries_of_the_job_count_too() {
    let db = Database::fresh().await;
    let (user, healed) = (db.user(50).await, db.user(50).await);
    let (job, by_healer) = (stale(&db, user).await, stale(&db, healed).await);
    db.exec("update jobs set retries = 2").await;
    assert_eq!(retry(&db, job, Some(user)).await["outcome"], "closed");
    db.assert_failed(job, "TIMEOUT", 50).await;
    assert_has!(stale_ones(&db, 10).await[0], { "job_id": by_healer, "action": "failed" });
    db.assert_failed(by_healer, "TIMEOUT", 50).await;
}

#[tokio::test]
async fn a_website_that_lives_is_final_or_is_another_users_is_not_retried() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(200).await, db.user(50).await);
    let queued = db.order(user, WEBSITE, 1).await;
    assert_eq!(refused(&db, queued, WEBSITE, Some(user)).await, "in_progress");
    let attempt = db.claim_one("llm").await;
    assert_eq!(refused(&db, queued, WEBSITE, Some(user)).await, "in_progress");
    assert!(stale_ones(&db, 10).await.is_empty());
    db.complete(attempt).await;
    for caller in [Some(user), None] {
        assert_eq!(refused(&db, queued, WEBSITE, caller).await, "already_final");
    }
    let (job, php) = (stale(&db, user).await, "generate-php-website");
    for (job, tool, caller) in [
        (job, WEBSITE, Some(other)),
        (job, php, Some(user)),
        (job, php, None),
        (Uuid::new_v4(), WEBSITE, None),
    ] {
        assert_eq!(refused(&db, job, tool, caller).await, "not_found", "{tool} {caller:?}");
    }
    assert_eq!(retry(&db, job, Some(user)).await["outcome"], "retried");
}

#[tokio::test]
async fn a_late_first_attempt_changes_nothing() {
    let db = Database::fresh().await;
    let job = db.order(db.user(50).await, WEBSITE, 1).await;
    let first = db.claim_one("llm").await;
    lease_is_over(&db, job).await;
    retry(&db, job, None).await;
    assert_eq!(db.complete(first).await["outcome"], "stale", "before the second begins");
    let second = db.claim_one("llm").await;
    assert_eq!(db.complete(first).await["outcome"], "stale", "while it runs");
    assert_eq!(db.fail(first, "PROVIDER_FAILED").await["outcome"], "stale");
    assert_eq!(db.complete(second).await["outcome"], "completed");
    let url = db.job(job).await["output_url"].clone();
    assert!(url.as_str().is_some_and(|url| url.contains("1-2")), "{url}");
    assert_eq!(db.entries(job).await, [-50]);
}

/// The order is read from `jobs.input`: a row written by hand may have nothing else.
#[tokio::test]
async fn a_retry_takes_its_input_from_the_record() {
    let db = Database::fresh().await;
    let user = db.user(50).await;
    let started = "clock_timestamp() - interval '11 minutes'";
    let columns = [("input", "'{\"prompt\": \"a shop\"}'"), ("started_at", started)];
    let job = db.insert_job(user, WEBSITE, "running", &columns).await;
    db.insert_step(job, 1, "running", &[]).await;
    db.insert_entry(user, Some(job), "debit", -50).await;
    assert_eq!(stale_ones(&db, 10).await[0]["action"], "retry");
    retry(&db, job, None).await;
    let claimed = db.call("step_claim_v1", json!({ "p_provider": "llm", "p_limit": 1 })).await;
    assert_eq!(claimed[0]["input"], json!({ "prompt": "a shop" }));
}

#[tokio::test]
async fn the_owner_reads_the_address_of_the_files_once_the_website_is_completed() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(50).await, db.user(0).await);
    let job = db.order(user, WEBSITE, 1).await;
    let of = |user: Uuid, tool: &str| json!({ "p_user_id": user, "p_tool": tool, "p_job_id": job });
    let attempt = db.claim_one("llm").await;
    let seen = db.ask("generation_get_v1", of(user, WEBSITE)).await;
    assert_has!(seen, { "status": "running", "output_url": null, "retries": 0 });
    db.complete(attempt).await;
    let seen = db.ask("generation_get_v1", of(user, WEBSITE)).await;
    assert_eq!(
        (&seen["status"], seen["output_url"].is_string()),
        (&json!("completed"), true),
        "{seen}"
    );
    for refused in [of(other, WEBSITE), of(user, "generate-php-website")] {
        assert_eq!(db.refusal("generation_get_v1", refused).await.message, "not_found");
    }
}
