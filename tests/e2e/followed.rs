//! What `web/client.js` does by itself for an app: it follows each job once, keeps users apart,
//! retries a call after a token was renewed, refuses files, and downloads results.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};

/// The task of each picture runs until the test finishes it.
async fn work_lasts(world: &World) {
    world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
}

#[test]
fn whatever_is_called_twice_a_job_is_followed_once_and_no_longer_than_wanted() {
    e2e::run(async |world| {
        work_lasts(world).await;
        let seen = world.node("client/once.mjs", &json!({}));
        assert_has!(seen, { "same": true, "stable": true, "left": "disposed", "gone": "disposed" });
        assert_eq!(seen["before"], json!({ "list": [seen["id"]], "told": true }), "{seen:#}");
        // Two followers would query at twice this rate.
        assert!(seen["shortestGap"].as_f64().is_some_and(|ms| ms > 150.0), "{seen:#}");
        assert_has!(seen, { "state": "done", "unknown": "not_found", "byTheDisposed": 0 });
        let found = &seen["found"];
        assert_has!(found, { "state": "done", "isInOrder": true, "took": true }, "{seen:#}");
        assert_has!(found["outputs"][0], { "index": 0, "kind": "image", "error": null });
        assert_eq!(world.count("jobs").await, 1);
    });
}

#[test]
fn a_user_who_signs_out_is_told_so_and_the_next_one_sees_nothing_of_them() {
    e2e::run(async |world| {
        work_lasts(world).await;
        let seen = world.node("client/signed_out.mjs", &json!({}));
        assert_has!(seen["settled"], { "code": "signed_out" }, "{seen:#}");
        assert_has!(seen, { "state": "failed", "list": 0, "resumed": 0, "asked": 0 });
        assert_eq!(seen["back"], json!([true, "done", 0]), "{seen:#}");
        for number in [1, 2] {
            assert_eq!(world.balance(&world.user(number).await).await, 940);
        }
    });
}

#[test]
fn a_call_refused_while_the_token_turns_is_made_anew_and_ordered_once() {
    e2e::run(async |world| {
        let seen = world.node("client/token_turn.mjs", &json!({}));
        assert_has!(seen, { "turned": null, "state": "done", "sameJob": true });
        assert_has!(seen, { "newToken": true, "more": 0 }, "{seen:#}");
        // The two renewals are the sign-in and one renewal: a renewed token that is refused too is
        // not renewed once more.
        assert_has!(seen, { "refused": "unauthorized", "tries": 1, "renewals": 2 }, "{seen:#}");
        assert_eq!(world.count("jobs").await, 1);
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn a_file_that_cannot_be_used_is_refused_in_words_before_anything_is_sent() {
    e2e::run(async |world| {
        let seen = world.node("client/unfit.mjs", &json!({}));
        let limit = 50 * 1024 * 1024;
        let picture = "use PNG, JPEG or WebP";
        for (what, code, message) in [
            ("empty", "empty_file", "The file is empty; choose it anew".to_owned()),
            ("text", "wrong_type", format!("The file is not a picture; {picture}")),
            ("second", "wrong_type", format!("The file is not a picture; {picture}")),
            ("heic", "wrong_type", format!("HEIC cannot be used here; {picture}")),
            ("large", "too_large", "A file may have up to 50 MB; this one has 60 MB".to_owned()),
            ("picture", "wrong_type", "The file is not a video; use MP4, MOV or WebM".to_owned()),
        ] {
            let told = &seen["told"][what];
            assert_has!(told, { "code": code, "message": message }, "{what}: {seen:#}");
        }
        assert_eq!(seen["told"]["large"]["limit"], limit, "{seen:#}");
        assert_eq!(seen["uploads"], 0, "{seen:#}");
        assert_has!(seen["byStorage"], {
            "code": "too_large",
            "message": "Storage takes no file of 60 MB",
        }, "{seen:#}");
        assert_eq!(world.count("jobs").await, 0);
        assert_eq!(world.balance(&world.user(1).await).await, 1000);
    });
}

#[test]
fn realtime_tells_sooner_than_a_query_and_queries_go_on_without_it() {
    e2e::run(async |world| {
        work_lasts(world).await;
        for library in ["@supabase/supabase-js", "supabase-js-oldest"] {
            let seen = world.node("client/told.mjs", &json!({ "library": library }));
            assert_has!(seen, { "state": "done", "hasUrl": true, "untold": "done" }, "{seen:#}");
        }
    });
}

/// The names of the files in an archive, in the archive's order.
fn names(download: &Value) -> Vec<String> {
    let bytes = BASE64.decode(download["bytes"].as_str().expect("bytes")).expect("base64");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a ZIP");
    (0..archive.len())
        .map(|at| {
            let mut file = archive.by_index(at).expect("a file");
            std::io::copy(&mut file, &mut std::io::sink()).expect("its checksum holds");
            file.name().expect("a name").into_owned()
        })
        .collect()
}

#[test]
fn what_a_user_has_made_is_found_again_and_brought_home() {
    e2e::run(async |world| {
        let seen = world.node("client/history.mjs", &json!({}));
        let made: Vec<&Value> = seen["made"].as_array().expect("three jobs").iter().collect();
        let newest = json!([made[2], made[1], made[0]]);
        assert_eq!(
            seen["pages"],
            json!([[made[2], made[1]], [made[0]], null]),
            "the newest first: {seen:#}"
        );
        assert_eq!((&seen["ofTool"], &seen["failed"]), (&json!([made[0]]), &json!([])));
        assert_eq!(seen["listed"], newest, "{seen:#}");
        assert_eq!(seen["balances"], json!([1000, 940, 910, 860]), "{seen:#}");
        let downloads = &seen["downloads"];
        let upscaler = "runninghub-upscaler-<id>.png";
        assert_has!(downloads["one"], { "name": upscaler, "type": "image/png" });
        let cards = "create-generation-job-banana-<id>";
        assert_has!(downloads["card"], { "name": format!("{cards}-2.jpg") });
        assert_eq!(downloads["cards"]["name"], format!("{cards}.zip"));
        let pictures = names(&downloads["cards"]);
        assert_eq!(pictures.len(), 3, "{pictures:?}");
        assert!(pictures[2].ends_with("-3.jpg"), "{pictures:?}");
        assert!(names(&downloads["site"]).contains(&"index.html".to_owned()));
        assert_has!(seen, { "none": "not_found", "unpaid": "price_changed" });
    });
}
