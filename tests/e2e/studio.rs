//! The studio as users use it from day to day: they download results, choose files that are
//! refused, wait for jobs, open earlier jobs, make accounts, and meet a service that does not
//! answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stand_ins::media::SHORT_CLIP;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use unstuck_tests::e2e::cards::Cards;
use unstuck_tests::e2e::website::Website;
use uuid::Uuid;

fn assert_says(seen: &Value, parts: &[&str]) {
    let text = seen.as_str().unwrap_or_default();
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text:?}");
}

fn id(seen: &Value) -> Uuid {
    seen.as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no job: {seen}"))
}

#[test]
fn every_result_is_looked_at_and_taken_home() {
    e2e::run(async |world| {
        let seen = world.browser("results.mjs", &json!({}));
        assert_has!(seen["preview"], {
            "heading": "A bakery in Lisbon",
            "styled": 1,
            "origin": "null",
            "session": "SecurityError",
            "storage": "SecurityError",
            "called": "refused",
            "blocked": true,
        }, "a stranger's script reaches nothing: {seen:#}");
        let files = json!(["index.html", "css/style.css", "js/app.js"]);
        assert_eq!((&seen["files"], &seen["site"]["names"]), (&files, &files));
        let websites = world.count("jobs where tool = 'generate-website'").await;
        assert_eq!(websites, 2, "one by a double click, one by a later click");
        assert_says(&seen["site"]["name"], &["website-", ".zip"]);

        assert_eq!(seen["cards"], json!(["Cover", "Benefits", "What is included"]));
        assert_eq!(seen["large"], json!(["Cover", "Benefits"]), "the arrows lead on");
        assert_says(&seen["one"]["name"], &["cards-", "-2-benefits.jpg"]);
        assert_eq!(seen["one"]["begins"], "ffd8ff", "a JPEG");
        let names = seen["all"]["names"].as_array().unwrap();
        assert_eq!(names.len(), 3, "{seen:#}");
        assert_says(&names[2], &["-7-what-is-included.jpg"]);
        assert_says(&seen["upscaled"], &["upscaled-", ".png"]);
        let job = world.job(id(&seen["cardJob"])).await;
        assert_eq!(job["input"]["selectedCards"], json!([0, 1, 6]), "what was chosen by name");
        assert_has!(job, { "status": "completed", "credits_charged": 30 });
    });
}

#[test]
fn files_that_no_tool_takes_are_refused_in_words_before_anything_is_sent() {
    e2e::run(async |world| {
        let folder = std::env::temp_dir().join(format!("unstuck-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clip = BASE64.encode(SHORT_CLIP.original);
        let seen = world.browser("files.mjs", &json!({ "clip": clip, "folder": folder }));
        let _ = std::fs::remove_dir_all(&folder);
        for (what, words) in [
            ("heic", "HEIC pictures cannot be used."),
            ("empty", "The file is empty."),
            ("text", "This is no picture"),
            ("video", "This is no picture"),
            ("large", "The file is too large. At most 50 MB."),
            ("noVideo", "This is no video"),
            ("many", "Only 4 files fit."),
        ] {
            assert_says(&seen["said"][what], &[words]);
        }
        assert_eq!(seen["refused"], json!({ "isDisabled": true, "filled": 0 }));
        assert_has!(seen, { "full": true, "focus": "product", "emptied": false });
        assert_eq!(seen["left"], json!(["a.png", "c.png", "d.png"]));
        assert_says(&seen["mixed"], &["empty.png", "The file is empty."]);
        assert_eq!(seen["uploads"], json!([]));
        let urls = &seen["urls"];
        assert!(urls["made"].as_i64() >= Some(4) && urls["left"] == 0, "no file stays: {urls}");
        assert_eq!(world.count("jobs").await, 0);
        assert_eq!(world.balance(&world.user(1).await).await, 1000);
    });
}

#[test]
fn the_form_keeps_what_was_given_and_tells_it_as_code_that_works() {
    e2e::run(async |world| {
        let seen = world.browser("form.mjs", &json!({}));
        assert_eq!(
            seen["kept"],
            json!({
                "person": ["me.png"],
                "reference": [],
                "prompt": "A bakery in Lisbon",
                "siteName": "Padaria",
                "picture": ["me.png"],
            })
        );
        assert_has!(seen["urls"], { "left": 1 }, "the picture that is shown: {seen:#}");
        let prompt = "A \"bakery\" in Lisbon: $5 & `tea`\nand cake";
        assert_has!(seen["counted"], {
            "text": "10,003 / 10,000",
            "said": "3 characters too many",
            "length": 10_003,
            "isDisabled": true,
            "after": "41 / 10,000",
        }, "nothing is cut: {seen:#}");
        assert_eq!(seen["code"]["form"], false);
        assert_says(&seen["code"]["client"], &["@unstuck/client", "siteName: \"Padaria\""]);
        assert_says(&seen["code"]["file"], &["a File, me.png", "imageUrl: file1"]);
        let website = world.job(id(&seen["website"])).await;
        assert_has!(website, { "tool": "generate-website", "credits_charged": 50 });
        assert_has!(website["input"], { "prompt": prompt, "siteName": "Padaria" });
        let upscaled = world.until_status(id(&seen["upscaled"]), "completed").await;
        assert_has!(upscaled, { "tool": "runninghub-upscaler", "credits_charged": 60 });
        let again = &seen["again"];
        assert_has!(again, { "tool": "generate-website", "prompt": prompt, "siteName": "Padaria" });
        let job = world.job(id(&seen["id"])).await;
        assert_eq!(job["input"], upscaled["input"], "the settings of the earlier job");
    });
}

#[test]
fn a_job_tells_how_far_it_is_in_its_page_its_tab_and_a_notice() {
    e2e::run(async |world| {
        // The estimate comes from two earlier jobs of half a minute each.
        let user = world.user(1).await;
        for _ in 0..2 {
            let (job, _) = world.order(&user).await;
            world.until_status(job, "completed").await;
            let began = "set started_at = completed_at - interval '30 s'";
            world.db().exec(&format!("update unstuck.jobs {began} where id = '{job}'")).await;
        }
        let held = json!({ "match": "before-us", "hang": true });
        let rules = json!([held, { "all": true, "work": "until_finished" }]);
        world.script(json!({ "runninghub": rules })).await;
        world.set_provider("runninghub", "max_concurrent = 1").await;
        let other = world.user(2).await;
        let input = json!({ "prompt": "before-us" });
        let before = world.order_as(&other, Uuid::new_v4(), input).await.0;

        let seen = world.browser("progress.mjs", &json!({ "before": before }));
        assert_says(&seen["facts"], &["from 60 credits", "Usually about 30 sec"]);
        assert_says(&seen["usual"], &["0:0", "Usually about 30 sec"]);
        let titles: Vec<&str> =
            seen["titles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(titles[0], "Unstuck Studio");
        assert_eq!(titles[1], "#1 · Upscale · Unstuck");
        assert!(titles[2].starts_with("0:0") && titles[2].ends_with("· Upscale · Unstuck"));
        assert_eq!(titles[3], "✓ Done · Upscale · Unstuck");
        let since = seen["since"].as_str().unwrap();
        assert!(since.starts_with("0:") && since >= "0:01", "it goes on after a reload: {since}");
        assert_eq!(seen["address"], format!("?job={}", seen["id"].as_str().unwrap()));
        assert_eq!(seen["unasked"], 0, "nobody is asked before a click");
        assert_eq!(seen["told"], json!(["Upscale: Done"]));
    });
}

/// Jobs of three days: 30 of one tool, 4 websites of which one failed, and jobs of another user.
const EARLIER: &str = "
    insert into unstuck.jobs (tool, user_id, status, created_at, started_at, completed_at, input)
    select 'runninghub-upscaler', '{user}', 'completed', at, at, at + interval '30 s',
      '{\"resolution\": 2048}'
    from generate_series(1, 30) n, lateral (select now() - n * interval '90 minutes' as at) t;
    insert into unstuck.jobs (tool, user_id, status, created_at, started_at, completed_at, input,
      error_code, error_message)
    select 'generate-website', '{user}', case n when 2 then 'failed' else 'completed' end, at, at,
      at + interval '30 s',
      jsonb_build_object('prompt', case n when 2 then 'A shop for Lemon Tart' else 'A cafe' end),
      case n when 2 then 'CONTENT_REFUSED' end, case n when 2 then 'CONTENT_REFUSED: no' end
    from generate_series(1, 4) n, lateral (select now() - n * interval '10 hours' as at) t;
    insert into unstuck.jobs (id, tool, user_id, status, completed_at, input)
    values ('{foreign}', 'generate-website', gen_random_uuid(), 'completed', now(),
      '{\"prompt\": \"lemon tart\"}')";

#[test]
fn an_earlier_job_is_found_and_opened_at_its_own_address() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let foreign = Uuid::new_v4();
        let rows = EARLIER
            .replace("{user}", &user.id.to_string())
            .replace("{foreign}", &foreign.to_string());
        world.db().exec(&rows).await;
        let failed = format!("select id from unstuck.jobs where user_id = '{}'", user.id);
        let tart = world.db().value(&format!("{failed} and status = 'failed'")).await;
        let given = json!({
            "all": 34, "websites": 4, "failed": 1, "tart": tart, "foreign": foreign,
        });
        let seen = world.browser("earlier.mjs", &given);
        let days = seen["days"].as_array().unwrap();
        assert!(days.iter().any(|day| day == "Today" || day == "Yesterday"), "{days:?}");
        assert_has!(seen, { "second": 20, "whole": 34, "isOver": true });
        assert_eq!(seen["websites"], json!(["Website"]));
        assert_eq!(seen["failed"], json!(["Failed"]));
        assert_says(&seen["found"], &["Website", "A shop for Lemon Tart", "Failed"]);
        let address = format!("?job={}", tart.as_str().unwrap());
        assert_has!(seen, { "address": address, "back": "", "shown": tart });
        assert_says(&seen["opened"], &["This did not work", "The content was refused."]);
        assert_eq!(seen["spoken"], "generate-website: This did not work");
        assert_says(&seen["unnamed"], &["generate-website"]);
        for told in ["toast", "foreign"] {
            assert_eq!(seen[told], "It is not there.", "{told}: {seen:#}");
        }
    });
}

#[test]
fn somebody_new_makes_an_account_and_gets_in_without_the_password() {
    e2e::run(async |world| {
        let bonus = "insert into unstuck.signup_bonus (credits) values (25)";
        world.db().exec(bonus).await;
        let seen = world.browser("account.mjs", &json!({ "credits": "25" }));
        assert_has!(seen, { "focus": "email", "kept": "new@example.com", "address": "" });
        assert_has!(seen, { "balance": "25", "widths": [0, 0] });
        for (what, words) in [
            ("weak", "This password is too weak"),
            ("mailed", "We have sent a link to new@example.com."),
            ("unconfirmed", "This address is not confirmed yet"),
            ("same", "This is the old password"),
            ("old", "E-mail or password is not right."),
            ("used", "This link is used or too old."),
            ("silent", "If nobody@example.com has an account"),
        ] {
            assert_says(&seen[what], &[words]);
        }
        let known = "select count(*) from auth.users where email = 'new@example.com'
            and email_confirmed_at is not null";
        assert_eq!(world.db().int(known).await, 1);
    });
}

#[test]
fn a_service_that_does_not_answer_is_said_in_words_and_tried_again() {
    e2e::run(async |world| {
        let seen = world.browser("unreachable.mjs", &json!({}));
        for page in ["/", "/admin"] {
            assert_says(&seen["seen"][page], &["We cannot be reached", "Retry"]);
        }
        assert_eq!(seen["tools"], 9);
        assert_eq!(world.count("jobs").await, 0);
    });
}

#[test]
fn the_studio_fits_a_phone_and_a_finger_in_four_languages() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let (picture, _) = world.order(&user).await;
        world.until_status(picture, "completed").await;
        let cards = Cards::of(world, world.user(1).await, &[0, 1, 6]).await;
        cards.create(world).send().await.expect(202);
        world.until_status(cards.job, "completed").await;
        let site = Website::of(world, world.user(1).await, "generate-website", "A bakery").await;
        world.until_status(site.id, "completed").await;
        // The last job of the list is one of cards, so that the page opens one of its cards.
        let given = json!({ "jobs": [picture, site.id, cards.job] });
        let seen = world.browser("phone.mjs", &given);
        assert_eq!(seen["findings"], json!([]), "{seen:#}");
        assert_eq!(seen["looked"], 4 * (2 + 9 + 1 + 3 + 1), "{seen:#}");
    });
}
