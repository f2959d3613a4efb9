//! The official client library with the stack, as a page uses it.

use base64::Engine as _;
use serde_json::{Value, json};
use stand_ins::media::{Mp4Tables, SHORT_CLIP};
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use uuid::Uuid;
use xtask::paths;

#[test]
fn a_page_signs_in_uploads_orders_and_reads() {
    e2e::run(async |world| {
        let seen = world.node("client/upscale.mjs", &json!({}));
        let run = &seen["run"];
        assert_has!(run, { "success": true, "creditsCharged": 60, "balance": 940 }, "{seen:#}");
        assert_eq!(seen["replay"]["replayed"], true, "{seen:#}");
        assert_has!(seen["last"], { "status": "completed", "creditsRefunded": 0 }, "{seen:#}");
        assert_eq!(
            seen["picture"],
            json!({ "type": "image/png", "width": 24, "height": 18 }),
            "{seen:#}"
        );
        let row = &seen["row"];
        assert_has!(row, {
            "id": run["jobId"],
            "status": "completed",
            "user_credit_cost": 60,
        }, "{seen:#}");
        assert_eq!(row["output_url"], seen["last"]["outputUrl"], "{seen:#}");
        assert_eq!(seen["rowsOfAnother"], json!([]), "{seen:#}");
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn an_address_without_a_gateway_is_refused_before_anything_is_uploaded() {
    e2e::run(async |world| {
        let seen = world.node("client/no_gateway.mjs", &json!({}));
        let url = seen["functionsUrl"].as_str().unwrap();
        assert_eq!(
            seen["message"],
            format!(
                "No gateway answers at {url}; set functionsUrl to your gateway's address: \
                 \"https://<your gateway>/functions/v1\""
            )
        );
        assert_eq!(
            (&seen["code"], &seen["asked"], &seen["right"]),
            (&json!("misconfigured"), &json!(["/functions/v1/health"]), &json!("done")),
            "{seen:#}"
        );
    });
}

#[test]
fn a_refusal_reaches_the_page_with_its_fields() {
    e2e::run(async |world| {
        let user = world.user(2).await;
        let spent = "insert into unstuck.credit_entries (user_id, kind, amount, reason)";
        world
            .db()
            .exec(&format!("{spent} values ('{}', 'adjustment', -950, 'spent elsewhere')", user.id))
            .await;
        let seen = world.node("client/refusals.mjs", &json!({}));
        let poor = &seen["poor"];
        assert_has!(poor, { "name": "FunctionsHttpError", "status": 402 }, "{seen:#}");
        let body = &poor["body"];
        assert_has!(body, {
            "code": "insufficient_credits",
            "balance": 50,
            "required": 60,
        }, "{seen:#}");
        assert_eq!(body["error"], body["message"], "{seen:#}");
        assert_eq!(
            (&seen["signedOut"]["status"], &seen["signedOut"]["body"]["code"]),
            (&json!(401), &json!("unauthorized")),
            "{seen:#}"
        );
        assert_eq!(
            (&seen["unknown"]["status"], &seen["unknown"]["body"]["code"]),
            (&json!(404), &json!("not_found")),
            "{seen:#}"
        );
        assert_eq!(seen["forbiddenUpload"], true, "{seen:#}");
        assert_eq!(seen["forbiddenWrite"], true, "{seen:#}");
        assert_eq!(seen["service"]["success"], true, "{seen:#}");
        assert_eq!(world.count("jobs").await, 0);
        assert_eq!(world.balance(&user).await, 50);
    });
}

/// The old tables into which an older page may insert its own rows, which wait for their `/run`.
const WRITABLE: [&str; 4] =
    ["upscaler_jobs", "video_upscaler_jobs", "pose_changer_jobs", "veste_ai_jobs"];

#[test]
fn an_older_page_writes_its_own_row_and_nothing_else() {
    e2e::run(async |world| {
        let seen = world.node("client/old_page.mjs", &json!({}));
        for row in [&seen["inserted"], &seen["last"]] {
            assert_has!(row, { "session_id": "an old page", "user_id": world.user(1).await.id });
            assert!(!row["created_at"].as_str().unwrap().starts_with("2020"), "{row:#}");
        }
        let inserted = &seen["inserted"];
        assert_has!(inserted, { "status": "queued", "user_credit_cost": 0 });
        for forged in
            ["output_url", "task_id", "position", "queued_at", "started_at", "completed_at"]
        {
            assert!(inserted[forged].is_null(), "{forged}: {inserted:#}");
        }
        assert_eq!(seen["updated"], json!([]), "{seen:#}");

        assert_ne!(seen["forAnother"], "allowed", "{seen:#}");
        for (table, answer) in seen["intoAnyTable"].as_object().unwrap() {
            assert_eq!(
                answer == "allowed",
                WRITABLE.contains(&table.as_str()),
                "{table}: {answer}"
            );
        }
        let thousand = &seen["thousand"];
        assert_has!(thousand, { "status": 429, "message": "rate_limited" }, "{seen:#}");
        // The first row and the one in each writable table count towards the limit too.
        assert_eq!(seen["onebyone"], 20 - 1 - WRITABLE.len(), "{seen:#}");
        let ended = seen["ended"].as_array().unwrap();
        assert!(ended.iter().all(|row| row["status"] == "cancelled"), "{seen:#}");
        assert_eq!(ended.len(), 20 - WRITABLE.len(), "{seen:#}");
        assert_ne!(seen["removed"], "allowed", "{seen:#}");
        assert_ne!(seen["taken"], "allowed", "{seen:#}");
        assert_eq!(seen["seenByAnother"], json!([]), "{seen:#}");
        assert_eq!(seen["adoption"]["code"], "idempotency_conflict", "{seen:#}");

        assert_has!(seen["run"], {
            "status": "running",
            "replayed": null,
            "balance": 940,
        }, "{seen:#}");
        let last = &seen["last"];
        assert_has!(last, { "status": "completed", "user_credit_cost": 60 });
        assert_eq!(
            last["input_file_name"], seen["imageUrl"],
            "the address, not the name: {last:#}"
        );
        assert_eq!(
            (world.balance(&world.user(1).await).await, world.balance(&world.user(2).await).await),
            (940, 1000)
        );
        world.db().assert_healthy().await;
    });
}

/// The newest library and the oldest one that has every call we need, with both kinds of public
/// key.
#[test]
fn old_and_new_libraries_and_keys_see_the_same() {
    e2e::run(async |world| {
        for library in ["@supabase/supabase-js", "supabase-js-oldest"] {
            let seen = world.node("client/versions.mjs", &json!({ "library": library }));
            for key in ["anonKey", "publishableKey"] {
                let seen = &seen[key];
                assert_eq!(seen["user"], "user1@example.com", "{library}, {key}: {seen:#}");
                assert_eq!(seen["check"]["maxConcurrent"], 3, "{library}, {key}: {seen:#}");
                assert_eq!(seen["region"]["maxConcurrent"], 3, "{library}, {key}: {seen:#}");
                let refused = &seen["refused"];
                assert_eq!(
                    (&refused["name"], &refused["status"], &refused["body"]["code"]),
                    (&json!("FunctionsHttpError"), &json!(400), &json!("bad_request")),
                    "{library}, {key}: {seen:#}"
                );
                assert_eq!(
                    refused["body"]["error"], refused["body"]["message"],
                    "{library}, {key}: {seen:#}"
                );
                assert_eq!(seen["balance"], 1000, "{library}, {key}: {seen:#}");
                assert_eq!(seen["signedOut"], 401, "{library}, {key}: {seen:#}");
            }
        }
    });
}

/// `web/client.js` as an app uses it, without a browser.
#[test]
fn the_client_runs_a_job_from_file_to_result() {
    e2e::run(async |world| {
        let held = json!({ "match": "before-us", "hang": true });
        world
            .script(json!({ "runninghub": [held, { "all": true,
            "work": "until_finished" }] }))
            .await;
        world.set_provider("runninghub", "max_concurrent = 1").await;
        let (before, _) = world
            .order_as(&world.user(2).await, Uuid::new_v4(), json!({ "prompt": "before-us" }))
            .await;
        let seen = world.node("client/jobs.mjs", &json!({ "before": before }));
        let states: Vec<&str> =
            seen["states"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(
            ["uploading", "waiting", "running", "done"].iter().all(|state| states.contains(state)),
            "{seen:#}"
        );
        assert_eq!(
            (&seen["result"]["state"], &seen["size"]),
            (&json!("done"), &json!([24, 18])),
            "{seen:#}"
        );
        assert_has!(seen, { "position": 1, "creditsCharged": 60 });
        let input = seen["result"]["input"]["imageUrl"].as_str().unwrap();
        assert!(
            input.contains(seen["id"].as_str().unwrap()),
            "the upload's path holds the job's id: {input}"
        );
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn the_client_tells_what_went_wrong_by_the_contracts_codes() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        world.script(json!({ "runninghub": { "all": true, "fail": "out of paint" } })).await;
        let seen = world.node("client/errors.mjs", &json!({}));
        assert_eq!(seen["signedOut"]["code"], "unauthorized", "{seen:#}");
        assert_has!(seen["failed"], {
            "state": "failed",
            "code": "PROVIDER_FAILED",
            "creditsRefunded": 60,
        }, "{seen:#}");
        assert_has!(seen["invalid"], { "code": "bad_request", "status": 400 }, "{seen:#}");
        assert_eq!(seen["cancelled"]["state"], "cancelled", "{seen:#}");
        assert_has!(seen, { "resumed": 1, "sameId": true });
        assert_eq!(
            seen["noMoreRunning"]["code"], "in_progress",
            "a running job is not given up: {seen:#}"
        );
        let cancelled = seen["cancelled"]["id"].as_str().unwrap();
        let jobs = world.count(&format!("jobs where id = '{cancelled}'")).await;
        assert_eq!(jobs, 0, "cancelled before it was ordered");
        assert_eq!(world.balance(&user).await, 940, "the running one is paid");
    });
}

#[test]
fn c33_an_order_whose_answer_is_lost_is_followed_and_never_placed_twice() {
    e2e::run(async |world| {
        let seen = world.node("client/lost.mjs", &json!({}));
        assert_has!(seen["answerLost"], { "state": "done", "code": null }, "{seen:#}");
        assert_has!(seen["orderLost"], { "state": "failed", "code": "network" }, "{seen:#}");
        assert_has!(seen["pressedAnew"], { "state": "done", "code": null }, "{seen:#}");
        assert_eq!(seen["pressedAnew"]["id"], seen["orderLost"]["id"], "the same order: {seen:#}");
        assert_eq!(seen["empty"], "empty_file: The file is empty; choose it anew");
        assert_eq!(world.count("jobs").await, 2);
        assert_eq!(world.balance(&world.user(1).await).await, 880, "two orders were charged");
    });
}

#[test]
fn a_page_uses_every_other_tool() {
    e2e::run(async |world| {
        // A video file on a user's disk.
        let clip = paths::target_host().join("unstuck-e2e-clip.mp4");
        std::fs::write(&clip, SHORT_CLIP.original).expect("a file");
        let seen = world.node("client/tools.mjs", &json!({ "clip": clip }));
        let mut balance = 1000;
        for (tool, price, files) in [
            ("video", 120, &["videoUrl"][..]),
            ("pose", 60, &["personImageUrl", "referenceImageUrl"]),
            ("veste", 60, &["personImageUrl", "clothingImageUrl"]),
        ] {
            let one = &seen[tool];
            balance -= price;
            let run = &one["run"];
            assert_has!(run, { "success": true, "creditsCharged": price, "balance": balance });
            assert_eq!(one["last"]["status"], "completed", "{:#}", one["last"]);
            let row = &one["row"];
            assert_has!(row, {
                "id": run["jobId"],
                "status": "completed",
                "output_url": one["last"]["outputUrl"],
                "user_credit_cost": price,
            });
            assert_has!(row, {
                "input_url": one["body"][files[0]],
                "session_id": one["body"]["sessionId"],
            });
        }
        assert_eq!(seen["pose"]["picture"], json!({ "width": 24, "height": 9 }));
        assert_eq!(seen["veste"]["picture"], json!({ "width": 20, "height": 20 }));
        assert_eq!(seen["video"]["type"], "video/mp4");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(seen["video"]["bytes"].as_str().expect("bytes"));
        let bytes = bytes.expect("base64");
        assert!(bytes == SHORT_CLIP.enlarged, "another video than the enlarged clip");
        assert_eq!(Mp4Tables::read(&bytes), Some(Mp4Tables { size: (64, 32), frames: 3 }));
        assert_eq!(world.balance(&world.user(3).await).await, balance);
    });
}
