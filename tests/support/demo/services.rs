//! The stories in which a provider or storage sends something else than a client would like.

use serde_json::{Value, json};

use super::purchase::{CardPurchase, Purchase, bought, text};
use super::stories::Outcome;
use crate::e2e::World;
use crate::e2e::order::{lease_is_over, sweep_until};

/// The files of the task of a purchase, in the order in which the provider lists them.
async fn files_at_provider(world: &World, purchase: &Purchase) -> Vec<String> {
    let task = purchase.order.task(world).await;
    let url = format!("{}/runninghub/openapi/v2/query", world.stack().info().providers_url);
    let query = json!({ "taskId": task });
    let request = world.http().post(url).bearer_auth("rh-local-key").json(&query);
    let answer: Value =
        request.send().await.expect("the provider answers").json().await.expect("a task");
    let files = answer["results"].as_array().cloned().unwrap_or_default();
    files.iter().map(|file| text(&file["outputType"]).to_owned()).collect()
}

/// RunningHub's app saves a picture of the first frame beside its video and lists the picture
/// first.
pub(super) async fn preview_first(world: &World) -> Outcome {
    let purchase = Purchase::upload_clip(world, 1).await;
    purchase.run(world).ok().await;
    purchase.until_completed(world).await;
    let files = files_at_provider(world, &purchase).await;
    assert_eq!(files, ["png", "mp4"], "what the provider lists");
    let notes = vec![format!("the provider listed {}; the mp4 was delivered", files.join(", "))];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

/// The first success lists no files, and the file that a later one lists is at first not found.
pub(super) async fn late_file(world: &World) -> Outcome {
    world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
    let purchase = Purchase::order(world, 2, "running").await;
    sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
    let queries = world.provider_calls("/v2/query").await;
    let is_success = |call: &&Value| call["response"]["status"] == "SUCCESS";
    let successes: Vec<&Value> = queries.iter().filter(is_success).collect();
    assert!(successes.len() >= 2, "a success without files, then one with them: {successes:#?}");
    assert_eq!(successes[0]["response"]["results"], Value::Null, "the first success");
    let notes = vec![format!("queried {} times; the first success listed no file", queries.len())];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

/// Storage stops answering after the provider has made and billed the picture.
pub(super) async fn storage_fault(world: &World) -> Outcome {
    let unheard = json!({ "all": true, "work": "until_finished", "webhook": "lost" });
    world.script(json!({ "runninghub": unheard })).await;
    let purchase = Purchase::order(world, 3, "running").await;
    world.finish(purchase.order.job).await;
    world.storage_is_down(503).await;
    let is_kept =
        async |_: &Value| purchase.order.step(world).await["provider_done_at"].is_string();
    sweep_until(world, "the provider's slot is free", is_kept).await;
    let status = text(&purchase.order.step(world).await["status"]).to_owned();
    world.storage_is_up().await;
    lease_is_over(world, purchase.order.job).await;
    sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
    let notes = vec![format!("while storage was down: {status}, the provider's slot already free")];
    Outcome { notes, receipts: bought(world, &[purchase]).await }
}

/// Gemini refuses the location of the data centre that sent the call. The refusal says nothing
/// about the order.
pub(super) async fn location_refusal(world: &World) -> Outcome {
    let message = "User location is not supported for the API use.";
    let error = json!({ "code": 400, "message": message, "status": "FAILED_PRECONDITION" });
    let refusal = json!({ "times": 1, "status": 400, "body": { "error": error } });
    world.script(json!({ "gemini": refusal })).await;
    let purchase = CardPurchase::upload(world, 4).await;
    purchase.cards.create(world).send().await.expect(202);
    world.until_status(purchase.cards.job, "completed").await;
    let calls = world.provider_calls(":generateContent").await.len();
    assert_eq!(calls, 2, "one refusal, and one card");
    let alarms = world.db().texts("select code from unstuck.provider_alarms").await;
    assert!(alarms.iter().any(|code| code.contains("location")), "the alarms: {alarms:?}");
    let notes = vec![
        format!("the model was called {calls} times; the first answer: 400 {message}"),
        format!("the operator reads in provider_alarms: {}", alarms.join(", ")),
    ];
    Outcome { notes, receipts: purchase.bought(world).await }
}
