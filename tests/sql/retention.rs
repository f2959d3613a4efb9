//! Retention: each kind of row is deleted at its age, no row of a live job is deleted, and only
//! jobs, steps and entries grow without end.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, id, requeue_args};
use unstuck_tests::{Database, Session, sources};
use uuid::Uuid;

/// Lets a pass take its 5,000 rows however slow the machine is.
async fn without_time_limit(db: &Session) {
    let sql = sources::read("supabase/schemas/retention/prune_old_rows.sql");
    assert!(sql.contains("interval '100 ms'"));
    db.exec(&sql.replace("interval '100 ms'", "interval '1 hour'")).await;
}

/// One pass, as it will run after that time.
async fn pass(db: &Session, after: &str) -> Vec<Value> {
    let sql = "select * from unstuck_private.prune_old_rows(clock_timestamp() + interval '{}')";
    db.rows(&sql.replace("{}", after)).await
}

/// How many rows of one kind a pass deleted.
async fn pruned(db: &Session, kind: &str, after: &str) -> i64 {
    let rows = pass(db, after).await;
    let row = rows.iter().find(|row| row["kind"] == kind);
    row.unwrap_or_else(|| panic!("no {kind} in {rows:?}"))["pruned"].as_i64().unwrap()
}

/// A user with a finished upscale and a set of cards of which one was refunded, and the rows that
/// come with them: webhooks and alarms of providers, an older client's row, ids that were cancelled
/// ahead, a finished sweep.
async fn traffic(db: &Database) {
    let alarm = json!({ "p_provider": "runninghub", "p_tool": UPSCALER, "p_about": null,
        "p_code": "802", "p_detail": null });
    db.call("provider_alarm_v1", alarm).await;
    db.exec(
        "insert into projection_errors (tool, host_table, job_id, error, mended_at)
         values ('any', 'jobs', gen_random_uuid(), 'x', clock_timestamp())",
    )
    .await;
    let user = db.user(1000).await;
    let upscale = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", &upscale.to_string()).await;
    for (key, applied) in [("applied", true), ("open", false)] {
        let inbox = record(db, upscale, key).await;
        if applied {
            db.ask("webhook_applied_v1", json!({ "p_inbox_id": inbox })).await;
        }
    }
    db.done(attempt, &upscale.to_string()).await;
    db.complete(attempt).await;
    db.order(user, CARDS, 2).await;
    let cards = db.claim("gemini", 2).await;
    db.complete(cards[0]).await;
    db.fail(cards[1], "CONTENT_REFUSED").await;
    let page = db.page(user).await;
    page.exec("insert into upscaler_jobs (status, input_file_name) values ('queued', 'in.png')")
        .await;
    let orphans = format!("user_id = '{user}' and status = 'pending'");
    db.exec(&format!("update jobs set deadline_at = clock_timestamp() where {orphans}")).await;
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
    db.cancel_session(user, "gone", &ids).await;
    let gone = json!({ "p_user_id": user, "p_session_id": "gone", "p_grace_seconds": 0 });
    db.ask("session_leave_v1", gone).await;
    db.sweep().await;
}

async fn record(db: &Session, job: Uuid, key: &str) -> Value {
    let args = json!({
        "p_provider": "runninghub", "p_job_id": job, "p_step": 1, "p_run": 1, "p_task_id": null,
        "p_dedup_key": format!("{job}/{key}"), "p_body": { "said": key },
    });
    db.ask("webhook_record_v1", args).await["inbox_id"].clone()
}

/// The kind, its days, and the rows that it deletes.
const KINDS: [(&str, i64, &str); 10] = [
    ("sessions", 1, "sessions"),
    ("cancelled_requests", 1, "cancelled_requests"),
    ("webhook_inbox", 7, "webhook_inbox"),
    ("orphans", 1, "jobs where error_code = 'ORPHANED'"),
    ("sweeps", 30, "sweeps where id <> (select max(id) from sweeps)"),
    ("provider_alarms", 90, "provider_alarms"),
    ("projection_errors", 30, "projection_errors"),
    ("inputs", 90, "jobs where input <> '{}' and error_code is distinct from 'ORPHANED'"),
    ("inputs", 90, "job_steps where input <> '{}'"),
    (
        "job_events",
        90,
        "job_events e join jobs j on j.id = e.job_id where j.error_code is \
            distinct from 'ORPHANED'",
    ),
];

#[tokio::test]
async fn each_kind_of_row_is_pruned_at_its_age_and_not_before() {
    let db = Database::open().await;
    traffic(&db).await;
    db.sweep().await;
    let fact = json!({ "keys": ["pi_1"], "amount": 500 });
    db.ask("purchase_record_v1", json!({ "p_seller": "shop", "p_fact": fact })).await;
    for days in [1, 7, 30, 90] {
        let mut before = Vec::new();
        let kinds = KINDS.into_iter().filter(|(_, age, _)| *age == days);
        for (kind, _, rows) in kinds.clone() {
            before.push(db.count(rows).await);
            assert!(before.iter().all(|count| *count > 0), "{kind} has rows: {rows}");
        }
        pass(&db, &format!("{days} days -1 minute")).await;
        for ((kind, _, rows), before) in kinds.clone().zip(before) {
            assert_eq!(db.count(rows).await, before, "{kind} too early");
        }
        pass(&db, &format!("{days} days 1 minute")).await;
        for (kind, _, rows) in kinds {
            assert_eq!(db.count(rows).await, 0, "{kind} too late");
        }
    }
    db.assert_healthy().await;
    let health = db.health().await;
    assert_has!(health, { "stuck": 0, "violations": 0 });
    assert!(pass(&db, "10 years").await.iter().all(|row| row["error"].is_null()));
    let kept = [
        ("jobs", 2),
        ("job_steps", 3),
        ("credit_entries", 4),
        ("purchases", 1),
        ("sweeps", 1),
        ("credit_accounts", 1),
    ];
    for (table, count) in kept {
        assert_eq!(db.count(table).await, count, "{table}");
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn no_row_of_a_live_job_is_pruned() {
    let db = Database::open().await;
    let (_, job) = db.ordered(1000, TRY_ON, 2).await;
    let first = db.run("replicate", "t1").await;
    db.complete(first).await;
    record(&db, job, "open").await;
    let rows = "select (select count(*) from job_events) + (select count(*)
        from webhook_inbox)
        + (select count(*) from job_steps where input <> '{}')";
    let before = db.int(rows).await;
    assert!(before > 6, "{before}");
    pass(&db, "10 years").await;
    assert_eq!(db.int(rows).await, before, "a live job's rows and its first step's input");
    // A quarantined job is kept for an operator: it is live, so its history stays too.
    db.exec(&format!("select unstuck_private.jobs_quarantine(array['{job}'::uuid], 'by hand')"))
        .await;
    let before = db.int(rows).await;
    pass(&db, "10 years").await;
    assert_eq!(db.int(rows).await, before);
    assert_eq!(db.job(job).await["input"]["imageUrl"], "https://files.invalid/in.png");
}

#[tokio::test]
async fn an_operators_retention_is_obeyed_and_survives_an_upgrade() {
    let db = Database::open().await;
    traffic(&db).await;
    db.exec(
        "update retention set keep = null where kind = 'webhook_inbox';
         update retention set keep = '3 days' where kind = 'inputs';
         delete from retention where kind = 'sweeps';
         insert into retention values ('moons', '1 day')",
    )
    .await;
    assert_eq!(pruned(&db, "inputs", "4 days").await, 6);
    let rows = pass(&db, "10 years").await;
    let kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert!(!kinds.contains(&"webhook_inbox") && !kinds.contains(&"sweeps"), "{kinds:?}");
    assert_eq!(db.count("webhook_inbox").await, 2);
    assert_eq!(db.count("sweeps").await, 1);
    db.exec(&sources::read("supabase/schemas/retention/known_kinds.sql")).await;
    let kept = "select count(*) from retention
        where kind = 'webhook_inbox' and keep is null or kind = 'inputs' and keep = '3 days'";
    assert_eq!(db.int(kept).await, 2, "a later version changes no row that is there");
    assert_eq!(
        db.try_exec("update retention set keep = '-1 day'").await.unwrap_err().state,
        "23514"
    );
}

#[tokio::test]
async fn a_pass_prunes_a_bounded_number_of_rows_and_the_next_goes_on() {
    let db = Database::fresh().await;
    db.exec(
        "insert into cancelled_requests (user_id, job_id)
            select gen_random_uuid(), gen_random_uuid() from generate_series(1, 12000);
         insert into job_events (job_id, event) select gen_random_uuid(), 'gone'
         from generate_series(1, 12000)",
    )
    .await;
    let mut left = 12000;
    for _ in 0..200 {
        let before = left;
        pass(&db, "1 year").await;
        left = db.count("cancelled_requests").await;
        assert!((1..=5000).contains(&(before - left)), "{before} to {left}");
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0);
    for _ in 0..200 {
        pass(&db, "1 year").await;
    }
    assert_eq!(db.count("job_events").await, 0);
    let done = db
        .row("select pruned from unstuck_private.retention_progress where kind = 'job_events'")
        .await;
    assert_eq!(done["pruned"], 12000);
}

#[tokio::test]
async fn a_row_that_cannot_be_deleted_does_not_stop_the_others() {
    let db = Database::fresh().await;
    let refused = Uuid::new_v4();
    db.exec(&format!(
        "insert into jobs (id, tool, user_id, status, completed_at)
         select md5(n::text)::uuid, '{UPSCALER}', gen_random_uuid(), 'cancelled',
         clock_timestamp() - n * interval '1 second'
         from generate_series(1, 700) n;
         -- A host's own table names some of our rows; a trigger of its own refuses others.
         create table public.favourites (job_id uuid references unstuck.jobs);
         insert into public.favourites select id from jobs order by completed_at limit 3;
         insert into cancelled_requests select gen_random_uuid(), gen_random_uuid() from \
         generate_series(1, 5);
         insert into cancelled_requests values (gen_random_uuid(), '{refused}', \
         clock_timestamp() - interval '2 days');
         create function public.refuse() returns trigger language plpgsql as $$ begin raise \
         exception 'mine'; end $$;
         create trigger mine before delete on unstuck.cancelled_requests
         for each row when (old.job_id = '{refused}') execute function public.refuse()"
    ))
    .await;
    without_time_limit(&db).await;
    for _ in 0..50 {
        pass(&db, "30 days").await;
    }
    assert_eq!(db.count("jobs").await, 3, "the favourites");
    assert_eq!(db.count("cancelled_requests").await, 1, "the refused one");
    let errors = db
        .rows(
            "select kind, error from unstuck_private.retention_progress where error is not null
            order by kind",
        )
        .await;
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[0], json!({ "kind": "cancelled_requests", "error": "mine" }));
    // The sweep keeps what it healed before.
    let user = db.user(60).await;
    let stale = db.order(user, UPSCALER, 1).await;
    db.age(stale, "1 hour").await;
    assert_eq!(db.sweep().await["cleaned"], 1);
}

#[tokio::test]
async fn a_pass_skips_locked_rows() {
    let db = Database::fresh().await;
    db.exec(
        "insert into cancelled_requests select gen_random_uuid(), gen_random_uuid()
        from generate_series(1, 20)",
    )
    .await;
    let holder = db.connect().await;
    holder.exec("begin; select * from cancelled_requests order by job_id limit 5 for update").await;
    without_time_limit(&db).await;
    db.exec("set statement_timeout = '60s'").await;
    assert_eq!(pruned(&db, "cancelled_requests", "2 days").await, 15);
    holder.exec("rollback; begin; lock table unstuck.cancelled_requests").await;
    let row = pass(&db, "2 days")
        .await
        .into_iter()
        .find(|row| row["kind"] == "cancelled_requests")
        .unwrap();
    assert!(row["error"].as_str().unwrap().contains("lock timeout"), "{row}");
    holder.exec("rollback").await;
    assert_eq!(pruned(&db, "cancelled_requests", "2 days").await, 5);
    // Only one pass runs at a time.
    holder.exec("begin; select * from unstuck_private.prune_old_rows(clock_timestamp())").await;
    assert!(pass(&db, "2 days").await.is_empty());
    holder.exec("rollback").await;
}

#[tokio::test]
async fn a_job_whose_input_was_pruned_answers_a_replay_and_refuses_a_requeue() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "t1").await;
    db.fail(attempt, "PROVIDER_FAILED").await;
    let updated = db.job(job).await["updated_at"].clone();
    pass(&db, "91 days").await;
    let row = db.job(job).await;
    assert_has!(row, { "input": {}, "updated_at": updated }, "nothing else has changed");
    let answer = db.enqueue(user, job, UPSCALER, 1).await.unwrap();
    assert_has!(answer, { "replayed": true, "status": "failed" }, "a replay");
    assert_eq!(db.entries(job).await, [-60, 60]);
    let error = db.enqueue(user, job, UPSCALER, 2).await.unwrap_err();
    assert_eq!(error.message, "idempotency_conflict");
    let args = requeue_args(admin, "upscaler_jobs", job, false, Uuid::new_v4());
    let error = db.refusal("job_requeue_v1", args).await;
    assert_eq!(error.reason(), ("PT409", "already_final"));
    assert_eq!(error.detail["reason"], "its input is kept no longer");
    db.assert_healthy().await;
}

#[tokio::test]
async fn the_id_of_a_pruned_orphan_may_still_be_ordered() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let page = db.page(user).await;
    let row = page
        .returned(
            "insert into upscaler_jobs (status, input_file_name)
                values ('queued', 'in.png') returning id",
        )
        .await;
    let job = id(&row["id"]);
    db.age(job, "10 minutes").await;
    db.sweep().await;
    assert_eq!(db.job(job).await["error_code"], "ORPHANED");
    assert_eq!(pruned(&db, "orphans", "23 hours").await, 0);
    assert_eq!(pruned(&db, "orphans", "25 hours").await, 1);
    assert_eq!(db.count("job_events").await, 0, "with its history");
    assert_eq!(db.enqueue(user, job, UPSCALER, 1).await.unwrap()["status"], "queued");
    db.assert_healthy().await;
}

#[tokio::test]
async fn only_our_own_runs_of_pg_cron_are_pruned() {
    let db = Database::fresh().await;
    db.exec(
        "create schema cron;
         create table cron.job (jobid bigint primary key, jobname text);
         create table cron.job_run_details (jobid bigint, runid bigint primary key, start_time
         timestamptz, end_time timestamptz);
         insert into cron.job values (1, 'the hosts own'), (7, 'unstuck-cleanup');
         insert into cron.job_run_details
         select case when n % 3 = 0 then 7 else 1 end, n, t, t
         from generate_series(1, 3000) n, lateral (select clock_timestamp() - (3000 - n) *
         interval '10 minutes') m (t);
         update cron.job_run_details set start_time = null, end_time = null where runid = 30",
    )
    .await;
    let count = "select count(*) from cron.job_run_details where jobid = ";
    for _ in 0..20 {
        pass(&db, "0 days").await;
    }
    assert_eq!(db.int(&format!("{count} 1")).await, 2000, "the host's");
    let left = db.int(&format!("{count} 7")).await;
    assert!((335..=337).contains(&left), "a week of ours: {left}");
    for _ in 0..20 {
        pass(&db, "1 year").await;
    }
    assert_eq!(
        (db.int(&format!("{count} 1")).await, db.int(&format!("{count} 7")).await),
        (2000, 0)
    );
    // After the table was emptied, its numbers start anew.
    db.exec(
        "truncate cron.job_run_details; insert into cron.job_run_details
        values (7, 1, now(), now())",
    )
    .await;
    assert_eq!(pruned(&db, "cron_runs", "8 days").await, 1);
    assert_eq!(db.int(&format!("{count} 7")).await, 0);
}

/// A day with everything that happens, and then a night: all times move a day back, and a healer
/// runs.
const DAY: &str = "
do $$
declare
  v_user uuid;
  v_job uuid;
  v_claim record;
begin
  v_user := md5(($DAY % 10)::text)::uuid;
  perform credit_grant_v1(v_user, 200, 'bought', gen_random_uuid()::text);
  for v_order in 1 .. 2 loop
    v_job := gen_random_uuid();
    perform job_enqueue_v1(v_user, v_job, 'runninghub-upscaler', 's', '{\"a\": 1}', 'h',
    '[{\"b\": 2}]');
    for v_claim in select * from step_claim_v1('runninghub', 1) loop
      perform step_sent_v1(v_job, 1, v_claim.run);
      perform step_started_v1(v_job, 1, v_claim.run, v_job::text);
      perform webhook_record_v1('runninghub', v_job, 1, v_claim.run, v_job::text,
      v_job::text, '{}');
      if v_order = 1 then
        perform step_done_v1(v_job, 1, v_claim.run, v_job::text, '{}');
        perform step_complete_v1(v_job, 1, v_claim.run, '{}',
        'https://files.invalid/out.png');
      else
        perform step_fail_v1(v_job, 1, v_claim.run, 'PROVIDER_FAILED', 'no.');
      end if;
    end loop;
  end loop;
  perform session_cancel_v1(v_user, 's', array(select gen_random_uuid()
  from generate_series(1, 20)));
  perform session_stay_v1(v_user, 's');
  insert into jobs (tool, user_id, status, created_at)
  select 'runninghub-upscaler', v_user, 'pending', clock_timestamp() - interval '3 minutes'
  from generate_series(1, 3);
  perform jobs_sweep_v1(null, 100);
  perform sweep_end_v1(b.sweep_id, 0, 0, 0) from sweep_begin_v1('cron') b;
  perform sweep_begin_v1('cron');
  -- No row is changed but in its age.
  set local session_replication_role = replica;
  update jobs
  set created_at = created_at - interval '1 day', completed_at = completed_at - interval '1 day',
    updated_at = updated_at - interval '1 day';
  update job_steps set completed_at = completed_at - interval '1 day';
  update job_events set at = at - interval '1 day';
  update cancelled_requests set at = at - interval '1 day';
  update sessions set left_at = left_at - interval '1 day';
  update webhook_inbox set received_at = received_at - interval '1 day';
  update unstuck_private.ended_by_minute set minute = minute - interval '1 day';
  update sweeps set started_at = started_at - interval '1 day', finished_at = finished_at
  - interval '1 day';
  set local session_replication_role = origin;
  perform count(*) from unstuck_private.prune_old_rows(clock_timestamp());
end $$";

#[tokio::test]
async fn after_many_days_only_jobs_steps_and_entries_have_grown() {
    let db = Database::fresh().await;
    // Every retention is a tenth of the usual one, so that all of them are shorter than twenty
    // days.
    db.exec(
        "update tools set exclusive_group = null; update retention
        set keep = keep / 10",
    )
    .await;
    let tables = db.our_tables().await;
    let mut sizes = Vec::new();
    for half in 0..2 {
        for day in 0..20 {
            db.exec(&DAY.replace("$DAY", &(half * 20 + day).to_string())).await;
        }
        let mut counts = Vec::new();
        for table in &tables {
            counts.push((table.as_str(), db.count(table).await));
        }
        sizes.push(counts);
    }
    let grown: Vec<_> = sizes[0]
        .iter()
        .zip(&sizes[1])
        .filter(|((_, before), (_, after))| before != after)
        .map(|((name, before), (_, after))| (*name, *before, *after))
        .collect();
    // A day adds two jobs, and a grant, two debits and a refund.
    let sold = [
        ("unstuck.credit_entries", 80, 160),
        ("unstuck.job_steps", 40, 80),
        ("unstuck.jobs", 40, 80),
    ];
    assert_eq!(grown, sold);
    db.assert_healthy().await;
}

#[tokio::test]
async fn every_healer_prunes_and_heals_even_when_pruning_fails() {
    let db = Database::fresh().await;
    let old = "insert into cancelled_requests
        values (gen_random_uuid(), gen_random_uuid(), clock_timestamp() - interval '2 days')";
    let left = "select count(*) from cancelled_requests";
    let by_sql = "select * from cleanup_all_stale_ai_jobs()";
    db.exec(old).await;
    db.sweep().await;
    assert_eq!(db.int(left).await, 0, "the edge's");
    db.exec(old).await;
    db.exec(by_sql).await;
    assert_eq!(db.int(left).await, 0, "pg_cron's");

    db.exec(
        "create or replace function unstuck_private.prune_old_rows(p_now timestamptz)
         returns table (kind text, pruned int, error text)
         language plpgsql as $$ begin raise exception 'broken'; end $$",
    )
    .await;
    let finished = "select count(*) from sweeps where finished_at is not null
        and stuck = 0 and violations = 0";
    let before = db.int(finished).await;
    for by_edge in [true, false] {
        let job = db.order(db.user(60).await, UPSCALER, 1).await;
        db.age(job, "1 hour").await;
        if by_edge {
            db.sweep().await;
        } else {
            db.exec(by_sql).await;
        }
        db.assert_failed(job, "QUEUE_TIMEOUT", 60).await;
    }
    assert_eq!(db.int(finished).await, before + 2);
}
