//! Tests attempts in virtual time: slots stay full, leases are renewed while the call runs and
//! given up in time, and a late result changes nothing.

use super::pool::{AttemptOutcome, Bounds, PoolReport, Produced, attempt, run_all};
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::CallError;
use crate::core::provider::gemini::NAME;
use crate::core::transport::Transport;
use crate::db::step::ClaimedStep;
use crate::flow::Cx;
use crate::testing::virtual_time::VirtualTime;
use serde_json::{Value, json};
use std::cell::Cell;
use std::pin::pin;

const BOUNDS: Bounds = Bounds { parallel: 5, claim_for_ms: 600_000 };

fn produced() -> Produced {
    Produced { output: Value::Null, url: "https://p.test/a.png".to_owned() }
}

/// A call that takes `ms` and then returns `result`.
async fn after(
    time: &VirtualTime,
    ms: u32,
    result: Result<Produced, CallError>,
) -> Result<Produced, CallError> {
    time.sleep(ms).await;
    result
}

fn run(
    time: &VirtualTime,
    bounds: Bounds,
    call: impl AsyncFn(&ClaimedStep) -> Result<Produced, CallError>,
) -> PoolReport {
    let config = VirtualTime::config();
    let cx = Cx { transport: time, config: &config, request_id: "r", caller: None };
    time.drive(run_all(&cx, NAME, bounds, call)).expect("it ends").unwrap()
}

fn claim(time: &VirtualTime) -> (ClaimedStep, u64) {
    let config = VirtualTime::config();
    let cx = Cx { transport: time, config: &config, request_id: "r", caller: None };
    let since_ms = time.now_ms();
    let claimed = time.drive(async { cx.db().step_claim_v1(NAME, 1).await }).unwrap().unwrap();
    (claimed.into_iter().next().expect("a step"), since_ms)
}

fn run_one(
    time: &VirtualTime,
    step: &ClaimedStep,
    since_ms: u64,
    call: impl Future<Output = Result<Produced, CallError>>,
) -> AttemptOutcome {
    let config = VirtualTime::config();
    let cx = Cx { transport: time, config: &config, request_id: "r", caller: None };
    time.drive(attempt(&cx, step, since_ms, call)).expect("it ends")
}

#[test]
fn slots_stay_full_until_all_is_done() {
    let time = VirtualTime::new(23);
    let (busy, most) = (Cell::new(0), Cell::new(0));
    let began = time.now_ms();
    let report = run(&time, BOUNDS, async |_| {
        busy.set(busy.get() + 1);
        most.set(most.get().max(busy.get()));
        time.sleep(10_000).await;
        busy.set(busy.get() - 1);
        Ok(produced())
    });
    assert_eq!(report, PoolReport { processed: 23, succeeded: 23, ..PoolReport::default() });
    assert_eq!(most.get(), 5);
    let took = time.now_ms() - began;
    assert!(took < 51_000, "23 steps of 10 s, five at a time: {took}");
    assert!((1..=23).all(|number| time.step(number).status == "completed"));
}

#[test]
fn a_pool_claims_at_most_its_parallel_calls_and_nothing_after_its_time() {
    let time = VirtualTime::new(9);
    let bounds = Bounds { parallel: 2, claim_for_ms: 15_000 };
    let report = run(&time, bounds, async |_| after(&time, 10_000, Ok(produced())).await);
    assert_eq!((report.processed, report.remaining), (4, 5));
    assert_eq!(time.0.borrow().hints, [0], "a hint for steps that may start and were not claimed");
}

#[test]
fn a_newly_queued_step_is_claimed_while_a_call_runs() {
    let time = VirtualTime::new(2);
    time.0.borrow_mut().steps[1].not_before = time.now_ms() + 7_000;
    let began = time.now_ms();
    let report = run(&time, BOUNDS, async |_| after(&time, 20_000, Ok(produced())).await);
    assert_eq!(report.succeeded, 2);
    assert!(time.now_ms() - began < 30_000, "in parallel with the first step, not after it");
}

#[test]
fn a_refusal_fails_the_step_and_a_transient_fault_requeues_it_with_a_hint() {
    let time = VirtualTime::new(3);
    let failure = || Failure::new(FailureCode::ContentRefused, "no");
    let report = run(&time, BOUNDS, async |step: &ClaimedStep| {
        let result = match step.attempt.step.0 {
            1 => Err(CallError::Rejected(failure())),
            2 => Err(CallError::Transient {
                failure: failure(),
                retry_after_ms: Some(47_500),
                attempts_max: None,
            }),
            _ => Ok(produced()),
        };
        after(&time, 100, result).await
    });
    assert_eq!(
        report,
        PoolReport { processed: 3, succeeded: 1, failed: 1, retrying: 1, remaining: 1 }
    );
    assert_eq!(time.0.borrow().hints, [48], "the hint arrives when the retry is due");
    let waits = time.step(2);
    assert_eq!((waits.status, waits.lease_until > 0), ("queued", true));
    assert!(waits.not_before >= time.now_ms() + 40_000, "the step holds no slot");
    assert_eq!(time.step(1).error.as_deref(), Some("CONTENT_REFUSED"));
}

#[test]
fn a_step_has_at_most_three_attempts() {
    let time = VirtualTime::new(1);
    for attempts in 1..=3 {
        let report = run(&time, BOUNDS, async |step: &ClaimedStep| {
            assert_eq!(step.attempts, attempts);
            Err(CallError::transient("again"))
        });
        assert_eq!((report.retrying, report.failed), if attempts < 3 { (1, 0) } else { (0, 1) });
        time.advance(120_000);
    }
    assert_eq!(time.step(1).refunds, 1);
}

#[test]
fn a_long_call_keeps_its_lease() {
    let time = VirtualTime::new(1);
    let (step, since_ms) = claim(&time);
    let outcome = run_one(&time, &step, since_ms, after(&time, 400_000, Ok(produced())));
    assert_eq!(outcome, AttemptOutcome::Completed);
    assert_eq!(time.0.borrow().beats, 13, "every 30 s");
}

#[test]
fn a_call_longer_than_its_deadline_is_dropped_before_the_deadline() {
    let time = VirtualTime::new(1);
    let (step, since_ms) = claim(&time);
    let outcome = run_one(&time, &step, since_ms, after(&time, 3_600_000, Ok(produced())));
    assert!(matches!(outcome, AttemptOutcome::Requeued { .. }), "{outcome:?}");
    let took = time.now_ms() - since_ms;
    assert!((570_000..=580_100).contains(&took), "20 s before the deadline: {took}");
}

#[test]
fn without_heartbeats_the_call_is_dropped_twenty_seconds_before_the_lease_ends() {
    let time = VirtualTime::new(1);
    let (step, since_ms) = claim(&time);
    time.0.borrow_mut().ignores_heartbeats = true;
    let dropped_at = Cell::new(0);
    struct Dropped<'a>(&'a VirtualTime, &'a Cell<u64>);
    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.1.set(self.0.now_ms());
        }
    }
    let call = async {
        let _noted = Dropped(&time, &dropped_at);
        after(&time, 300_000, Ok(produced())).await
    };
    run_one(&time, &step, since_ms, call);
    assert_eq!(dropped_at.get(), since_ms + 70_000);
}

#[test]
fn a_frozen_worker_whose_step_was_taken_over_changes_nothing() {
    // The worker freezes during the call, or just before it records the answer.
    for frozen_after in [5_000, 10_004] {
        let time = VirtualTime::new(1);
        let config = VirtualTime::config();
        let cx = Cx { transport: &time, config: &config, request_id: "old", caller: None };
        let (step, since_ms) = claim(&time);
        let mut old = pin!(attempt(&cx, &step, since_ms, after(&time, 10_000, Ok(produced()))));
        assert!(time.drive_until(old.as_mut(), since_ms + frozen_after).is_none());
        time.advance(120_000);
        time.sweep();
        let (again, since_ms) = claim(&time);
        assert_eq!((again.attempts, again.attempt.run.0), (2, 2));
        let other = Produced { output: json!(2), url: "https://p.test/b.png".to_owned() };
        assert_eq!(
            run_one(&time, &again, since_ms, after(&time, 1_000, Ok(other))),
            AttemptOutcome::Completed
        );
        assert_eq!(
            time.drive(old),
            Some(AttemptOutcome::Superseded),
            "frozen after {frozen_after}"
        );
        assert_eq!(time.step(1).url.as_deref(), Some("https://p.test/b.png"));
    }
}
