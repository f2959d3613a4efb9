//! A provider's queue: each user has one turn, a turn is passed on, and calls cost the same in a
//! long queue as in a short one.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::Session;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, VIDEO, enqueue_args, id, with};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

/// Enables every tool and limits nobody to one live job.
async fn open(slots: i64) -> Database {
    let db = Database::open().await;
    db.set_slots(PROVIDER, slots).await;
    db
}

/// The jobs whose steps have a turn, in the order of the queue.
async fn turns(db: &Session) -> Vec<Uuid> {
    let sql = "select job_id from job_steps where status = 'queued' and turn_at is not null
        order by turn_at";
    db.rows(sql).await.iter().map(|row| id(&row["job_id"])).collect()
}

/// Places an order that may claim its first step. Returns the job's id and the answer.
async fn order_and_claim(db: &Session, user: Uuid, tool: &str) -> (Uuid, Value) {
    let job = Uuid::new_v4();
    let args = with(enqueue_args(user, job, tool, 1), json!({ "p_claim": true }));
    (job, db.ask("job_enqueue_v2", args).await)
}

#[tokio::test]
async fn the_turn_of_a_user_is_passed_on_whatever_takes_the_first_step_away() {
    let db = open(1).await;
    let (greedy, other) = (db.user(9000).await, db.user(60).await);
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(db.order(greedy, UPSCALER, 1).await);
    }
    let late = db.order(other, UPSCALER, 1).await;
    assert_eq!(turns(&db).await, [jobs[0], late]);
    assert_eq!(db.claim_one(PROVIDER).await.job, jobs[0]);
    assert_eq!(turns(&db).await, [late, jobs[1]], "claimed");
    db.cancel(greedy, jobs[1]).await.unwrap();
    assert_eq!(turns(&db).await, [late, jobs[2]], "cancelled");
    db.exec(&format!("delete from job_steps where job_id = '{}'", jobs[2])).await;
    assert_eq!(turns(&db).await, [late, jobs[3]], "deleted by hand");
    db.age(jobs[3], "2 hours").await;
    db.sweep().await;
    assert_eq!(turns(&db).await, [late, jobs[4]], "timed out");
}

#[tokio::test]
async fn a_step_that_was_never_submitted_is_put_back_where_it_stood() {
    let db = open(1).await;
    let (first, second) = (db.user(60).await, db.user(60).await);
    let job = db.order(first, UPSCALER, 1).await;
    let refused = db.claim_one(PROVIDER).await;
    let late = db.order(second, UPSCALER, 1).await;
    assert_eq!(db.requeue(refused, "capacity", 0).await["outcome"], "queued");
    assert_eq!(turns(&db).await, [job, late]);
    db.claim_one(PROVIDER).await;
    db.exec("update job_steps set lease_until = clock_timestamp() where status = 'starting'").await;
    db.sweep().await;
    assert_eq!(db.step(job, 1).await["rescues"], 1);
    assert_eq!(turns(&db).await, [job, late]);
}

#[tokio::test]
async fn the_next_step_of_a_chain_stands_where_its_user_was_served() {
    let db = open(1).await;
    db.set_slots("replicate", 1).await;
    let (first, second) = (db.user(900).await, db.user(900).await);
    let chain = db.order(first, TRY_ON, 2).await;
    let step = db.run("replicate", "task").await;
    let late = db.order(second, TRY_ON, 1).await;
    db.complete(step).await;
    assert_eq!(turns(&db).await, [chain, late]);
}

#[tokio::test]
async fn a_user_whose_turn_was_lost_is_served_where_a_slot_is_free() {
    let db = open(3).await;
    let (user, other) = (db.user(900).await, db.user(900).await);
    for _ in 0..2 {
        db.order(user, UPSCALER, 1).await;
    }
    db.order(other, UPSCALER, 1).await;
    let lost = format!("update job_steps set turn_at = null where line_user_id = '{user}'");
    db.exec(&lost).await;
    let claimed = db.claim(PROVIDER, 5).await;
    assert_eq!(claimed.len(), 3);
    db.assert_healthy().await;
}

#[tokio::test]
async fn two_orders_at_the_moment_of_a_claim_leave_no_user_without_a_turn() {
    let db = open(9).await;
    let user = db.user(900).await;
    db.order(user, UPSCALER, 1).await;
    let (claimer, buyer) = (db.connect().await, db.connect().await);
    for claim_first in [true, false] {
        let order =
            with(enqueue_args(user, Uuid::new_v4(), UPSCALER, 1), json!({ "p_claim": false }));
        let claim = json!({ "p_provider": PROVIDER, "p_limit": 1 });
        claimer.exec("begin").await;
        buyer.exec("begin").await;
        if claim_first {
            assert_eq!(claimer.call("step_claim_v1", claim).await.len(), 1);
            buyer.ask("job_enqueue_v2", order).await;
        } else {
            buyer.ask("job_enqueue_v2", order).await;
            let claimed = claimer.call("step_claim_v1", claim).await;
            assert!(claimed.is_empty(), "the user's step is left to the next claim: {claimed:?}");
        }
        claimer.exec("commit").await;
        buyer.exec("commit").await;
        assert_eq!(turns(&db).await.len(), 1, "claim first: {claim_first}");
    }
}

#[tokio::test]
async fn an_order_is_claimed_with_its_debit_where_a_slot_is_free_and_nobody_waits() {
    let db = open(2).await;
    let (user, job) = (db.user(900).await, Uuid::new_v4());
    let args = with(enqueue_args(user, job, UPSCALER, 1), json!({ "p_claim": true }));
    let answer = db.ask("job_enqueue_v2", args.clone()).await;
    assert_has!(answer, { "status": "queued", "balance": 840, "replayed": false });
    assert_has!(answer["claimed"], { "job_id": job, "step": 1, "run": 1, "tool": UPSCALER });
    assert_has!(answer["claimed"], { "user_id": user, "attempts": 0, "previous_output_url": null });
    assert!(answer["claimed"]["run_ms"].as_i64().unwrap() > 0);
    assert_eq!(answer["claimed"]["input"]["url"], "https://provider.invalid/run");
    assert_has!(db.step(job, 1).await, { "status": "starting", "run": 1 });
    let replay = db.ask("job_enqueue_v2", args).await;
    assert_has!(replay, { "status": "starting", "replayed": true });

    // An order without `p_claim` waits, and then no later order is claimed before it.
    db.order(db.user(60).await, UPSCALER, 1).await;
    let (_, behind) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
    assert_has!(behind, { "status": "queued", "claimed": null });
    assert_eq!(db.claim(PROVIDER, 5).await.len(), 1);
    let (_, full) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
    assert_has!(full, { "status": "queued", "claimed": null });
    db.assert_healthy().await;
}

#[tokio::test]
async fn an_order_is_not_claimed_at_a_provider_that_is_off_broken_or_busy_with_a_claim() {
    let db = open(9).await;
    for off in ["enabled = false", "circuit_open_until = clock_timestamp() - interval '1 second'"] {
        db.exec(&format!("update providers set {off} where provider = '{PROVIDER}'")).await;
        let (_, answer) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
        assert_has!(answer, { "status": "queued", "claimed": null });
        db.exec("delete from job_steps").await;
        db.exec("update providers set enabled = true, circuit_open_until = null").await;
    }
    db.set_tool(UPSCALER, "circuit_open_until = clock_timestamp()").await;
    let (_, answer) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
    assert_has!(answer, { "status": "queued", "claimed": null });
    db.set_tool(UPSCALER, "circuit_open_until = null").await;
    db.exec("delete from job_steps").await;
    let claimer = db.connect().await;
    claimer.exec("begin; select from providers for no key update").await;
    let (_, answer) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
    assert_has!(answer, { "status": "queued", "claimed": null });
    claimer.exec("commit").await;
}

#[tokio::test]
async fn a_done_and_a_completed_step_tell_how_many_may_start() {
    let db = open(1).await;
    let user = db.user(900).await;
    db.order(user, UPSCALER, 1).await;
    let alone = db.run(PROVIDER, "a").await;
    assert_eq!(db.done(alone, "a").await["may_start"], 0);
    assert_eq!(db.complete(alone).await["may_start"], 0);
    for _ in 0..3 {
        db.order(user, UPSCALER, 1).await;
    }
    let first = db.run(PROVIDER, "b").await;
    assert_eq!(db.done(first, "b").await["may_start"], 1, "as many as slots are free");
    assert_eq!(db.complete(first).await["may_start"], 1);
    let second = db.run(PROVIDER, "c").await;
    db.set_tool(UPSCALER, "circuit_open_until = clock_timestamp() + interval '1 minute'").await;
    assert_eq!(
        db.done(second, "c").await["may_start"],
        0,
        "no step starts while the circuit is open"
    );
}

#[tokio::test]
async fn a_recorded_webhook_tells_its_step_and_a_completed_step_has_its_webhooks_applied() {
    let db = open(1).await;
    let (user, job) = db.ordered(60, UPSCALER, 1).await;
    let attempt = db.run(PROVIDER, "task").await;
    let recorded = db.record_webhook(attempt, "task", json!({})).await;
    assert_has!(recorded["step"], {
        "job_id": job, "step": 1, "run": 1, "user_id": user, "task_id": "task", "done": false,
    });
    db.done(attempt, "task").await;
    db.complete(attempt).await;
    assert_eq!(db.count("webhook_inbox where applied_at is null").await, 0);
}

const TOUCHED: &str = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
    from pg_stat_xact_user_tables where schemaname like 'unstuck%'";

/// How many rows of our tables a call reads.
async fn touched(db: &Session, function: &str, args: Value) -> i64 {
    db.exec("begin").await;
    let before = db.int(TOUCHED).await;
    db.ask(function, args).await;
    let after = db.int(TOUCHED).await;
    db.exec("commit").await;
    after - before
}

#[tokio::test]
async fn a_claim_an_order_and_a_status_touch_no_more_rows_of_a_long_line() {
    let mut seen = Vec::new();
    for waiting in [100, 10_000] {
        let db = open(2).await;
        db.exec(&format!(
            "with job as (
               insert into jobs (id, tool, user_id, status, request_hash)
               select md5('job ' || n)::uuid, '{UPSCALER}', md5('user ' || n)::uuid, 'queued', 'h'
               from generate_series(1, {waiting}) n
               returning id
             )
             insert into job_steps (job_id, step) select id, 1 from job"
        ))
        .await;
        // All slots are taken and durations are known, so an order estimates its wait.
        db.exec(&format!(
            "with job as (
               insert into jobs (tool, user_id, status)
               select '{UPSCALER}', gen_random_uuid(),
                 case when n <= 2 then 'running' else 'completed' end
               from generate_series(1, 12) n
               returning id, status
             )
             insert into job_steps (job_id, step, status, started_at, completed_at)
             select id, 1, status, now(), case when status = 'completed' then now() end from job"
        ))
        .await;
        // The index-only scan of the queue needs the visibility map, which `vacuum` writes.
        db.exec("vacuum analyze job_steps").await;
        db.exec("vacuum analyze jobs").await;
        let user = db.user(60).await;
        let last = "select job_id, line_user_id from job_steps where turn_at is not null
            order by turn_at desc limit 1";
        let last = db.row(last).await;
        let status = json!({ "p_job_id": last["job_id"] });
        let order =
            with(enqueue_args(user, Uuid::new_v4(), UPSCALER, 1), json!({ "p_claim": true }));
        seen.push([
            touched(&db, "job_get_v1", status).await,
            touched(&db, "user_active_v1", json!({ "p_user_id": last["line_user_id"] })).await,
            touched(&db, "job_enqueue_v2", order).await,
            touched(&db, "steps_waiting_v1", json!({ "p_provider": PROVIDER })).await,
            {
                db.set_slots(PROVIDER, 3).await;
                touched(&db, "step_claim_v1", json!({ "p_provider": PROVIDER, "p_limit": 1 })).await
            },
        ]);
    }
    for (short, long) in seen[0].iter().zip(&seen[1]) {
        assert!(*long <= short + 300, "100 and 10,000 waiting: {seen:?}");
    }
}

#[tokio::test]
async fn an_order_and_a_status_touch_no_more_rows_after_a_long_history() {
    let mut seen = Vec::new();
    for completed in [300, 6_000] {
        // The only slot is taken, so an order estimates its wait.
        let db = open(1).await;
        db.exec(&format!(
            "with job as (
               insert into jobs (tool, user_id, status)
               select '{UPSCALER}', gen_random_uuid(), 'completed'
               from generate_series(1, {completed}) n
               returning id
             )
             insert into job_steps (job_id, step, status, started_at, completed_at)
             select id, 1, 'completed', now(), now() from job"
        ))
        .await;
        db.exec("analyze job_steps").await;
        let (user, other) = (db.user(60).await, db.user(60).await);
        let waiting = db.order(other, UPSCALER, 1).await;
        let order =
            with(enqueue_args(user, Uuid::new_v4(), UPSCALER, 1), json!({ "p_claim": false }));
        seen.push([
            touched(&db, "job_enqueue_v2", order).await,
            touched(&db, "job_get_v1", json!({ "p_job_id": waiting })).await,
            touched(&db, "user_active_v1", json!({ "p_user_id": other })).await,
        ]);
    }
    for (short, long) in seen[0].iter().zip(&seen[1]) {
        assert!(*long <= short + 50, "300 and 6,000 completed: {seen:?}");
    }
}

#[tokio::test]
async fn cards_of_one_user_fill_free_slots_in_one_claim() {
    let db = open(1).await;
    db.set_slots("gemini", 5).await;
    let (user, other) = (db.user(900).await, db.user(900).await);
    let cards = db.order(user, CARDS, 7).await;
    let late = db.order(other, CARDS, 1).await;
    let claimed = db.claim("gemini", 5).await;
    let order: Vec<(Uuid, i64)> = claimed.iter().map(|run| (run.job, run.step)).collect();
    assert_eq!(order, [(cards, 1), (late, 1), (cards, 2), (cards, 3), (cards, 4)]);
    assert_eq!(turns(&db).await, [cards], "the fifth card has the turn");
}

#[tokio::test]
async fn a_card_that_waits_for_its_retry_is_no_job_before_mine() {
    let db = open(1).await;
    db.set_slots("gemini", 2).await;
    let (user, other) = (db.user(900).await, db.user(900).await);
    let cards = db.order(user, CARDS, 2).await;
    let claimed = db.claim("gemini", 2).await;
    db.requeue(claimed[0], "transient", 0).await;
    let mine = db.order(other, CARDS, 1).await;
    assert_has!(db.job(cards).await, { "status": "running" });
    let seen = db.ask("job_get_v1", json!({ "p_job_id": mine })).await;
    assert_eq!(seen["position"], 1);
    let listed = "select job_id, position from queue_positions where provider = 'gemini'";
    assert_eq!(db.rows(listed).await, [json!({ "job_id": mine, "position": 1 })]);
}

#[tokio::test]
async fn a_claim_touches_no_more_rows_where_one_user_has_many_jobs() {
    let mut seen = Vec::new();
    for jobs in [50, 5_000] {
        let db = open(1).await;
        let user = Uuid::new_v4();
        db.exec(&format!(
            "with job as (
               insert into jobs (tool, user_id, status, request_hash)
               select '{UPSCALER}', '{user}', 'queued', 'h' from generate_series(1, {jobs})
               returning id
             )
             insert into job_steps (job_id, step) select id, 1 from job"
        ))
        .await;
        db.exec("vacuum analyze job_steps").await;
        let claim = json!({ "p_provider": PROVIDER, "p_limit": 1 });
        seen.push(touched(&db, "step_claim_v1", claim).await);
        assert_eq!(turns(&db).await.len(), 1);
    }
    assert!(seen[1] <= seen[0] + 100, "50 and 5,000 jobs: {seen:?}");
}

/// The position that the job's status shows, which must be that of the view.
async fn position(db: &Session, job: Uuid) -> i64 {
    let seen = db.ask("job_get_v1", json!({ "p_job_id": job })).await;
    let listed = format!("select position from queue_positions where job_id = '{job}'");
    assert_eq!(seen["position"], db.value(&listed).await, "the status and the view agree");
    seen["position"].as_i64().unwrap()
}

#[tokio::test]
async fn many_retries_of_one_user_leave_that_user_one_turn() {
    let db = open(1).await;
    db.set_slots("gemini", 20).await;
    let (user, other) = (db.user(900).await, db.user(900).await);
    for _ in 0..20 {
        db.order(user, CARDS, 1).await;
    }
    for attempt in db.claim("gemini", 20).await {
        db.requeue(attempt, "transient", 2_000).await;
    }
    assert_eq!(turns(&db).await.len(), 1);
    db.exec("update job_steps set not_before = now() - interval '1 second'").await;
    let mine = db.order(other, CARDS, 1).await;
    assert_eq!(position(&db, mine).await, 2);
}

#[tokio::test]
async fn a_turn_that_could_not_be_passed_on_is_owed_and_given_by_the_next_claim() {
    let db = open(1).await;
    let (user, other) = (db.user(900).await, db.user(900).await);
    let jobs = [db.order(user, UPSCALER, 1).await, db.order(user, UPSCALER, 1).await];
    let others = [db.order(other, UPSCALER, 1).await, db.order(other, UPSCALER, 1).await];
    let holder = db.connect().await;
    holder
        .exec(&format!("begin; select from job_steps where job_id = '{}' for update", jobs[1]))
        .await;
    let first = db.claim_one(PROVIDER).await;
    assert_eq!((first.job, turns(&db).await), (jobs[0], vec![others[0]]));
    holder.exec("rollback").await;
    db.sent(first).await;
    db.started(first, "task").await;
    db.complete(first).await;
    assert_eq!(db.claim_one(PROVIDER).await.job, others[0]);
    assert_eq!(turns(&db).await, [jobs[1], others[1]], "although others keep the slot");
    assert_eq!(db.count("unstuck_private.turns_owed").await, 0);
}

#[tokio::test]
async fn an_open_circuit_of_one_tool_holds_back_no_other_tool_of_its_users() {
    let db = open(2).await;
    let (user, other) = (db.user(900).await, db.user(900).await);
    let blocked = db.order(user, UPSCALER, 1).await;
    let free = [db.order(user, VIDEO, 1).await, db.order(user, VIDEO, 1).await];
    let others = [db.order(other, VIDEO, 1).await, db.order(other, VIDEO, 1).await];
    db.set_tool(UPSCALER, "circuit_open_until = clock_timestamp() + interval '1 hour'").await;
    let claimed: Vec<Uuid> =
        db.claim(PROVIDER, 2).await.iter().map(|attempt| attempt.job).collect();
    assert_eq!(claimed, [others[0], free[0]], "a turn that is owed is given before the claim");
    assert_eq!(turns(&db).await, [blocked, others[1], free[1]]);
    let late = db.order(db.user(900).await, UPSCALER, 1).await;
    assert_eq!(position(&db, others[1]).await, 1);
    assert_eq!(position(&db, free[1]).await, 2);
    assert_eq!(position(&db, late).await, 4, "behind all that may start");
}

#[tokio::test]
async fn an_order_takes_a_turn_where_the_users_other_turn_cannot_be_used() {
    let db = open(1).await;
    let users = [db.user(900).await, db.user(900).await];
    let shut = db.order(users[0], UPSCALER, 1).await;
    let expired = db.order(users[1], VIDEO, 1).await;
    db.set_tool(UPSCALER, "circuit_open_until = clock_timestamp() + interval '1 hour'").await;
    db.set_steps(expired, "deadline_at = now() - interval '1 second'").await;
    let mut jobs = Vec::new();
    for user in users {
        jobs.push(db.order(user, VIDEO, 1).await);
        db.order(user, VIDEO, 1).await;
    }
    assert_eq!(turns(&db).await, [shut, expired, jobs[0], jobs[1]]);
}

#[tokio::test]
async fn what_no_claim_would_take_is_not_counted() {
    let db = open(2).await;
    let user = db.user(900).await;
    let (odd, unplaced) = (db.order(user, UPSCALER, 1).await, db.order(user, UPSCALER, 1).await);
    let mine = db.order(db.user(60).await, UPSCALER, 1).await;
    db.set_job(odd, "quarantined_at = now()").await;
    db.exec(&format!(
        "set session_replication_role = replica;
         update job_steps set line_user_id = null, line_tool = null, turn_at = null
         where job_id = '{unplaced}';
         set session_replication_role = origin"
    ))
    .await;
    let waiting = db.ask("steps_waiting_v1", json!({ "p_provider": PROVIDER })).await;
    assert_eq!(waiting["may_start"], 1);
    db.set_steps(odd, "deadline_at = now() - interval '1 second'").await;
    assert_eq!(position(&db, mine).await, 1, "a step past its deadline is before nobody");
    assert_eq!(db.claim(PROVIDER, 5).await.len(), 1);
}

#[tokio::test]
async fn a_step_that_need_not_wait_any_more_goes_before_nobody_who_came_earlier() {
    let db = open(1).await;
    let (user, other) = (db.user(900).await, db.user(60).await);
    let jobs = [db.order(user, UPSCALER, 1).await, db.order(user, UPSCALER, 1).await];
    let theirs = db.order(other, UPSCALER, 1).await;
    db.claim_one(PROVIDER).await;
    assert_eq!(turns(&db).await, [theirs, jobs[1]]);
    db.set_steps(jobs[1], "not_before = now() + interval '1 minute'").await;
    db.set_steps(jobs[1], "not_before = null").await;
    assert_eq!(turns(&db).await, [theirs, jobs[1]]);
}

#[tokio::test]
async fn a_repeated_order_is_given_a_claim_of_its_own_until_a_worker_has_sent_it() {
    let db = open(1).await;
    let (user, job) = (db.user(900).await, Uuid::new_v4());
    let args = with(enqueue_args(user, job, UPSCALER, 1), json!({ "p_claim": true }));
    let first = db.ask("job_enqueue_v2", args.clone()).await["claimed"].clone();
    let mut again = db.ask("job_enqueue_v2", args.clone()).await["claimed"].clone();
    assert!(again["run_ms"].as_i64().unwrap() > 0);
    assert_eq!((&first["run"], &again["run"]), (&json!(1), &json!(2)));
    for same in ["run", "run_ms"] {
        again[same] = first[same].clone();
    }
    assert_eq!(again, first, "an answer may be lost");
    assert!(!db.sent(StepRun { job, step: 1, run: 1 }).await, "only one of the two submits it");
    assert!(db.sent(StepRun { job, step: 1, run: 2 }).await);
    assert_eq!(db.ask("job_enqueue_v2", args).await["claimed"], Value::Null);
}

#[tokio::test]
async fn an_order_is_claimed_within_a_learned_limit_and_not_beyond_it() {
    let db = open(50).await;
    db.exec("update providers set learned_limit = 1, limit_probe_at = now()").await;
    let (_, first) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
    assert_eq!(first["claimed"]["step"], 1);
    let (job, second) = order_and_claim(&db, db.user(60).await, UPSCALER).await;
    assert_eq!(second["claimed"], Value::Null, "only a claim tries one more");
    assert_eq!(db.claim_one(PROVIDER).await.job, job);
}

#[tokio::test]
async fn a_v1_function_has_the_statement_timeout_of_its_v2() {
    let db = Database::fresh().await;
    let timeouts = |version: &str| {
        format!(
            "select left(proname, -3) || array_to_string(array(
               select c from unnest(proconfig) c where c like 'statement_timeout=%'), '')
             from pg_proc where pronamespace = 'unstuck'::regnamespace
               and proname like '%\\_{version}'
               and left(proname, -3) in (
                 select left(proname, -3) from pg_proc where proname like '%\\_v2')
             order by 1"
        )
    };
    let first = db.texts(&timeouts("v1")).await;
    assert_eq!(first.len(), 6);
    assert_eq!(first, db.texts(&timeouts("v2")).await);
}
