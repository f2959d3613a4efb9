//! Credits that belong to no job: purchases, and the two functions that older back ends call.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::shop::{CARDS, UPSCALER, WEBSITE};
use uuid::Uuid;

/// The arguments of `credit_grant_v1`; `()` becomes null.
fn grant(user: Option<Uuid>, amount: impl Into<Value>, key: impl Into<Value>) -> Value {
    let (amount, key): (Value, Value) = (amount.into(), key.into());
    json!({ "p_user_id": user, "p_amount": amount, "p_reason": "bought", "p_idempotency_key": key })
}

#[tokio::test]
async fn credit_grant_v1_applies_each_idempotency_key_once() {
    let db = Database::fresh().await;
    let (user, other) = (Uuid::new_v4(), Uuid::new_v4());
    for (amount, key, balance, replayed) in
        [(100, "k1", 100, false), (100, "k1", 100, true), (5, "k2", 105, false)]
    {
        let granted = db.ask("credit_grant_v1", grant(Some(user), amount, key)).await;
        assert_eq!(granted, json!({ "balance": balance, "replayed": replayed }), "{key}");
    }
    for args in [grant(Some(user), 99, "k1"), grant(Some(other), 100, "k1")] {
        let error = db.refusal("credit_grant_v1", args).await;
        assert_eq!(error.reason(), ("PT409", "idempotency_conflict"));
    }
    for args in [
        grant(None, 1, "k"),
        grant(Some(user), 0, "k"),
        grant(Some(user), -1, "k"),
        grant(Some(user), (), "k"),
        grant(Some(user), 1, ""),
        grant(Some(user), 1, ()),
    ] {
        assert_eq!(db.refusal("credit_grant_v1", args).await.state, "PT400");
    }
    assert_eq!((db.balance(user).await, db.balance(other).await), (105, 0));
    db.assert_healthy().await;
}

#[tokio::test]
async fn amounts_beyond_32_bits_are_exact_and_a_trillion_is_the_most() {
    let db = Database::open().await;
    let (user, most) = (Uuid::new_v4(), 1_000_000_000_000_i64);
    let first = db.ask("credit_grant_v1", grant(Some(user), most, "k1")).await;
    assert_eq!(first["balance"], most);
    assert_eq!(
        db.refusal("credit_grant_v1", grant(Some(user), most + 1, "k2")).await.state,
        "PT400"
    );
    let refused =
        json!({ "success": false, "new_balance": null, "error_message": "Amount is too large" });
    assert_eq!(db.adjust("refund", user, most + 1, "old code").await, refused);
    assert_eq!(db.adjust("refund", user, most, "old code").await["new_balance"], 2 * most);
    // An amount beyond 32 bits is charged, refunded and counted like any other.
    db.set_tool(UPSCALER, &format!("credit_cost = {}", most / 4)).await;
    let job = db.order(user, UPSCALER, 1).await;
    assert_eq!(db.balance(user).await, 2 * most - most / 4);
    db.age(job, "1 hour").await;
    assert_eq!(db.sweep().await["refunded_credits"], most / 4);
    assert_eq!(db.balance(user).await, 2 * most);
    let second = db.order(user, UPSCALER, 1).await;
    assert_eq!(db.cancel(user, second).await.unwrap()["refunded_credits"], most / 4);
    assert_eq!(db.violations().await.len(), 1, "only the adjustment beside the refunds");
}

#[tokio::test]
async fn c25_every_refund_fits_whatever_the_user_owns() {
    let db = Database::open().await;
    // Cards, a picture and a website of accounts whose balance with the refund exceeds 32 bits.
    for (tool, provider) in [(CARDS, "gemini"), (UPSCALER, "runninghub"), (WEBSITE, "llm")] {
        for end in ["cancelled", "overdue", "failed"] {
            let user = db.user(2_147_483_647).await;
            let job = db.order(user, tool, 1).await;
            db.grant(user, 1_000_000_000_000).await;
            let other = db.order(db.user(500).await, tool, 1).await;
            match end {
                "cancelled" => drop(db.cancel_by_admin(job).await),
                "overdue" => {
                    db.age(job, "1 hour").await;
                    db.age(other, "1 hour").await;
                    assert_eq!(db.sweep().await["cleaned"], 2, "{tool}");
                    assert_eq!(db.job(other).await["status"], "failed", "{tool}");
                }
                _ => {
                    let attempt = db.claim_one(provider).await;
                    assert_eq!(attempt.job, job);
                    assert_eq!(db.fail(attempt, "PROVIDER_REJECTED").await["outcome"], "failed");
                }
            }
            assert_eq!(db.balance(user).await, 1_002_147_483_647, "{tool} {end}");
            assert_eq!(db.job(job).await["quarantined_at"], Value::Null, "{tool} {end}");
            if end != "overdue" {
                db.cancel_by_admin(other).await;
            }
        }
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn adjustments_of_older_code_never_take_a_balance_below_zero() {
    let db = Database::fresh().await;
    let user = Uuid::new_v4();
    let refused = Some("Insufficient credits");
    for (function, amount, balance, error) in [
        ("consume", 1, 0, refused),
        ("refund", 30, 30, None),
        ("consume", 20, 10, None),
        ("consume", 11, 10, refused),
    ] {
        let expected =
            json!({ "success": error.is_none(), "new_balance": balance, "error_message": error });
        let answer = db.adjust(function, user, amount, "old code").await;
        assert_eq!(answer, expected, "{function} {amount}");
    }
    for function in ["refund", "consume"] {
        for amount in [0, -5] {
            let answer = db.adjust(function, user, amount, "old code").await;
            assert_eq!(answer["success"], false, "{function} {amount}");
        }
    }
    assert_eq!(db.balance(user).await, 10);
    db.assert_healthy().await;
}

#[tokio::test]
async fn an_adjustment_beside_a_jobs_own_refund_is_a_violation_until_settled() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    db.cancel(user, job).await.unwrap();
    db.adjust("refund", user, 60, "again").await;
    let violations = db.violations().await;
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0]["invariant"], "adjustment_beside_refund");
    // A double credit is settled by an adjustment that names the violation's subject; another
    // adjustment settles nothing.
    let take = async |why: &str| db.adjust("consume", user, 60, why).await;
    take("a job of older code").await;
    assert_eq!(db.violations().await.len(), 1);
    take(&format!("settles {}", violations[0]["subject"].as_str().unwrap())).await;
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_adjustment_beside_a_refund_is_one_violation_whatever_its_amount() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    // Two of three cards fail; older code returns the price of the whole job, or of both cards.
    let job = db.order(user, CARDS, 3).await;
    let claimed = db.claim("gemini", 3).await;
    db.complete(claimed[0]).await;
    for attempt in &claimed[1..] {
        db.fail(*attempt, "CONTENT_REFUSED").await;
    }
    db.assert_completed(job, 20).await;
    for amount in [30, 20, 10] {
        db.adjust("refund", user, amount, "again").await;
    }
    let violations = db.violations().await;
    assert!(
        violations.iter().all(|row| row["invariant"] == "adjustment_beside_refund"),
        "{violations:?}"
    );
    assert_eq!(violations.len(), 3, "{violations:?}");

    // An adjustment long before or after the refund is no violation, nor is one that takes credits.
    let other = db.user(1000).await;
    let job = db.order(other, UPSCALER, 1).await;
    let entry = |amount: i64, at: &str| {
        format!(
            "insert into credit_entries (user_id, kind, amount, created_at)
                values ('{other}', 'adjustment', {amount}, clock_timestamp() + interval '{at}')"
        )
    };
    db.cancel(other, job).await.unwrap();
    for (amount, at) in [(60, "-61 minutes"), (60, "61 minutes"), (-60, "0 minutes")] {
        db.exec(&entry(amount, at)).await;
    }
    assert_eq!(db.violations().await.len(), 3);
}

#[tokio::test]
async fn entries_are_deleted_only_together_with_all_of_their_user() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(100).await, db.user(40).await);
    let job = db.order(user, UPSCALER, 1).await;
    for sql in [
        format!("delete from credit_entries where job_id = '{job}'"),
        format!("delete from credit_entries where user_id = '{user}' and kind = 'grant'"),
        "delete from credit_entries where amount = 40 or kind = 'debit'".to_owned(),
    ] {
        assert_eq!(db.try_exec(&sql).await.unwrap_err().state, "23001", "{sql}");
    }
    assert_eq!((db.balance(user).await, db.balance(other).await), (40, 40));
    db.cancel(user, job).await.unwrap();
    db.exec(&format!(
        "delete from jobs where user_id = '{user}'; delete from credit_entries
            where user_id = '{user}'"
    ))
    .await;
    assert_eq!((db.balance(user).await, db.balance(other).await), (0, 40));
    db.assert_healthy().await;
    db.grant(user, 5).await;
    assert_eq!(db.balance(user).await, 5);
}

#[tokio::test]
async fn an_entry_by_hand_is_a_violation_only_where_it_breaks_an_invariant() {
    let db = Database::fresh().await;
    let user = db.user(100).await;
    let entry = |rest: &str| {
        format!("insert into credit_entries (user_id, kind, amount) values ('{user}', {rest})")
    };
    // A debit without a job is allowed.
    db.exec(&entry("'debit', -40")).await;
    assert_eq!(db.balance(user).await, 60);
    db.assert_healthy().await;
    db.exec(&entry("'refund', 10")).await;
    assert_eq!(db.violations().await[0]["invariant"], "entry_without_job");
    let keeper = db.user(5).await;
    db.exec(&format!("delete from credit_accounts where user_id = '{keeper}'")).await;
    let violations = db.violations().await;
    assert!(
        violations.iter().any(|row| row["invariant"] == "balance_equals_entries"
            && row["subject"] == keeper.to_string())
    );
}

#[tokio::test]
async fn the_ledger_is_append_only_and_keeps_its_signs() {
    let db = Database::fresh().await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    let entry = |more: &str| {
        format!(
            "insert into credit_entries (user_id, job_id, kind, amount)
                values ('{user}', {more})"
        )
    };
    for (sql, state) in [
        ("update credit_entries set amount = 1".to_owned(), "23001"),
        (entry(&format!("'{job}', 'debit', -1")), "23505"),
        (entry("null, 'grant', -1"), "23514"),
        (entry("null, 'grant', 0"), "23514"),
        (entry("null, 'refund', -1"), "23514"),
        (entry("null, 'adjustment', 0"), "23514"),
        (entry("null, 'adjustment', -1000"), "23514"),
        (format!("update jobs set credits_refunded = 61 where id = '{job}'"), "23514"),
        (format!("update jobs set status = 'completed' where id = '{job}'"), "23514"),
    ] {
        assert_eq!(db.try_exec(&sql).await.unwrap_err().state, state, "{sql}");
    }
    db.cancel(user, job).await.unwrap();
    for sql in [
        format!("update jobs set status = 'queued', completed_at = null where id = '{job}'"),
        format!(
            "update job_steps set status = 'queued', completed_at = null
                where job_id = '{job}'"
        ),
        entry(&format!("'{job}', 'refund', 60")),
    ] {
        let state = db.try_exec(&sql).await.unwrap_err().state;
        assert!(["23514", "23505"].contains(&state.as_str()), "{state}: {sql}");
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn has_role_reads_the_table_user_roles() {
    let db = Database::fresh().await;
    let (user, admin) = (Uuid::new_v4(), db.admin().await);
    let has = async |user: Uuid, role: &str| {
        db.value(&format!("select has_role('{user}', '{role}')")).await
    };
    assert_eq!(
        (has(admin, "admin").await, has(admin, "moderator").await, has(user, "admin").await),
        (json!(true), json!(false), json!(false))
    );
}
