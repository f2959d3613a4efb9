//! What the client does for a page in a real browser: it keeps the position of a page that comes
//! back, cancels the waiting jobs of a closed page, and uploads over a connection that drops and
//! over plain HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stand_ins::media::SHORT_CLIP;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::proxy::FrontDoorProxy;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

fn id(seen: &Value) -> Uuid {
    seen["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no job: {seen:#}"))
}

/// Gives the only slot to another user's job. The tasks of all other jobs run until the test
/// finishes them.
async fn somebody_is_before_us(world: &World) -> Uuid {
    let held = json!({ "match": "before-us", "hang": true });
    world.script(json!({ "runninghub": [held, { "all": true, "work": "until_finished" }] })).await;
    world.set_provider("runninghub", "max_concurrent = 1").await;
    let other = world.user(2).await;
    world.order_as(&other, Uuid::new_v4(), json!({ "prompt": "before-us" })).await.0
}

/// Lets time pass for the sessions of pages and for jobs.
async fn pass(world: &World, seconds: u32) {
    let by = format!("{seconds} seconds");
    let moved = format!("left_at = left_at - interval '{by}', seen_at = seen_at - interval '{by}'");
    world.db().exec(&format!("update unstuck.sessions set {moved}")).await;
    world.db().age_all(&by).await;
}

#[test]
fn a_tab_closed_while_waiting_gives_place_and_credits_back_after_the_grace() {
    e2e::run(async |world| {
        somebody_is_before_us(world).await;
        let job = id(&world.browser("leave.mjs", &json!({ "state": "waiting" })));
        let soon = "sessions where left_at < clock_timestamp() + interval '31 seconds'";
        assert_eq!(world.count(soon).await, 1);
        pass(world, 20).await;
        world.sweep().await;
        assert_has!(world.job(job).await, { "status": "queued" }, "the page may come back");
        pass(world, 11).await;
        world.sweep().await;
        let row = world.job(job).await;
        assert_has!(row, { "status": "cancelled", "credits_charged": 60, "credits_refunded": 60 });
        assert_eq!(world.balance(&world.user(1).await).await, 1000);
        assert_eq!(world.count("jobs where status = 'queued'").await, 0);
    });
}

#[test]
fn a_page_reloaded_while_it_waits_keeps_its_place() {
    e2e::run(async |world| {
        let before = somebody_is_before_us(world).await;
        let seen = world.browser("back_soon.mjs", &json!({ "before": before }));
        assert_has!(seen, { "found": seen["id"] }, "{seen:#}");
        assert_has!(seen["kept"], { "sessions": 1, "silence": 150 }, "{seen:#}");
        let row = world.job(id(&seen)).await;
        assert_has!(row, { "status": "completed", "credits_charged": 60, "credits_refunded": 0 });
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn a_large_file_arrives_whole_over_a_line_that_drops_twice() {
    e2e::run(async |world| {
        let limit = async |bytes: u64| {
            let sql = format!("update storage.buckets set file_size_limit = {bytes}");
            world.db().exec(&format!("{sql} where id = 'uploads'")).await;
        };
        limit(512 * 1024 * 1024).await;
        let proxy = FrontDoorProxy::start(world).await;
        proxy.drop_line_after(&[20_000_000, 90_000_000]);
        let clip = BASE64.encode(SHORT_CLIP.original);
        let seen = world.browser("dropped.mjs", &json!({ "url": proxy.url, "clip": clip }));
        limit(50 * 1024 * 1024).await;
        assert_eq!(proxy.drops_left(), 0, "{seen:#}");
        assert_has!(seen, { "progress": 1, "isWhole": true }, "{seen:#}");
        // The client uploaded no finished chunk a second time: 200 MB are 34 chunks, and two chunks
        // broke off.
        let chunks = proxy.count("PATCH ");
        assert!((35..=36).contains(&chunks), "{chunks} chunks: {seen:#}");
        assert_eq!(proxy.count("POST /storage/v1/upload/resumable"), 1, "{seen:#}");
    });
}

#[test]
fn an_upload_waits_for_the_line_and_is_tried_anew_where_nothing_moves() {
    e2e::run(async |world| {
        let seen = world.browser("line.mjs", &json!({}));
        assert_has!(seen, { "whileOffline": "uploading", "early": "done" }, "{seen:#}");
        assert_has!(seen, { "whileStalled": "uploading", "stalled": "done", "puts": 2 });
        assert_eq!(world.count("jobs").await, 2);
    });
}

#[test]
fn the_studio_works_on_plain_http_in_a_network() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let seen = world.browser("lan.mjs", &json!({}));
        assert_eq!(seen["lacks"], json!([false, "undefined"]), "{seen:#}");
        assert_has!(world.job(id(&seen)).await, { "status": "completed" });
    });
}
