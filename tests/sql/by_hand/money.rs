//! One odd row at a time: it is quarantined or closed, by the ledger, and nobody else notices.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, UPSCALER};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

use super::{cron, edge, stale};

/// An import leaves out what a set of cards cost; its first card's workers die until no attempt is
/// left.
#[tokio::test]
async fn a_set_without_its_price_stops_no_healer() {
    let db = Database::open().await;
    let (user, job) = (db.user(100).await, Uuid::new_v4());
    db.exec(&format!(
        "insert into jobs (id, tool, user_id, status, total_steps)
            values ('{job}', '{CARDS}', '{user}', 'queued', 2);
         insert into job_steps (job_id, step, status, share)
         values ('{job}', 1, 'queued', 10), ('{job}', 2, 'queued', 10);
         insert into credit_entries (user_id, job_id, kind, amount)
         values ('{user}', '{job}', 'debit', -20)"
    ))
    .await;
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

/// (what the row says was charged and returned, the ledger, what an admin's cancel returns, and
/// whether the ledger is in order afterwards; where it is not, the row stays quarantined)
type Odd = (i64, i64, &'static [(&'static str, i64, Option<i64>)], i64, bool);

const ODD: &[Odd] = &[
    // A part was returned by hand, once and twice, for the job and for a step.
    (0, 0, &[("debit", -60, None), ("refund", 20, None)], 40, true),
    (60, 20, &[("debit", -60, None), ("refund", 20, None)], 40, true),
    (60, 0, &[("debit", -60, None), ("refund", 20, None), ("refund", 10, Some(0))], 30, true),
    (60, 60, &[("debit", -60, None), ("refund", 20, Some(1)), ("refund", 10, Some(-1))], 30, true),
    // More was returned than taken, or nothing was taken at all.
    (60, 60, &[("debit", -60, None), ("refund", 80, None)], 0, false),
    (0, 0, &[("refund", 10, None)], 0, false),
    (60, 10, &[("refund", 10, None)], 0, false),
    // The row alone says that something was taken, or returned.
    (60, 0, &[], 0, true),
    (60, 60, &[("debit", -60, None)], 60, true),
    (0, 0, &[("debit", -60, None)], 60, true),
];

async fn odd(db: &Session, user: Uuid, case: &Odd) -> Uuid {
    let job = Uuid::new_v4();
    db.exec(&format!(
        "insert into jobs (id, tool, user_id, status, credits_charged, credits_refunded,
            exclusive_key, created_at)
         values ('{job}', '{UPSCALER}', '{user}', 'queued', {}, {}, 'runninghub:{user}', now() -
         interval '1 hour')",
        case.0, case.1
    ))
    .await;
    for (kind, amount, step) in case.2 {
        let step = step.map_or("null".into(), |step| step.to_string());
        db.exec(&format!(
            "insert into credit_entries (user_id, job_id, step, kind, amount)
                values ('{user}', '{job}', {step}, '{kind}', {amount})"
        ))
        .await;
    }
    job
}

#[tokio::test]
async fn an_admin_closes_a_job_whatever_its_money_looks_like() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    for healed_first in [false, true] {
        for case in ODD {
            let label = format!("{case:?}, healed first: {healed_first}");
            let user = db.user(200).await;
            let job = odd(&db, user, case).await;
            let before = db.balance(user).await;
            if healed_first {
                cron(&db).await;
                if !db.job(job).await["completed_at"].is_null() {
                    assert!(case.4, "{label}");
                    continue;
                }
                // Quarantined, it blocks nobody.
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
                let args = json!({ "p_actor": admin, "p_table": "upscaler_jobs", "p_job_id": job,
                    "p_charge": false, "p_new_job_id": Uuid::new_v4() });
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
            assert_eq!(answer["refunded_credits"], case.3, "{label}");
            assert_eq!(db.balance(user).await, before + case.3, "{label}");
            let row = db.job(job).await;
            assert_eq!(row["status"], "cancelled", "{label}");
            assert_eq!(row["quarantined_at"].is_null(), case.4, "{label}: {row}");
            let sums = db
                .value(&format!(
                    "select detail from job_events where job_id = '{job}'
                        and event = 'admin_cancelled'"
                ))
                .await;
            let ledger = |kind: &str| {
                let sum: i64 =
                    case.2.iter().filter(|entry| entry.0 == kind).map(|entry| entry.1).sum();
                sum.abs()
            };
            assert_eq!(sums["ledger_debit"], ledger("debit"), "{label}");
            assert_eq!(sums["ledger_refunds"], ledger("refund") + case.3, "{label}");
            let offences = db.violations().await;
            let own: Vec<&Value> =
                offences.iter().filter(|row| row["subject"] == json!(job)).collect();
            assert!(own.is_empty(), "{label}: an admin has settled it: {own:?}");
        }
    }
}

/// An account that no refund fits into any more.
#[tokio::test]
async fn an_admin_closes_a_job_whose_refund_cannot_be_given() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(0).await, db.admin().await);
    let job = stale(&db, user).await;
    let other = stale(&db, db.user(0).await).await;
    db.exec(&format!(
        "insert into credit_entries (user_id, kind, amount)
            values ('{user}', 'grant', 9223372036854775807)"
    ))
    .await;
    db.exec("update tools set user_cancel_running = true").await;
    assert_eq!(db.cancel(user, job).await.unwrap_err().message, "in_progress");
    assert_eq!(cron(&db).await, 1);
    assert_eq!(db.job(other).await["status"], "failed");
    assert!(!db.job(job).await["quarantined_at"].is_null());
    assert_eq!(db.cancel_as_admin(admin, job).await.unwrap()["refunded_credits"], 0);
    let row = db.job(job).await;
    assert_has!(row, { "status": "cancelled", "credits_refunded": 0 });
    let reason = db
        .value(&format!(
            "select detail ->> 'not_returned' from job_events
            where job_id = '{job}' and event = 'admin_cancelled'"
        ))
        .await;
    assert!(reason.as_str().is_some_and(|reason| reason.contains("out of range")), "{reason}");
    // What could not be returned stays an offence.
    let owed =
        |row: &Value| row["subject"] == json!(job) && row["invariant"] == "final_refund_exact";
    assert!(db.violations().await.iter().any(owed));
}

/// Not even the mark can be written: a trigger of somebody else's refuses every change of the row.
#[tokio::test]
async fn a_row_that_refuses_every_change_stops_nobody() {
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

/// A row by hand that was pending with somebody's key is put back to work: the key is the other
/// one's.
#[tokio::test]
async fn a_pending_row_with_a_key_is_rescued_beside_the_keys_owner() {
    let db = Database::fresh().await;
    let (user, job) = (db.user(120).await, Uuid::new_v4());
    db.order(user, UPSCALER, 1).await;
    db.exec(&format!(
        "insert into jobs (id, tool, user_id, status, request_hash, exclusive_key,
            deadline_at)
         values ('{job}', '{UPSCALER}', '{user}', 'pending', 'hash', 'runninghub:{user}', now() -
         interval '1 second');
         insert into job_steps (job_id, step, status, run, lease_until)
         values ('{job}', 1, 'starting', 1, now() - interval '1 second')"
    ))
    .await;
    let other = stale(&db, db.user(0).await).await;
    let swept = edge(&db).await;
    assert_has!(swept, { "cleaned": 1, "requeued": 1 });
    assert_eq!(db.job(other).await["status"], "failed");
    assert_eq!(db.job(job).await["status"], "queued");
    assert_eq!(db.claim("runninghub", 5).await.len(), 2);
}
