//! The audit: violations are found once, and kept and shown until they are mended; an audit costs
//! as much as has changed since the last. And what it costs to read a page of jobs.

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, UPSCALER};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const STORED: &str = "select invariant, subject, detail, found_at from violations_found";

/// The report of one sweep.
async fn report(db: &Session) -> Value {
    db.end_sweep(&db.begin_sweep().await).await
}

async fn unpaid(db: &Session, user: Uuid) -> Uuid {
    let columns = [("credits_charged", "60"), ("updated_at", "'2020-01-01'")];
    db.insert_job(user, UPSCALER, "queued", &columns).await
}

#[tokio::test]
async fn a_violation_is_shown_at_once_stored_by_an_audit_and_removed_once_mended() {
    let db = Database::fresh().await;
    let job = unpaid(&db, Uuid::new_v4()).await;
    assert_eq!(db.violated().await, ["job_money_equals_ledger"], "before any audit");
    assert_eq!(report(&db).await["violations"], 1);
    let stored = db.row(STORED).await;
    assert_eq!(stored["subject"], json!(job));
    assert_eq!(db.violated().await, ["job_money_equals_ledger"], "the stored violation is shown");
    assert_eq!(db.count("unstuck_private.unaudited").await, 0);

    db.set_job(job, "credits_charged = 59").await;
    assert!(db.violations().await[0]["detail"].as_str().unwrap().starts_with("row: 59 charged"));
    assert_eq!(report(&db).await["violations"], 1);
    assert_eq!(db.row(STORED).await["found_at"], stored["found_at"], "found once");

    db.set_job(job, "credits_charged = 0").await;
    assert_eq!(db.violations().await, Vec::<Value>::new(), "mended, before any audit");
    assert_eq!(report(&db).await["violations"], 0);
    assert_eq!(db.rows(STORED).await, Vec::<Value>::new());
    assert_eq!(db.health().await["violations"], 0);
}

#[tokio::test]
async fn a_stored_violation_is_removed_once_its_cause_is_gone() {
    let db = Database::fresh().await;
    let job = unpaid(&db, Uuid::new_v4()).await;
    report(&db).await;
    // Changes a row as a restore does: no trigger runs, so the change is not listed for the audit.
    let restore = async |credits: i64| {
        db.exec("set session_replication_role = replica").await;
        db.set_job(job, &format!("credits_charged = {credits}")).await;
        db.exec("set session_replication_role = origin").await;
    };
    restore(0).await;
    assert_eq!(report(&db).await["violations"], 0);
    restore(1).await;
    assert_eq!(db.int("select unstuck_private.audit_everything()").await, 1);
    assert_eq!(db.violated().await, ["job_money_equals_ledger"]);
}

#[tokio::test]
async fn a_change_that_commits_late_is_not_missed() {
    let db = Database::fresh().await;
    let late = db.connect().await;
    late.exec("begin").await;
    unpaid(&late, Uuid::new_v4()).await;
    for _ in 0..3 {
        unpaid(&db, Uuid::new_v4()).await;
    }
    assert_eq!(report(&db).await["violations"], 3);
    late.exec("commit").await;
    assert_eq!(db.violations().await.len(), 4);
    assert_eq!(report(&db).await["violations"], 4);
}

#[tokio::test]
async fn a_healer_that_meets_another_at_the_audit_does_not_wait() {
    let db = Database::fresh().await;
    unpaid(&db, Uuid::new_v4()).await;
    assert_eq!(report(&db).await["violations"], 1);
    unpaid(&db, Uuid::new_v4()).await;
    let other = db.connect().await;
    other.exec("begin; select 1 from unstuck_private.audit_lock for update").await;
    db.exec("set lock_timeout = '100ms'").await;
    assert_eq!(report(&db).await["violations"], 1, "what was found so far");
    assert_eq!(db.violations().await.len(), 2);
    other.exec("rollback").await;
    assert_eq!(report(&db).await["violations"], 2);
}

#[tokio::test]
async fn rows_deleted_together_with_their_user_are_no_violation() {
    let db = Database::fresh().await;
    let mut users = Vec::new();
    for _ in 0..3 {
        let (user, job) = db.ordered(120, UPSCALER, 1).await;
        db.cancel(user, job).await.unwrap();
        let other = db.order(user, UPSCALER, 1).await;
        db.cancel(user, other).await.unwrap();
        users.push((user, job));
    }
    report(&db).await;
    // For one user only the ledger is deleted, for another only the jobs.
    let [(ledger, _), (jobs, _), (user, job)] = users[..] else { unreachable!() };
    db.exec(&format!("delete from credit_entries where user_id = '{ledger}'")).await;
    db.exec(&format!("delete from jobs where user_id = '{jobs}'")).await;
    db.assert_healthy().await;
    assert_eq!(report(&db).await["violations"], 0);
    // If one job of several is deleted, its entries are violations.
    db.exec(&format!("delete from jobs where id = '{job}'")).await;
    assert_eq!(db.violated().await, ["entry_without_job", "entry_without_job"]);
    // After the rest of the rows is deleted too, no violation and no recorded removal is left.
    db.exec(&format!("delete from jobs where user_id in ('{ledger}', '{user}')")).await;
    db.exec(&format!("delete from credit_entries where user_id in ('{jobs}', '{user}')")).await;
    db.assert_healthy().await;
    assert_eq!(db.count("unstuck_private.removals").await, 0);
}

#[tokio::test]
async fn a_truncated_table_is_audited_again() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    db.order(user, UPSCALER, 1).await;
    unpaid(&db, user).await;
    report(&db).await;
    db.exec("truncate credit_entries").await;
    assert!(db.violated().await.contains(&"job_money_equals_ledger".to_owned()));
    db.exec("truncate jobs cascade; truncate credit_accounts").await;
    db.assert_healthy().await;
}

/// Times with which no interval can be added, and amounts whose sum exceeds a bigint.
#[tokio::test]
async fn no_read_fails_on_extreme_times_or_amounts() {
    let db = Database::open().await;
    for at in ["infinity", "-infinity", "294276-12-31", "4700-01-01 BC"] {
        let user = Uuid::new_v4();
        db.exec(&format!(
            "insert into jobs
               (tool, user_id, status, created_at, queued_at, updated_at, deadline_at, expires_at)
             values ('{UPSCALER}', '{user}', 'queued', '{at}', '{at}', '{at}', '{at}', '{at}');
             insert into jobs
               (tool, user_id, status, credits_charged, created_at, updated_at, completed_at,
                 deadline_at, expires_at)
             values ('{UPSCALER}', '{user}', 'completed', 9223372036854775807, now(), '{at}', now(),
               '{at}', '{at}');
             insert into job_steps (job_id, step, status, deadline_at, not_before)
             select id, 1, 'queued', '{at}', '{at}' from jobs where user_id = '{user}';
             insert into credit_entries (user_id, kind, amount, created_at)
             values ('{user}', 'adjustment', 5, '{at}'), ('{user}', 'refund', 5, '{at}')"
        ))
        .await;
    }
    assert!(db.violations().await.len() >= 8);
    assert!(report(&db).await["violations"].as_i64().unwrap() >= 8);
    for view in ["job_health", "provider_load", "jobs_by_hour", "job_receipts", "upscaler_jobs"] {
        assert!(!db.rows(&format!("select * from unstuck.{view}")).await.is_empty(), "{view}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_audited_is_a_violation_and_hides_no_other() {
    let db = Database::fresh().await;
    let (bad, other) = (unpaid(&db, Uuid::new_v4()).await, unpaid(&db, Uuid::new_v4()).await);
    db.exec(&format!(
        "alter function unstuck_private.violations_of rename to violations_of_good;
         create function unstuck_private.violations_of(p_jobs uuid[], p_users uuid[], p_entries
         bigint[])
         returns table (invariant text, subject text, detail text, job_id uuid, user_id uuid,
           entry_id bigint)
         language plpgsql stable as $$
         begin
           if '{bad}' = any (p_jobs) then raise 'odd'; end if;
           return query
           select * from unstuck_private.violations_of_good(p_jobs, p_users, p_entries);
         end $$"
    ))
    .await;
    let expected = ["job_money_equals_ledger", "row_can_be_audited"];
    assert_eq!(db.violated().await, expected);
    assert_eq!(report(&db).await["violations"], 2);
    assert_eq!(db.violated().await, expected);
    let subject = "select subject from violations_found where invariant like 'row_can%'";
    assert_eq!(db.value(subject).await, json!(bad));
    assert_eq!(db.job(other).await["status"], "queued");
}

/// A sweep's report fails in several ways; what was healed before it stays healed.
#[tokio::test]
async fn no_failure_of_the_report_undoes_the_healing() {
    // As when the statement's time limit ends the function.
    let cut_off = "begin perform pg_cancel_backend(pg_backend_pid()); perform pg_sleep(20); end";
    for (broken, body) in [
        ("audit(p_budget interval) returns void", "begin raise 'broken'; end"),
        ("audit(p_budget interval) returns void", cut_off),
        ("count_due(p_now timestamptz) returns int", cut_off),
        ("count_stuck(p_now timestamptz) returns int", "begin return 1 / 0; end"),
    ] {
        let db = Database::fresh().await;
        let (user, job) = db.upscale().await;
        db.age(job, "11 minutes").await;
        db.exec(&format!(
            "create or replace function unstuck_private.{broken} language plpgsql as $$ {body} $$"
        ))
        .await;
        db.exec("select cleanup_all_stale_ai_jobs()").await;
        assert_eq!(db.job(job).await["error_code"], "QUEUE_TIMEOUT", "{broken}");
        assert_eq!(db.balance(user).await, 60, "{broken}");
        let row = db.row("select finished_at, stuck, violations from sweeps").await;
        assert!(!row["finished_at"].is_null(), "{broken}: {row}");
        let health = db.health().await;
        for (count, part) in [("violations", "audit"), ("stuck", "count_stuck")] {
            assert_eq!(row[count].is_null(), broken.starts_with(part), "{broken}: {row}");
            assert_eq!(row[count], health[count], "{broken}");
        }
    }
}

/// A database of `jobs` completed and paid jobs by a tenth as many users, all of them audited.
async fn town(jobs: i64) -> Database {
    let db = Database::fresh().await;
    db.exec(&format!(
        "insert into credit_entries (user_id, kind, amount)
         select md5('user ' || n)::uuid, 'grant', 1000 from generate_series(1, {jobs} / 10) n;
         insert into jobs (id, tool, user_id, status, credits_charged, request_hash)
         select md5('job ' || n)::uuid, '{UPSCALER}', md5('user ' || 1 + n % ({jobs} / 10))::uuid,
           'completed', 60, 'h'
         from generate_series(1, {jobs}) n;
         insert into job_steps (job_id, step, status, share, claimed_at, completed_at)
         select id, 1, 'completed', 60, now() - interval '1 hour', now() - interval '1 hour'
         from jobs;
         insert into credit_entries (user_id, job_id, kind, amount)
         select user_id, id, 'debit', -60 from jobs;
         select unstuck_private.audit_everything()"
    ))
    .await;
    db.exec("vacuum analyze").await;
    db
}

const TOUCHED: &str = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
    from pg_stat_xact_user_tables where schemaname like 'unstuck%'";

/// How many rows of our tables a statement reads, run as that user or as the owner.
async fn touched(db: &Session, sql: &str, user: Option<Uuid>) -> i64 {
    db.exec("begin").await;
    let before = db.int(TOUCHED).await;
    if user.is_some() {
        db.become_caller("authenticated", user).await;
    }
    db.exec(sql).await;
    db.become_owner().await;
    let after = db.int(TOUCHED).await;
    db.exec("commit").await;
    after - before
}

#[tokio::test]
async fn an_audit_reads_the_changed_rows_only() {
    let mut seen = Vec::new();
    for jobs in [1_000, 20_000] {
        let db = town(jobs).await;
        db.assert_healthy().await;
        let change = "update jobs set credits_charged = 59 where id = md5('job 7')::uuid";
        db.exec(change).await;
        let list = "select * from invariant_violations";
        let fresh = touched(&db, list, None).await;
        assert_eq!(db.violated().await.len(), 1);
        report(&db).await;
        db.exec(&change.replace("59", "58")).await;
        let audit = touched(&db, "select unstuck_private.audit('1 second')", None).await;
        let stored = touched(&db, list, None).await;
        assert_eq!(db.violations().await.len(), 1);
        seen.push([fresh, audit, stored]);
    }
    for (small, large) in seen[0].iter().zip(&seen[1]) {
        assert!(*large <= small + 10 && *large < 200, "{seen:?}");
    }
}

#[tokio::test]
async fn an_audit_of_many_changes_works_page_by_page_within_its_budget() {
    let db = town(2_000).await;
    db.exec("update jobs set credits_charged = 1").await;
    assert!(db.violations().await.len() >= 2_000, "the newest are shown");
    db.exec("select unstuck_private.audit('0 seconds')").await;
    assert_eq!(db.count("violations_found").await, 500, "one page");
    db.exec("select unstuck_private.audit('1 minute')").await;
    assert_eq!(db.count("violations_found").await, 2_000);
    assert_eq!(db.violations().await.len(), 2_000);
    db.exec("update jobs set credits_charged = 60").await;
    db.exec("select unstuck_private.audit('1 minute')").await;
    db.assert_healthy().await;
}

/// The number of rows of the query `sql`, run as that user, and how often `function` ran for it.
async fn calls(db: &Session, function: &str, sql: &str, user: Uuid) -> (usize, i64) {
    let counted = format!(
        "select coalesce(sum(calls), 0)::int from pg_stat_xact_user_functions
         where funcname = '{function}'"
    );
    db.exec("begin; set local track_functions = 'all'").await;
    let before = db.int(&counted).await;
    db.become_caller("authenticated", Some(user)).await;
    let rows = db.rows(sql).await.len();
    db.become_owner().await;
    let count = db.int(&counted).await - before;
    db.exec("rollback").await;
    (rows, count)
}

#[tokio::test]
async fn a_query_computes_positions_and_rights_once_not_once_a_row() {
    let db = Database::open().await;
    let (user, other) = (db.user(10_000).await, db.user(1_000).await);
    db.order(other, CARDS, 7).await;
    for _ in 0..40 {
        db.order(user, CARDS, 7).await;
    }
    let reader = db.connect().await;
    let jobs = "select * from generation_jobs";
    let cards = "select * from generation_tasks";
    // A query that selects no position, or of a user without a waiting job, computes no positions.
    let plain = "select id, status, image_url, task_id from generation_tasks";
    for (sql, reads, expected) in [
        (jobs, user, (40, 1)),
        (cards, user, (280, 1)),
        (cards, other, (7, 1)),
        (cards, db.admin().await, (287, 1)),
        (plain, user, (280, 0)),
        (cards, Uuid::new_v4(), (0, 0)),
    ] {
        let seen = calls(&reader, "caller_positions", sql, reads).await;
        assert_eq!(seen, expected, "{sql} as {reads}");
    }
    // The reader's rights are computed a few times for each query, not once for each row.
    let admin = db.admin().await;
    for function in ["is_admin", "may_see"] {
        for relation in [
            "jobs",
            "job_steps",
            "generation_jobs",
            "generation_tasks",
            "job_receipts",
            "upscaler_jobs",
            "job_health",
            "credit_entries",
        ] {
            let sql = match relation {
                "job_steps" => "select job_id, status from job_steps".to_owned(),
                _ => format!("select * from unstuck.{relation}"),
            };
            let (_, count) = calls(&reader, function, &sql, admin).await;
            assert!(count <= 12, "{function} ran {count} times for {relation}");
        }
    }
}

#[tokio::test]
async fn a_users_query_reads_that_users_rows_only() {
    let mut seen = Vec::new();
    for jobs in [1_000, 20_000] {
        let db = town(jobs).await;
        let user = db.user(1_000).await;
        db.open_all_tools().await;
        // No job of the user waits, because a position would cost reads of the queue.
        for _ in 0..4 {
            db.order(user, CARDS, 1).await;
        }
        for attempt in db.claim("gemini", 4).await {
            db.complete(attempt).await;
        }
        db.exec("analyze").await;
        let mut costs = Vec::new();
        for view in ["generation_jobs", "generation_tasks", "job_receipts", "upscaler_jobs"] {
            let sql = format!("select * from unstuck.{view} where user_id = '{user}'");
            costs.push(touched(&db, &sql, Some(user)).await);
        }
        seen.push(costs);
    }
    for (small, large) in seen[0].iter().zip(&seen[1]) {
        assert!(*large <= small + 10, "{seen:?}");
    }
}
