//! A provider's refusals for capacity teach its limit: it falls at once and rises slowly, a freed
//! slot starts a refused step, and `max_concurrent` stays the upper bound.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{StepRun, UPSCALER};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";

/// A provider with so many slots, and one waiting job of each of so many users, in the order of the
/// queue.
async fn waiting(slots: i64, jobs: usize) -> (Database, Vec<Uuid>) {
    let db = Database::fresh().await;
    db.set_slots(PROVIDER, slots).await;
    let jobs = order(&db, jobs).await;
    (db, jobs)
}

async fn order(db: &Session, jobs: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..jobs {
        ids.push(db.upscale().await.1);
    }
    ids
}

/// Claims and sends so many steps.
async fn send(db: &Session, steps: usize) -> Vec<StepRun> {
    let claimed = db.claim(PROVIDER, steps as i64).await;
    assert_eq!(claimed.len(), steps, "so many slots are free");
    for attempt in &claimed {
        assert!(db.sent(*attempt).await);
    }
    claimed
}

async fn accept(db: &Session, attempt: StepRun) {
    assert_eq!(db.started(attempt, &attempt.job.to_string()).await, "running");
}

async fn refuse(db: &Session, attempt: StepRun) {
    assert_eq!(db.requeue(attempt, "capacity", 0).await["outcome"], "queued");
}

async fn end(db: &Session, attempt: StepRun) {
    assert_eq!(db.done(attempt, &attempt.job.to_string()).await["outcome"], "copy");
    assert_eq!(db.complete(attempt).await["outcome"], "completed");
}

/// The provider accepts three of five steps: the last two are refused, and their refusals are
/// recorded between the acceptances of the others.
async fn three_of_five(db: &Session) -> Vec<StepRun> {
    let sent = send(db, 5).await;
    accept(db, sent[0]).await;
    refuse(db, sent[3]).await;
    accept(db, sent[1]).await;
    refuse(db, sent[4]).await;
    accept(db, sent[2]).await;
    sent
}

/// The learned limit, and in how many seconds its next probe is due.
async fn learned(db: &Session) -> (Option<i64>, Option<i64>) {
    let row = db
        .row(&format!(
            "select learned_limit as learned,
                ceil(extract(epoch from limit_probe_at - clock_timestamp()))::int as probe
                from providers where provider = '{PROVIDER}'"
        ))
        .await;
    (row["learned"].as_i64(), row["probe"].as_i64())
}

async fn may_start(db: &Session) -> i64 {
    let row = db.ask("steps_waiting_v1", json!({ "p_provider": PROVIDER })).await;
    row["may_start"].as_i64().unwrap()
}

async fn check(db: &Session) -> Value {
    db.ask("queue_check_v1", json!({ "p_provider": PROVIDER })).await
}

async fn status(db: &Session, job: Uuid) -> Value {
    db.ask("job_get_v1", json!({ "p_job_id": job })).await
}

async fn line(db: &Session) -> Vec<String> {
    db.texts("select job_id::text from queue_positions order by position").await
}

#[tokio::test]
async fn a_refusal_lowers_the_limit_at_once_to_what_the_provider_took() {
    let (db, _) = waiting(50, 8).await;
    assert_eq!(learned(&db).await, (None, None));
    assert_eq!(may_start(&db).await, 8);
    three_of_five(&db).await;
    let (limit, probe) = learned(&db).await;
    assert_eq!(limit, Some(3));
    assert!((4..=30).contains(&probe.unwrap()), "{probe:?}");
    assert_eq!(may_start(&db).await, 0);
    let queue = check(&db).await;
    assert_has!(queue, { "max_concurrent": 50, "running": 3, "slots_available": 0 });
    assert!(db.claim(PROVIDER, 5).await.is_empty(), "no step is refused in vain");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_slot_that_was_freed_meanwhile_lowers_no_limit() {
    let (db, _) = waiting(50, 8).await;
    let sent = three_of_five(&db).await;
    db.probe_is_due().await;
    let probe = send(&db, 1).await[0];
    // The provider had three steps when it refused the probe; one of them ends before the refusal
    // is recorded.
    end(&db, sent[0]).await;
    refuse(&db, probe).await;
    assert_eq!(learned(&db).await.0, Some(3));
    assert_eq!(db.claim(PROVIDER, 5).await.len(), 1);
}

#[tokio::test]
async fn an_acceptance_that_is_recorded_at_the_same_moment_as_a_refusal_counts() {
    let (db, _) = waiting(50, 8).await;
    let sent = send(&db, 4).await;
    accept(&db, sent[0]).await;
    accept(&db, sent[1]).await;
    let slow = db.connect().await;
    slow.exec("begin").await;
    accept(&slow, sent[2]).await;
    refuse(&db, sent[3]).await;
    slow.exec("commit").await;
    assert_eq!(learned(&db).await.0, Some(3));
}

#[tokio::test]
async fn a_refused_step_keeps_its_turn_and_the_next_free_slot_starts_it() {
    let (db, jobs) = waiting(50, 7).await;
    let sent = three_of_five(&db).await;
    let newcomer = order(&db, 1).await[0];
    let expected: Vec<String> =
        [&jobs[3..], &[newcomer]].concat().iter().map(Uuid::to_string).collect();
    assert_eq!(line(&db).await, expected, "no step has overtaken a refused one");
    end(&db, sent[1]).await;
    assert_eq!(may_start(&db).await, 1);
    let claimed = db.claim(PROVIDER, 5).await;
    assert_eq!(claimed.iter().map(|next| next.job).collect::<Vec<_>>(), [jobs[3]]);
    end(&db, sent[0]).await;
    assert_eq!(db.claim_one(PROVIDER).await.job, jobs[4]);
}

#[tokio::test]
async fn a_user_with_many_jobs_has_one_turn_after_a_refusal_too() {
    let (db, _) = waiting(50, 0).await;
    db.open_all_tools().await;
    let (many, other) = (db.user(600).await, db.user(60).await);
    let first = db.order(many, UPSCALER, 1).await;
    let second = db.order(many, UPSCALER, 1).await;
    let others = db.order(other, UPSCALER, 1).await;
    let sent = send(&db, 1).await[0];
    assert_eq!(sent.job, first);
    refuse(&db, sent).await;
    let expected = [first, others, second].map(|job| job.to_string());
    assert_eq!(line(&db).await, expected);
}

#[tokio::test]
async fn the_limit_rises_by_one_probe_at_a_time_up_to_max_concurrent() {
    let (db, _) = waiting(6, 12).await;
    three_of_five(&db).await;
    for limit in [4, 5] {
        assert_eq!(may_start(&db).await, 0, "no probe comes before it is due");
        db.probe_is_due().await;
        assert_eq!(may_start(&db).await, 1);
        assert_eq!(check(&db).await["slots_available"], 1);
        let probe = send(&db, 1).await[0];
        assert!(db.claim(PROVIDER, 5).await.is_empty(), "one probe at a time");
        let (held, wait) = learned(&db).await;
        assert_eq!(held, Some(limit - 1), "a probe without an answer teaches nothing");
        assert!((28..=30).contains(&wait.unwrap()), "{wait:?}");
        accept(&db, probe).await;
        let (held, wait) = learned(&db).await;
        assert_eq!(held, Some(limit));
        assert!((3..=5).contains(&wait.unwrap()), "{wait:?}");
    }
    db.probe_is_due().await;
    let probe = send(&db, 1).await[0];
    accept(&db, probe).await;
    assert_eq!(learned(&db).await, (None, None), "six are what the operator allows");
    db.probe_is_due().await;
    assert!(db.claim(PROVIDER, 5).await.is_empty(), "and never more than that");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_refused_probe_leaves_the_limit_and_the_next_one_waits_longer() {
    let (db, jobs) = waiting(50, 8).await;
    three_of_five(&db).await;
    for _ in 0..3 {
        db.probe_is_due().await;
        let probe = send(&db, 1).await[0];
        assert_eq!(probe.job, jobs[3], "it keeps its turn");
        refuse(&db, probe).await;
        let (limit, wait) = learned(&db).await;
        assert_eq!(limit, Some(3));
        assert!((28..=30).contains(&wait.unwrap()), "{wait:?}");
        assert!(db.claim(PROVIDER, 5).await.is_empty());
    }
    assert_eq!(db.step(jobs[3], 1).await["attempts"], 0);
}

#[tokio::test]
async fn a_provider_that_others_fill_gets_one_probe_at_a_time() {
    let (db, _) = waiting(3, 5).await;
    let sent = send(&db, 2).await;
    refuse(&db, sent[0]).await;
    refuse(&db, sent[1]).await;
    assert_eq!(learned(&db).await.0, Some(0));
    assert!(db.claim(PROVIDER, 5).await.is_empty(), "no step is thrown at a full provider");
    let mut working = Vec::new();
    for limit in [Some(1), Some(2), None] {
        db.probe_is_due().await;
        working.extend(send(&db, 1).await);
        accept(&db, *working.last().unwrap()).await;
        assert_eq!(learned(&db).await.0, limit);
    }
    assert!(db.claim(PROVIDER, 5).await.is_empty(), "three are all that is allowed");
    end(&db, working[0]).await;
    assert_eq!(db.claim(PROVIDER, 5).await.len(), 1);
}

#[tokio::test]
async fn the_delay_that_a_provider_names_is_waited() {
    let (db, jobs) = waiting(50, 3).await;
    let sent = send(&db, 2).await;
    accept(&db, sent[0]).await;
    assert_eq!(db.requeue(sent[1], "capacity", 20_000).await["outcome"], "queued");
    let (limit, wait) = learned(&db).await;
    assert_eq!(limit, Some(1));
    assert!((18..=20).contains(&wait.unwrap()), "{wait:?}");
    end(&db, sent[0]).await;
    assert_eq!(db.claim_one(PROVIDER).await.job, jobs[2], "the refused step waits for its delay");
    // A delay of an hour fails the step, but delays no other step by that long.
    db.exec("update providers set learned_limit = null").await;
    let last = order(&db, 1).await[0];
    let attempt = db.submit(PROVIDER).await;
    assert_eq!(attempt.job, last);
    assert_eq!(db.requeue(attempt, "capacity", 3_600_000).await["outcome"], "failed");
    let (limit, wait) = learned(&db).await;
    assert_eq!(limit, Some(0));
    assert!((28..=30).contains(&wait.unwrap()), "{wait:?}");
}

#[tokio::test]
async fn only_a_refusal_of_what_was_sent_teaches() {
    let (db, _) = waiting(3, 3).await;
    db.requeue(db.claim_one(PROVIDER).await, "capacity", 0).await;
    db.requeue(db.submit(PROVIDER).await, "transient", 0).await;
    let attempt = db.submit(PROVIDER).await;
    db.requeue(StepRun { run: attempt.run - 1, ..attempt }, "capacity", 0).await;
    assert_eq!(learned(&db).await, (None, None));
    assert_eq!(db.claim(PROVIDER, 5).await.len(), 2);
}

#[tokio::test]
async fn an_operator_who_changes_the_limit_or_empties_what_was_learned_is_obeyed_at_once() {
    for change in ["max_concurrent = 20", "learned_limit = null"] {
        let (db, _) = waiting(50, 8).await;
        three_of_five(&db).await;
        db.exec(&format!("update providers set {change} where provider = '{PROVIDER}'")).await;
        assert_eq!(learned(&db).await, (None, None), "{change}");
        assert_eq!(db.claim(PROVIDER, 10).await.len(), 5, "{change}");
    }
    let (db, _) = waiting(50, 8).await;
    three_of_five(&db).await;
    db.exec("update providers set enabled = true, signed_webhooks = false").await;
    assert_eq!(learned(&db).await.0, Some(3), "any other change leaves it");
    // If `max_concurrent` is lowered below the learned limit, it is the limit.
    db.set_slots(PROVIDER, 2).await;
    assert_eq!(check(&db).await["slots_available"], 0);
    assert!(db.claim(PROVIDER, 10).await.is_empty());
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_submit_without_an_answer_takes_a_slot_there_too() {
    let (db, _) = waiting(50, 8).await;
    let sent = send(&db, 4).await;
    for attempt in &sent[..2] {
        accept(&db, *attempt).await;
    }
    refuse(&db, sent[3]).await;
    assert_eq!(learned(&db).await.0, Some(3));
    end(&db, sent[0]).await;
    let next = send(&db, 1).await[0];
    accept(&db, next).await;
    db.set_steps(sent[2].job, "lease_until = clock_timestamp()").await;
    db.probe_is_due().await;
    accept(&db, send(&db, 1).await[0]).await;
    assert_eq!(learned(&db).await.0, Some(4), "an accepted probe is one more than before");
}

#[tokio::test]
async fn who_waits_for_capacity_is_told_so_until_the_job_starts() {
    let (db, jobs) = waiting(50, 5).await;
    assert_has!(status(&db, jobs[4]).await, { "status": "queued", "error_code": null });
    let sent = send(&db, 4).await;
    for attempt in &sent[..3] {
        accept(&db, *attempt).await;
    }
    refuse(&db, sent[3]).await;
    for (job, position) in [(jobs[3], 1), (jobs[4], 2)] {
        let seen = status(&db, job).await;
        assert_has!(seen, { "status": "queued", "error_code": "PROVIDER_BUSY" });
        assert_eq!(seen["position"], position);
        let words = seen["error_message"].as_str().unwrap();
        assert!(words.starts_with("PROVIDER_BUSY: "), "{words}");
    }
    assert_eq!(db.step(jobs[3], 1).await["error_code"], "PROVIDER_BUSY");
    assert_has!(status(&db, jobs[0]).await, { "status": "running", "error_code": null });
    end(&db, sent[0]).await;
    let seen = status(&db, jobs[4]).await;
    assert_has!(seen, { "status": "queued", "error_code": null }, "a slot is free");
    accept(&db, db.submit(PROVIDER).await).await;
    assert_has!(db.step(jobs[3], 1).await, { "error_code": null, "error_message": null });
    let seen = status(&db, jobs[3]).await;
    assert_has!(seen, { "status": "running", "error_code": null, "error_message": null });
    db.exec("update providers set learned_limit = null").await;
    assert_has!(status(&db, jobs[4]).await, { "status": "queued", "error_code": null });
}

#[tokio::test]
async fn the_wait_that_is_told_follows_the_learned_limit() {
    let (db, _) = waiting(50, 0).await;
    db.exec("update tools set queue_ttl = '90 seconds', exclusive_group = null").await;
    db.exec(&format!(
        "with job as (insert into jobs (tool, user_id, status)
            values ('{UPSCALER}', gen_random_uuid(), 'completed') returning id)
         insert into job_steps (job_id, step, status, started_at, completed_at)
         select id, 1, 'completed', clock_timestamp() - interval '60 seconds',
         clock_timestamp() from job"
    ))
    .await;
    order(&db, 8).await;
    three_of_five(&db).await;
    let etas = "select eta_seconds from queue_positions order by position";
    let etas: Vec<i64> =
        db.rows(etas).await.iter().map(|row| row["eta_seconds"].as_i64().unwrap()).collect();
    let near = etas.iter().zip([60, 60, 60, 120, 120]).all(|(eta, of)| (eta - of).abs() <= 5);
    assert!(etas.len() == 5 && near, "three at a time: {etas:?}");
    let error = db.enqueue(db.user(60).await, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(error.reason(), ("PT503", "queue_full"));
}

#[tokio::test]
async fn work_behind_a_learned_limit_waits_for_a_reason_until_a_probe_is_overdue() {
    let (db, _) = waiting(50, 0).await;
    db.exec("update tools set queue_ttl = '1 day', run_timeout = '1 day'").await;
    order(&db, 8).await;
    three_of_five(&db).await;
    db.age_all("10 minutes").await;
    db.exec("update job_events set at = at - interval '10 minutes'").await;
    db.assert_healthy().await;
    db.exec("update providers set limit_probe_at = clock_timestamp() - interval '5 minutes'").await;
    assert_eq!(db.violated().await, vec!["work_waits_for_a_reason"; 5]);
}

#[tokio::test]
async fn an_admin_reads_the_learned_limit_beside_the_configured_one() {
    let (db, _) = waiting(50, 5).await;
    three_of_five(&db).await;
    let page = db.page(db.admin().await).await;
    let load = page.row("select * from provider_load where provider = 'runninghub'").await;
    assert_has!(load, { "max_concurrent": 50, "learned_limit": 3, "running": 3 });
}

/// A provider that accepts three steps at a time, whatever our limit is.
#[derive(Default)]
struct SmallProvider {
    at_work: AtomicUsize,
    refused: AtomicUsize,
}

impl SmallProvider {
    const TAKES: usize = 3;

    fn accepts(&self) -> bool {
        let one_more = |at_work| (at_work < Self::TAKES).then_some(at_work + 1);
        let accepted = self.at_work.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        if accepted.is_err() {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        accepted.is_ok()
    }
}

/// Claims and works until all is over, as every call does that may have freed a slot.
async fn drain(session: &Session, provider: &SmallProvider, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        for attempt in session.claim(PROVIDER, 1).await {
            assert!(session.sent(attempt).await);
            if !provider.accepts() {
                refuse(session, attempt).await;
                continue;
            }
            accept(session, attempt).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            provider.at_work.fetch_sub(1, Ordering::SeqCst);
            end(session, attempt).await;
        }
        let open = "job_steps where status <> 'completed'";
        is_over.store(session.count(open).await == 0, Ordering::SeqCst);
    }
}

/// How many submits of 120 jobs were refused with so many slots; and how often, as a share of all
/// looks, the provider had fewer steps than it accepts while steps waited that no claim could have
/// taken.
async fn load(slots: i64) -> (usize, f64) {
    let (db, _) = waiting(slots, 120).await;
    let (provider, is_over) = (SmallProvider::default(), AtomicBool::new(false));
    let workers = db.sessions(12).await;
    let (mut looks, mut idle) = (0_u32, 0_u32);
    let watch = async {
        let look = format!(
            "select waiting, may_start, (select count(*) from job_steps s
                where unstuck_private.holds_slot(s))::int as live
                from steps_waiting_v1('{PROVIDER}')"
        );
        while !is_over.load(Ordering::SeqCst) {
            let seen = db.row(&look).await;
            let number = |name: &str| seen[name].as_i64().unwrap();
            assert!(number("live") <= slots, "{seen}");
            let is_stuck = number("waiting") > 0 && number("may_start") == 0;
            looks += 1;
            idle += u32::from(is_stuck && number("live") < SmallProvider::TAKES as i64);
        }
    };
    let work = workers.iter().map(|session| drain(session, &provider, &is_over));
    let all = futures::future::join(futures::future::join_all(work), watch);
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("the queue drains");
    db.assert_healthy().await;
    (provider.refused.into_inner(), f64::from(idle) / f64::from(looks))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_fifty_where_the_provider_takes_three_costs_few_refusals_and_no_slot() {
    let (refused, idle) = load(50).await;
    // Twelve claimers may have sent steps before the first refusal is recorded. Each further
    // refusal needs a probe, or a slot that was freed while a step was being refused.
    assert!((1..=40).contains(&refused), "{refused} of 120 jobs were refused");
    assert!(idle < 0.1, "idle in {idle} of the looks");
}
