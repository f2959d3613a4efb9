//! Attempts in virtual time: slots are kept full, leases are kept while the call runs and given up in time, and what
//! comes late changes nothing.

use super::pool::{Bounds, Outcome, Produced, Report, attempt, run_all};
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::CallError;
use crate::core::provider::gemini::NAME;
use crate::core::transport::Transport;
use crate::db::step::ClaimedStep;
use crate::flow::Cx;
use crate::testing::shift::Shift;
use serde_json::{Value, json};
use std::cell::Cell;
use std::pin::pin;

const BOUNDS: Bounds = Bounds { lanes: 5, claim_for_ms: 600_000 };

fn produced() -> Produced {
    Produced { output: Value::Null, url: "https://p.test/a.png".to_owned() }
}

/// A call that takes that long and then says that.
async fn after(
    shift: &Shift,
    ms: u32,
    said: Result<Produced, CallError>,
) -> Result<Produced, CallError> {
    shift.sleep(ms).await;
    said
}

fn run(
    shift: &Shift,
    bounds: Bounds,
    call: impl AsyncFn(&ClaimedStep) -> Result<Produced, CallError>,
) -> Report {
    let config = Shift::config();
    let cx = Cx { transport: shift, config: &config, request_id: "r" };
    shift.drive(run_all(&cx, NAME, bounds, call)).expect("it ends").unwrap()
}

fn claim(shift: &Shift) -> (ClaimedStep, u64) {
    let config = Shift::config();
    let cx = Cx { transport: shift, config: &config, request_id: "r" };
    let since_ms = shift.now_ms();
    let claimed = shift.drive(async { cx.db().step_claim_v1(NAME, 1).await }).unwrap().unwrap();
    (claimed.into_iter().next().expect("a step"), since_ms)
}

fn run_one(
    shift: &Shift,
    step: &ClaimedStep,
    since_ms: u64,
    call: impl Future<Output = Result<Produced, CallError>>,
) -> Outcome {
    let config = Shift::config();
    let cx = Cx { transport: shift, config: &config, request_id: "r" };
    shift.drive(attempt(&cx, step, since_ms, call)).expect("it ends")
}

#[test]
fn slots_stay_full_until_all_is_done() {
    let shift = Shift::new(23);
    let (busy, most) = (Cell::new(0), Cell::new(0));
    let began = shift.now_ms();
    let report = run(&shift, BOUNDS, async |_| {
        busy.set(busy.get() + 1);
        most.set(most.get().max(busy.get()));
        shift.sleep(10_000).await;
        busy.set(busy.get() - 1);
        Ok(produced())
    });
    assert_eq!(report, Report { processed: 23, succeeded: 23, ..Report::default() });
    assert_eq!(most.get(), 5);
    let took = shift.now_ms() - began;
    assert!(took < 51_000, "23 steps of 10 s, five at a time: {took}");
    assert!((1..=23).all(|number| shift.step(number).status == "completed"));
}

#[test]
fn no_more_lanes_than_allowed_and_no_claim_after_the_time() {
    let shift = Shift::new(9);
    let bounds = Bounds { lanes: 2, claim_for_ms: 15_000 };
    let report = run(&shift, bounds, async |_| after(&shift, 10_000, Ok(produced())).await);
    assert_eq!((report.processed, report.remaining), (4, 5));
    assert_eq!(shift.0.borrow().hints, [0], "what may start and was not gets a hint");
}

#[test]
fn work_that_others_put_into_the_queue_is_taken_while_a_call_runs() {
    let shift = Shift::new(2);
    shift.0.borrow_mut().steps[1].not_before = shift.now_ms() + 7_000;
    let began = shift.now_ms();
    let report = run(&shift, BOUNDS, async |_| after(&shift, 20_000, Ok(produced())).await);
    assert_eq!(report.succeeded, 2);
    assert!(shift.now_ms() - began < 30_000, "beside the first, not after it");
}

#[test]
fn a_refusal_fails_a_passing_fault_comes_again_and_wakes_the_consumer() {
    let shift = Shift::new(3);
    let failure = || Failure::new(FailureCode::ContentRefused, "no");
    let report = run(&shift, BOUNDS, async |step: &ClaimedStep| {
        let said = match step.attempt.step.0 {
            1 => Err(CallError::Rejected(failure())),
            2 => Err(CallError::Transient {
                failure: failure(),
                retry_after_ms: Some(47_500),
                attempts_max: None,
            }),
            _ => Ok(produced()),
        };
        after(&shift, 100, said).await
    });
    assert_eq!(report, Report { processed: 3, succeeded: 1, failed: 1, retrying: 1, remaining: 1 });
    assert_eq!(shift.0.borrow().hints, [48], "when its time has come, not before");
    let waits = shift.step(2);
    assert_eq!((waits.status, waits.lease_until > 0), ("queued", true));
    assert!(waits.not_before >= shift.now_ms() + 40_000, "it holds no slot");
    assert_eq!(shift.step(1).error.as_deref(), Some("CONTENT_REFUSED"));
}

#[test]
fn three_attempts_are_all() {
    let shift = Shift::new(1);
    for attempts in 1..=3 {
        let report = run(&shift, BOUNDS, async |step: &ClaimedStep| {
            assert_eq!(step.attempts, attempts);
            Err(CallError::passing("again"))
        });
        assert_eq!((report.retrying, report.failed), if attempts < 3 { (1, 0) } else { (0, 1) });
        shift.later(120_000);
    }
    assert_eq!(shift.step(1).refunds, 1);
}

#[test]
fn a_long_call_keeps_its_lease() {
    let shift = Shift::new(1);
    let (step, since_ms) = claim(&shift);
    let outcome = run_one(&shift, &step, since_ms, after(&shift, 400_000, Ok(produced())));
    assert_eq!(outcome, Outcome::Completed);
    assert_eq!(shift.0.borrow().beats, 13, "every 30 s");
}

#[test]
fn a_call_that_outlasts_its_deadline_is_given_up_before_it() {
    let shift = Shift::new(1);
    let (step, since_ms) = claim(&shift);
    let outcome = run_one(&shift, &step, since_ms, after(&shift, 3_600_000, Ok(produced())));
    assert!(matches!(outcome, Outcome::Requeued { .. }), "{outcome:?}");
    let took = shift.now_ms() - since_ms;
    assert!((570_000..=580_100).contains(&took), "20 s before the deadline: {took}");
}

#[test]
fn without_heartbeats_the_call_is_dropped_twenty_seconds_before_the_lease_ends() {
    let shift = Shift::new(1);
    let (step, since_ms) = claim(&shift);
    shift.0.borrow_mut().deaf = true;
    let dropped_at = Cell::new(0);
    struct Dropped<'a>(&'a Shift, &'a Cell<u64>);
    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.1.set(self.0.now_ms());
        }
    }
    let call = async {
        let _noted = Dropped(&shift, &dropped_at);
        after(&shift, 300_000, Ok(produced())).await
    };
    run_one(&shift, &step, since_ms, call);
    assert_eq!(dropped_at.get(), since_ms + 70_000);
}

#[test]
fn a_frozen_worker_whose_step_was_taken_over_changes_nothing() {
    // Frozen in the call, or just before its answer is recorded.
    for frozen_after in [5_000, 10_004] {
        let shift = Shift::new(1);
        let config = Shift::config();
        let cx = Cx { transport: &shift, config: &config, request_id: "old" };
        let (step, since_ms) = claim(&shift);
        let mut old = pin!(attempt(&cx, &step, since_ms, after(&shift, 10_000, Ok(produced()))));
        assert!(shift.drive_until(old.as_mut(), since_ms + frozen_after).is_none());
        shift.later(120_000);
        shift.sweep();
        let (again, since_ms) = claim(&shift);
        assert_eq!((again.attempts, again.attempt.run.0), (2, 2));
        let other = Produced { output: json!(2), url: "https://p.test/b.png".to_owned() };
        assert_eq!(
            run_one(&shift, &again, since_ms, after(&shift, 1_000, Ok(other))),
            Outcome::Completed
        );
        assert_eq!(shift.drive(old), Some(Outcome::Left), "frozen after {frozen_after}");
        assert_eq!(shift.step(1).url.as_deref(), Some("https://p.test/b.png"));
    }
}
