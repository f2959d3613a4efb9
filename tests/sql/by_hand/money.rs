//! One odd row at a time: it is quarantined, or closed as the ledger says, and no other job is
//! affected.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, UPSCALER, requeue_args};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

use super::{cron, edge, stale};

/// An import wrote a set of cards without its price. The workers of its first card die until no
/// attempt is left.
#[tokio::test]
async fn a_set_of_cards_without_its_price_stops_no_healer() {
    let db = Database::open().await;
    let user = db.user(100).await;
    let job = db.insert_job(user, CARDS, "queued", &[("total_steps", "2")]).await;
    for step in [1, 2] {
        db.insert_step(job, step, "queued", &[("share", "10")]).await;
    }
    db.insert_entry(user, Some(job), "debit", -20).await;
    let dead = "update job_steps set lease_until = clock_timestamp() - interval '1 second'
        where status = 'running' and step = 1";
    for death in 0..3 {
        db.claim("gemini", 1).await;
        db.exec(dead).await;
        if death < 2 {
            edge(&db).await;
        }
    }
    let other = stale(&db, db.user(0).await).await;
    assert_eq!(cron(&db).await, 2);
    assert_eq!(db.job(other).await["status"], "failed");
    let row = db.job(job).await;
    let money = (&row["status"], &row["credits_charged"], &row["credits_refunded"]);
    assert_eq!(money, (&json!("running"), &json!(20), &json!(10)), "the other card goes on");
    assert_eq!(db.balance(user).await, 90);
    db.assert_healthy().await;

    let card = db.claim_one("gemini").await;
    db.complete(card).await;
    db.assert_completed(job, 10).await;
}

/// A job written by hand whose row and ledger disagree.
#[derive(Debug)]
struct OddMoney {
    /// The credits that the row says were charged.
    charged: i64,
    refunded: i64,
    /// The entries of the ledger: kind, amount, step.
    entries: &'static [(&'static str, i64, Option<i64>)],
    /// The credits that an admin's cancel refunds.
    returned: i64,
    /// Whether the ledger is in order afterwards; if not, the row stays quarantined.
    settled: bool,
}

const fn odd(
    charged: i64,
    refunded: i64,
    entries: &'static [(&'static str, i64, Option<i64>)],
    returned: i64,
    settled: bool,
) -> OddMoney {
    OddMoney { charged, refunded, entries, returned, settled }
}

const ODD: &[OddMoney] = &[
    // A part was refunded by hand, once or twice, for the job or for a step.
    odd(0, 0, &[("debit", -60, None), ("refund", 20, None)], 40, true),
    odd(60, 20, &[("debit", -60, None), ("refund", 20, None)], 40, true),
    odd(60, 0, &[("debit", -60, None), ("refund", 20, None), ("refund", 10, Some(0))], 30, true),
    odd(
        60,
        60,
        &[("debit", -60, None), ("refund", 20, Some(1)), ("refund", 10, Some(-1))],
        30,
        true,
    ),
    // More was refunded than debited, or nothing was debited.
    odd(60, 60, &[("debit", -60, None), ("refund", 80, None)], 0, false),
    odd(0, 0, &[("refund", 10, None)], 0, false),
    odd(60, 10, &[("refund", 10, None)], 0, false),
    // Only the row says that credits were charged or refunded.
    odd(60, 0, &[], 0, true),
    odd(60, 60, &[("debit", -60, None)], 60, true),
    odd(0, 0, &[("debit", -60, None)], 60, true),
];

async fn insert_odd(db: &Session, user: Uuid, case: &OddMoney) -> Uuid {
    let columns = [
        ("credits_charged", &*case.charged.to_string()),
        ("credits_refunded", &case.refunded.to_string()),
        ("exclusive_key", &format!("'runninghub:{user}'")),
        ("created_at", "now() - interval '1 hour'"),
    ];
    let job = db.insert_job(user, UPSCALER, "queued", &columns).await;
    for (kind, amount, step) in case.entries {
        let step = json!(step);
        db.exec(&format!(
            "insert into credit_entries (user_id, job_id, step, kind, amount)
             values ('{user}', '{job}', {step}, '{kind}', {amount})"
        ))
        .await;
    }
    job
}

#[tokio::test]
async fn an_admin_closes_a_job_whose_row_and_ledger_disagree() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    for healed_first in [false, true] {
        for case in ODD {
            let label = format!("{case:?}, healed first: {healed_first}");
            let user = db.user(200).await;
            let job = insert_odd(&db, user, case).await;
            let before = db.balance(user).await;
            if healed_first {
                cron(&db).await;
                if !db.job(job).await["completed_at"].is_null() {
                    assert!(case.settled, "{label}");
                    continue;
                }
                // A quarantined job does not block its user.
                let active = db.active(user).await;
                assert_eq!(active["has_active_job"], false, "{label}");
                db.call("job_get_v1", json!({ "p_job_id": job, "p_user_id": user })).await;
                let other = db.order(user, UPSCALER, 1).await;
                db.cancel(user, other).await.unwrap();
                assert!(db.cancel_session(user, "s", &[job]).await.is_empty(), "{label}");
                assert_eq!(
                    db.cancel(user, job).await.unwrap_err().message,
                    "in_progress",
                    "{label}"
                );
                let args = requeue_args(admin, "upscaler_jobs", job, false, Uuid::new_v4());
                assert_eq!(
                    db.refusal("job_requeue_v1", args).await.message,
                    "in_progress",
                    "{label}"
                );
            }
            let answer = db
                .cancel_as_admin(admin, job)
                .await
                .unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(answer["refunded_credits"], case.returned, "{label}");
            assert_eq!(db.balance(user).await, before + case.returned, "{label}");
            let row = db.job(job).await;
            assert_eq!(row["status"], "cancelled", "{label}");
            assert_eq!(row["quarantined_at"].is_null(), case.settled, "{label}: {row}");
            let event = format!("job_events where job_id = '{job}' and event = 'admin_cancelled'");
            let sums = db.value(&format!("select detail from {event}")).await;
            let ledger = |kind: &str| {
                let sum: i64 =
                    case.entries.iter().filter(|entry| entry.0 == kind).map(|entry| entry.1).sum();
                sum.abs()
            };
            assert_eq!(sums["ledger_debit"], ledger("debit"), "{label}");
            assert_eq!(sums["ledger_refunds"], ledger("refund") + case.returned, "{label}");
            let violations = db.violations().await;
            let own: Vec<&Value> =
                violations.iter().filter(|row| row["subject"] == json!(job)).collect();
            assert!(own.is_empty(), "{label}: an admin has settled it: {own:?}");
        }
    }
}

/// The account's balance is so large that the refund does not fit into it.
#[tokio::test]
async fn an_admin_closes_a_job_whose_refund_cannot_be_given() {
    let db = Database::fresh().await;
    let (user, _) = (db.user(0).await, db.admin().await);
    let job = stale(&db, user).await;
    let other = stale(&db, db.user(0).await).await;
    db.insert_entry(user, None, "grant", i64::MAX).await;
    db.exec("update tools set user_cancel_running = true").await;
    assert_eq!(db.cancel(user, job).await.unwrap_err().message, "in_progress");
    assert_eq!(cron(&db).await, 1);
    assert_eq!(db.job(other).await["status"], "failed");
    assert!(!db.job(job).await["quarantined_at"].is_null());
    assert_eq!(db.cancel_by_admin(job).await["refunded_credits"], 0);
    let row = db.job(job).await;
    assert_has!(row, { "status": "cancelled", "credits_refunded": 0 });
    let reason = db
        .value(&format!(
            "select detail ->> 'not_returned' from job_events
            where job_id = '{job}' and event = 'admin_cancelled'"
        ))
        .await;
    assert!(reason.as_str().is_some_and(|reason| reason.contains("out of range")), "{reason}");
    // A refund that could not be written stays a violation.
    let owed =
        |row: &Value| row["subject"] == json!(job) && row["invariant"] == "final_refund_exact";
    assert!(db.violations().await.iter().any(owed));
}

/// A worker or a healer reports a step whose refund does not fit into the balance: the step fails,
/// and an operator must look at the credits.
#[tokio::test]
async fn a_step_whose_refund_cannot_be_given_fails_for_its_worker() {
    let db = Database::open().await;
    let code = json!({ "p_error_code": "PROVIDER_FAILED", "p_error_message": "no." });
    let requeue = json!({ "p_kind": "transient", "p_delay_ms": 0,
        "p_error_code": "PROVIDER_FAILED", "p_error_message": "busy." });
    for (function, more) in [
        ("step_fail_v1", code),
        ("step_requeue_v1", requeue),
        ("step_checked_v1", json!({ "p_answer": "running" })),
    ] {
        let (user, job) = db.upscale().await;
        let attempt = db.run("runninghub", function).await;
        db.insert_entry(user, None, "grant", i64::MAX).await;
        db.exec(&format!(
            "update job_steps
            set attempts = 3, deadline_at = clock_timestamp() - interval '1 second'
            where job_id = '{job}'"
        ))
        .await;
        let answer = db.ask(function, attempt.with(more)).await;
        assert_has!(answer, { "outcome": "failed", "refunded": 0 });
        assert!(!db.job(job).await["quarantined_at"].is_null(), "{function}");
        assert_eq!(db.step(job, 1).await["status"], "failed", "{function}");
        assert_eq!(db.balance(user).await, i64::MAX);
    }
}

/// The row cannot even be quarantined, because another trigger refuses every change of it.
#[tokio::test]
async fn a_row_that_no_healer_can_change_stops_no_other() {
    let db = Database::fresh().await;
    let job = stale(&db, db.user(0).await).await;
    db.exec(&format!(
        "create function public.never() returns trigger
            language plpgsql as $$ begin raise exception 'never'; end $$;
         create trigger never before update on unstuck.jobs for each row when (old.id = '{job}')
         execute function public.never();
         create trigger never before update on unstuck.job_steps for each row
         when (old.job_id = '{job}') execute function public.never()"
    ))
    .await;
    let other = stale(&db, db.user(0).await).await;
    let swept = edge(&db).await;
    assert_has!(swept, { "cleaned": 1, "remaining": 0 });
    assert_eq!(db.job(other).await["status"], "failed");
    let remembered = format!(
        "select count(*) from unstuck_private.unhealed where job_id = '{job}'
            and reason like '%never%'"
    );
    assert_eq!(db.int(&remembered).await, 1);
    let tried = format!(
        "select count(*) from job_events where job_id = '{job}'
            and event = 'quarantine_failed'"
    );
    cron(&db).await;
    assert_eq!(db.int(&tried).await, 1, "left alone for a while");
    db.due("runninghub").await;

    db.exec(
        "drop trigger never on unstuck.jobs; drop trigger never on unstuck.job_steps; update
        unstuck_private.unhealed set retry_at = now()",
    )
    .await;
    assert_eq!(cron(&db).await, 1);
    db.assert_failed(job, "TIMEOUT", 60).await;
}

/// A row by hand that is pending with another job's exclusive key is requeued, and the key stays
/// the other job's.
#[tokio::test]
async fn a_pending_row_with_another_jobs_exclusive_key_is_requeued() {
    let db = Database::fresh().await;
    let (user, _) = db.ordered(120, UPSCALER, 1).await;
    let over = "now() - interval '1 second'";
    let key = format!("'runninghub:{user}'");
    let columns = [("request_hash", "'hash'"), ("exclusive_key", &*key), ("deadline_at", over)];
    let job = db.insert_job(user, UPSCALER, "pending", &columns).await;
    db.insert_step(job, 1, "starting", &[("run", "1"), ("lease_until", over)]).await;
    let other = stale(&db, db.user(0).await).await;
    let swept = edge(&db).await;
    assert_has!(swept, { "cleaned": 1, "requeued": 1 });
    assert_eq!(db.job(other).await["status"], "failed");
    assert_eq!(db.job(job).await["status"], "queued");
    assert_eq!(db.claim("runninghub", 5).await.len(), 2);
}
