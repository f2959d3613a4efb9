//! `runninghub-video-upscaler`: what is delivered, which requests are accepted, and that a waiting
//! video keeps its URL however long it waits.

use serde_json::json;
use stand_ins::media::LONG_CLIP;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use uuid::Uuid;

use unstuck_tests::e2e::order::{
    CREDITS, Order, VIDEO, assert_field_at_fault, nodes_of, sweep_until,
};

#[test]
fn a_video_comes_out_twice_the_size() {
    e2e::run(async |world| {
        let order = Order::by(world, &VIDEO).await;
        let answer = order.starts(world).await;
        assert_has!(answer, { "creditsCharged": 120, "balance": CREDITS - 120 });
        let row = order.assert_completed(world).await;
        assert!(row["output_url"].as_str().unwrap_or_default().ends_with(".mp4"), "{row:#}");
        order.assert_real(world).await;
        let submit = world.submits_of(order.job).await.remove(0);
        let path = submit["path"].as_str().unwrap_or_default();
        assert!(path.ends_with("/openapi/v2/run/ai-app/1900000000000000005"), "{path}");
        assert_eq!(nodes_of(&submit), [("1", "video", order.urls()[0])]);
    });
}

#[test]
fn what_the_page_knows_is_kept_with_the_job_and_part_of_the_request() {
    e2e::run(async |world| {
        let mut order = Order::by(world, &VIDEO).await;
        for (field, value) in
            [("width", json!(32)), ("height", json!(16)), ("durationSeconds", json!(0.3))]
        {
            order.body[field] = value;
        }
        order.starts(world).await;
        order.assert_completed(world).await;
        let row = world
            .db()
            .row(&format!("select * from unstuck.video_upscaler_jobs where id = '{}'", order.job))
            .await;
        assert_has!(row, { "width": 32, "height": 16, "duration_seconds": 0.3 });
        assert_eq!(order.run(world).ok().await["replayed"], true);
        order.body["width"] = json!(33);
        order.run(world).refused(409, "idempotency_conflict").await;
    });
}

#[test]
fn a_field_at_fault_is_named() {
    e2e::run(async |world| {
        let order = Order::by(world, &VIDEO).await;
        let origin = &world.stack().info().url;
        let missing = format!(
            "{origin}/storage/v1/object/public/uploads/{}/{}/in.mp4",
            order.user.id,
            Uuid::new_v4()
        );
        let stranger = Order::by(world, &VIDEO).await;
        let cases = [
            (
                "videoUrl",
                vec![
                    json!(null),
                    json!(7),
                    json!("in.mp4"),
                    json!(missing),
                    json!(stranger.urls()[0]),
                ],
            ),
            ("width", vec![json!(0), json!(8193), json!(-1), json!("32"), json!(1.5)]),
            ("height", vec![json!(0), json!(8193), json!([])]),
            ("durationSeconds", vec![json!(0), json!(-1), json!(901), json!("3")]),
            ("sessionId", vec![json!(5), json!("x".repeat(201))]),
            ("jobId", vec![json!("x"), json!(7)]),
        ];
        for (field, values) in cases {
            assert_field_at_fault(world, &order, field, &values).await;
        }
    });
}

#[test]
fn a_file_that_is_no_video_is_returned() {
    e2e::run(async |world| {
        // A file without a known length costs the tool's largest price.
        let largest = 1_800;
        let user = world.new_user(largest).await;
        let url = world.upload(&user, "in.mp4", "video/mp4", b"not a video".to_vec()).await;
        let order = Order::with(&VIDEO, user, &[&url]);
        order.starts(world).await;
        world.until_status(order.job, "failed").await;
        world.db().assert_closed(order.job, "failed", Some("PROVIDER_FAILED"), largest).await;
        assert_eq!(world.db().entries(order.job).await, [-largest, largest]);
        assert!(!order.is_active(world).await, "a user with nothing live is free");
    });
}

/// In how many minutes the row's deadline expires.
async fn minutes_left(world: &e2e::World, table: &str, id: &str, job: Uuid) -> i64 {
    let sql = format!(
        "select round(extract(epoch from deadline_at - clock_timestamp()) / 60)::int
            from unstuck.{table} where {id} = '{job}'"
    );
    world.db().int(&sql).await
}

#[test]
fn it_may_wait_an_hour_and_work_a_quarter_of_one() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "enabled = false").await;
        let order = Order::by(world, &VIDEO).await;
        order.run(world).ok().await;
        assert_eq!(minutes_left(world, "jobs", "id", order.job).await, 60);
        // A waiting picture would have been refunded after ten minutes.
        world.db().age(order.job, "59 minutes").await;
        world.sweep().await;
        assert_eq!(order.status(world).await["status"], "queued");

        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        world.set_provider("runninghub", "enabled = true").await;
        sweep_until(world, "it starts", async |_| order.row(world).await["status"] == "running")
            .await;
        assert_eq!(minutes_left(world, "job_steps", "job_id", order.job).await, 15);
        world.db().age(order.job, "14 minutes").await;
        world.sweep().await;
        assert_eq!(order.status(world).await["status"], "running");
        world.db().age(order.job, "61 seconds").await;
        sweep_until(world, "it is over", async |_| order.row(world).await["status"] == "failed")
            .await;
        let row = order.assert_returned(world, "failed", "TIMEOUT").await;
        let message = row["error_message"].as_str().unwrap_or_default();
        assert!(message.contains("15 minutes") && message.contains("120 credits"), "{message}");
    });
}

#[test]
fn one_that_waits_is_kept_by_its_url_and_runs_later_with_it() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "hang": true, "cancellable": true, "times": 3 } }))
            .await;
        let mut running = Vec::new();
        for _ in 0..3 {
            running.push(Order::running(world).await);
        }
        let order = Order::by(world, &VIDEO).await;
        let answer = order.run(world).ok().await;
        assert_has!(answer, { "queued": true, "status": "queued", "position": 1 });
        assert!(answer["etaSeconds"].is_u64(), "{answer}");
        let row = world
            .db()
            .row(&format!("select * from unstuck.video_upscaler_jobs where id = '{}'", order.job))
            .await;
        for column in ["input_url", "input_file_name", "video_url"] {
            assert_eq!(row[column], json!(order.urls()[0]), "{column}");
        }
        assert_has!(row, { "status": "queued", "task_id": null, "position": 1 });
        let audit = "select video_input_not_a_url from unstuck.job_health
            where table_name = 'video_upscaler_jobs'";
        assert_eq!(world.db().int(audit).await, 0);

        world.admin_cancels("upscaler_jobs", running[0].job).await;
        order.assert_completed(world).await;
        let submits = world.submits_of(order.job).await;
        assert_eq!(submits.len(), 1);
        assert_eq!(nodes_of(&submits[0]), [("1", "video", order.urls()[0])]);
        order.assert_real(world).await;
    });
}

#[test]
fn a_longer_video_keeps_all_its_frames() {
    e2e::run(async |world| {
        let user = world.new_user(CREDITS).await;
        let clip = LONG_CLIP.original.to_vec();
        let url = world.upload(&user, "in.mp4", "video/mp4", clip).await;
        let order = Order::with(&VIDEO, user, &[&url]);
        order.starts(world).await;
        order.assert_completed(world).await;
        order.assert_real(world).await;
    });
}
