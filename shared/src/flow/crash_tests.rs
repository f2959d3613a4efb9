//! A worker may die at any call. Its future is dropped at each call in turn, before and after the
//! call's effect; whatever is left is picked up by sweeps alone, and nothing is submitted twice.

use super::Cx;
use super::heal::sweep::pass;
use super::settle::webhook::{Hint, consume};
use super::submit::round::dispatch;
use super::submit::wake::start_next;
use crate::core::id::{JobId, Run, Step};
use crate::core::provider::runninghub::NAME;
use crate::db::sweep::SweepSource;
use crate::testing::world::{Cut, JOB, World};
use futures_util::FutureExt;

/// Every 20 s, as cron does, for half an hour.
fn recover(world: &World) {
    let config = World::config();
    let cx = Cx { transport: world, config: &config, request_id: "sweep" };
    world.0.borrow_mut().revive();
    for _ in 0..90 {
        pass(&cx, SweepSource::Cron, 1, 100).now_or_never().expect("the pass waits").unwrap();
        world.0.borrow_mut().now += 20_000;
    }
}

fn settled_once(world: &World, case: &str) {
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

/// Runs the work once uncut to count its calls, then once for each cut.
fn at_every_call(webhooks: bool, prepare: impl Fn(&World), work: impl Fn(&World)) {
    let whole = World::new(webhooks);
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
            let world = World::new(webhooks);
            prepare(&world);
            world.0.borrow_mut().cut = Some(cut);
            work(&world);
            recover(&world);
            settled_once(&world, &format!("{cut:?}, webhooks {webhooks}"));
        }
    }
}

fn dispatch_once(world: &World) {
    let config = World::config();
    let cx = Cx { transport: world, config: &config, request_id: "run" };
    // `None` where the cut was: dropping the future is the crash.
    let _ = dispatch(&cx, NAME, |_| {}).now_or_never();
}

fn confirm_once(world: &World) {
    let config = World::config();
    let cx = Cx { transport: world, config: &config, request_id: "hint" };
    let hint = Hint {
        inbox: 1,
        provider: NAME.to_owned(),
        job: JobId::parse(JOB).unwrap(),
        step: Step(1),
        run: Run(1),
        task_id: Some("7".to_owned()),
    };
    let _ = consume(&cx, &hint, &async || start_next(&cx, &hint.provider).await).now_or_never();
}

#[test]
fn dispatch_dropped_at_any_call_never_submits_twice() {
    for webhooks in [true, false] {
        at_every_call(webhooks, |_| {}, dispatch_once);
    }
}

#[test]
fn confirm_dropped_at_any_call_still_delivers_once() {
    // Webhooks off: only this consumer and the sweeps know of the finish.
    at_every_call(false, dispatch_once, confirm_once);
}

#[test]
fn an_unknown_submit_with_no_webhook_is_settled_by_the_deadline_alone() {
    let world = World::new(false);
    // claim, sent, submit: the third call's answer is lost.
    world.0.borrow_mut().cut = Some(Cut::After(2));
    dispatch_once(&world);
    assert_eq!(world.0.borrow().status, "starting");
    recover(&world);
    let state = world.0.borrow();
    assert_eq!(
        (state.status, state.error.as_deref(), state.submits),
        ("failed", Some("TIMEOUT"), 1)
    );
}
