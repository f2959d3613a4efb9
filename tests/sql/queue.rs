//! A provider's queue is fair between users, and jobs are claimed at the positions and times that
//! the queue shows.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, StepRun, UPSCALER, VIDEO, id};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

/// Enables every tool, lets jobs wait for days, and sets the number of slots.
async fn open(slots: i64) -> Database {
    let db = Database::open().await;
    db.exec("update tools set queue_ttl = '10 days', run_timeout = '10 days'").await;
    limit(&db, slots).await;
    db
}

async fn limit(db: &Session, slots: i64) {
    db.set_slots(PROVIDER, slots).await;
}

/// Inserts so many jobs of a tool that have just completed after so many seconds.
async fn measured(db: &Session, tool: &str, jobs: usize, seconds: usize) {
    db.exec(&format!(
        "with job as (insert into jobs (tool, user_id, status)
            select '{tool}', gen_random_uuid(), 'completed' from generate_series(1, {jobs})
            returning id)
         insert into job_steps (job_id, step, status, started_at, completed_at)
         select id, 1, 'completed', clock_timestamp() - interval '{seconds} seconds',
         clock_timestamp() from job"
    ))
    .await;
}

/// Inserts so many waiting jobs of a user without ordering them.
async fn many(db: &Session, user: Uuid, jobs: usize) {
    db.exec(&format!(
        "with job as (insert into jobs (tool, user_id, status, request_hash)
            select '{UPSCALER}', '{user}', 'queued', n::text from generate_series(1, {jobs}) n
            returning id)
         insert into job_steps (job_id, step, provider) select id, 1, '{PROVIDER}' from job"
    ))
    .await;
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct QueuePosition {
    job: Uuid,
    position: i64,
    eta: i64,
}

async fn waiting(db: &Session) -> Vec<QueuePosition> {
    let sql =
        format!("select * from queue_positions where provider = '{PROVIDER}' order by position");
    let position = |row: &Value| QueuePosition {
        job: id(&row["job_id"]),
        position: row["position"].as_i64().unwrap(),
        eta: row["eta_seconds"].as_i64().expect("an integer, and never null"),
    };
    db.rows(&sql).await.iter().map(position).collect()
}

async fn line(db: &Session) -> Vec<Uuid> {
    waiting(db).await.into_iter().map(|waits| waits.job).collect()
}

async fn finish(db: &Session, attempt: StepRun) {
    assert!(db.sent(attempt).await);
    assert_eq!(db.started(attempt, &format!("task of {}", attempt.job)).await, "running");
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
}

/// Several users order several jobs of two tools, in turn.
async fn orders(db: &Session) -> BTreeMap<Uuid, &'static str> {
    let (many, some, one, late) =
        (db.user(9000).await, db.user(9000).await, db.user(9000).await, db.user(9000).await);
    let mut jobs = BTreeMap::new();
    for (user, tool) in [
        (many, UPSCALER),
        (many, VIDEO),
        (many, UPSCALER),
        (some, VIDEO),
        (many, UPSCALER),
        (one, UPSCALER),
        (some, UPSCALER),
        (some, UPSCALER),
        (many, VIDEO),
        (late, VIDEO),
        (many, UPSCALER),
        (some, VIDEO),
        (late, UPSCALER),
        (many, UPSCALER),
    ] {
        jobs.insert(db.order(user, tool, 1).await, tool);
    }
    jobs
}

#[tokio::test]
async fn every_job_is_claimed_at_the_position_and_time_that_was_shown() {
    for slots in 1..=4 {
        let db = open(slots).await;
        measured(&db, UPSCALER, 3, 60).await;
        measured(&db, VIDEO, 2, 200).await;
        let jobs = orders(&db).await;
        let seconds = |job: Uuid| if jobs[&job] == VIDEO { 200 } else { 60 };

        // The first jobs have been running for twenty seconds.
        let mut working: Vec<(StepRun, i64)> = db
            .claim(PROVIDER, slots)
            .await
            .into_iter()
            .map(|attempt| (attempt, seconds(attempt.job) - 20))
            .collect();
        assert_eq!(working.len() as i64, slots);
        db.age_all("20 seconds").await;

        let shown = waiting(&db).await;
        let positions: Vec<i64> = shown.iter().map(|waits| waits.position).collect();
        assert_eq!(positions, (1..=jobs.len() as i64 - slots).collect::<Vec<_>>());

        let (mut now, mut seen) = (0, Vec::new());
        while seen.len() < shown.len() {
            let first = working
                .iter()
                .enumerate()
                .min_by_key(|(_, (_, ends))| *ends)
                .map(|(at, _)| at)
                .unwrap();
            let (attempt, ends) = working.swap_remove(first);
            db.age_all(&format!("{} seconds", ends - now)).await;
            now = ends;
            finish(&db, attempt).await;
            let next = waiting(&db).await[0];
            for attempt in db.claim(PROVIDER, slots).await {
                assert!(
                    !seen.is_empty() || attempt.job == next.job,
                    "the first job of the queue is claimed next"
                );
                seen.push((attempt.job, now));
                working.push((attempt, now + seconds(attempt.job)));
            }
        }
        for (shown, (job, at)) in shown.iter().zip(&seen) {
            assert_eq!(shown.job, *job, "{slots} slots: position {}", shown.position);
            // The clock went on while the test ordered.
            assert!((shown.eta - at).abs() <= 10, "{slots} slots: {shown:?} and {at}");
        }
        let etas: Vec<i64> = shown.iter().map(|waits| waits.eta).collect();
        assert!(etas.is_sorted(), "who is admitted later does not start earlier: {etas:?}");
    }
}

#[tokio::test]
async fn positions_hold_whichever_job_finishes_first() {
    for (slots, late_first) in [(1, false), (2, true), (3, false), (3, true), (20, false)] {
        let db = open(slots).await;
        orders(&db).await;
        let shown = line(&db).await;
        let (mut working, mut seen) = (Vec::new(), Vec::new());
        loop {
            // It claims one step at a time, or as many as are free: the order is the same.
            let claimed = db.claim(PROVIDER, if seen.len() % 2 == 0 { 1 } else { slots }).await;
            if claimed.is_empty() && working.is_empty() {
                break;
            }
            seen.extend(claimed.iter().map(|attempt| attempt.job));
            working.extend(claimed);
            assert_eq!(
                line(&db).await,
                shown[seen.len()..],
                "the rest of the line stays as it was"
            );
            let next = if late_first { working.pop() } else { Some(working.remove(0)) };
            finish(&db, next.unwrap()).await;
        }
        assert_eq!(seen, shown, "{slots} slots, late first: {late_first}");
    }
}

#[tokio::test]
async fn a_thousand_jobs_of_one_user_delay_another_user_by_one_turn() {
    for working in [false, true] {
        let db = open(3).await;
        let (greedy, other) = (db.user(0).await, db.user(60).await);
        many(&db, greedy, 1000).await;
        let mut attempts = if working { db.claim(PROVIDER, 3).await } else { Vec::new() };
        let late = db.order(other, UPSCALER, 1).await;
        let shown = waiting(&db).await.into_iter().find(|waits| waits.job == late).unwrap();
        assert_eq!(shown.position, 2, "one turn of the other user, then this one's");
        assert!(shown.eta <= 60, "{shown:?}");

        // One round has as many claims as there are slots.
        let mut round = Vec::new();
        while round.len() < 3 {
            if let Some(attempt) = attempts.pop() {
                finish(&db, attempt).await;
            }
            round.extend(db.claim(PROVIDER, 3).await);
        }
        assert!(round.iter().any(|attempt| attempt.job == late), "{round:?}");
    }
}

#[tokio::test]
async fn positions_are_numbered_from_one_without_gaps() {
    let db = open(1).await;
    let (greedy, other) = (db.user(0).await, db.user(60).await);
    many(&db, greedy, 1000).await;
    let late = db.order(other, UPSCALER, 1).await;
    let positions: Vec<i64> = waiting(&db).await.iter().map(|waits| waits.position).collect();
    assert_eq!(positions, (1..=1001).collect::<Vec<_>>());
    let shown = line(&db).await;
    for (at, job) in shown.iter().enumerate().take(5) {
        let attempt = db.claim_one(PROVIDER).await;
        assert_eq!((attempt.job, *job == late), (*job, at == 1));
        finish(&db, attempt).await;
    }
}

#[tokio::test]
async fn a_user_who_was_served_goes_to_the_end_of_the_queue() {
    let db = open(1).await;
    let (first, second) = (db.user(9000).await, db.user(9000).await);
    let mut orders = Vec::new();
    for user in [first, first, first, second] {
        orders.push(db.order(user, UPSCALER, 1).await);
    }
    finish(&db, db.claim_one(PROVIDER).await).await;
    // The newcomer ordered after the first user was served, and yet is behind the second user, who
    // waited all the time.
    let newcomer = db.order(db.user(60).await, UPSCALER, 1).await;
    assert_eq!(line(&db).await, [orders[3], orders[1], newcomer, orders[2]]);
}

#[tokio::test]
async fn a_step_that_may_not_start_yet_stands_behind_those_that_may() {
    let db = open(1).await;
    let (first, second) = (db.user(9000).await, db.user(60).await);
    let again = db.order(first, UPSCALER, 1).await;
    db.requeue(db.claim_one(PROVIDER).await, "capacity", 300_000).await;
    let ready = db.order(second, UPSCALER, 1).await;
    let shown = waiting(&db).await;
    assert_eq!(shown.iter().map(|waits| waits.job).collect::<Vec<_>>(), [ready, again]);
    assert!(
        (290..=300).contains(&shown[1].eta),
        "no estimate is before the retry's delay: {shown:?}"
    );
    assert_eq!(db.claim_one(PROVIDER).await.job, ready);
    assert!(db.claim(PROVIDER, 1).await.is_empty());
}

#[tokio::test]
async fn the_estimate_follows_what_the_tool_took_lately() {
    let db = open(1).await;
    let user = db.user(9000).await;
    db.order(user, UPSCALER, 1).await;
    let attempt = db.claim_one(PROVIDER).await;
    for tool in [UPSCALER, VIDEO] {
        db.order(user, tool, 1).await;
    }
    let etas = async || waiting(&db).await.iter().map(|waits| waits.eta).collect::<Vec<_>>();
    let about = |etas: Vec<i64>, expected: [i64; 2]| {
        let near = etas.iter().zip(expected).all(|(eta, expected)| (eta - expected).abs() <= 5);
        assert!(etas.len() == 2 && near, "{etas:?} is not about {expected:?}");
    };
    about(etas().await, [60, 120]);
    // The estimate is that of the provider, then that of the tool itself, and then follows the last
    // twenty jobs.
    measured(&db, VIDEO, 5, 300).await;
    about(etas().await, [300, 600]);
    measured(&db, UPSCALER, 20, 30).await;
    about(etas().await, [30, 60]);
    measured(&db, UPSCALER, 20, 90).await;
    about(etas().await, [90, 180]);
    // The running job is half done, then late by as much as it should have taken.
    db.exec(
        "update job_steps set claimed_at = clock_timestamp() - interval '45 seconds'
            where status = 'starting'",
    )
    .await;
    about(etas().await, [45, 135]);
    db.exec(
        "update job_steps set claimed_at = clock_timestamp() - interval '180 seconds'
            where status = 'starting'",
    )
    .await;
    about(etas().await, [90, 180]);
    // With a second slot the first waiting job starts at once; once the running job has ended, both
    // do.
    limit(&db, 2).await;
    about(etas().await, [1, 90]);
    finish(&db, attempt).await;
    about(etas().await, [1, 1]);
    limit(&db, 0).await;
    assert_eq!(etas().await.len(), 2, "also where nothing may start");
}

#[tokio::test]
async fn every_waiting_job_has_a_position_and_an_estimate() {
    let db = open(1).await;
    let user = db.user(9000).await;
    for tool in [UPSCALER, VIDEO, CARDS, UPSCALER] {
        db.order(user, tool, 1).await;
    }
    db.claim_one(PROVIDER).await;
    for row in db.rows("select id, status from jobs").await {
        let args = json!({ "p_job_id": row["id"], "p_user_id": user, "p_tool": null });
        let seen = db.ask("job_get_v1", args).await;
        let waits = row["status"] == "queued";
        assert_eq!(
            (seen["position"].is_i64(), seen["eta_seconds"].is_i64()),
            (waits, waits),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_long_queue_of_one_user_refuses_no_other_user() {
    let db = Database::open().await;
    limit(&db, 1).await;
    measured(&db, UPSCALER, 3, 60).await;
    let (greedy, other) = (db.user(60).await, db.user(60).await);
    many(&db, greedy, 1000).await;
    db.claim_one(PROVIDER).await;
    // At one minute each, the user's own next job would wait for hours, but the tool allows ten
    // minutes.
    let error = db.enqueue(greedy, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(error.reason(), ("PT503", "queue_full"));
    assert!(error.detail["retry_after"].as_i64().unwrap() > 3000, "{}", error.detail);
    assert_eq!((db.balance(greedy).await, db.count("credit_entries").await), (60, 2));
    let late = db.order(other, UPSCALER, 1).await;
    assert!(waiting(&db).await.iter().any(|waits| waits.job == late && waits.eta <= 120));
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_claim_reads_a_long_queue_once() {
    let db = open(3).await;
    let finished = "insert into jobs (tool, user_id, status, completed_at)
        select 'runninghub-upscaler', gen_random_uuid(), 'completed', clock_timestamp()
        from generate_series(1, 20000) returning id";
    db.exec(&format!(
        "with job as ({finished}) insert into job_steps (job_id, step, status, started_at)
            select id, 1, 'completed', clock_timestamp() from job"
    ))
    .await;
    for _ in 0..10 {
        many(&db, Uuid::new_v4(), 1000).await;
    }
    db.exec("analyze").await;
    // It takes some 50 ms on an idle machine. A claim that read the queue once for each waiting
    // step would take minutes.
    let claimed =
        tokio::time::timeout(std::time::Duration::from_secs(60), db.claim(PROVIDER, 3)).await;
    assert_eq!(claimed.expect("it does not walk the line for each").len(), 3);
}
