//! Prices and purchases as users see them: in the studio, on the page of their credits, on the
//! admin's page, and through `web/client.js`.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, TestUser, World};

/// Inserts an adjustment, so that the user has that many credits left.
async fn leave_credits(world: &World, user: &TestUser, credits: i64) {
    let spent = "insert into unstuck.credit_entries (user_id, kind, amount)";
    let taken = credits - world.balance(user).await;
    world.db().exec(&format!("{spent} values ('{}', 'adjustment', {taken})", user.id)).await;
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn assert_says(seen: &Value, field: &str, parts: &[&str]) {
    let text = seen[field].as_str().unwrap_or_default();
    assert!(parts.iter().all(|part| text.contains(part)), "{field}: {parts:?} in {text:?}");
}

#[test]
fn the_button_shows_the_price_of_the_options_as_they_are_chosen() {
    e2e::run(async |world| {
        let seen = world.browser("prices.mjs", &json!({}));
        let tools = texts(&seen["tools"]);
        let expected = [
            "from 60 credits",
            "from 120 credits",
            "10 credits per card",
            "40 credits per garment",
        ];
        for words in expected {
            assert!(tools.iter().any(|tool| tool.contains(words)), "{words} in {tools:?}");
        }
        let prices: Vec<&str> = texts(&seen["chosen"])
            .iter()
            .filter_map(|text| text.split_whitespace().last())
            .collect();
        assert_eq!(prices, ["60", "90", "150", "90"], "{seen:#}");
        assert_says(&seen, "newest", &["60"]);
        assert_says(
            &seen,
            "changed",
            &["The price has changed", "It costs 60 credits now.", "Nothing was charged."],
        );
        assert_eq!(seen["unknown"], "Upscale", "no number where none is known");
        let unreachable = "The server cannot be reached. Try again in a moment.";
        assert_has!(seen["off"], { "isDisabled": true, "said": unreachable }, "{seen:#}");
        for id in texts(&seen["ids"]) {
            let job = world.job(id.parse().unwrap()).await;
            assert_has!(job, { "status": "completed", "credits_charged": 60 });
        }
        assert_eq!(world.count("jobs").await, 2, "what was refused is no job");
        assert_eq!(world.balance(&world.user(1).await).await, 880);
    });
}

#[test]
fn somebody_with_too_few_credits_buys_the_missing_ones_and_orders() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        world.script(json!({ "runninghub": { "times": 1, "fail": "out of paint" } })).await;
        let (failed, _) = world.order(&user).await;
        world.until_status(failed, "failed").await;
        leave_credits(world, &user, 10).await;

        let seen = world.browser("shop.mjs", &json!({}));
        assert_says(&seen, "poor", &["Get 50 more credits", "This costs 60 credits; you have 10."]);
        assert_says(&seen, "packs", &["You need 50 more credits", "€5", "€20", "Subscription"]);
        assert_has!(seen, { "fitting": "small", "arrived": 1 });
        assert_has!(seen["back"], {
            "address": "/",
            "resolution": "4096",
            "prompt": "Keep the grain",
            "pictures": 1,
            "uploads": 0,
        }, "{seen:#}");
        let job = world.job(seen["id"].as_str().unwrap().parse().unwrap()).await;
        assert_has!(job, { "status": "completed", "credits_charged": 60 });
        assert_eq!(job["input"]["prompt"], "Keep the grain");
        assert_eq!(world.balance(&user).await, 50);
        assert_eq!(world.count("purchases where granted = 100 and taken = 0").await, 1);

        let ledger = &seen["ledger"];
        assert_has!(ledger, { "heading": "Credits", "focus": "H1", "title": "Credits · Unstuck" });
        let rows = texts(&ledger["rows"]);
        let expected = [
            ["Ordered: Upscale", "−60", "Balance 50"],
            ["Bought 100 credits", "+100", "Balance 110"],
            ["Correction", "−990", "Balance 10"],
            ["Returned: Upscale", "+60", "The provider could not finish it."],
            ["Ordered: Upscale", "−60", "Balance 940"],
            ["Received 1,000 credits", "+1,000", "Balance 1,000"],
        ];
        assert_eq!(rows.len(), expected.len(), "{rows:#?}");
        for (row, parts) in rows.iter().zip(expected) {
            assert!(parts.iter().all(|part| row.contains(part)), "{parts:?} in {row:?}");
        }
        assert_has!(seen["studio"], {
            "address": "",
            "prompt": "Keep the grain",
        }, "the form is there after Back: {seen:#}");
        assert_says(&seen["studio"], "focus", &["balance"]);
    });
}

/// Records a purchase while the user's e-mail address is not confirmed yet, and confirms the
/// address afterwards.
async fn purchase_waits(world: &World, email: &str, credits: i64) {
    let confirm = async |at: &str| {
        let set = format!("update auth.users set email_confirmed_at = {at}");
        world.db().exec(&format!("{set} where email = '{email}'")).await;
    };
    confirm("null").await;
    let bought = json!({ "keys": ["1"], "paid": true, "credits": credits, "email": email });
    seller_tells(world, bought).await;
    confirm("now()").await;
}

#[test]
fn somebody_whose_purchase_waited_sees_the_credits_and_orders() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        leave_credits(world, &user, 10).await;
        purchase_waits(world, "user1@example.com", 60).await;
        assert_eq!(world.balance(&user).await, 10, "it waits");
        let seen = world.browser("waited.mjs", &json!({}));
        assert_says(&seen, "offer", &["Upscale", "60"]);
        let job = world.job(seen["id"].as_str().unwrap().parse().unwrap()).await;
        assert_has!(job, { "status": "completed", "credits_charged": 60 });
        assert_eq!(world.balance(&user).await, 10);
        assert_eq!(world.count("purchases where granted = 60 and not waits").await, 1);
    });
}

#[test]
fn an_order_whose_credits_were_spent_elsewhere_uploads_nothing() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        leave_credits(world, &user, 10).await;
        let seen = world.browser("spent.mjs", &json!({}));
        assert_says(
            &seen,
            "text",
            &["This costs 60 credits; you have 10.", "Nothing was charged.", "Get credits"],
        );
        assert_says(&seen, "shop", &["You need 50 more credits", "Enough for this order"]);
        assert_eq!(seen["uploads"], 0);
        assert_eq!(world.count("jobs").await, 0);
        assert_eq!(world.balance(&user).await, 10);
    });
}

/// Records a fact as if Stripe had reported it.
async fn seller_tells(world: &World, fact: Value) {
    world.db().exec(&format!("select unstuck.purchase_record_v1('stripe', '{fact}')")).await;
}

#[test]
fn a_debt_is_shown_to_whoever_owes_it_and_to_admins() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let paid = json!({
            "keys": ["pi_1"], "paid": true, "userId": user.id, "pack": "small", "amount": 500,
        });
        seller_tells(world, paid).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        leave_credits(world, &user, 60).await;
        let refund =
            json!({ "keys": ["pi_1"], "refundTotal": { "amount": 500, "at": 1_800_000_000 } });
        seller_tells(world, refund).await;

        let seen = world.browser("debt.mjs", &json!({ "user": user.id }));
        let notice = "You owe 40 credits from a returned payment.";
        assert_says(&seen, "offer", &[notice, "Get 100 more credits"]);
        assert_says(
            &seen,
            "credits",
            &[notice, "Taken back: a payment was returned", "−60", "Bought 100 credits"],
        );
        assert_says(&seen, "tile", &["Open debts", "1", "40 credits are owed"]);
        assert_says(&seen, "debts", &[&user.id.to_string()[..8], "40"]);
        assert_says(&seen, "purchases", &["small", "stripe", "100", "40"]);
        assert_eq!(world.balance(&user).await, 0);
    });
}

/// Entries of every kind, and enough of them for three pages.
const HISTORY: &str = "
    insert into unstuck.credit_entries (user_id, kind, amount)
    select '{user}', 'adjustment', 1 from generate_series(1, 40);
    insert into unstuck.credit_entries (user_id, kind, amount)
    values ('{user}', 'bonus', 5), ('{user}', 'goodwill', 3), ('{user}', 'purchase', 21),
      ('{user}', 'purchase', 102), ('{user}', 'chargeback', -2)";

#[test]
fn the_credits_are_a_page_in_words_on_a_phone_in_four_languages() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        world.db().exec(&HISTORY.replace("{user}", &user.id.to_string())).await;
        let seen = &world.browser("credits.mjs", &json!({}))["seen"];
        let first = |language: &str| texts(&seen[language]["first"]).join(" | ");
        for (language, words) in [
            (
                "en",
                [
                    "Taken back: a payment was returned",
                    "Bought 102 credits",
                    "Bought 21 credits",
                    "A gift from us",
                    "Welcome gift",
                ],
            ),
            (
                "pt",
                [
                    "Retirado: um pagamento foi devolvido",
                    "Compra de 102 créditos",
                    "Compra de 21 créditos",
                    "Um presente nosso",
                    "Presente de boas-vindas",
                ],
            ),
            (
                "ru",
                [
                    "Списано: платёж возвращён",
                    "Куплено 102 кредита",
                    "Куплен 21 кредит",
                    "Подарок от нас",
                    "Приветственный подарок",
                ],
            ),
            (
                "uk",
                [
                    "Списано: платіж повернено",
                    "Куплено 102 кредити",
                    "Куплено 21 кредит",
                    "Подарунок від нас",
                    "Вітальний подарунок",
                ],
            ),
        ] {
            let shown = first(language);
            assert!(shown.starts_with(&words.join(" | ")), "{language}: {shown}");
            assert_has!(seen[language], {
                "pages": [20, 40, 46],
                "newestFirst": true,
                "wide": 0,
            }, "{language}");
        }
    });
}

/// `web/client.js` as an app uses it, without a browser.
#[test]
fn the_client_tells_prices_and_uploads_nothing_that_cannot_be_paid() {
    e2e::run(async |world| {
        let poor = world.user(1).await;
        leave_credits(world, &poor, 10).await;
        world.user(3).await;
        purchase_waits(world, "user3@example.com", 7).await;
        let given = json!({ "poor": "user1@example.com", "rich": "user2@example.com",
            "payer": "user3@example.com" });
        let seen = world.node("client/shop.mjs", &given);

        let public = &seen["public"];
        let tools = public["tools"].as_array().unwrap();
        let upscaler = tools.iter().find(|tool| tool["tool"] == "runninghub-upscaler").unwrap();
        assert_has!(upscaler, { "credits": 60, "pricedPer": "job" });
        assert_eq!(
            upscaler["rules"][1],
            json!({ "matches": { "version": "pro" }, "credits": 90, "pricedPer": "job",
                "creditsMin": null })
        );
        let video = tools.iter().find(|tool| tool["tool"] == "runninghub-video-upscaler").unwrap();
        assert_eq!(
            video["rules"],
            json!([{ "matches": {}, "credits": 2, "pricedPer": "second", "creditsMin": 120 }])
        );
        let packs: Vec<&Value> =
            public["packs"].as_array().unwrap().iter().map(|pack| &pack["pack"]).collect();
        assert_eq!(packs, ["small", "large", "monthly"]);
        assert_has!(public["price"], { "credits": 60, "balance": null, "enough": null });
        assert_eq!(public["steps"]["credits"], 120, "three garments, without their files");
        for refused in ["balance", "ledger", "order"] {
            assert_eq!(public[refused]["code"], "unauthorized", "{refused}: {public:#}");
        }

        let paid_before = json!({ "balance": 1_007, "debt": 0 });
        assert_eq!(seen["payer"], paid_before, "what waited is given");
        let seen_poor = &seen["poor"];
        assert_has!(seen_poor["price"], { "credits": 60, "balance": 10, "enough": false });
        assert_eq!(seen_poor["dear"]["credits"], 150);
        assert_eq!(seen_poor["balance"], json!({ "balance": 10, "debt": 0 }));
        assert_has!(seen_poor["refused"], {
            "code": "insufficient_credits",
            "balance": 10,
            "required": 60,
            "debt": 0,
        });
        assert_eq!(seen_poor["uploads"], 0, "nothing is uploaded: {seen_poor:#}");
        assert!(seen_poor["checkout"].as_str().is_some_and(|url| url.starts_with("http")));
        assert_eq!(seen_poor["unknown"]["code"], "not_found");
        let own = format!("https://shop.example/?client_reference_id={}", poor.id);
        assert_eq!(seen_poor["own"], own);
        assert_eq!(world.balance(&poor).await, 10);

        let seen_rich = &seen["rich"];
        assert_has!(seen_rich["dearer"], { "code": "price_changed", "credits": 90 });
        assert_eq!(seen_rich["uploads"], 0);
        assert_has!(seen_rich["refusedByServer"], {
            "code": "price_changed",
            "status": 409,
            "credits": 50,
        });
        assert_eq!(seen_rich["agreed"], 60);
        assert_eq!(seen_rich["balance"], json!({ "balance": 940, "debt": 0 }));
        let pages = seen_rich["pages"].as_array().unwrap();
        let entries: Vec<&Value> = pages.iter().flat_map(|page| page.as_array().unwrap()).collect();
        assert_eq!(pages.len(), 2, "{pages:#?}");
        assert_has!(entries[0], {
            "kind": "debit",
            "amount": -60,
            "balanceAfter": 940,
            "tool": "runninghub-upscaler",
        });
        assert_has!(entries[1], { "kind": "grant", "amount": 1000, "tool": null });
        assert_eq!(world.count("jobs").await, 1);
    });
}
