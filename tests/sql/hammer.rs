//! Many concurrent calls for a while: no balance below zero, no slot too many, no idle slot, and
//! the invariants always hold.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use unstuck_tests::shop::{CARDS, StepRun, UPSCALER, id};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

#[tokio::test]
async fn a_balance_for_twenty_jobs_buys_exactly_twenty() {
    let db = Database::open().await;
    let user = db.user(20 * 60 + 59).await;
    let sessions = db.sessions(50).await;
    let orders = sessions
        .iter()
        .map(async |session| session.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await);
    let answers = futures::future::join_all(orders).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused.reason(), ("PT402", "insufficient_credits"));
        assert_eq!(refused.detail, json!({ "balance": 59, "required": 60 }));
    }
    assert_eq!(db.balance(user).await, 59);
    assert_eq!(db.count("jobs").await, 20);
    db.assert_healthy().await;
}

#[tokio::test]
async fn one_request_sent_fifty_times_is_one_job() {
    let db = Database::fresh().await;
    let (user, job) = (db.user(6000).await, Uuid::new_v4());
    let sessions = db.sessions(50).await;
    let orders = sessions.iter().map(async |session| {
        session.enqueue(user, job, UPSCALER, 1).await.unwrap()["replayed"] == true
    });
    let replayed = futures::future::join_all(orders).await;
    assert_eq!(replayed.iter().filter(|replayed| !**replayed).count(), 1);
    assert_eq!(db.entries(job).await, [-60]);
    let orders = sessions
        .iter()
        .map(async |session| session.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await);
    for refused in futures::future::join_all(orders).await {
        assert_eq!(refused.unwrap_err().message, "active_job_exists");
    }
    assert_eq!(db.balance(user).await, 5940);
    db.assert_healthy().await;
}

#[tokio::test]
async fn fifty_cancels_return_the_credits_once() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (user, job) = db.upscale().await;
    let sessions = db.sessions(50).await;
    let cancels = sessions.iter().enumerate().map(async |(number, session)| match number % 3 {
        0 => session.cancel(user, job).await.is_ok(),
        1 => session.cancel_as_admin(admin, job).await.is_ok(),
        _ => !session.cancel_session(user, "session", &[job]).await.is_empty(),
    });
    let won = futures::future::join_all(cancels).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    db.assert_cancelled(job, 60).await;
    assert_eq!(db.entries(job).await, [-60, 60]);
}

/// What a worker does with its step; sometimes it dies.
async fn work(session: &Session, attempt: StepRun, number: usize) {
    let task = format!("{}-{}", attempt.job, attempt.run);
    if number.is_multiple_of(11) || !session.sent(attempt).await {
        session.requeue(attempt, "capacity", 0).await;
        return;
    }
    if number.is_multiple_of(7) {
        session.requeue(attempt, "transient", 0).await;
        return;
    }
    if session.started(attempt, &task).await != "running" {
        return;
    }
    if number.is_multiple_of(5) {
        session.fail(attempt, "PROVIDER_FAILED").await;
        return;
    }
    if session.done(attempt, &task).await["outcome"] == "copy" {
        session.complete(attempt).await;
    }
}

/// Raises an error at a write of steps while four steps hold a slot. Two concurrent claims would
/// not see each other, but the next write sees both.
const NEVER_FOUR: &str = "
    create function never_four() returns trigger language plpgsql as $$
    begin
      if 3 < (
        select count(*)
        from unstuck.job_steps s
        where s.provider = 'runninghub' and unstuck_private.holds_slot(s)
      ) then
        raise exception 'a fourth step is live';
      end if;
      return null;
    end $$;
    create trigger never_four after update on unstuck.job_steps
      for each statement execute function never_four()";

/// Fifty claimers with a limit of three, for ten seconds or, on a slow machine, until they have
/// claimed a hundred steps. No step holds a slot without being counted, and a claim that finds a
/// waiting step and a free slot takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_claimers_never_exceed_the_slots_nor_leave_one_idle() {
    let db = Database::open().await;
    let (limit, span, patience) = (3, Duration::from_secs(10), Duration::from_secs(180));
    let (claimed, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let users: Vec<Uuid> = futures::future::join_all((0..10).map(|_| db.user(1_000_000))).await;
    db.exec(NEVER_FOUR).await;
    let claimers = db.sessions(50).await;
    let (orderer, watcher) = (db.connect().await, db.connect().await);
    let start = Instant::now();

    let claim = claimers.iter().map(async |session| {
        while !over.load(Ordering::Relaxed) {
            for attempt in session.claim(PROVIDER, 1).await {
                let number = claimed.fetch_add(1, Ordering::Relaxed);
                work(session, attempt, number).await;
            }
        }
    });
    let order = async {
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            // The queue stays short, so that its length does not slow the claims down.
            if orderer.count("job_steps where status = 'queued'").await < 40 {
                let user = users[number % users.len()];
                let answer = orderer.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap();
                if number.is_multiple_of(13) {
                    let _ = orderer.cancel(user, id(&answer["job_id"])).await;
                }
                number += 1;
            }
        }
    };
    let live = format!(
        "select count(*) from job_steps where provider = '{PROVIDER}'
            and status in ('starting', 'running') and provider_done_at is null"
    );
    let watch = async {
        let (mut looks, mut full) = (0, 0);
        while start.elapsed() < span || full == 0 || claimed.load(Ordering::Relaxed) < 100 {
            assert!(start.elapsed() < patience, "{claimed:?} claims, full in {full} of {looks}");
            let live = watcher.int(&live).await;
            assert!(live <= limit, "{live} live");
            looks += 1;
            full += usize::from(live == limit);
            if looks % 50 == 0 {
                watcher.assert_healthy().await;
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    futures::future::join3(futures::future::join_all(claim), order, watch).await;
    db.assert_healthy().await;

    // No slot stays idle while steps wait: the next claim gets every free slot.
    while db.count("job_steps where status = 'queued'").await < limit {
        db.order(users[0], UPSCALER, 1).await;
    }
    let working = db.int(&live).await;
    assert_eq!(db.claim(PROVIDER, 10).await.len() as i64, limit - working);
}

/// A claim that runs while a slot is being freed may miss a waiting step, but not for good: the
/// worker that frees the slot claims once more, as every function does. So the queue drains without
/// any other caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_claim_after_each_finish_drain_the_queue() {
    let db = Database::open().await;
    let user = db.user(1_000_000).await;
    for _ in 0..60 {
        db.order(user, UPSCALER, 1).await;
    }
    for _ in 0..10 {
        db.order(user, CARDS, 4).await;
    }
    let workers = db.sessions(12).await;
    let drain = workers.iter().enumerate().map(async |(number, session)| {
        let provider = if number % 2 == 0 { PROVIDER } else { "gemini" };
        loop {
            let claimed = session.claim(provider, 2).await;
            for attempt in &claimed {
                if provider == PROVIDER {
                    let task = attempt.job.to_string();
                    assert!(session.sent(*attempt).await);
                    session.started(*attempt, &task).await;
                    session.done(*attempt, &task).await;
                }
                assert_eq!(session.complete(*attempt).await["outcome"], "completed");
            }
            if claimed.is_empty() {
                let left = format!(
                    "select count(*) from job_steps where provider = '{provider}'
                        and completed_at is null"
                );
                if session.int(&left).await == 0 {
                    return;
                }
            }
        }
    });
    tokio::time::timeout(Duration::from_secs(120), futures::future::join_all(drain))
        .await
        .expect("the queue drains");
    assert_eq!(db.count("jobs where status <> 'completed'").await, 0);
    db.assert_healthy().await;
}

/// Concurrent sweeps of every kind over a thousand stale jobs: each job is closed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sweeps_close_each_job_once() {
    let db = Database::fresh().await;
    db.exec(&format!(
        "with job as (
           insert into jobs (tool, user_id, status, credits_charged, created_at)
           select '{UPSCALER}', md5((n % 40)::text)::uuid, 'running', 60, now() - interval
           '3 hours' from generate_series(1, 1000) n
           returning id, user_id
         ), paid as (
           insert into credit_entries (user_id, kind, amount)
           select distinct on (user_id) user_id, 'grant', 100000 from job
         )
         insert into job_steps (job_id, step, status, provider)
         select id, 1, 'running', '{PROVIDER}' from job;
         insert into credit_entries (user_id, job_id, kind, amount)
         select user_id, id, 'debit', -60 from jobs"
    ))
    .await;
    let sessions = db.sessions(8).await;
    let sweeps = sessions.iter().enumerate().map(async |(number, session)| {
        let mut closed = 0;
        for round in 0..40 {
            closed += match number % 4 {
                0 => session.sweep().await["cleaned"].as_i64().unwrap(),
                1 => session
                    .call("cleanup_all_stale_ai_jobs", json!({}))
                    .await
                    .iter()
                    .filter_map(|row| row["cancelled_count"].as_i64())
                    .sum(),
                2 => {
                    session
                        .int(&format!("select healed from user_heal_v1(md5('{round}')::uuid)"))
                        .await
                }
                _ => {
                    let args = json!({ "p_sweep_id": null, "p_limit": 37 });
                    session.ask("jobs_sweep_v1", args).await["cleaned"].as_i64().unwrap()
                }
            };
        }
        closed
    });
    let closed: i64 = futures::future::join_all(sweeps).await.into_iter().sum();
    assert_eq!(closed, 1000);
    assert_eq!(db.count("jobs where status = 'failed' and credits_refunded = 60").await, 1000);
    assert_eq!(db.count("credit_accounts where balance <> 100000").await, 0);
    db.assert_healthy().await;
}

/// Concurrent healers never get the same step, because `steps_due_v1` reserves it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_due_v1_never_gives_two_healers_the_same_step() {
    let db = Database::open().await;
    db.exec("update providers set max_concurrent = 100").await;
    let (user, admin) = (db.user(100_000).await, db.admin().await);
    for number in 0..40 {
        let job = db.order(user, UPSCALER, 1).await;
        let task = format!("t{number}");
        let attempt = db.run(PROVIDER, &task).await;
        match number % 3 {
            0 => drop(db.done(attempt, &task).await),
            1 => drop(db.cancel_as_admin(admin, job).await.unwrap()),
            _ => {}
        }
    }
    db.age_all("2 minutes").await;
    let sessions = db.sessions(8).await;
    let asked = sessions.iter().map(async |session| {
        let mut seen = Vec::new();
        for _ in 0..10 {
            let due =
                session.call("steps_due_v1", json!({ "p_provider": PROVIDER, "p_limit": 3 })).await;
            seen.extend(
                due.iter().map(|row| (id(&row["job_id"]), row["due"].as_str().unwrap().to_owned())),
            );
        }
        seen
    });
    let mut seen: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    assert_eq!(seen.len(), 40);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40, "each once");
}
