//! Measures by how much workerd's memory grows during the largest orders of each kind, five at
//! once: `cargo xtask bench memory`.
//!
//! Here all functions share one process, so no isolate grew by more than the process did. The
//! platform gives an isolate 128 MB.

use futures::future::join_all;
use serde_json::json;

use crate::e2e::World;
use crate::e2e::cards::Cards;
use crate::e2e::order::{Order, TOOLS};
use crate::e2e::try_on::TryOn;
use crate::e2e::website::Website;
use crate::e2e::world::png;

const AT_ONCE: usize = 5;
/// The largest picture that goes to a model, and the most cards and garments of an order.
const PICTURE_BYTES: usize = 4 * 1024 * 1024;
const CARDS: [u8; 7] = [0, 1, 2, 3, 4, 5, 6];
const GARMENTS: usize = 5;
const PROMPT: usize = 3_000;

pub async fn run(world: &World) {
    // The stand-in refuses a picture that is sent by its address, so that the functions hold each
    // picture in memory, and each call takes a second.
    let refusal = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": "x" } });
    world
        .script(json!({ "gemini": [
            { "match": "fileUri", "status": 400, "body": refusal },
            { "match": "inlineData", "delay_ms": 1_000 },
        ] }))
        .await;
    println!("{AT_ONCE} orders at once; MB of workerd before, and how much it grew");
    // The first order of each kind starts its functions, so each kind is shown with one order
    // first.
    for count in [1, AT_ONCE] {
        show(world, count, "cards, 7 of a picture of 4 MB", async || cards(world).await).await;
        for tool in TOOLS {
            show(world, count, tool.name, async || {
                let order = Order::by(world, tool).await;
                order.run(world).ok().await;
                world.until_status(order.job, "completed").await;
            })
            .await;
        }
        show(world, count, "try-ons, 5 garments", async || {
            let try_on = TryOn::new(world, GARMENTS).await;
            try_on.start(world).ok().await;
            world.until_status(try_on.job, "completed").await;
        })
        .await;
        show(world, count, "websites", async || {
            let site = Website::order(world, &"a page ".repeat(PROMPT / 7)).await;
            world.until_status(site.id, "completed").await;
        })
        .await;
    }
}

async fn cards(world: &World) {
    let mut order = Cards::new(world, &CARDS).await;
    let mut picture = png(40, 30);
    picture.resize(PICTURE_BYTES, 0);
    let url = world.upload(&order.user, "large.png", "image/png", picture).await;
    order.body["productImages"][0]["url"] = json!(url);
    order.create(world).send().await.expect(202);
    world.until_status(order.job, "completed").await;
}

async fn show(world: &World, count: usize, kind: &str, order: impl AsyncFn()) {
    let all = join_all((0..count).map(|_| order()));
    let (_, memory) = world.memory_during(all).await;
    if count == AT_ONCE {
        let grown = memory.peak.saturating_sub(memory.before);
        println!("{kind:<34} {:>6} {grown:>6}", memory.before);
    }
}
