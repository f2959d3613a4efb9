//! The stories. Each does what users do, asserts what they must get, and returns the receipts.

use std::pin::Pin;

use serde_json::{Value, json};

use super::purchase::{Purchase, bought, returned, text};
use super::receipt::Receipt;
use super::services;
use crate::e2e::World;
use crate::e2e::hold::Hold;
use crate::e2e::order::{PRICE, TABLE, sweep_until};

/// Puts back the time limits that a story may shorten.
pub(super) const USUAL_CLOCKS: &str = "
update unstuck.tools set start_timeout = '25 seconds', run_timeout = '10 minutes'
where tool = 'runninghub-upscaler'";

/// How the demo's clocks differ from the product's, one line each.
pub(super) const SHORTENED: [&str; 4] = [
    "a running job is asked about at every sweep (30 s after it was last heard of)",
    "story 4: the provider has 2 s for a picture (10 min)",
    "story 9: a claim lapses after 2 s (25 s)",
    "story 12: a copy that storage refused is repeated at once (90 s)",
];

/// What a story shows if everything in it held.
pub(super) struct Outcome {
    pub(super) notes: Vec<String>,
    pub(super) receipts: Vec<Receipt>,
}

type Telling<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;
type Story = (&'static str, fn(&World) -> Telling<'_>);

/// Each story's title and function.
pub(super) fn all() -> [Story; 14] {
    [
        ("A picture goes in, one of twice the size comes out", |world| Box::pin(happy(world))),
        ("The provider refuses: nothing was bought", |world| Box::pin(refused(world))),
        ("The webhook is lost: the next sweep asks the provider and delivers", |world| {
            Box::pin(lost_webhook(world))
        }),
        (
            "The provider never answers: after the deadline failed, refunded, cancelled there",
            |world| Box::pin(hang(world)),
        ),
        ("Four users, three at once: the fourth waits its turn, and starts by itself", |world| {
            Box::pin(queue(world))
        }),
        ("A page is closed: what it had waiting is cancelled, and the queue moves up", |world| {
            Box::pin(session(world))
        }),
        ("An admin cancels a running job: refunded once, however often it is clicked", |world| {
            Box::pin(admin(world))
        }),
        ("The same request twice: one job, one charge", |world| Box::pin(replay(world))),
        ("A worker is killed between claim and submit: the job goes back and completes", |world| {
            Box::pin(killed(world))
        }),
        ("Two files come back, a preview first: the video is delivered", |world| {
            Box::pin(services::preview_first(world))
        }),
        (
            "The provider says success before its file can be read: delivered all the same",
            |world| Box::pin(services::late_file(world)),
        ),
        ("Storage is down when the result comes: kept, and delivered once it is back", |world| {
            Box::pin(services::storage_fault(world))
        }),
        ("A model refuses the place that the call came from: retried, not refunded", |world| {
            Box::pin(services::location_refusal(world))
        }),
        (
            "Too few credits: refused before anything, bought, and ordered under the same id",
            |world| Box::pin(shop(world)),
        ),
    ]
}

async fn shop(world: &World) -> Outcome {
    world.stock().await;
    let mut purchase = Purchase::upload(world, 5).await;
    let (user, left) = (&purchase.order.user, 10);
    let spent = left - purchase.before;
    let entry = "insert into unstuck.credit_entries (user_id, kind, amount)";
    world.db().exec(&format!("{entry} values ('{}', 'adjustment', {spent})", user.id)).await;
    let answer = purchase.run(world).refused(402, "insufficient_credits").await;
    assert_eq!((&answer["balance"], &answer["required"]), (&json!(left), &json!(PRICE)));
    world.buy(user, "small").await;
    purchase.before = world.balance(user).await;
    assert_eq!(purchase.before, left + 100, "the pack is there, once");
    let notes = vec![
        format!("402: it costs {PRICE}, and {left} are there; no job, no charge"),
        format!("100 credits paid at the seller's page: {} are there", purchase.before),
    ];
    assert_eq!(purchase.run(world).ok().await["balance"], purchase.before - PRICE);
    purchase.until_completed(world).await;
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

async fn happy(world: &World) -> Outcome {
    let purchase = Purchase::upload(world, 1).await;
    let answer = purchase.run(world).ok().await;
    assert!(answer["taskId"].is_string(), "{answer}");
    assert_eq!(answer["balance"], purchase.before - PRICE, "{answer}");
    purchase.until_completed(world).await;
    let notes =
        vec![format!("run answered {}, task {}", text(&answer["status"]), text(&answer["taskId"]))];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

async fn refused(world: &World) -> Outcome {
    world.script(json!({ "runninghub": { "code": 433, "shape": 2, "times": 1 } })).await;
    let purchase = Purchase::upload(world, 2).await;
    let answer = purchase.run(world).refused(422, "provider_rejected").await;
    assert_eq!(answer["refundedCredits"], PRICE, "{answer}");
    let notes = vec![format!(
        "run answered 422 {}, refundedCredits {}",
        text(&answer["code"]),
        answer["refundedCredits"]
    )];
    Outcome { notes, receipts: returned(world, &[purchase], "PROVIDER_REJECTED").await }
}

async fn lost_webhook(world: &World) -> Outcome {
    world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
    let purchase = Purchase::order(world, 1, "running").await;
    let report = sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
    let notes = vec![format!(
        "no webhook came; a sweep answered delivered {}, cleaned {}",
        report["delivered"], report["cleaned"]
    )];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

async fn hang(world: &World) -> Outcome {
    world.set_tool("runninghub-upscaler", "run_timeout = '2 seconds'").await;
    world.script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } })).await;
    let purchase = Purchase::order(world, 2, "running").await;
    let task = purchase.order.status(world).await["taskId"].clone();
    let report =
        sweep_until(world, "the end of the job", async |report| report["cleaned"] == 1).await;
    let is_cancelled = async |_: &Value| {
        let calls = world.provider_calls("/task/openapi/cancel").await;
        calls.iter().any(|call| call["body"]["taskId"] == task && call["response"]["code"] == 0)
    };
    sweep_until(world, "the cancel at the provider", is_cancelled).await;
    let is_active = purchase.order.is_active(world).await;
    assert!(!is_active, "the user is still blocked");
    assert_eq!(purchase.order.submits(world).await, 1, "submits of the job");
    let notes = vec![
        format!(
            "a sweep after the deadline answered cleaned {}, refundedCredits {}",
            report["cleaned"], report["refundedCredits"]
        ),
        format!("task {} was cancelled at the provider; hasActiveJob is {is_active}", text(&task)),
    ];
    Outcome { notes, receipts: returned(world, &[purchase], "TIMEOUT").await }
}

async fn queue(world: &World) -> Outcome {
    world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
    let mut purchases = Vec::new();
    for number in 1..=3 {
        purchases.push(Purchase::order(world, number, "running").await);
    }
    let fourth = Purchase::upload(world, 4).await;
    let answer = fourth.run(world).ok().await;
    crate::assert_has!(answer, { "status": "queued", "position": 1 });
    assert!(answer["etaSeconds"].is_u64(), "{answer}");
    purchases.push(fourth);
    for purchase in &purchases {
        world.finish(purchase.order.job).await;
        purchase.until_completed(world).await;
    }
    let notes = vec![format!(
        "the fourth was answered position {}, etaSeconds {}",
        answer["position"], answer["etaSeconds"]
    )];
    Outcome { notes, receipts: bought(world, &purchases).await }
}

async fn session(world: &World) -> Outcome {
    world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
    let mut delivered = Vec::new();
    for number in 1..=3 {
        delivered.push(Purchase::order(world, number, "running").await);
    }
    let page = "a page that will be closed";
    let mut closed = Purchase::upload(world, 4).await;
    closed.order.body["sessionId"] = json!(page);
    closed.run(world).ok().await;
    let next = Purchase::order(world, 5, "queued").await;
    let position = async || next.order.status(world).await["position"].clone();
    assert_eq!(position().await, 2, "user5 should be second");
    let call = world.call("runninghub-queue-manager/cancel-session").by(&closed.order.user);
    let answer = call.json(&json!({ "sessionId": page })).ok().await;
    crate::assert_has!(answer, { "cancelledCount": 1, "refundedCredits": PRICE });
    let moved = position().await;
    assert_eq!(moved, 1, "user5 should have moved up");
    delivered.push(next);
    for purchase in &delivered {
        world.finish(purchase.order.job).await;
        purchase.until_completed(world).await;
    }
    let notes = vec![format!(
        "cancel-session answered cancelledCount {}, refundedCredits {}; user5 moved from 2 to \
            {moved}",
        answer["cancelledCount"], answer["refundedCredits"]
    )];
    let mut receipts = returned(world, &[closed], "CANCELLED").await;
    receipts.extend(bought(world, &delivered).await);
    Outcome { notes, receipts }
}

async fn admin(world: &World) -> Outcome {
    world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
    let purchase = Purchase::order(world, 5, "running").await;
    let (admin, user) = (world.admin(1).await, world.user(1).await);
    let body = json!({
        "table": TABLE, "jobId": purchase.order.job, "reason": "asked for by the user",
    });
    let cancel = || world.call("admin-cancel-job").json(&body);
    cancel().by(&user).send().await.expect(403);
    let answer = cancel().by(&admin).ok().await;
    crate::assert_has!(answer, { "refundedCredits": PRICE, "status": "cancelled" });
    let again = cancel().by(&admin).refused(409, "already_final").await;
    assert_eq!(again["refundedCredits"], PRICE, "{again}");
    let notes = vec![
        format!("as user: 403. As admin: {}", text(&answer["message"])),
        format!("the second click was answered 409 {}", text(&again["code"])),
    ];
    Outcome { notes, receipts: returned(world, &[purchase], "CANCELLED").await }
}

async fn replay(world: &World) -> Outcome {
    let purchase = Purchase::order(world, 3, "running").await;
    let again = purchase.run(world).ok().await;
    crate::assert_has!(again, { "replayed": true, "balance": purchase.before - PRICE });
    purchase.until_completed(world).await;
    let after = purchase.run(world).ok().await;
    crate::assert_has!(after, { "replayed": true, "status": "completed" });
    assert_eq!(purchase.order.submits(world).await, 1, "submits of the job");
    let notes = vec![format!(
        "while it ran and after it: replayed {}, balance {} both times",
        after["replayed"], after["balance"]
    )];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

async fn killed(world: &World) -> Outcome {
    world.set_tool("runninghub-upscaler", "start_timeout = '2 seconds'").await;
    let purchase = Purchase::upload(world, 4).await;
    let owner = world.stack().db().await.expect("a connection of the owner's");
    let hold = Hold::before_submit(owner).await.expect("the trigger that holds a worker");
    let killing = async {
        let look = async || hold.has_caught().await.expect("the locks are readable").then_some(());
        world.until("a worker is about to submit", look).await;
        world.kill_workerd().await;
    };
    // The caller's connection breaks, or a gateway answers 502; the database holds the paid job.
    tokio::join!(purchase.run(world).send_and_forget(), killing);
    hold.release().await.expect("the held write ends");
    assert_eq!(purchase.order.submits(world).await, 0, "submits before the kill");
    let report = sweep_until(world, "the rescue", async |report| report["requeued"] == 1).await;
    purchase.until_completed(world).await;
    assert_eq!(purchase.order.submits(world).await, 1, "submits of the job");
    let again = purchase.run(world).ok().await;
    crate::assert_has!(again, { "replayed": true, "status": "completed" });
    let notes = vec![format!(
        "workerd got SIGKILL; a sweep answered requeued {}; submitted once in all",
        report["requeued"]
    )];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}
