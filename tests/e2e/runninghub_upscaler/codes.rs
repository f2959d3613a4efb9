//! Every error code of the provider: what it means for the job, what its owner reads, what is
//! refunded, and when it is retried.

use std::ops::RangeInclusive;

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::order::{CREDITS, Order, PRICE, ask_at_every_sweep};

/// What the provider's error with that code means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    /// Final. The job's message quotes the provider.
    Rejected,
    /// Final, and only the operator can mend it. The job's message does not quote the provider.
    Ours,
    /// Final. The owner may choose another picture.
    Refused,
    /// The provider has no capacity, and the step counts no attempt.
    Full,
    /// A passing fault. The step counts an attempt and is retried after that many seconds.
    Passing(i64, i64),
    /// No error: the task runs, but the answer does not name it.
    Working,
}

use Class::{Full, Ours, Passing, Refused, Rejected, Working};

const PARAMETERS: &str = "the provider refused the parameters of the request";
const UNAVAILABLE: &str = "the provider cannot take this work at present";
const NO_TASK: &str = "the provider does not know this task";
const SOON: Class = Passing(1, 2);

/// `(code, class, what the owner reads)`
const CODES: &[(i64, Class, &str)] = &[
    (301, Rejected, PARAMETERS),
    (380, Ours, UNAVAILABLE),
    (412, Ours, UNAVAILABLE),
    (415, Full, ""),
    (416, Ours, UNAVAILABLE),
    (421, Full, ""),
    (423, Ours, NO_TASK),
    (433, Rejected, PARAMETERS),
    (435, Ours, UNAVAILABLE),
    (436, Ours, UNAVAILABLE),
    (500, SOON, "the provider had a passing fault"),
    (801, Ours, UNAVAILABLE),
    (802, Ours, UNAVAILABLE),
    (803, Ours, UNAVAILABLE),
    (804, Working, ""),
    (805, Rejected, "the provider could not finish the task"),
    (806, Ours, UNAVAILABLE),
    (807, Ours, NO_TASK),
    (808, SOON, "the provider could not use the input file"),
    (809, Rejected, "the input file is too large for the provider"),
    (810, Ours, UNAVAILABLE),
    (811, Ours, UNAVAILABLE),
    (812, Ours, UNAVAILABLE),
    (813, Working, ""),
    (814, Full, ""),
    (901, Ours, UNAVAILABLE),
    (1000, SOON, "the provider had a passing fault"),
    (1001, Rejected, PARAMETERS),
    (1002, Ours, UNAVAILABLE),
    (1003, Full, ""),
    (1004, Ours, NO_TASK),
    (1005, SOON, "the provider had a passing fault"),
    (1006, SOON, "the provider ran out of time"),
    (1007, Rejected, PARAMETERS),
    (1008, Rejected, "the input file is too large for the provider"),
    (1009, Ours, UNAVAILABLE),
    (1010, SOON, "the provider had a passing fault"),
    (1011, SOON, "the provider had a passing fault"),
    (1012, SOON, "the provider had a passing fault"),
    (1013, Passing(5, 5), "the provider could not use the input file"),
    (1014, Ours, UNAVAILABLE),
    (1015, SOON, "the provider could not generate a result"),
    (1101, Ours, UNAVAILABLE),
    (1501, Refused, "the content was refused by the provider's moderation"),
    (1504, SOON, "the provider ran out of time"),
    (1505, Refused, "the provider does not accept pictures of real people"),
    (1520, Full, ""),
];

/// One order for each code, each by a user of its own, of a small picture. Neither the provider's
/// limit nor ours is reached. `rule` says what the provider does with the order of a code.
async fn orders(world: &World, rule: impl Fn(i64) -> Value) -> Vec<Order> {
    world.set_provider("runninghub", "max_concurrent = 100").await;
    let orders = join_all(CODES.iter().map(|_| Order::new(world))).await;
    let mut rules = vec![json!({ "capacity": 100 })];
    for ((code, _, _), order) in CODES.iter().zip(&orders) {
        let mut rule = rule(*code);
        rule["match"] = json!(order.job);
        rules.push(rule);
    }
    world.script(json!({ "runninghub": rules })).await;
    orders
}

/// Asserts that the job is queued and that its step waits so many seconds for its retry.
async fn assert_tried_again_in(
    world: &World,
    order: &Order,
    code: i64,
    seconds: RangeInclusive<i64>,
) {
    let row = order.row(world).await;
    assert_has!(row, { "status": "queued", "credits_refunded": 0 }, "{code}: {row:#}");
    // The seconds count from the requeue, so the time that this test needs does not matter.
    let sql = format!(
        "select coalesce(ceil(extract(epoch from s.not_before - j.updated_at)), 0)::int
            from unstuck.job_steps s join unstuck.jobs j on j.id = s.job_id where s.job_id = '{}'",
        order.job
    );
    let wait = world.db().int(&sql).await;
    assert!(seconds.contains(&wait), "{code}: tried again after {wait} s");
    assert_eq!(world.db().entries(order.job).await, [-PRICE], "{code}");
}

async fn assert_failed(
    world: &World,
    order: &Order,
    code: i64,
    word: &str,
    begins: &str,
) -> String {
    let row = order.assert_returned(world, "failed", word).await;
    let message = row["error_message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with(&format!("{word}: {begins}")), "{code}: {message}");
    assert!(message.ends_with(". 60 credits were returned."), "{code}: {message}");
    assert_eq!(world.balance(&order.user).await, CREDITS, "{code}");
    message
}

/// Sends the order, whose submit is refused with that code, and checks its answer.
async fn assert_refused(world: &World, order: &Order, code: i64, class: Class, words: &str) {
    let answer = order.run(world).send().await;
    match class {
        Rejected | Ours | Refused => {
            let refusal = answer.expect_refusal(422, "provider_rejected");
            let word = if class == Refused { "CONTENT_REFUSED" } else { "PROVIDER_REJECTED" };
            let message = assert_failed(world, order, code, word, words).await;
            assert_has!(refusal, { "message": message, "errorCode": word }, "{code}");
            assert_has!(refusal, { "refunded": true, "refundedCredits": PRICE }, "{code}");
            let is_bare = message == format!("{word}: {words}. 60 credits were returned.");
            assert_eq!(is_bare, class != Rejected, "{code}: {message}");
        }
        Full | Passing(..) => {
            let answer = answer.expect(200);
            assert_has!(answer, { "queued": true, "status": "queued" }, "{code}: {answer}");
            // A step that was refused for capacity has no delay: it waits for a freed slot or a
            // probe.
            let (attempts, seconds) =
                if let Passing(low, high) = class { (1, low..=high) } else { (0, 0..=0) };
            assert_eq!(order.step(world).await["attempts"], attempts, "{code}");
            assert_tried_again_in(world, order, code, seconds).await;
            if class == Full {
                let taught = world.count("providers where learned_limit is not null").await;
                assert_eq!(taught, 1, "{code}");
            }
            // The job's retry would free a slot and so start the next order of this test. It would
            // come as soon as the learned limit is cleared, so the job is cancelled before that.
            world.admin_cancels(order.tool.table, order.job).await;
            world.set_provider("runninghub", "learned_limit = null").await;
        }
        Working => {
            let answer = answer.expect(200);
            assert_has!(answer, { "status": "running", "taskId": null }, "{code}: {answer}");
            assert_eq!(world.db().entries(order.job).await, [-PRICE], "{code}");
        }
    }
    assert_eq!(order.submits(world).await, 1, "{code}");
}

#[test]
fn every_code_as_the_answer_to_a_submit() {
    e2e::run(async |world| {
        // Without probes, the provider's refusals for capacity hold as long as this test runs.
        let no_probe = "create or replace function unstuck_private.probe_pause(
            p_is_confirmed boolean
        ) returns interval language sql immutable as $$ select interval '1 hour' $$";
        world.db().exec(no_probe).await;
        let shape = |code: i64| if code < 1000 { 1 } else { 2 };
        let orders = orders(world, |code| json!({ "code": code, "shape": shape(code) })).await;
        for ((code, class, words), order) in CODES.iter().zip(&orders) {
            assert_refused(world, order, *code, *class, words).await;
            world.close_circuits().await;
        }
    });
}

#[test]
fn every_code_as_the_end_of_a_task() {
    e2e::run(async |world| {
        ask_at_every_sweep(world).await;
        let rule = |code| json!({ "code": code, "fail": "it broke", "work": "until_finished" });
        let orders = orders(world, rule).await;
        join_all(orders.iter().map(|order| order.run(world).ok())).await;
        // While the provider is disabled, nothing is submitted a second time.
        world.set_provider("runninghub", "enabled = false").await;
        join_all(orders.iter().map(|order| world.finish(order.job))).await;
        for ((code, class, words), order) in CODES.iter().zip(&orders) {
            match class {
                _ if [423, 807, 1004].contains(code) => {
                    assert_failed(
                        world,
                        order,
                        *code,
                        "PROVIDER_FAILED",
                        "the provider no longer knows the task",
                    )
                    .await;
                }
                Rejected | Ours => {
                    assert_failed(world, order, *code, "PROVIDER_FAILED", "it broke").await;
                }
                Refused => {
                    assert_failed(world, order, *code, "CONTENT_REFUSED", words).await;
                }
                // An ended task holds no slot, so its retry need not wait for one.
                Full | Passing(..) => {
                    world.until_status(order.job, "queued").await;
                    assert_eq!(order.step(world).await["attempts"], 1, "{code}");
                    assert_tried_again_in(world, order, *code, 1..=2).await;
                }
                Working => assert_eq!(order.row(world).await["status"], "running", "{code}"),
            }
            assert_eq!(order.submits(world).await, 1, "{code}");
        }
    });
}
