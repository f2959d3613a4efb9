//! How a result is copied: as a stream, whole or not at all, and without a slot of the provider.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::time::Instant;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

use super::bound::measured;
use super::delivery::{assert_not_deliverable, finished, result_lies_at};
use unstuck_tests::e2e::order::{Order, until_at_provider};

const MB: u64 = 1024 * 1024;
/// The size of the largest result that is copied.
const MB_MAX: u64 = 512;
/// By how much a copy may increase the process's memory, however large the result is. An isolate
/// may have 128 MB.
const GROWTH_MB: u64 = 64;

/// The address of a file of that many bytes, which the stand-in makes while it is read.
fn made(world: &World, bytes: u64, more: &str) -> String {
    format!("{}/made/a.png?bytes={bytes}{more}", world.stack().info().providers_url)
}

/// The folder in which storage keeps the results of an order.
fn kept(world: &World, order: &Order) -> PathBuf {
    let storage = world.stack().options().state_dir.join("storage");
    storage.join("results").join(order.user.id.to_string()).join(order.job.to_string())
}

/// An order whose result has that address.
async fn finished_with(world: &World, url: &str) -> Order {
    let order = finished(world).await;
    result_lies_at(world, &order, url, "png").await;
    order
}

#[test]
fn two_hundred_megabytes_are_copied_through_little_memory() {
    e2e::run(async |world| {
        for length in ["", "&unnamed=true"] {
            let order = finished_with(world, &made(world, 200 * MB, length)).await;
            let began = Instant::now();
            let (report, memory) = world.memory_during(world.sweep()).await;
            measured(&format!("200 MB{length} copied in {:?}, {memory:?}", began.elapsed()));
            assert_has!(report, { "delivered": 1, "cleaned": 0 });
            assert!(memory.peak < memory.before + GROWTH_MB, "{memory:?}");
            let row = order.assert_completed(world).await;
            let info = row["output_url"]
                .as_str()
                .expect("a result")
                .replace("/object/public/", "/object/info/public/");
            let info: Value = world
                .http()
                .get(info)
                .send()
                .await
                .expect("storage")
                .json()
                .await
                .expect("its info");
            assert_has!(info, { "size": 200 * MB, "content_type": "image/png" });
            std::fs::remove_dir_all(kept(world, &order)).expect("the copy lies there");
        }
    });
}

#[test]
fn a_result_that_is_too_large_is_returned_whether_or_not_it_says_so() {
    e2e::run(async |world| {
        for length in ["", "&unnamed=true"] {
            let order = finished_with(world, &made(world, MB_MAX * MB + 1, length)).await;
            let report = world.sweep().await;
            assert_eq!(report["cleaned"], 1, "a file that is too large is not retried: {report}");
            assert_not_deliverable(world, &order).await;
            assert!(!kept(world, &order).exists(), "no part of the file is kept");
        }
    });
}

#[test]
fn a_result_that_breaks_off_or_is_empty_never_completes_a_job() {
    e2e::run(async |world| {
        for (bytes, more) in
            [(MB, "&broken=true"), (MB, "&broken=true&unnamed=true"), (0, ""), (0, "&unnamed=true")]
        {
            let order = finished_with(world, &made(world, bytes, more)).await;
            let report = world.sweep().await;
            assert_eq!(report["delivered"], 0, "{more}: {report}");
            assert_not_deliverable(world, &order).await;
            assert!(!kept(world, &order).exists(), "{more}: no part of the file is kept");
        }
    });
}

#[test]
fn a_redirect_is_not_followed_to_a_result() {
    e2e::run(async |world| {
        let providers = &world.stack().info().providers_url;
        let url = format!("{providers}/moved?to={}", made(world, MB, "").replace('?', "%3F"));
        let order = finished_with(world, &url).await;
        assert_not_deliverable(world, &order).await;
    });
}

#[test]
fn a_place_is_given_on_while_the_result_is_copied() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "max_concurrent = 1").await;
        let first = finished(world).await;
        let next = Order::new(world).await;
        assert_eq!(next.run(world).ok().await["status"], "queued");
        result_lies_at(world, &first, &made(world, MB, "&pause_ms=1500"), "png").await;
        world.sweep().await;
        first.assert_completed(world).await;
        let task = next.task(world).await;
        let in_time = format!(
            "select count(*) from unstuck.job_steps a, unstuck.job_steps b
             where a.job_id = '{}' and b.job_id = '{}'
             and b.sent_at < a.completed_at - interval '500 milliseconds'",
            first.job, next.job
        );
        assert_eq!(world.db().int(&in_time).await, 1, "the next one did not wait for the copy");
        world.script(json!({ "reset": true })).await;
        until_at_provider(world, &task, "SUCCESS").await;
        world.db().age(next.job, "31 seconds").await;
        world.sweep().await;
        next.assert_completed(world).await;
    });
}
