//! Cards in virtual time: a worker may die at any call. It is dropped at each call in turn, before and after the call's
//! effect; whatever is left is picked up by sweeps and later runs. No step is run beside itself, no picture is stored
//! twice, nothing stays.

use super::card as picture;
use super::pool::{Bounds, Report, run_all};
use crate::core::provider::gemini::{Account, NAME};
use crate::core::transport::Transport;
use crate::flow::Cx;
use crate::testing::shift::{JOB, Shift};
use crate::testing::world::Cut;
use futures_util::future::join3;

const BOUNDS: Bounds = Bounds { lanes: 5, claim_for_ms: 600_000 };
const STEPS: usize = 5;

fn run(shift: &Shift, account: Account<'_>) -> Option<Report> {
    let config = Shift::config();
    let cx = Cx { transport: shift, config: &config, request_id: "r" };
    let all = run_all(&cx, NAME, BOUNDS, async |step| picture::make(&cx, &account, step).await);
    shift.drive(all).map(Result::unwrap)
}

fn account() -> Account<'static> {
    Account { base_url: "https://g.test", model: "m", key: "k", other_key: None }
}

/// Every minute, as cron does.
fn recover(shift: &Shift) {
    {
        let mut state = shift.0.borrow_mut();
        (state.cut, state.dead) = (None, false);
    }
    for _ in 0..12 {
        shift.later(60_000);
        shift.sweep();
        run(shift, account());
    }
}

fn error(status: u16) -> (u16, String) {
    (status, format!(r#"{{"error":{{"code":{status},"message":"no"}}}}"#))
}

fn finished(reason: &str) -> (u16, String) {
    (200, format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#))
}

/// Five cards: one is fine, one meets 503 twice and is fine then, one is refused, one never has a picture, and of one
/// the product is not opened by its URL.
fn story() -> Shift {
    let shift = Shift::new(STEPS);
    {
        let mut state = shift.0.borrow_mut();
        state.answers[1] = vec![error(503), error(503), picture_answer()];
        state.answers[2] = vec![finished("IMAGE_SAFETY")];
        state.answers[3] = vec![finished("NO_IMAGE")];
        state.answers[4] = vec![error(400), picture_answer()];
    }
    shift
}

fn picture_answer() -> (u16, String) {
    (200, crate::testing::shift::PICTURE.to_owned())
}

fn assert_settled(shift: &Shift, case: &str) {
    for number in 1..=STEPS {
        let step = shift.step(number);
        let stored = format!("/{JOB}/{number}-");
        let objects = shift.0.borrow().objects.iter().filter(|url| url.contains(&stored)).count();
        let expected = match number {
            3 => ("failed", Some("CONTENT_REFUSED"), 1, 0),
            4 => ("failed", Some("PROVIDER_FAILED"), 1, 0),
            _ => ("completed", None, 0, 1),
        };
        // Where attempts were lost to crashes, the last error may be the lost attempt itself.
        let code =
            step.error.as_deref().filter(|code| number != 4 || *code != "TIMEOUT").or(expected.1);
        assert_eq!(
            (step.status, code, step.refunds, objects),
            expected,
            "{case}: step {number}: {step:?}"
        );
        let url = step.url.as_deref().unwrap_or_default();
        assert_eq!(
            url.contains("/object/public/results/") && url.contains(&stored),
            objects == 1,
            "{case}: {url}"
        );
    }
}

#[test]
fn five_cards_with_all_that_can_happen_to_them() {
    let shift = story();
    let report = run(&shift, account()).unwrap();
    assert_eq!((report.succeeded, report.failed), (2, 1));
    recover(&shift);
    assert_settled(&shift, "uncut");
    let generated =
        |number| shift.0.borrow().generated.iter().filter(|made| **made == number).count();
    assert_eq!([1, 2, 3, 4, 5].map(generated), [1, 3, 1, 3, 2]);
}

#[test]
fn dropped_at_any_call_nothing_is_stuck_doubled_or_stored_twice() {
    let doomed = || {
        let shift = story();
        {
            let mut state = shift.0.borrow_mut();
            // One attempt of every step may be lost: the step that fails twice by itself needs the third.
            state.answers[1].remove(0);
            // Long enough for heartbeats.
            state.work_ms = 40_000;
        }
        shift
    };
    let whole = doomed();
    run(&whole, account());
    let calls = whole.0.borrow().calls;
    assert!(calls > 30 && whole.0.borrow().beats > 5, "{calls}");
    for number in 0..calls {
        for cut in [Cut::Before(number), Cut::After(number)] {
            let shift = doomed();
            shift.0.borrow_mut().cut = Some(cut);
            assert_eq!(run(&shift, account()), None, "{cut:?} is never met");
            recover(&shift);
            assert_settled(&shift, &format!("{cut:?}"));
        }
    }
}

#[test]
fn two_runs_at_once_run_each_step_once() {
    let shift = Shift::new(12);
    let config = Shift::config();
    let cx = Cx { transport: &shift, config: &config, request_id: "r" };
    let account = account();
    let run = || run_all(&cx, NAME, BOUNDS, async |step| picture::make(&cx, &account, step).await);
    let (one, other, third) = shift.drive(join3(run(), run(), run())).expect("they end");
    assert_eq!(one.unwrap().succeeded + other.unwrap().succeeded + third.unwrap().succeeded, 12);
    assert_eq!(shift.0.borrow().generated.len(), 12);
    assert_eq!(shift.0.borrow().objects.len(), 12);
}

#[test]
fn another_key_is_tried_once_before_anything_waits() {
    for status in [429, 503] {
        let shift = Shift::new(1);
        shift.0.borrow_mut().answers[0] = vec![error(status), picture_answer()];
        let account = Account { other_key: Some("k2"), ..account() };
        assert_eq!(run(&shift, account).unwrap().succeeded, 1, "{status}");
        assert_eq!(shift.0.borrow().keys, ["k", "k2"]);
    }
    for (status, expected) in [(500, 1), (403, 1), (429, 2)] {
        let shift = Shift::new(1);
        shift.0.borrow_mut().answers[0] = vec![error(status)];
        let account = Account { other_key: Some("k2"), ..account() };
        assert_eq!(run(&shift, account).unwrap().succeeded, 0);
        assert_eq!(shift.0.borrow().keys.len(), expected, "{status}");
    }
}

#[test]
fn another_account_that_only_the_operator_can_mend_ends_no_card() {
    for first in [503, 429] {
        let shift = Shift::new(1);
        shift.0.borrow_mut().answers[0] = vec![error(first), error(403), picture_answer()];
        let account = Account { other_key: Some("k2"), ..account() };
        assert_eq!(run(&shift, account).unwrap().retrying, 1, "{first}");
        shift.later(120_000);
        assert_eq!(run(&shift, account).unwrap().succeeded, 1, "{first}");
    }
}

#[test]
fn product_images_too_large_to_send_are_refused() {
    for (file_bytes, expected) in [(4 * 1024 * 1024, "completed"), (4 * 1024 * 1024 + 1, "failed")]
    {
        let shift = Shift::new(1);
        {
            let mut state = shift.0.borrow_mut();
            state.answers[0] = vec![error(400), picture_answer()];
            state.file_bytes = file_bytes;
        }
        run(&shift, account()).unwrap();
        assert_eq!(shift.step(1).status, expected, "{file_bytes}");
    }
}

#[test]
fn what_a_dead_run_stored_is_taken_also_where_attempts_were_counted_anew() {
    let shift = Shift::new(1);
    shift.0.borrow_mut().work_ms = 0;
    // Claim, call and upload; then the worker dies.
    shift.0.borrow_mut().cut = Some(Cut::After(2));
    assert_eq!(run(&shift, account()), None);
    assert_eq!(shift.0.borrow().objects.len(), 1);
    {
        let mut state = shift.0.borrow_mut();
        (state.cut, state.dead) = (None, false);
        // As an admin's requeue does.
        (state.steps[0].status, state.steps[0].attempts) = ("queued", 0);
    }
    assert_eq!(run(&shift, account()).unwrap().succeeded, 1);
    assert_eq!((shift.0.borrow().objects.len(), shift.0.borrow().generated.len()), (1, 1));
}

#[test]
fn a_picture_that_cannot_be_stored_is_a_passing_fault() {
    let shift = Shift::new(1);
    shift.0.borrow_mut().storage_down = true;
    let report = run(&shift, account()).unwrap();
    assert_eq!((report.retrying, shift.step(1).status), (1, "queued"));
    shift.0.borrow_mut().storage_down = false;
    shift.later(60_000);
    assert_eq!(run(&shift, account()).unwrap().succeeded, 1);
}

#[test]
fn a_call_that_hangs_is_given_up_by_its_own_limit_or_the_lease() {
    let shift = Shift::new(1);
    shift.0.borrow_mut().work_ms = 3_600_000;
    let began = shift.now_ms();
    let report = run(&shift, account()).unwrap();
    assert_eq!(report.retrying, 1);
    assert!(shift.now_ms() - began <= 580_100);
}
