//! Tests that a worker may die at any call. Its future is dropped at each call in turn, before and
//! after the call's effect: sweeps alone settle the step, and no step is submitted twice.

use super::Cx;
use super::heal::sweep::pass;
use super::settle::webhook::{WebhookHint, consume, settle_in_background};
use super::submit::round::{starter, submit_waiting};
use crate::core::id::{JobId, Run, Step};
use crate::core::provider::runninghub::NAME;
use crate::db::sweep::SweepSource;
use crate::testing::single_step::{Cut, JOB, SingleStepWorld};
use futures_util::FutureExt;
use serde_json::json;
use std::pin::pin;

/// Sweeps every 20 s, as cron does, for half an hour.
fn recover(world: &SingleStepWorld) {
    let config = SingleStepWorld::config();
    let cx = Cx { transport: world, config: &config, request_id: "sweep", caller: None };
    world.0.borrow_mut().revive();
    for _ in 0..90 {
        pass(&cx, SweepSource::Cron, 1, 100).now_or_never().expect("the pass waits").unwrap();
        world.0.borrow_mut().now += 20_000;
    }
}

fn settled_once(world: &SingleStepWorld, case: &str) {
    let state = world.0.borrow();
    assert!(state.submits <= 1, "{case}: submitted {} times", state.submits);
    match state.status {
        "completed" => {
            assert_eq!(state.refunds, 0, "{case}");
            assert!(state.objects.iter().any(|object| object.ends_with(".png")), "{case}");
            assert!(state.url.as_deref().unwrap().contains("/object/public/results/"), "{case}");
        }
        "failed" => assert_eq!(state.refunds, 1, "{case}"),
        other => panic!("{case}: stuck {other}"),
    }
}

/// Runs the work once without a cut to count its calls, then once for each cut.
fn at_every_call(
    webhooks: bool,
    prepare: impl Fn(&SingleStepWorld),
    work: impl Fn(&SingleStepWorld),
) {
    let whole = SingleStepWorld::new(webhooks);
    prepare(&whole);
    let first = whole.0.borrow().calls;
    work(&whole);
    let calls = whole.0.borrow().calls;
    assert!(calls > first, "the work makes no calls");
    recover(&whole);
    settled_once(&whole, "uncut");
    assert_eq!(whole.0.borrow().status, "completed");
    for number in first..calls {
        for cut in [Cut::Before(number), Cut::After(number)] {
            let world = SingleStepWorld::new(webhooks);
            prepare(&world);
            world.0.borrow_mut().cut = Some(cut);
            work(&world);
            recover(&world);
            settled_once(&world, &format!("{cut:?}, webhooks {webhooks}"));
        }
    }
}

fn submit_once(world: &SingleStepWorld) {
    let config = SingleStepWorld::config();
    let cx = Cx { transport: world, config: &config, request_id: "run", caller: None };
    // To drop the future at the cut is the crash.
    let _ = submit_waiting(&cx, NAME).now_or_never();
}

fn hint() -> WebhookHint {
    WebhookHint {
        inbox: 1,
        provider: NAME.to_owned(),
        job: JobId::parse(JOB).unwrap(),
        step: Step(1),
        run: Run(1),
        task_id: Some("7".to_owned()),
        row: None,
        copy: None,
    }
}

fn consume_once(world: &SingleStepWorld, hint: &WebhookHint) {
    let config = SingleStepWorld::config();
    let cx = Cx { transport: world, config: &config, request_id: "hint", caller: None };
    let _ = consume(&cx, hint, &starter(&cx, &hint.provider)).now_or_never();
}

async fn settle_after_answer(world: &SingleStepWorld) {
    let config = SingleStepWorld::config();
    let cx = Cx { transport: world, config: &config, request_id: "webhook", caller: None };
    settle_in_background(&cx, hint(), &starter(&cx, NAME)).await;
}

#[test]
fn a_submit_dropped_at_any_call_is_never_repeated() {
    for webhooks in [true, false] {
        at_every_call(webhooks, |_| {}, submit_once);
    }
}

#[test]
fn a_settle_dropped_at_any_call_still_delivers_once() {
    // Without webhooks, only this consumer and the sweeps find out that the task has ended.
    at_every_call(false, submit_once, |world| consume_once(world, &hint()));
    at_every_call(false, submit_once, |world| {
        let _ = settle_after_answer(world).now_or_never();
    });
}

#[test]
fn a_copy_that_outlasts_the_background_or_fails_is_left_to_the_consumer() {
    // The time of the query, the faults of the copy and the kind of result; then whether the slot
    // is filled at once, when the message is sent, and its delay.
    for (query_ms, copy_hangs, copy_fails, kind, fills, left_ms, delay_s) in [
        (0, true, false, "image", true, 25_000, 0),
        (5_000, false, false, "image", false, 5_000, 0),
        (0, false, true, "image", true, 1_000, 10),
        (0, false, false, "video", true, 0, 0),
    ] {
        let world = SingleStepWorld::new(false);
        submit_once(&world);
        let (began_ms, submitted) = {
            let mut state = world.0.borrow_mut();
            (state.query_ms, state.copy_hangs) = (query_ms, copy_hangs);
            (state.copy_fails, state.may_start) = (copy_fails, 1);
            state.result = json!({"kind": kind});
            (state.now, state.called.len())
        };
        let mut settling = pin!(settle_after_answer(&world));
        while settling.as_mut().now_or_never().is_none() {
            world.0.borrow_mut().pass_time();
        }
        let (left, asked) = {
            let mut state = world.0.borrow_mut();
            assert!(state.done && state.objects.is_empty(), "the slot is free before the copy");
            let claims = state.called[submitted..].contains(&"step_claim_v1".to_owned());
            assert_eq!((claims, state.now - began_ms), (fills, left_ms), "{kind}, {query_ms} ms");
            (state.copy_hangs, state.copy_fails) = (false, false);
            (state.hint.clone().unwrap(), state.called.len())
        };
        assert_eq!(left.1, delay_s);
        // The queue may deliver a message twice.
        for _ in 0..2 {
            consume_once(&world, &serde_json::from_str(&left.0).unwrap());
        }
        let state = world.0.borrow();
        let is_no_claim = |call: &&String| *call != "step_claim_v1";
        let calls: Vec<&String> = state.called[asked..].iter().filter(is_no_claim).collect();
        let expected = ["step_get_v1", "step_complete_v2", "step_get_v1", "webhook_applied_v1"];
        assert_eq!(calls, expected, "nothing is queried or copied twice");
        assert_eq!((state.status, state.objects.len()), ("completed", 1));
    }
}

#[test]
fn a_submit_without_answer_and_webhook_ends_at_its_deadline() {
    let world = SingleStepWorld::new(false);
    // The third call is the submit, after claim and sent: its answer is lost.
    world.0.borrow_mut().cut = Some(Cut::After(2));
    submit_once(&world);
    assert_eq!(world.0.borrow().status, "starting");
    recover(&world);
    let state = world.0.borrow();
    assert_eq!(
        (state.status, state.error.as_deref(), state.submits),
        ("failed", Some("TIMEOUT"), 1)
    );
}

#[test]
fn the_task_of_an_earlier_run_is_queried_once_more_where_the_provider_did_not_answer() {
    let world = SingleStepWorld::new(false);
    let no_answer = json!({"errorCode": "1003", "errorMessage": "too many requests"});
    {
        let mut state = world.0.borrow_mut();
        // The submit was answered 503 and requeued, and its task worked all the same.
        (state.run, state.query_answer) = (1, Some(no_answer));
    }
    settle_after_answer(&world).now_or_never().expect("nothing waits");
    assert!(world.0.borrow().hint.is_some(), "the consumer is to query it");
    let called = world.0.borrow().called.clone();
    assert!(!called.contains(&"webhook_applied_v1".to_owned()), "{called:?}");
}
