//! The stories. Each does what people do, checks what they are owed, and gives back the receipts.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::hold::Hold;
use super::receipt::Receipt;
use super::world::{Order, World};

/// What a story has to show when all of it held.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) notes: Vec<String>,
    pub(super) receipts: Vec<Receipt>,
}

type Telling<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + 'a>>;

pub(super) struct Story {
    pub(super) title: &'static str,
    pub(super) tell: fn(&mut World) -> Telling<'_>,
}

pub(super) fn all() -> Vec<Story> {
    let story = |title, tell| Story { title, tell };
    vec![
        story("A picture goes in, one of twice the size comes out", |world| Box::pin(happy(world))),
        story("The provider refuses: nothing was bought", |world| Box::pin(refused(world))),
        story("The webhook is lost: the next sweep asks the provider and delivers", |world| {
            Box::pin(lost_webhook(world))
        }),
        story(
            "The provider never answers: after the deadline failed, refunded, cancelled there",
            |world| Box::pin(hang(world)),
        ),
        story(
            "Four users, three at once: the fourth waits its turn, and starts by itself",
            |world| Box::pin(queue(world)),
        ),
        story(
            "A page is closed: what it had waiting is cancelled, and the queue moves up",
            |world| Box::pin(session(world)),
        ),
        story(
            "An admin cancels a running job: refunded once, however often it is clicked",
            |world| Box::pin(admin(world)),
        ),
        story("The same request twice: one job, one charge", |world| Box::pin(replay(world))),
        story(
            "A worker is killed between claim and submit: the job goes back and completes",
            |world| Box::pin(killed(world)),
        ),
    ]
}

/// Credits of one picture.
const PRICE: i64 = 60;

async fn outcome(world: &World, orders: &[&Order], notes: Vec<String>) -> Result<Outcome> {
    let mut receipts = Vec::new();
    for order in orders {
        receipts.push(Receipt::read(world, order).await?);
    }
    Ok(Outcome { notes, receipts })
}

/// Nothing was bought: everything charged is back, and the message says why.
fn returned(outcome: Outcome, code: &str) -> Result<Outcome> {
    for receipt in &outcome.receipts {
        ensure!(
            receipt.charged == PRICE && receipt.refunded == PRICE,
            "{} of {} returned",
            receipt.refunded,
            receipt.charged
        );
        let message = receipt.message.as_deref().unwrap_or_default();
        ensure!(
            message.starts_with(&format!("{code}: ")),
            "the message should begin with {code}: {message}"
        );
    }
    Ok(outcome)
}

fn bought(outcome: Outcome) -> Result<Outcome> {
    for receipt in &outcome.receipts {
        ensure!(
            receipt.charged == PRICE && receipt.refunded == 0,
            "{} charged, {} returned",
            receipt.charged,
            receipt.refunded
        );
        ensure!(receipt.status == "completed", "{}'s job is {}", receipt.person, receipt.status);
    }
    Ok(outcome)
}

async fn happy(world: &mut World) -> Result<Outcome> {
    let order = world.upload("user1").await?;
    let answer = world.run(&order, "demo").await?.expect(200)?;
    ensure!(answer["taskId"].is_string() && answer["balance"] == order.before - PRICE, "{answer}");
    world.becomes(&order, "completed").await?;
    let notes =
        vec![format!("run answered {}, task {}", text(&answer["status"]), text(&answer["taskId"]))];
    bought(outcome(world, &[&order], notes).await?)
}

async fn refused(world: &mut World) -> Result<Outcome> {
    world.script(json!({"runninghub": {"code": 433, "shape": 2, "times": 1}})).await?;
    let order = world.upload("user2").await?;
    let answer = world.run(&order, "demo").await?.expect(422)?;
    ensure!(
        answer["code"] == "provider_rejected" && answer["refundedCredits"] == PRICE,
        "{answer}"
    );
    let notes = vec![format!(
        "run answered 422 {}, refundedCredits {}",
        text(&answer["code"]),
        answer["refundedCredits"]
    )];
    returned(outcome(world, &[&order], notes).await?, "PROVIDER_REJECTED")
}

async fn lost_webhook(world: &mut World) -> Result<Outcome> {
    world.script(json!({"runninghub": {"webhook": "lost"}})).await?;
    let order = world.ordered("user1", "running").await?;
    let report =
        world.sweep_until("the delivery", async |report| Ok(report["delivered"] == 1)).await?;
    let notes = vec![format!(
        "no webhook came; a sweep answered delivered {}, cleaned {}",
        report["delivered"], report["cleaned"]
    )];
    bought(outcome(world, &[&order], notes).await?)
}

async fn hang(world: &mut World) -> Result<Outcome> {
    world
        .owner(
            "update unstuck.tools set run_timeout = '2 seconds' where tool = 'runninghub-upscaler'",
        )
        .await?;
    world.script(json!({"runninghub": {"hang": true}})).await?;
    let order = world.ordered("user2", "running").await?;
    let task = world.status(&order).await?["taskId"].clone();
    let report =
        world.sweep_until("the end of the job", async |report| Ok(report["cleaned"] == 1)).await?;
    let told = async |_: &Value| Ok(world.sent("/task/openapi/cancel", text(&task)).await? > 0);
    world.sweep_until("the cancel at the provider", told).await?;
    let active = world
        .function(&order.person, "runninghub-queue-manager/check-user-active", json!({}))
        .await?
        .expect(200)?;
    ensure!(active["hasActiveJob"] == false, "the user is still blocked: {active}");
    ensure!(world.submits(&order).await? == 1, "the job was submitted more than once");
    let notes = vec![
        format!(
            "a sweep after the deadline answered cleaned {}, refundedCredits {}",
            report["cleaned"], report["refundedCredits"]
        ),
        format!(
            "task {} was cancelled at the provider; hasActiveJob is {}",
            text(&task),
            active["hasActiveJob"]
        ),
    ];
    returned(outcome(world, &[&order], notes).await?, "TIMEOUT")
}

async fn queue(world: &mut World) -> Result<Outcome> {
    world.script(json!({"runninghub": {"work_ms": 1500}})).await?;
    let mut orders = Vec::new();
    for name in ["user1", "user2", "user3"] {
        orders.push(world.ordered(name, "running").await?);
    }
    let fourth = world.upload("user4").await?;
    let answer = world.run(&fourth, "demo").await?.expect(200)?;
    ensure!(
        answer["status"] == "queued" && answer["position"] == 1 && answer["etaSeconds"].is_u64(),
        "{answer}"
    );
    orders.push(fourth);
    for order in &orders {
        world.becomes(order, "completed").await?;
    }
    let notes = vec![format!(
        "the fourth was answered position {}, etaSeconds {}",
        answer["position"], answer["etaSeconds"]
    )];
    let orders: Vec<&Order> = orders.iter().collect();
    bought(outcome(world, &orders, notes).await?)
}

async fn session(world: &mut World) -> Result<Outcome> {
    world.script(json!({"runninghub": {"work_ms": 2500}})).await?;
    let mut bought_orders = Vec::new();
    for name in ["user1", "user2", "user3"] {
        bought_orders.push(world.ordered(name, "running").await?);
    }
    let closed = world.upload("user4").await?;
    world.run(&closed, "a page that will be closed").await?.expect(200)?;
    let next = world.ordered("user5", "queued").await?;
    let place = world.status(&next).await?["position"].clone();
    ensure!(place == 2, "user5 should be second, is {place}");
    let body = json!({"sessionId": "a page that will be closed"});
    let answer = world
        .function(&closed.person, "runninghub-queue-manager/cancel-session", body)
        .await?
        .expect(200)?;
    ensure!(answer["cancelledCount"] == 1 && answer["refundedCredits"] == PRICE, "{answer}");
    let place = world.status(&next).await?["position"].clone();
    ensure!(place == 1, "user5 should have moved up, is {place}");
    bought_orders.push(next);
    for order in &bought_orders {
        world.becomes(order, "completed").await?;
    }
    let notes = vec![format!(
        "cancel-session answered cancelledCount {}, refundedCredits {}; user5 moved from 2 to {place}",
        answer["cancelledCount"], answer["refundedCredits"]
    )];
    let orders: Vec<&Order> = bought_orders.iter().collect();
    let mut all = bought(outcome(world, &orders, notes).await?)?;
    let cancelled = returned(outcome(world, &[&closed], Vec::new()).await?, "CANCELLED")?;
    all.receipts.splice(0..0, cancelled.receipts);
    Ok(all)
}

async fn admin(world: &mut World) -> Result<Outcome> {
    world.script(json!({"runninghub": {"hang": true}})).await?;
    let order = world.ordered("user5", "running").await?;
    let (admin, user) = (world.person("admin1")?, world.person("user1")?);
    let body =
        json!({"table": "upscaler_jobs", "jobId": order.job, "reason": "asked for by the user"});
    world.function(&user, "admin-cancel-job", body.clone()).await?.expect(403)?;
    let answer = world.function(&admin, "admin-cancel-job", body.clone()).await?.expect(200)?;
    ensure!(answer["refundedCredits"] == PRICE && answer["status"] == "cancelled", "{answer}");
    let again = world.function(&admin, "admin-cancel-job", body).await?.expect(409)?;
    ensure!(again["code"] == "already_final" && again["refundedCredits"] == PRICE, "{again}");
    let notes = vec![
        format!("as user: 403. As admin: {}", text(&answer["message"])),
        format!("the second click was answered 409 {}", text(&again["code"])),
    ];
    returned(outcome(world, &[&order], notes).await?, "CANCELLED")
}

async fn replay(world: &mut World) -> Result<Outcome> {
    let order = world.ordered("user3", "running").await?;
    let again = world.run(&order, "demo").await?.expect(200)?;
    ensure!(again["replayed"] == true && again["balance"] == order.before - PRICE, "{again}");
    world.becomes(&order, "completed").await?;
    let after = world.run(&order, "demo").await?.expect(200)?;
    ensure!(after["replayed"] == true && after["status"] == "completed", "{after}");
    ensure!(world.submits(&order).await? == 1, "the job was submitted more than once");
    let notes = vec![format!(
        "while it ran and after it: replayed {}, balance {} both times",
        after["replayed"], after["balance"]
    )];
    bought(outcome(world, &[&order], notes).await?)
}

async fn killed(world: &mut World) -> Result<Outcome> {
    world.owner("update unstuck.tools set start_timeout = '2 seconds' where tool = 'runninghub-upscaler'").await?;
    let order = world.upload("user4").await?;
    let hold = Hold::before_submit(world.stack().db().await?).await?;
    let killing = async {
        while !hold.has_caught().await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.stack().kill_workerd().await
    };
    // Whoever asked sees the connection break; what was paid is in the database.
    let (_, killed) = tokio::join!(world.run(&order, "demo"), killing);
    killed?;
    hold.release().await?;
    ensure!(world.submits(&order).await? == 0, "the submit left before the kill");
    let report =
        world.sweep_until("the rescue", async |report| Ok(report["requeued"] == 1)).await?;
    world.becomes(&order, "completed").await?;
    ensure!(world.submits(&order).await? == 1, "the job was submitted more than once");
    let again = world.run(&order, "demo").await?.expect(200)?;
    ensure!(again["replayed"] == true && again["status"] == "completed", "{again}");
    let notes = vec![format!(
        "workerd got SIGKILL; a sweep answered requeued {}; submitted once in all",
        report["requeued"]
    )];
    bought(outcome(world, &[&order], notes).await?)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
