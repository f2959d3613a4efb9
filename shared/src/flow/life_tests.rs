//! Tests the number of database calls in the life of a picture, from its order to its result.

use super::Cx;
use super::order::enqueue::{enqueue, order};
use super::settle::webhook::{record, settle_in_background};
use super::submit::round::{can_submit, starter, submit_waiting_logged};
use crate::core::id::{JobId, Run, Step, UserId};
use crate::core::provider::runninghub::NAME;
use crate::core::webhook::Signature;
use crate::db::job::OrderTerms;
use crate::db::step::Attempt;
use crate::testing::single_step::{JOB, SingleStepWorld};
use futures_util::FutureExt;

#[test]
fn a_picture_costs_six_calls_of_the_database() {
    let world = SingleStepWorld::new(false);
    let config = SingleStepWorld::config();
    let cx = Cx { transport: &world, config: &config, request_id: "life", caller: None };
    let job = JobId::parse(JOB).unwrap();
    let life = async {
        let mut order = order(UserId::from_random(1), job, "t", None, &"input").unwrap();
        order.claim = can_submit(&cx, NAME);
        let enqueued = enqueue(&cx, &order, &OrderTerms::default()).await.unwrap();
        submit_waiting_logged(&cx, NAME, enqueued.claimed, &|_| {}).await;
        let attempt = Attempt { job, step: Step(1), run: Run(1) };
        let (signature, body) = (Signature::default(), r#"{"taskId": "7"}"#);
        let hint = record(&cx, NAME, attempt, &signature, body).await.unwrap();
        settle_in_background(&cx, hint, &starter(&cx, NAME)).await;
    };
    life.now_or_never().expect("nothing waits");
    let state = world.0.borrow();
    assert_eq!((state.status, state.submits, state.objects.len()), ("completed", 1, 1));
    let called = [
        "job_enqueue_v2",
        "step_sent_v1",
        "step_started_v1",
        "webhook_record_v2",
        "step_done_v2",
        "step_complete_v2",
    ];
    assert_eq!(state.called, called);
    assert_eq!(state.hint, None, "the queue has nothing to do");
}
