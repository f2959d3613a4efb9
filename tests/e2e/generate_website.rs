//! A website from a prompt: it is ordered, made and shown; and what follows from each useless
//! answer of a text model.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::cards::PLACED;
use unstuck_tests::e2e::pages::page;
use unstuck_tests::e2e::website::{CREDITS, PRICE, TOOL, Website, content};

#[test]
fn a_prompt_becomes_files_and_the_page_shows_its_heading() {
    e2e::run(async |world| {
        let user = world.new_user(CREDITS).await;
        let id = Uuid::new_v4();
        let body = json!({ "prompt": "a bakery with opening hours", "siteName": "Brot & Rosen",
            "language": "German", "jobId": id });
        let answer = world.call(TOOL).by(&user).json(&body).send().await.expect(202);
        assert_eq!(
            answer,
            json!({ "success": true, "historyId": id, "status": "pending", "creditsCharged": PRICE,
                "balance": CREDITS - PRICE })
        );
        let website = Website { user, tool: TOOL, id };
        let seen = website.assert_completed(world, 0).await;
        assert!(content(&seen, "index.html").contains("Brot &amp; Rosen"));
        let asked = Website::asked(world, "a bakery with opening hours").await;
        assert_eq!(asked.len(), 1, "{asked:#?}");
        assert!(asked[0]["body"].to_string().contains("German"), "{asked:#?}");
        let shown = page(&seen["files"]);
        assert_has!(shown, { "heading": "Brot & Rosen", "status": "ready" });
        assert_eq!(shown["errors"], json!([]), "{shown}");
        let manifest = world.job(id).await["output"].clone();
        assert_eq!(manifest["files"].as_array().map(Vec::len), Some(3), "the row keeps a manifest");
        assert!(!manifest.to_string().contains("<h1>"), "and no file: {manifest}");
    });
}

#[test]
fn a_website_comes_as_one_archive_too() {
    e2e::run(async |world| {
        let website = Website::order(world, "grüße an alle 😀").await;
        let query = format!("{TOOL}?id={}&format=zip", website.id);
        let seen = website.assert_completed(world, 0).await;
        let info = world.stack().info();
        let request = world
            .http()
            .get(format!("{}/{query}", info.functions_url))
            .bearer_auth(&website.user.token);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/zip");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let mut archive =
            zip::ZipArchive::new(Cursor::new(answer.bytes().await.expect("bytes"))).expect("a ZIP");
        let files = seen["files"].as_array().expect("files");
        assert_eq!(archive.len(), files.len());
        for file in files {
            let mut text = String::new();
            let mut packed =
                archive.by_name(file["path"].as_str().expect("a path")).expect("the file");
            packed.read_to_string(&mut text).expect("text");
            assert_eq!(text, file["content"]);
        }
        world
            .get(&format!("{TOOL}?id={}&format=rar", website.id))
            .by(&website.user)
            .refused(400, "bad_request")
            .await;
    });
}

#[test]
fn an_unfinished_website_has_no_archive() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "all": true, "hang": true } })).await;
        let website = Website::order(world, "never ends").await;
        website.until_running(world, 1).await;
        let seen = website.get(world).await;
        assert_has!(seen, { "status": "generating", "files": [], "retries": 0 });
        world
            .get(&format!("{TOOL}?id={}&format=zip", website.id))
            .by(&website.user)
            .refused(409, "in_progress")
            .await;
    });
}

#[test]
fn the_same_id_is_the_same_order() {
    e2e::run(async |world| {
        let website = Website::order(world, "twice").await;
        let again = |prompt: &str| {
            world
                .call(TOOL)
                .by(&website.user)
                .json(&json!({ "prompt": prompt, "jobId": website.id }))
        };
        let live = again("twice").send().await;
        assert!(live.status == 202 || live.status == 200, "{}", live.text);
        assert_eq!(live.json["replayed"], true);
        website.assert_completed(world, 0).await;
        let replay = again("twice").ok().await;
        assert_has!(replay, { "status": "completed", "replayed": true });
        again("something else").refused(409, "idempotency_conflict").await;
        assert_eq!(world.balance(&website.user).await, CREDITS - PRICE);
        let keyed = world
            .call(TOOL)
            .by(&website.user)
            .header("idempotency-key", &Uuid::new_v4().to_string());
        keyed
            .json(&json!({ "prompt": "x", "jobId": website.id }))
            .refused(400, "bad_request")
            .await;
    });
}

#[test]
fn only_its_owner_sees_it() {
    e2e::run(async |world| {
        let website = Website::order(world, "mine").await;
        website.assert_completed(world, 0).await;
        let path = format!("{TOOL}?id={}", website.id);
        world.get(&path).by(&world.new_user(0).await).refused(404, "not_found").await;
        world.get(&path).by(&world.admin(1).await).refused(404, "not_found").await;
        world.get(&path).by_service().refused(403, "forbidden").await;
        world.get(&path).refused(401, "unauthorized").await;
        let other_tool = format!("generate-php-website?id={}", website.id);
        world.get(&other_tool).by(&website.user).refused(404, "not_found").await;
        for bad in [TOOL.to_owned(), format!("{TOOL}?id=7")] {
            world.get(&bad).by(&website.user).refused(400, "bad_request").await;
        }
        world.call_with("DELETE", TOOL).by(&website.user).refused(405, "method_not_allowed").await;
    });
}

#[test]
fn nothing_is_charged_for_what_is_not_taken() {
    e2e::run(async |world| {
        let poor = world.new_user(PRICE - 1).await;
        let refused = world
            .call(TOOL)
            .by(&poor)
            .json(&json!({ "prompt": "x" }))
            .refused(402, "insufficient_credits")
            .await;
        assert_has!(refused, { "balance": PRICE - 1, "required": PRICE });
        let user = world.new_user(CREDITS).await;
        world.set_tool(TOOL, "enabled = false").await;
        world
            .call(TOOL)
            .by(&user)
            .json(&json!({ "prompt": "x" }))
            .refused(503, "tool_disabled")
            .await;
        assert_eq!(world.balance(&user).await, CREDITS);
        assert_eq!(world.count("jobs").await, 0);
    });
}

#[test]
fn odd_prompts_survive_or_are_refused_cleanly() {
    e2e::run(async |world| {
        let user = world.new_user(CREDITS).await;
        let post = |body: String| {
            world.call(TOOL).by(&user).header("content-type", "application/json").body(body)
        };
        let of = |prompt: &str| json!({ "prompt": prompt }).to_string();
        post(of(&"x".repeat(3 << 20))).refused(413, "payload_too_large").await;
        for bad in [
            of(&"x".repeat(10_001)),
            of(&"😀".repeat(10_001)),
            of(""),
            of("  \n"),
            of("a\0b"),
            "{\"prompt\": \"\\u0000\"}".to_owned(),
            "{\"prompt\": \"\\ud800\"}".to_owned(),
            "{\"prompt\": \"\\udc00x\"}".to_owned(),
            "{\"prompt\": 7}".to_owned(),
            "{\"prompt\": null}".to_owned(),
            "{}".to_owned(),
            json!({ "prompt": "x", "siteName": "x".repeat(201) }).to_string(),
            json!({ "prompt": "x", "language": 7 }).to_string(),
            json!({ "prompt": "x", "jobId": "7" }).to_string(),
        ] {
            post(bad).refused(400, "bad_request").await;
        }
        assert_eq!(world.balance(&user).await, CREDITS);
        for good in [
            "😀".repeat(10_000),
            "\u{fffd}\u{200d}𝒳 \"quoted\" \\ back\r\n\t<script>".to_owned(),
            "{}".to_owned(),
        ] {
            let website = Website::of(world, user.clone(), TOOL, &good).await;
            website.assert_completed(world, 0).await;
            let kept = world.job(website.id).await["input"]["prompt"].clone();
            assert_eq!(kept, json!(good));
        }
        world.sweep().await;
    });
}

/// Adds a rule for this prompt, which no other order has.
async fn only_for(world: &World, prompt: &str, mut rule: Value) {
    rule["match"] = prompt.into();
    world.script(json!({ "llm": rule })).await;
}

/// Orders a website under one rule, waits until it has failed, and returns its message and the
/// number of the model's calls.
async fn given_up(world: &World, script: Value, code: &str) -> (String, usize) {
    let prompt = format!("given up {}", Uuid::new_v4());
    only_for(world, &prompt, script).await;
    let website = Website::order(world, &prompt).await;
    let message = website.assert_returned(world, code).await;
    assert_eq!(world.balance(&website.user).await, CREDITS);
    world.close_circuits().await;
    (message, Website::asked(world, &prompt).await.len())
}

fn refusal(kind: &str, code: &str) -> Value {
    json!({ "error": { "message": "of the provider", "type": kind, "param": null, "code": code } })
}

#[test]
fn what_will_not_change_is_given_up_at_once() {
    e2e::run(async |world| {
        for (script, code, words) in [
            (
                json!({ "status": 402, "body": { "type": "payment_required", "message": "Not \
                    enough credits", "details": "" } }),
                "PROVIDER_REJECTED",
                "cannot take this work",
            ),
            (
                json!({ "status": 429, "body": refusal("insufficient_quota",
                    "insufficient_quota") }),
                "PROVIDER_REJECTED",
                "cannot take this work",
            ),
            (
                json!({ "status": 401, "body": refusal("invalid_request_error",
                    "invalid_api_key") }),
                "PROVIDER_REJECTED",
                "cannot take this work",
            ),
            (
                json!({ "status": 400, "body": refusal("invalid_request_error",
                    "context_length_exceeded") }),
                "PROVIDER_REJECTED",
                "too long",
            ),
            (json!({ "finish_reason": "content_filter" }), "CONTENT_REFUSED", "refused"),
            (json!({ "finish_reason": "refusal" }), "CONTENT_REFUSED", "refused"),
            (
                json!({ "fail": "no money", "code": 402 }),
                "PROVIDER_REJECTED",
                "cannot take this work",
            ),
        ] {
            let (message, asked) = given_up(world, script.clone(), code).await;
            assert!(message.contains(words), "{script}: {message}");
            assert!(!message.contains("of the provider"), "no words of the provider's: {message}");
            assert_eq!(asked, 1, "{script}");
        }
    });
}

#[test]
fn an_answer_that_is_of_no_use_is_a_failed_attempt() {
    e2e::run(async |world| {
        world.set_tool("generate-website", "attempt_max = 1").await;
        let file = |path: &str| {
            json!({ "files": [{ "path": "index.html", "content": "x" },
            { "path": path, "content": "y" }] })
        };
        for (script, words) in [
            (json!({ "finish_reason": "length" }), "cut off"),
            (json!({ "stop_after": 5 }), "ended early"),
            (json!({ "text": "{\"files\": [{\"path\": \"index.html\"" }), "not the JSON"),
            (
                json!({ "text": { "files": [{ "path": "home.html", "content": "" }] } }),
                "no index.html",
            ),
            (json!({ "text": file("../../etc/passwd") }), "path that is not allowed"),
            (json!({ "text": file("/../etc/passwd") }), "path that is not allowed"),
            (json!({ "text": file("a\\..\\b") }), "path that is not allowed"),
            (json!({ "text": file("a\u{0}b") }), "path that is not allowed"),
            (json!({ "text": file("./index.html") }), "same path"),
            (
                json!({ "text": { "files": [{ "path": "index.html",
                    "content": "x".repeat(6 << 20) }] } }),
                "more than 5 MB",
            ),
            (json!({ "status": 200, "body": "{half" }), "could not be read"),
        ] {
            let (message, asked) = given_up(world, script, "PROVIDER_FAILED").await;
            assert!(message.contains(words), "{words}: {message}");
            assert_eq!(asked, 1, "{words}");
        }
    });
}

#[test]
fn a_named_delay_is_obeyed() {
    e2e::run(async |world| {
        let body = refusal("requests", "rate_limit_exceeded");
        world
            .script(json!({ "llm": { "times": 1, "status": 429, "body": body,
                "headers": { "retry-after": "300" } } }))
            .await;
        let website = Website::order(world, "patient").await;
        let waits = async || {
            let step = website.step(world).await;
            (step["status"] == "queued" && !step["not_before"].is_null()).then_some(())
        };
        world.until("it waits", waits).await;
        let seconds = world
            .db()
            .int(&format!(
                "select extract(epoch
            from not_before - clock_timestamp())::int from unstuck.job_steps
            where job_id = '{}'",
                website.id
            ))
            .await;
        assert!((280..=300).contains(&seconds), "{seconds}");
        assert_eq!(website.get(world).await["status"], "pending");
        world.db().exec("update unstuck.job_steps set not_before = clock_timestamp()").await;
        world.sweep().await;
        website.assert_completed(world, 0).await;
    });
}

#[test]
fn anthropic_writes_websites_too() {
    e2e::run(async |world| {
        let anthropic = BTreeMap::from([("LLM_KIND".to_owned(), Some("anthropic".to_owned()))]);
        world.restart_workers([(PLACED.to_owned(), anthropic)].into()).await;
        let website = Website::order(world, "by another model").await;
        website.assert_completed(world, 0).await;
        let asked = Website::asked(world, "by another model").await;
        assert_eq!(asked[0]["path"], "/llm/v1/messages");
        for (script, code) in [
            (json!({ "finish_reason": "refusal" }), "CONTENT_REFUSED"),
            (json!({ "fail": "empty", "code": 402 }), "PROVIDER_REJECTED"),
        ] {
            assert_eq!(given_up(world, script, code).await.1, 1);
        }
        only_for(world, "after an overload", json!({ "times": 1, "fail": "busy", "code": 529 }))
            .await;
        let website = Website::order(world, "after an overload").await;
        website.assert_completed(world, 0).await;
        assert_eq!(website.step(world).await["attempts"], 2);
        only_for(world, "after a cut", json!({ "times": 1, "finish_reason": "max_tokens" })).await;
        let website = Website::order(world, "after a cut").await;
        website.assert_completed(world, 0).await;
        assert_eq!(website.step(world).await["attempts"], 2);
    });
}

#[test]
fn storage_that_is_down_fails_the_attempt_and_not_the_website() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "times": 1, "work": "until_finished" } })).await;
        let website = Website::order(world, "nowhere to put it").await;
        website.until_running(world, 1).await;
        world.storage_is_down(503).await;
        world.finish("nowhere to put it").await;
        let back = async || {
            (website.step(world).await["attempts"] == 1
                && website.step(world).await["status"] == "queued")
                .then_some(())
        };
        world.until("the attempt failed", back).await;
        world.storage_is_up().await;
        website.assert_completed(world, 0).await;
        world.storage_is_down(503).await;
        world
            .get(&format!("{TOOL}?id={}", website.id))
            .by(&website.user)
            .refused(503, "upstream_unavailable")
            .await;
    });
}

#[test]
fn one_that_hangs_holds_up_no_other() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "match": "hangs", "hang": true } })).await;
        let hanging = Website::order(world, "hangs").await;
        hanging.until_running(world, 1).await;
        let other = Website::order(world, "goes on").await;
        other.assert_completed(world, 0).await;
        assert_eq!(hanging.get(world).await["status"], "generating");
    });
}

#[test]
fn a_stream_that_stops_is_given_up_after_the_silence_that_is_allowed() {
    e2e::run(async |world| {
        let stall = BTreeMap::from([("LLM_STALL_MS".to_owned(), Some("3000".to_owned()))]);
        world.restart_workers([(PLACED.to_owned(), stall)].into()).await;
        only_for(world, "stops in the middle", json!({ "times": 1, "hang": true })).await;
        let began = tokio::time::Instant::now();
        let website = Website::order(world, "stops in the middle").await;
        website.until_running(world, 1).await;
        let ended = async || (website.step(world).await["run"] == 2).then_some(());
        world.until("the silent attempt is given up", ended).await;
        let took = began.elapsed().as_millis();
        assert!(
            (3_000..20_000).contains(&took),
            "{took} ms: neither before its time nor by its lease"
        );
        website.assert_completed(world, 0).await;
        assert_eq!(website.step(world).await["attempts"], 2);
    });
}

#[test]
fn passing_faults_are_tried_again_and_paid_once() {
    e2e::run(async |world| {
        let overloaded =
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "x" } });
        for script in [
            json!({ "status": 503 }),
            json!({ "status": 529, "body": overloaded }),
            json!({ "status": 429, "body": refusal("requests", "rate_limit_exceeded") }),
            json!({ "fail": "upstream broke", "code": 502 }),
            json!({ "lost_answer": true }),
            json!({ "stop_after": 7 }),
        ] {
            let prompt = format!("again {}", Uuid::new_v4());
            let mut once = script.clone();
            once["times"] = 1.into();
            only_for(world, &prompt, once).await;
            let website = Website::order(world, &prompt).await;
            website.assert_completed(world, 0).await;
            assert_eq!(website.step(world).await["attempts"], 2, "{script}");
        }
        let (message, asked) =
            given_up(world, json!({ "finish_reason": "length" }), "PROVIDER_FAILED").await;
        assert!(message.contains("cut off"), "{message}");
        assert_eq!(asked, 3, "three attempts are all");
    });
}
