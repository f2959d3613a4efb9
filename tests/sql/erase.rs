//! `user_erase_v1`: no row that names the user stays, the ledger stays right, providers are still
//! told to cancel, and a concurrent call finds either the user or nobody.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, VIDEO, WEBSITE, id};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

fn args(actor: Uuid, user: Uuid) -> Value {
    json!({ "p_actor": actor, "p_user_id": user, "p_reason": "asked to be forgotten" })
}

async fn pass(db: &Session, after: &str) {
    db.exec(&format!(
        "select * from unstuck_private.prune_old_rows(clock_timestamp() + interval '{after}')"
    ))
    .await;
}

/// A user with a job in every state, and with every other kind of row that a user may have.
async fn busy(db: &Database) -> (Uuid, Vec<Uuid>) {
    let user = db.user(1000).await;
    let failed = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", &format!("failed {failed}")).await;
    db.fail(attempt, "PROVIDER_FAILED").await;
    let done = db.order(user, UPSCALER, 1).await;
    let task = format!("done {done}");
    let attempt = db.run("runninghub", &task).await;
    db.done(attempt, &task).await;
    db.complete(attempt).await;
    db.record_webhook(attempt, &task, json!({ "user": user })).await;
    let cards = db.order(user, CARDS, 3).await;
    let claimed = db.claim("gemini", 1).await;
    db.complete(claimed[0]).await;
    let chain = db.order(user, TRY_ON, 2).await;
    let first = db.run("replicate", &format!("chain {chain}")).await;
    db.complete(first).await;
    let website = db.order(user, WEBSITE, 1).await;
    let queued = db.order(user, VIDEO, 1).await;
    db.exec(&format!("insert into unstuck_private.turns_owed values ('runninghub', '{user}')"))
        .await;
    db.cancel_session(user, "none", &[Uuid::new_v4()]).await;
    db.ask("session_stay_v1", json!({ "p_user_id": user, "p_session_id": "none" })).await;
    db.exec(&format!("insert into user_roles values ('{user}', 'user')")).await;
    let page = db.page(user).await;
    page.exec("insert into upscaler_jobs (status, input_file_name) values ('queued', 'in.png')")
        .await;
    let pending = db
        .value(&format!("select id from jobs where user_id = '{user}' and status = 'pending'"))
        .await;
    (user, vec![failed, done, cards, chain, website, queued, id(&pending)])
}

/// The tables of ours in which the word is in any column.
async fn traces(db: &Session, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in db.our_tables().await {
        if db.count(&format!("{table} t where t::text like '%{word}%'")).await > 0 {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn user_erase_v1_removes_every_row_of_the_user_and_keeps_the_invariants() {
    let db = Database::open().await;
    let admin = db.admin().await;
    let other = db.user(200).await;
    let cancelled = db.order(other, UPSCALER, 1).await;
    db.cancel(other, cancelled).await.unwrap();
    let (user, jobs) = busy(&db).await;
    db.order(other, UPSCALER, 1).await;
    let of_other = format!("select * from jobs where user_id = '{other}' order by id");
    let before = (db.rows(&of_other).await, db.balance(other).await);
    let told = traces(&db, &user.to_string()).await;
    for table in [
        "credit_accounts",
        "credit_entries",
        "jobs",
        "cancelled_requests",
        "sessions",
        "user_roles",
        "webhook_inbox",
    ] {
        assert!(told.contains(&format!("unstuck.{table}")), "{table} tells of a user: {told:?}");
    }

    let answer = db.ask("user_erase_v1", args(admin, user)).await;
    // One grant, six debits, the refund of the failed job, and the refunds of all that the erasure
    // cancelled.
    let entries = 1 + 6 + 1 + 2 + 3;
    assert_eq!(answer, json!({ "jobs": 7, "files": 3, "entries": entries }));
    db.sweep().await;
    assert_eq!(traces(&db, &user.to_string()).await, ["unstuck.admin_log", "unstuck.erasures"]);
    for job in jobs {
        assert_eq!(traces(&db, &job.to_string()).await, [""; 0], "{job}");
    }
    db.assert_healthy().await;
    let health = db.health().await;
    assert_has!(health, { "stuck": 0, "violations": 0 });
    assert_eq!(
        (db.rows(&of_other).await, db.balance(other).await),
        before,
        "no other user is changed"
    );

    let log = db.row("select actor, act, subject, \"from\", reason from admin_log").await;
    let from = json!({ "jobs": 7, "entries": entries, "balance": 1000 - 60 - 30 - 80 - 50 - 120 });
    let expected = json!({
        "actor": admin, "act": "user_erase", "subject": user, "from": from, "reason": "asked to \
            be forgotten",
    });
    assert_eq!(log, expected);
    let erasure = db.row("select user_id, files_left from erasures").await;
    assert_eq!(
        erasure,
        json!({ "user_id": user, "files_left": null }),
        "whose files are still to be deleted"
    );

    // A second erasure finds no row. A user who comes back is a new one.
    let zeros = json!({ "jobs": 0, "files": 0, "entries": 0 });
    assert_eq!(db.ask("user_erase_v1", args(admin, user)).await, zeros);
    assert_eq!(
        db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err().message,
        "insufficient_credits"
    );
    db.grant(user, 60).await;
    db.order(user, UPSCALER, 1).await;
    assert_eq!(db.balance(user).await, 0);
    db.assert_healthy().await;
}

#[tokio::test]
async fn only_an_admin_erases_and_only_a_user() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(60).await, db.admin().await);
    assert_eq!(db.refusal("user_erase_v1", args(user, user)).await.state, "PT403");
    for nobody in [json!(null), json!(Uuid::nil())] {
        let args = json!({ "p_actor": admin, "p_user_id": nobody, "p_reason": null });
        assert_eq!(db.refusal("user_erase_v1", args).await.state, "PT400");
    }
    assert_eq!(db.balance(user).await, 60);
    assert_eq!(db.count("admin_log").await, 0);
    let nobody = Uuid::new_v4();
    assert_eq!(
        db.ask("user_erase_v1", args(admin, nobody)).await["jobs"],
        0,
        "a user without a job has files"
    );
}

#[tokio::test]
async fn an_erased_users_tasks_are_still_cancelled_at_their_provider() {
    let db = Database::open().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let known = db.order(user, UPSCALER, 1).await;
    db.run("runninghub", "t1").await;
    let unknown = db.order(user, UPSCALER, 1).await;
    let unanswered = db.submit("runninghub").await;
    let owed = db.order(user, UPSCALER, 1).await;
    db.run("runninghub", "t3").await;
    db.cancel_by_admin(owed).await;

    db.ask("user_erase_v1", args(admin, user)).await;
    assert_eq!(
        traces(&db, &user.to_string())
            .await
            .iter()
            .filter(|table| *table != "unstuck_private.unaudited")
            .count(),
        2
    );
    assert_eq!(db.count("jobs where input <> '{}' or session_id is not null").await, 0);
    db.assert_healthy().await;
    // The answer of the submit comes after the erasure: its task is a cancel debt too.
    assert_eq!(db.started(unanswered, "t2").await, "cancel_due");
    let due = db.due("runninghub").await;
    let mut due: Vec<&str> = due.iter().map(|row| row["task_id"].as_str().unwrap()).collect();
    due.sort();
    assert_eq!(due, ["t1", "t2", "t3"]);

    for (job, task) in [(known, "t1"), (unknown, "t2")] {
        let told = json!({ "p_job_id": job, "p_step": 1, "p_task_id": task });
        assert_eq!(db.ask("step_cancelled_v1", told).await["remaining"], 0);
    }
    let left = "select count(*) from jobs";
    pass(&db, "59 minutes").await;
    assert_eq!(db.int(left).await, 3, "a worker may be about to learn its task");
    pass(&db, "61 minutes").await;
    assert_eq!(db.int(left).await, 1, "a cancel is owed");
    pass(&db, "25 hours").await;
    assert_eq!(db.int(left).await, 0, "by then the task has ended by itself");
    for job in [known, unknown, owed] {
        let mut left = traces(&db, &job.to_string()).await;
        left.retain(|table| table != "unstuck_private.unaudited");
        // The log of the admin's acts stays.
        let told: &[&str] = if job == owed { &["unstuck.admin_log"] } else { &[] };
        assert_eq!(left, told);
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn an_erasure_waits_for_a_purchase_that_names_the_user_before_it_holds_the_account() {
    let db = Database::fresh().await;
    let (admin, user) = (db.admin().await, db.user(10).await);
    let fact = json!({ "keys": ["pi_1"], "paid": true, "userId": user, "credits": 100 });
    db.ask("purchase_record_v1", json!({ "p_seller": "shop", "p_fact": fact })).await;
    // The purchase is another user's by now, but the seller named this user too.
    db.exec(&format!("update purchases set user_id = '{admin}'")).await;
    let (seller, eraser) = (db.connect().await, db.connect().await);
    seller.exec("begin; select from purchases for update").await;
    let settle = async {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        while db.int(waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        let account = format!("select unstuck_private.account_lock('{user}')");
        seller.exec(&format!("set local lock_timeout = '1s'; {account}; commit")).await;
    };
    let (erased, ()) = tokio::join!(eraser.ask("user_erase_v1", args(admin, user)), settle);
    assert_has!(erased, { "jobs": 0 });
    let naming = format!("purchases where facts::text like '%{user}%'");
    assert_eq!(db.count(&naming).await, 0);
}

#[tokio::test]
async fn user_erase_v1_removes_jobs_that_cannot_be_closed() {
    let db = Database::open().await;
    let (user, admin, other) = (db.user(1000).await, db.admin().await, db.user(0).await);
    let good = db.order(user, UPSCALER, 1).await;
    db.run("runninghub", "t1").await;
    // A job of which a part was refunded by hand, a job without steps, and another user's job that
    // names one of these.
    let partly = db.order(user, UPSCALER, 1).await;
    db.exec(&format!(
        "insert into credit_entries (user_id, job_id, kind, amount)
            values ('{user}', '{partly}', 'refund', 20);
         insert into jobs (tool, user_id, status, credits_charged)
         values ('{UPSCALER}', '{user}', 'running', 7);
         insert into jobs (tool, user_id, status, retry_of)
         values ('{UPSCALER}', '{other}', 'completed', '{good}')"
    ))
    .await;
    assert_eq!(db.ask("user_erase_v1", args(admin, user)).await["jobs"], 3);
    let of_user = format!("select count(*) from jobs where user_id = '{user}'");
    assert_eq!(db.int(&of_user).await, 0);
    assert_eq!(db.count(&format!("jobs where user_id = '{other}' and retry_of is null")).await, 1);
    assert_eq!(db.due("runninghub").await[0]["task_id"], "t1");
    db.assert_healthy().await;
}

/// Ten connections work on one user: orders, workers, webhooks, cancels, healers, and an admin who
/// erases the user.
#[tokio::test(flavor = "multi_thread")]
async fn calls_beside_user_erase_v1_find_the_user_or_nobody() {
    let db = Database::open().await;
    let admin = db.admin().await;
    let sessions = db.sessions(7).await;
    for round in 0..25 {
        let user = db.user(1000).await;
        db.order(user, UPSCALER, 1).await;
        let task = format!("t{round}");
        let attempt = db.run("runninghub", &task).await;
        let waiting = db.order(user, CARDS, 2).await;
        let stale = db.order(user, TRY_ON, 1).await;
        db.age(stale, "2 hours").await;
        let order = async {
            let mut refused = 0;
            for _ in 0..4 {
                if let Err(error) = sessions[0].enqueue(user, Uuid::new_v4(), UPSCALER, 1).await {
                    assert!(
                        ["insufficient_credits", "queue_full"].contains(&error.message.as_str()),
                        "{error}"
                    );
                    refused += 1;
                }
            }
            refused
        };
        let work = async {
            sessions[1].done(attempt, &task).await;
            sessions[1].complete(attempt).await;
        };
        let hear = async {
            sessions[2].record_webhook(attempt, &task, json!({})).await;
        };
        let leave = async {
            sessions[3].cancel_session(user, "session", &[waiting]).await;
        };
        let heal = async {
            sessions[4].sweep().await;
            sessions[4].active(user).await;
        };
        let claim = async { sessions[5].claim("gemini", 5).await };
        let erase = async { sessions[6].ask("user_erase_v1", args(admin, user)).await };
        let (_, (), (), (), (), _, erased) =
            tokio::join!(order, work, hear, leave, heal, claim, erase);
        assert!(erased["jobs"].as_i64().unwrap() >= 3, "{erased}");
        // Orders before the erasure were deleted with the user; later ones had no credits.
        assert_eq!(db.balance(user).await, 0);
        let theirs = format!("select count(*) from jobs where user_id = '{user}'");
        assert_eq!(db.int(&theirs).await, 0, "round {round}");
        assert_eq!(db.count(&format!("credit_entries where user_id = '{user}'")).await, 0);
        db.assert_healthy().await;
        // Frees the provider's slots for the next round.
        db.exec("delete from jobs").await;
    }
}

#[tokio::test]
async fn a_workers_late_failure_makes_no_account_for_an_erased_user() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(60).await, db.admin().await);
    db.order(user, UPSCALER, 1).await;
    let attempt = db.claim_one("runninghub").await;
    // The worker has read the job's user and waits for the account, which the admin's transaction
    // holds.
    let (eraser, worker) = (db.connect().await, db.connect().await);
    eraser.exec("begin").await;
    eraser.ask("user_erase_v1", args(admin, user)).await;
    let pid = worker.pid().await;
    let waits = format!(
        "select count(*) from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock'"
    );
    let ((), outcome) = tokio::join!(
        async {
            while db.int(&waits).await == 0 {
                tokio::task::yield_now().await;
            }
            eraser.exec("commit").await;
        },
        worker.fail(attempt, "PROVIDER_FAILED")
    );
    assert_eq!(outcome["outcome"], "stale");
    assert_eq!(db.count(&format!("credit_accounts where user_id = '{user}'")).await, 0);
    db.assert_healthy().await;
}
