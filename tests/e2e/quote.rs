//! The price of an order before it is placed: who may ask, what the answer says, that the order
//! then costs the same, and that files are measured in storage, whatever a client says.

use serde_json::{Value, json};
use stand_ins::media::LONG_CLIP;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::cards::Cards;
use unstuck_tests::e2e::order::{CREDITS, Order, PRICE, RUN, UPSCALER, VIDEO};
use unstuck_tests::e2e::try_on::TryOn;
use unstuck_tests::e2e::user::user_claims;
use unstuck_tests::e2e::{self, FunctionCall, TestUser, World};
use uuid::Uuid;

const CARDS: &str = "create-generation-job-banana";
const TRY_ON: &str = "replicate-async-start";

fn quote<'a>(world: &'a World, tool: &str, input: &Value) -> FunctionCall<'a> {
    world.call("quote").json(&json!({ "tool": tool, "input": input }))
}

/// Adds a price rule for every input of a tool.
async fn rule(world: &World, tool: &str, credits: i64, priced_per: &str, largest: &str) {
    let sql = format!(
        "insert into unstuck.tool_prices (tool, position, credits, priced_per, quantity)
         values ('{tool}', 1, {credits}, '{priced_per}', {largest})"
    );
    world.db().exec(&sql).await;
}

#[test]
fn a_quote_is_what_the_order_then_costs() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        for (options, price) in [
            (json!({}), 60),
            (json!({ "version": "pro" }), 90),
            (json!({ "resolution": 4097.0 }), 90),
            (json!({ "resolution": 8192, "version": "pro" }), 150),
        ] {
            let quoted = quote(world, UPSCALER.name, &options).by(&order.user).ok().await;
            assert_eq!(
                quoted,
                json!({ "tool": UPSCALER.name, "credits": price, "balance": CREDITS,
                    "enough": true, "etaSeconds": 0, "unmeasured": null, "lowest": price })
            );
        }
        let mut dear = Order::new(world).await;
        for (field, value) in [("resolution", json!(8192)), ("version", json!("pro"))] {
            dear.body[field] = value;
        }
        dear.body["maxCredits"] = json!(150.0);
        assert_has!(dear.starts(world).await, { "creditsCharged": 150, "balance": CREDITS - 150 });
        let poor = world.new_user(59).await;
        let quoted = quote(world, UPSCALER.name, &json!({})).by(&poor).ok().await;
        assert_has!(quoted, { "credits": 60, "balance": 59, "enough": false });
        assert_eq!(world.count("jobs").await, 1, "a quote orders nothing");
    });
}

#[test]
fn nobody_may_ask_and_a_bad_credential_may_not() {
    e2e::run(async |world| {
        let info = world.stack().info();
        let (anon, cron) = (info.anon_key.clone(), info.cron_secret.clone());
        let asked = || quote(world, UPSCALER.name, &json!({ "version": "pro" }));
        for call in [
            asked(),
            asked().apikey(&anon),
            asked().bearer(&anon),
            asked().apikey("sb_publishable_x"),
            asked().bearer("sb_publishable_x"),
        ] {
            assert_eq!(
                call.ok().await,
                json!({ "tool": UPSCALER.name, "credits": 90, "balance": null, "enough": null,
                    "etaSeconds": 0, "unmeasured": null, "lowest": 90 })
            );
        }
        for bad in ["garbage", "a.b.c", cron.as_str()] {
            asked().bearer(bad).refused(401, "unauthorized").await;
        }
        asked().by_service().refused(403, "forbidden").await;
        // Without a user no file is read, whatever its address is: the quote is the largest price.
        rule(world, VIDEO.name, 2, "second", "900").await;
        let order = Order::by(world, &VIDEO).await;
        let quoted = quote(world, VIDEO.name, &order.body).ok().await;
        assert_eq!(quoted["credits"], 1_800);
    });
}

#[test]
fn every_tool_has_a_price_before_its_files_are_uploaded() {
    e2e::run(async |world| {
        let user = world.new_user(CREDITS).await;
        let cards = json!({ "productName": "Steel bottle", "selectedCards": [0, 2, 5] });
        let no_picture = json!({ "productName": "x", "productImages": [], "selectedCards": [0] });
        let garment = json!({ "category": "dresses", "image": null });
        let site = json!({ "prompt": "A page for a bakery" });
        for (tool, input, price) in [
            (UPSCALER.name, json!({ "imageUrl": null }), 60),
            (VIDEO.name, json!({ "durationSeconds": 60 }), 120),
            (VIDEO.name, json!({ "durationSeconds": 800 }), 1_600),
            (VIDEO.name, json!({}), 1_800),
            ("runninghub-pose-changer", json!({}), 60),
            ("runninghub-veste-ai", json!({ "personImageUrl": "" }), 60),
            (CARDS, cards, 30),
            (CARDS, no_picture, 10),
            (TRY_ON, json!({ "garments": [garment, garment] }), 80),
            ("generate-website", site.clone(), 50),
            ("generate-react-website", site.clone(), 80),
            ("generate-php-website", site, 80),
        ] {
            let quoted = quote(world, tool, &input).by(&user).ok().await;
            assert_has!(quoted, { "tool": tool, "credits": price, "balance": CREDITS });
        }
    });
}

#[test]
fn a_field_at_fault_is_named_as_the_order_would() {
    e2e::run(async |world| {
        let user = world.new_user(CREDITS).await;
        for (tool, input, field) in [
            (UPSCALER.name, json!({ "resolution": 511 }), "resolution"),
            (UPSCALER.name, json!({ "version": "ultra" }), "version"),
            (UPSCALER.name, json!({ "imageUrl": 7 }), "imageUrl"),
            (VIDEO.name, json!({ "durationSeconds": 901 }), "durationSeconds"),
            (CARDS, json!({ "productName": "x", "selectedCards": [] }), "selectedCards"),
            (CARDS, json!({ "selectedCards": [1] }), "productName"),
            (TRY_ON, json!({ "garments": [] }), "garments"),
            (TRY_ON, json!({ "garments": [{ "category": "hats" }] }), "category"),
            ("generate-website", json!({}), "prompt"),
        ] {
            let refusal = quote(world, tool, &input).by(&user).refused(400, "bad_request").await;
            let message = refusal["message"].as_str().unwrap_or_default();
            assert!(message.contains(field), "{tool} {input}: {message}");
        }
        for (body, field) in [
            (json!({ "input": {} }), "tool"),
            (json!({ "tool": 7, "input": {} }), "tool"),
            (json!({ "tool": UPSCALER.name }), "input"),
            (json!({ "tool": UPSCALER.name, "input": [] }), "input"),
            (json!({ "tool": UPSCALER.name, "input": null }), "input"),
        ] {
            let call = world.call("quote").by(&user).json(&body);
            assert_eq!(call.refused(400, "bad_request").await["field"], field, "{body}");
        }
        world.call("quote").by(&user).body("[").refused(400, "bad_request").await;
        let large = format!("{{\"tool\": \"{}\"}}", "x".repeat(300 * 1024));
        world.call("quote").by(&user).body(large).refused(413, "payload_too_large").await;
        let others = [
            "no-tool",
            "",
            "gateway",
            "assets",
            "admin-cancel-job",
            "provider-webhook",
            "runninghub-queue-manager",
            "../quote",
            "RUNNINGHUB-UPSCALER",
        ];
        for tool in others {
            quote(world, tool, &json!({})).by(&user).refused(404, "not_found").await;
        }
        world.set_tool(UPSCALER.name, "enabled = false").await;
        quote(world, UPSCALER.name, &json!({})).refused(503, "tool_disabled").await;
    });
}

#[test]
fn a_price_that_rose_between_quote_and_order_is_told_and_charges_nothing() {
    e2e::run(async |world| {
        let mut order = Order::new(world).await;
        let quoted = quote(world, UPSCALER.name, &order.body).by(&order.user).ok().await;
        order.body["maxCredits"] = quoted["credits"].clone();
        rule(world, UPSCALER.name, 75, "job", "null").await;
        let refusal = order.run(world).refused(409, "price_changed").await;
        assert_eq!(refusal["credits"], 75);
        assert_eq!(world.balance(&order.user).await, CREDITS);
        assert_eq!(world.count("jobs").await, 0);
        order.body["maxCredits"] = json!(75);
        assert_eq!(order.starts(world).await["creditsCharged"], 75);
        // The same order is a replay, whatever its `maxCredits` is.
        for most in [json!(0), json!(60.0), json!(null)] {
            order.body["maxCredits"] = most;
            assert_eq!(order.run(world).ok().await["replayed"], true);
        }
        order.assert_completed_for(world, 75).await;
        assert_eq!(world.balance(&order.user).await, CREDITS - 75);
    });
}

#[test]
fn orders_of_every_kind_say_what_they_may_cost() {
    e2e::run(async |world| {
        let mut cards = Cards::new(world, &[0, 1, 2]).await;
        cards.body["maxCredits"] = json!(29);
        assert_eq!(cards.create(world).refused(409, "price_changed").await["credits"], 30);
        let mut try_on = TryOn::new(world, 2).await;
        for name in ["max_credits", "maxCredits"] {
            let mut body = try_on.body.clone();
            body[name] = json!(79);
            let call = world.call(TRY_ON).by(&try_on.user).json(&body);
            assert_eq!(call.refused(409, "price_changed").await["credits"], 80, "{name}");
        }
        let user = world.new_user(CREDITS).await;
        let site = json!({ "prompt": "A page", "maxCredits": 49 });
        let call = world.call("generate-website").by(&user).json(&site);
        assert_eq!(call.refused(409, "price_changed").await["credits"], 50);
        assert_eq!(world.count("jobs").await, 0);
        cards.body["maxCredits"] = json!(30);
        cards.create(world).send().await.expect(202);
        try_on.body["max_credits"] = json!(80.0);
        try_on.start(world).ok().await;
    });
}

#[test]
fn a_video_is_priced_by_the_seconds_of_the_stored_file() {
    e2e::run(async |world| {
        rule(world, VIDEO.name, 30, "second", "20").await;
        let user = world.new_user(CREDITS).await;
        let upload = async |bytes: Vec<u8>| world.upload(&user, "in.mp4", "video/mp4", bytes).await;
        let clip = LONG_CLIP.original.to_vec();
        // The clip's header is behind 300 KB of other data, as a camera writes it.
        let (mut late, free) = (clip.clone(), 300_000_u32);
        let at = late.windows(4).position(|name| name == b"moov").expect("a head") - 4;
        let gap = [&free.to_be_bytes(), b"free".as_slice(), &vec![0; 299_992]].concat();
        late.splice(at..at, gap);
        let (short, late) = (upload(clip).await, upload(late).await);
        let unread = upload(b"not a video".to_vec()).await;
        let seconds = 3;
        for (url, price) in [(&short, 30 * seconds), (&late, 30 * seconds), (&unread, 600)] {
            // The length that the client names does not count.
            let input = json!({ "videoUrl": url, "durationSeconds": 0.5 });
            let quoted = quote(world, VIDEO.name, &input).by(&user).ok().await;
            assert_eq!(quoted["credits"], price, "{url}");
        }
        let gone = short.replace("in.mp4", "gone.mp4");
        for url in [json!(null), json!(gone), json!("https://example.com/a.mp4")] {
            let input = json!({ "videoUrl": url });
            let quoted = quote(world, VIDEO.name, &input).by(&user).ok().await;
            assert_eq!(quoted["credits"], 600, "it cannot be measured yet: {url}");
        }
        let order = Order::with(&VIDEO, user, &[&short]);
        assert_eq!(order.starts(world).await["creditsCharged"], 30 * seconds);
        order.assert_completed_for(world, 30 * seconds).await;
        let dear = order.again();
        let dear = Order::with(&VIDEO, dear.user, &[&unread]);
        assert_eq!(dear.starts(world).await["creditsCharged"], 600);
    });
}

#[test]
fn a_video_costs_by_the_seeded_rule_and_by_its_own_length() {
    e2e::run(async |world| {
        let user = world.new_user(2_000).await;
        let upload = async |bytes: Vec<u8>| world.upload(&user, "in.mp4", "video/mp4", bytes).await;
        // The header of a film of 250 seconds, without the film's frames.
        let mut film = LONG_CLIP.original.to_vec();
        let at = film.windows(4).position(|name| name == b"mvhd").expect("a header") + 4;
        assert_eq!(film[at], 0, "a header of the first version");
        film[at + 12..at + 16].copy_from_slice(&1_000_u32.to_be_bytes());
        film[at + 16..at + 20].copy_from_slice(&250_000_u32.to_be_bytes());
        let (short, film) = (upload(LONG_CLIP.original.to_vec()).await, upload(film).await);
        let unread = upload(b"not a video".to_vec()).await;
        for (url, price, lowest, unmeasured) in [
            (&short, 120, 120, json!(null)),
            (&film, 500, 500, json!(null)),
            (&unread, 1_800, 120, json!("second")),
        ] {
            let input = json!({ "videoUrl": url, "durationSeconds": 1 });
            let quoted = quote(world, VIDEO.name, &input).by(&user).ok().await;
            assert_has!(quoted, {
                "credits": price, "lowest": lowest, "unmeasured": unmeasured, "enough": true,
            }, "{url}");
        }
        // A page that names less than the length of its file is told the price, and pays nothing.
        let mut order = Order::with(&VIDEO, user, &[&film]);
        order.body["durationSeconds"] = json!(1);
        order.body["maxCredits"] = json!(120);
        assert_eq!(order.run(world).refused(409, "price_changed").await["credits"], 500);
        assert_eq!(world.balance(&order.user).await, 2_000);
        order.body["maxCredits"] = json!(500);
        let answer = order.starts(world).await;
        assert_has!(answer, { "creditsCharged": 500, "balance": 1_500 });
        let poor = world.new_user(1_799).await;
        let url = world.upload(&poor, "in.mp4", "video/mp4", b"not a video".to_vec()).await;
        let refusal = Order::with(&VIDEO, poor, &[&url]).run(world);
        assert_eq!(refusal.refused(402, "insufficient_credits").await["required"], 1_800);
    });
}

#[test]
fn rules_of_every_kind_and_condition_price_orders() {
    e2e::run(async |world| {
        world.db().exec("delete from unstuck.tool_prices").await;
        let rules = [
            (UPSCALER.name, 1, r#"{"resolution": {"gte": 8000}, "version": "pro"}"#, 400, "job"),
            (UPSCALER.name, 2, r#"{"resolution": {"lt": 1000}}"#, 20, "job"),
            (UPSCALER.name, 3, r#"{"resolution": {"gt": 4000, "lte": 6000}}"#, 200, "step"),
            (CARDS, 1, r#"{"aspectRatio": {"in": ["9:16", "16:9"]}}"#, 15, "step"),
            (CARDS, 2, r#"{"category": "jewels"}"#, 25, "job"),
        ];
        for (tool, position, matches, credits, priced_per) in rules {
            let sql = format!(
                "insert into unstuck.tool_prices (tool, position, matches, credits, priced_per)
                 values ('{tool}', {position}, '{matches}', {credits}, '{priced_per}')"
            );
            world.db().exec(&sql).await;
        }
        let user = world.new_user(CREDITS).await;
        let three = json!({ "productName": "Ring", "selectedCards": [0, 1, 2] });
        let cards = |field: &str, value: &str| {
            let mut input = three.clone();
            input[field] = json!(value);
            input
        };
        for (tool, input, price) in [
            (UPSCALER.name, json!({ "resolution": 8000, "version": "pro" }), 400),
            (UPSCALER.name, json!({ "resolution": 8000 }), 60),
            (UPSCALER.name, json!({ "resolution": 999, "version": "pro" }), 20),
            (UPSCALER.name, json!({ "resolution": 6000 }), 200),
            (UPSCALER.name, json!({ "resolution": 4000 }), 60),
            (CARDS, three.clone(), 30),
            (CARDS, cards("aspectRatio", "9:16"), 45),
            (CARDS, cards("category", "jewels"), 25),
        ] {
            let quoted = quote(world, tool, &input).by(&user).ok().await;
            assert_eq!(quoted["credits"], price, "{tool} {input}");
        }
        let mut order = Cards::new(world, &[0, 1, 2]).await;
        order.body["aspectRatio"] = json!("9:16");
        order.body["maxCredits"] = json!(44);
        assert_eq!(order.create(world).refused(409, "price_changed").await["credits"], 45);
        order.body["maxCredits"] = json!(45);
        order.create(world).send().await.expect(202);
        assert_eq!(world.balance(&order.user).await, CREDITS - 45);
    });
}

#[test]
fn a_picture_is_priced_by_the_megapixels_of_the_stored_file() {
    e2e::run(async |world| {
        rule(world, UPSCALER.name, 7, "megapixel", "64").await;
        let order = Order::sized(world, 2_000, 1_100).await;
        let quoted = quote(world, UPSCALER.name, &order.body).by(&order.user).ok().await;
        assert_eq!(quoted["credits"], 21);
        let mut agreed = order.again();
        agreed.body["maxCredits"] = json!(20);
        assert_eq!(agreed.run(world).refused(409, "price_changed").await["credits"], 21);
        agreed.body["maxCredits"] = json!(21);
        assert_eq!(agreed.starts(world).await["creditsCharged"], 21);
        // The sizes of several pictures are added up.
        rule(world, TRY_ON, 5, "megapixel", "64").await;
        let try_on = TryOn::new(world, 2).await;
        let input = json!(try_on.body);
        let quoted = quote(world, TRY_ON, &input).by(&try_on.user).ok().await;
        assert_eq!(quoted["credits"], 5);
    });
}

#[test]
fn an_order_that_cannot_be_measured_now_is_taken_later() {
    e2e::run(async |world| {
        rule(world, VIDEO.name, 30, "second", "20").await;
        let order = Order::by(world, &VIDEO).await;
        world.storage_is_down(503).await;
        order.run(world).refused(503, "upstream_unavailable").await;
        quote(world, VIDEO.name, &order.body)
            .by(&order.user)
            .refused(503, "upstream_unavailable")
            .await;
        world.storage_is_up().await;
        assert_eq!(world.balance(&order.user).await, CREDITS);
        assert_eq!(order.starts(world).await["creditsCharged"], 30);
    });
}

#[test]
fn a_quote_tells_the_wait() {
    e2e::run(async |world| {
        let hang = json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } });
        world.script(hang).await;
        world.db().exec("update unstuck.providers set max_concurrent = 1").await;
        Order::running(world).await;
        let waiting = Order::new(world).await;
        let queued = waiting.run(world).ok().await;
        assert_eq!(queued["queued"], true);
        let quoted = quote(world, UPSCALER.name, &json!({})).ok().await;
        let (eta, before) = (&quoted["etaSeconds"], &queued["etaSeconds"]);
        assert!(eta.as_i64() > before.as_i64(), "behind what waits already: {quoted} {queued}");
        assert_eq!(quoted["credits"], PRICE);
        let id = Uuid::new_v4();
        world
            .call(RUN)
            .by(&waiting.user)
            .json(&json!({ "jobId": id }))
            .refused(400, "bad_request")
            .await;
    });
}

/// A user who has just signed up, while a bonus is paid for that.
async fn newcomer(world: &World, bonus: i64) -> TestUser {
    let id = Uuid::new_v4();
    let sign_up = format!(
        "insert into auth.users (id, email, email_confirmed_at)
         values ('{id}', '{id}@example.com', now());
         delete from unstuck.signup_bonus;
         insert into unstuck.signup_bonus (credits, since)
         values ({bonus}, now() - interval '1 day')"
    );
    world.db().exec(&sign_up).await;
    TestUser { id, token: world.token(&user_claims(id)) }
}

#[test]
fn a_bonus_that_is_less_than_the_price_is_there_after_a_quote_and_after_a_refused_order() {
    e2e::run(async |world| {
        let user = newcomer(world, 40).await;
        for _ in 0..2 {
            let quoted = quote(world, UPSCALER.name, &json!({})).by(&user).ok().await;
            assert_has!(quoted, { "credits": 60, "balance": 40, "enough": false });
        }
        let other = newcomer(world, 40).await;
        let order = world.call("generate-website").json(&json!({ "prompt": "A bakery" }));
        let refusal = order.by(&other).refused(402, "insufficient_credits").await;
        assert_has!(refusal, { "balance": 40, "required": 50 });
        for user in [user, other] {
            assert_eq!(world.balance(&user).await, 40);
        }
        world.db().exec("delete from unstuck.signup_bonus").await;
    });
}

#[test]
fn a_bonus_pays_the_first_order_that_is_quoted() {
    e2e::run(async |world| {
        let user = newcomer(world, 70).await;
        let quoted = quote(world, UPSCALER.name, &json!({})).by(&user).ok().await;
        assert_has!(quoted, { "credits": 60, "balance": 70, "enough": true });
        let (job, _) = world.order(&user).await;
        assert_has!(world.job(job).await, { "credits_charged": 60 });
        assert_eq!(world.balance(&user).await, 10);
        world.db().exec("delete from unstuck.signup_bonus").await;
    });
}
