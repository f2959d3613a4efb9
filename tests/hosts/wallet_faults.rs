//! A wallet of the app that refuses, fails or is locked keeps no job from ending: a refund that it
//! does not take is owed.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::hosts::{App, Host};
use unstuck_tests::shop::{CARDS, WEBSITE};
use uuid::{Uuid, uuid};

use crate::wallets::purse;

const OWNER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");
const TEAM: Uuid = uuid!("00000000-0000-4000-8000-0000000000f1");

const REFUSES: &str = "
    create function public.no_refunds() returns trigger language plpgsql as
    'begin raise exception ''no refunds today''; end';
    create trigger no_refunds before insert on public.token_transactions
    for each row when (new.transaction_type = 'refund') execute function public.no_refunds()";

#[tokio::test]
async fn a_refund_that_the_app_refuses_is_owed_and_paid_by_a_later_pass() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    host.exec(REFUSES).await;
    let cancelled = host.order(OWNER, CARDS, 1).await;
    let answer = host.cancel(OWNER, cancelled).await.unwrap();
    assert_has!(answer, { "status": "cancelled", "refunded_credits": 0 });
    // One share is owed while the job still runs, and a second one later: each is owed once.
    let cards = host.order(OWNER, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.fail(attempts[0], "CONTENT_REFUSED").await;
    host.complete(attempts[1]).await;
    host.fail(attempts[2], "CONTENT_REFUSED").await;
    assert_eq!(host.job(cards).await["status"], "completed");
    let owed = "select job_id, step, amount, error from unstuck.refunds_owed";
    let mut rows = host.rows(owed).await;
    rows.sort_by_key(|row| row["step"].as_i64());
    let row = |job: Uuid, step: Option<i64>| {
        json!({ "job_id": job, "step": step, "amount": 10,
        "error": "no refunds today" })
    };
    // The steps of a cancelled job end with it, so its one refund is that of a step.
    assert_eq!(rows.len(), 3, "{rows:?}");
    for expected in [row(cancelled, Some(1)), row(cards, Some(1)), row(cards, Some(3))] {
        assert!(rows.contains(&expected), "{expected} in {rows:?}");
    }
    host.assert_healthy().await;

    // A sweep retries in vain; after an hour each owed refund is a violation.
    host.sweep().await;
    assert_eq!(
        host.rows("select tries from unstuck.refunds_owed").await,
        vec![json!({ "tries": 2 }); 3]
    );
    host.assert_healthy().await;
    host.exec("update unstuck.refunds_owed set at = at - interval '61 minutes'").await;
    assert_eq!(host.violated().await, ["refund_owed"; 3]);
    let cards_before = purse(&host, App::Cards).await.0;
    host.exec("drop trigger no_refunds on public.token_transactions").await;
    host.sweep().await;
    assert_eq!(host.count("unstuck.refunds_owed").await, 0);
    assert_eq!(purse(&host, App::Cards).await.0, cards_before + 30);
    host.assert_cancelled(cancelled, 10).await;
    host.assert_completed(cards, 20).await;
    host.sweep().await;
    assert_eq!(purse(&host, App::Cards).await.0, cards_before + 30, "once");
}

#[tokio::test]
async fn healers_wait_for_no_wallet_and_stop_for_none() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    let (held, free) = (host.order(OWNER, CARDS, 1).await, host.order(ADMIN, CARDS, 1).await);
    host.age_all("1 day").await;
    let app = host.connect("postgres").await;
    app.exec(&format!("begin; update public.profiles set full_name = 'held' where id = '{OWNER}'"))
        .await;
    host.sweep().await;
    host.assert_failed(free, "QUEUE_TIMEOUT", 10).await;
    assert_eq!(host.job(held).await["status"], "queued");
    // Reads do not wait for the wallet either.
    let shown = host.ask("job_get_v1", json!({ "p_job_id": free })).await;
    assert_eq!(shown["balance"], 100);
    let shown = host.ask("job_get_v1", json!({ "p_job_id": held })).await;
    assert_eq!(shown["balance"], 90, "the balance after the last entry");
    app.exec("commit").await;
    host.sweep().await;
    host.assert_failed(held, "QUEUE_TIMEOUT", 10).await;
    assert_eq!(purse(&host, App::Cards).await.0, 100);
}

/// Every call of `wallet_lock` fails, as in an app that has lost a column.
const BROKEN_LOCK: &str = "
    create or replace function unstuck_private.wallet_lock(uuid, text, boolean)
    returns table (balance bigint, unlimited boolean) language plpgsql as
    'begin raise exception ''no such column''; end'";

#[tokio::test]
async fn a_wallet_that_fails_stops_no_end_of_a_job_and_no_answer() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    let (cancelled, left, erased) = (
        host.order(OWNER, CARDS, 1).await,
        host.order(OWNER, CARDS, 1).await,
        host.order(OWNER, CARDS, 1).await,
    );
    let parameters = "p_user_id uuid, p_tool text, p_wait boolean";
    host.exec(&BROKEN_LOCK.replace("uuid, text, boolean", parameters)).await;
    let shown = host.ask("job_get_v1", json!({ "p_job_id": left })).await;
    assert_has!(shown, { "status": "queued", "balance": 70 });
    host.cancel(OWNER, cancelled).await.unwrap();
    host.assert_cancelled(cancelled, 10).await;
    let closed = json!({ "p_user_id": OWNER, "p_session_id": "other", "p_job_ids": [left] });
    host.ask("session_cancel_v1", closed).await;
    host.assert_cancelled(left, 10).await;
    let erase = json!({ "p_actor": ADMIN, "p_user_id": OWNER, "p_reason": "asked" });
    assert_has!(host.ask("user_erase_v1", erase).await, { "jobs": 3 });
    assert_eq!(host.count(&format!("unstuck.jobs where id = '{erased}'")).await, 0);
    assert_eq!(purse(&host, App::Cards).await.0, 100);
}

#[tokio::test]
async fn a_user_is_erased_only_once_the_app_took_back_what_it_owes() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    host.exec(REFUSES).await;
    let ended = host.order(OWNER, CARDS, 1).await;
    host.cancel(OWNER, ended).await.unwrap();
    let live = host.order(OWNER, CARDS, 1).await;
    let erase = json!({ "p_actor": ADMIN, "p_user_id": OWNER, "p_reason": "asked" });
    let refused = host.try_call("user_erase_v1", erase.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), ("PT409", "in_progress"));
    assert_has!(refused.detail, { "refunds_owed": 20 });
    assert_eq!(host.job(live).await["status"], "queued", "a refused erasure cancels no job");
    assert_eq!(host.count("unstuck.refunds_owed").await, 1);
    host.exec("drop trigger no_refunds on public.token_transactions").await;
    host.ask("user_erase_v1", erase).await;
    assert_eq!(purse(&host, App::Cards).await.0, 100);
    assert_eq!(host.count("unstuck.refunds_owed").await, 0);
    assert_eq!(host.count(&format!("unstuck.jobs where user_id = '{OWNER}'")).await, 0);
}

/// Makes the wallet take at most this much at a time, or refuse.
async fn give_at_most(host: &Host, most: Option<i64>) {
    let body = match most {
        Some(most) => format!(
            "given := unstuck_private.gives(
                p_user_id, least(p_amount, {most}), p_job_id, p_reason, p_receipt)"
        ),
        None => "raise exception ''not now''".to_owned(),
    };
    host.exec(&format!(
        "create or replace function unstuck_private.wallet_refund(p_user_id uuid, p_amount bigint,
            p_job_id uuid, p_reason text, p_receipt jsonb, out given bigint) language plpgsql as
        'begin {body}; end'"
    ))
    .await;
}

#[tokio::test]
async fn two_refunds_of_one_job_that_are_owed_in_part_hold_up_no_other() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 30").await;
    host.exec("alter function unstuck_private.wallet_refund rename to gives").await;
    give_at_most(&host, Some(4)).await;
    let cards = host.order(OWNER, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.fail(attempts[0], "CONTENT_REFUSED").await;
    host.fail(attempts[1], "CONTENT_REFUSED").await;
    assert_eq!(host.count(&format!("unstuck.refunds_owed where job_id = '{cards}'")).await, 2);
    give_at_most(&host, None).await;
    let other = host.order(ADMIN, CARDS, 1).await;
    host.cancel(ADMIN, other).await.unwrap();
    let owed = "select coalesce(sum(amount), 0)::bigint from unstuck.refunds_owed";
    let before = host.int(owed).await;
    host.sweep().await;
    assert_eq!(host.int(owed).await, before);
    assert_eq!(host.count("unstuck.refunds_owed where tries < 2").await, 0, "each was tried");
    give_at_most(&host, Some(1000)).await;
    host.sweep().await;
    assert_eq!(host.int(owed).await, 0);
    host.complete(attempts[2]).await;
    host.assert_completed(cards, 60).await;
    host.assert_cancelled(other, 30).await;
    assert_eq!(purse(&host, App::Cards).await.0, 70);
    host.assert_healthy().await;
}

#[tokio::test]
async fn a_wallet_is_shared_with_rows_that_name_its_user() {
    for (app, tool, row, held) in [
        (
            App::Cards,
            CARDS,
            format!("insert into public.user_roles (user_id, role) values ('{OWNER}', 'admin')"),
            format!("select from public.profiles where id = '{OWNER}' for update nowait"),
        ),
        (
            App::Sites,
            WEBSITE,
            format!(
                "insert into public.generation_history (prompt, user_id, team_id)
                values ('x', '{OWNER}', '{TEAM}')"
            ),
            format!("select from public.teams where id = '{TEAM}' for update nowait"),
        ),
    ] {
        let host = Host::with_its_wallet(app).await;
        host.set_tool(CARDS, "credit_cost = 10").await;
        let job = host.order(OWNER, tool, 1).await;
        let other = host.connect("postgres").await;
        // A transaction that reads the state of a job holds no lock on the wallet.
        host.exec("begin").await;
        host.ask("job_get_v1", json!({ "p_job_id": job })).await;
        other.exec(&held).await;
        host.exec("commit").await;
        host.age(job, "1 day").await;
        // A new row that refers to the wallet by a foreign key does not stop a healer.
        other.exec(&format!("begin; {row}")).await;
        host.sweep().await;
        assert!(host.job(job).await["credits_refunded"].as_i64() > Some(0), "{app:?}");
        other.exec("rollback").await;
    }
}

#[tokio::test]
async fn a_refund_that_fails_behind_the_wallet_counts_as_tried() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    host.exec(REFUSES).await;
    let job = host.order(OWNER, CARDS, 1).await;
    host.cancel(OWNER, job).await.unwrap();
    host.exec(
        "drop trigger no_refunds on public.token_transactions;
        create function public.fails() returns trigger language plpgsql as
        'begin raise exception ''not now''; end';
        create trigger fails before update of credits_refunded on unstuck.jobs
        for each row execute function public.fails()",
    )
    .await;
    for tries in 2..4 {
        host.sweep().await;
        let owed = "select amount, tries, error from unstuck.refunds_owed";
        let expected = json!({ "amount": 10, "tries": tries, "error": "not now" });
        assert_eq!(host.rows(owed).await, [expected]);
        assert_eq!(purse(&host, App::Cards).await.0, 90, "nothing came back");
    }
    host.exec("drop trigger fails on unstuck.jobs").await;
    host.sweep().await;
    host.assert_cancelled(job, 10).await;
    assert_eq!(purse(&host, App::Cards).await.0, 100);
}

#[tokio::test]
async fn what_older_code_takes_or_gives_is_refused_as_it_expects() {
    let host = Host::with_its_wallet(App::Sites).await;
    // The team has 10.00, and a credit limit of 5.50 that counts for websites only.
    let refused = host.adjust("consume", OWNER, 1200, "older code").await;
    assert_has!(refused, {
        "success": false, "new_balance": 1550, "error_message": "Insufficient credits",
    });
    let nobodys = host.adjust("refund", Uuid::new_v4(), 5, "older code").await;
    assert_has!(nobodys, { "success": false, "error_message": "forbidden" });
    assert_eq!(purse(&host, App::Sites).await, (1000, 0));
    let taken = host.adjust("consume", OWNER, 1000, "older code").await;
    assert_has!(taken, { "success": true, "new_balance": 550 });
    assert_eq!(host.count("unstuck.credit_entries").await, 1);
    host.assert_healthy().await;
}
