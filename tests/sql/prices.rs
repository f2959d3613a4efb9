//! What an order costs with its options: the rules and their conditions, quotes, the price that a
//! user agreed to, and that a job keeps its price.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{
    CARDS, TRY_ON, UPSCALER, VIDEO, WEBSITE, enqueue_args, requeue_args, with,
};
use unstuck_tests::{Database, Session, sources};
use uuid::Uuid;

/// A database in which every tool may be ordered and no price rule exists.
async fn without_rules() -> Database {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    db.exec("delete from tool_prices").await;
    db
}

/// The statement that adds a rule; `quantity` is the largest quantity of a rule by measure.
fn rule(tool: &str, position: i64, matches: &Value, price: (i64, &str, Option<f64>)) -> String {
    let (credits, priced_per, quantity) = price;
    let quantity = quantity.map_or("null".to_owned(), |quantity| quantity.to_string());
    format!(
        "insert into tool_prices (tool, position, matches, credits, priced_per, quantity)
         values ('{tool}', {position}, '{matches}', {credits}, '{priced_per}', {quantity})"
    )
}

/// The arguments of an order with so many steps and this input.
fn order_args(user: Uuid, job: Uuid, tool: &str, steps: usize, input: &Value) -> Value {
    let args = json!({ "p_input": input, "p_claim": false });
    with(enqueue_args(user, job, tool, steps), args)
}

/// The quote of such an order without a user.
async fn price(db: &Session, tool: &str, input: &Value, measured: Value) -> i64 {
    let args = json!({ "p_tool": tool, "p_input": input, "p_steps": 2, "p_measured": measured });
    db.ask("order_quote_v1", args).await["credits"].as_i64().unwrap()
}

#[tokio::test]
async fn default_options_cost_what_the_tools_say_and_better_ones_more() {
    let db = Database::fresh().await;
    let (nothing, short) = (json!({}), json!({ "seconds": 7.5 }));
    for (tool, expected) in [
        (UPSCALER, 60),
        (VIDEO, 120),
        ("runninghub-pose-changer", 60),
        ("runninghub-veste-ai", 60),
        (CARDS, 20),
        (TRY_ON, 80),
        (WEBSITE, 50),
        ("generate-react-website", 80),
        ("generate-php-website", 80),
    ] {
        assert_eq!(price(&db, tool, &nothing, short.clone()).await, expected, "{tool}");
    }
    for (resolution, version, expected) in
        [(2048, "standard", 60), (4096, "standard", 60), (4097, "standard", 90), (512, "pro", 90)]
    {
        let input = json!({ "resolution": resolution, "version": version });
        assert_eq!(price(&db, UPSCALER, &input, nothing.clone()).await, expected, "{input}");
    }
    let best = json!({ "resolution": 8192, "version": "pro" });
    assert_eq!(price(&db, UPSCALER, &best, nothing).await, 150);
}

#[tokio::test]
async fn a_video_costs_more_the_longer_it_is_and_never_less_than_a_short_one() {
    let db = Database::open().await;
    for (seconds, expected) in
        [(0.1, 120), (60.0, 120), (60.5, 122), (61.0, 122), (600.0, 1_200), (7_200.0, 1_800)]
    {
        let measured = json!({ "seconds": seconds });
        assert_eq!(price(&db, VIDEO, &json!({}), measured).await, expected, "{seconds} s");
    }
    // The length that the page names does not matter.
    let told = json!({ "durationSeconds": 1, "seconds": 1 });
    let quote = json!({ "p_tool": VIDEO, "p_input": told, "p_steps": 1 });
    let quoted = db.ask("order_quote_v1", quote).await;
    assert_has!(quoted, { "credits": 1_800, "lowest": 120, "unmeasured": "second" });
    let user = db.user(10_000).await;
    let order = |more: Value| with(order_args(user, Uuid::new_v4(), VIDEO, 1, &told), more);
    for (measured, expected) in
        [(json!({ "seconds": 90 }), 180), (json!({ "seconds": null }), 1_800), (json!({}), 1_800)]
    {
        let ordered = db.ask("job_enqueue_v2", order(json!({ "p_measured": measured }))).await;
        assert_eq!(ordered["credits_charged"], expected, "{measured}");
    }
    // A Worker of the release before measures nothing, and its users pay what they paid before.
    let ordered = db.enqueue(user, Uuid::new_v4(), VIDEO, 1).await.unwrap();
    assert_eq!(ordered["credits_charged"], 120);
    db.assert_healthy().await;
}

#[tokio::test]
async fn seeded_rules_leave_what_the_operator_has_decided() {
    let db = without_rules().await;
    db.exec(
        "insert into tool_prices (tool, position, credits) values ('runninghub-upscaler', 120, 77);
         update tools set credit_cost = 200 where tool = 'runninghub-video-upscaler'",
    )
    .await;
    let log = db.count("admin_log").await;
    let seeds = sources::read("supabase/schemas/tool/tool_prices_of_options.sql");
    for _ in 0..2 {
        db.exec(&seeds).await;
        let rules = "select concat_ws(' ', tool, position, credits) from tool_prices order by 1";
        let expected = ["110 150", "120 77", "130 90"].map(|rule| format!("{UPSCALER} {rule}"));
        assert_eq!(db.texts(rules).await, expected);
    }
    assert_eq!(price(&db, VIDEO, &json!({}), json!({ "seconds": 900 })).await, 200);
    assert_eq!(db.count("admin_log").await, log, "a migration changes no price");
}

#[tokio::test]
async fn the_first_rule_that_holds_gives_the_price() {
    let db = without_rules().await;
    let any = json!({});
    for (position, matches, credits) in [
        (30, json!({ "version": "pro" }), 90),
        (10, json!({ "version": "pro", "resolution": { "gt": 4096 } }), 150),
        (-5, json!({ "version": "best" }), 300),
        (40, any, 70),
    ] {
        db.exec(&rule(UPSCALER, position, &matches, (credits, "job", None))).await;
    }
    for (input, expected) in [
        (json!({ "version": "pro", "resolution": 8192 }), 150),
        (json!({ "version": "pro", "resolution": 4096 }), 90),
        (json!({ "version": "pro" }), 90),
        (json!({ "version": "best", "resolution": 8192 }), 300),
        (json!({}), 70),
        (json!(null), 70),
    ] {
        assert_eq!(price(&db, UPSCALER, &input, json!({})).await, expected, "{input}");
    }
    assert_eq!(price(&db, VIDEO, &json!({}), json!({})).await, 120, "another tool's rules");
    db.exec("delete from tool_prices where position = 40").await;
    assert_eq!(price(&db, UPSCALER, &json!({}), json!({})).await, 60, "the price of the tool");
}

#[tokio::test]
async fn a_condition_holds_by_its_value_or_by_all_its_operators() {
    let db = Database::open().await;
    for (value, condition, expected) in [
        (json!("pro"), json!("pro"), true),
        (json!("Pro"), json!("pro"), false),
        (json!(true), json!(true), true),
        (json!("true"), json!(true), false),
        (json!(2048), json!(2048.0), true),
        (json!("2048"), json!(2048), false),
        (json!(null), json!(null), true),
        (json!(false), json!(null), false),
        (json!(5), json!({ "gt": 4 }), true),
        (json!(4), json!({ "gt": 4 }), false),
        (json!(4), json!({ "gte": 4 }), true),
        (json!(3.9), json!({ "gte": 4 }), false),
        (json!(3.9), json!({ "lt": 4 }), true),
        (json!(4), json!({ "lt": 4 }), false),
        (json!(4), json!({ "lte": 4 }), true),
        (json!(4.1), json!({ "lte": 4 }), false),
        (json!(10), json!({ "lt": 9 }), false),
        (json!(5), json!({ "gt": 4, "lte": 5 }), true),
        (json!(6), json!({ "gt": 4, "lte": 5 }), false),
        (json!("5"), json!({ "gt": 4 }), false),
        (json!("z"), json!({ "gt": 4 }), false),
        (json!(null), json!({ "lt": 4 }), false),
        (json!([5]), json!({ "gt": 4 }), false),
        (json!("4:5"), json!({ "in": ["3:4", "4:5"] }), true),
        (json!("1:1"), json!({ "in": ["3:4", "4:5"] }), false),
        (json!(2), json!({ "in": [1, 2.0, null] }), true),
        (json!(null), json!({ "in": [1, null] }), true),
        (json!(["4:5"]), json!({ "in": ["3:4", "4:5"] }), false),
        (json!(3), json!({ "in": [1, 2, 3], "gt": 2 }), true),
        (json!(1), json!({ "in": [1, 2, 3], "gt": 2 }), false),
    ] {
        let sql = format!("select unstuck_private.condition_holds('{value}', '{condition}')");
        assert_eq!(db.value(&sql).await, expected, "{value} against {condition}");
    }
    for condition in ["null", "\"x\"", "{\"lt\": 4}", "{\"in\": [null]}"] {
        let sql = format!("select unstuck_private.condition_holds(null, '{condition}')");
        assert_eq!(db.value(&sql).await, false, "a field that is not there: {condition}");
    }
}

#[tokio::test]
async fn a_malformed_rule_is_refused_when_it_is_written() {
    let db = without_rules().await;
    for matches in [
        json!([]),
        json!("pro"),
        json!(null),
        json!({ "a": [1] }),
        json!({ "a": {} }),
        json!({ "a": { "above": 1 } }),
        json!({ "a": { "gt": "1" } }),
        json!({ "a": { "gt": null } }),
        json!({ "a": { "gt": 1, "not": 2 } }),
        json!({ "a": { "in": [] } }),
        json!({ "a": { "in": 1 } }),
        json!({ "a": { "in": { "0": 1 } } }),
        json!({ "a": { "in": [[1]] } }),
        json!({ "a": { "in": [1, {}] } }),
        json!({ "a": "fine", "b": { "lte": true } }),
    ] {
        let error = db.try_exec(&rule(UPSCALER, 1, &matches, (1, "job", None))).await.unwrap_err();
        assert_eq!(error.state, "23514", "{matches}: {}", error.message);
    }
    let any = json!({});
    for (state, price) in [
        ("23514", (-1, "job", None)),
        ("23514", (1_000_000_000_001, "job", None)),
        ("23514", (1, "hour", None)),
        ("23514", (1, "second", None)),
        ("23514", (1, "megapixel", None)),
        ("23514", (1, "second", Some(0.0))),
        ("23514", (1, "second", Some(1_000_001.0))),
        ("23514", (1, "job", Some(2.0))),
        ("23514", (1, "step", Some(0.5))),
    ] {
        let error = db.try_exec(&rule(UPSCALER, 1, &any, price)).await.unwrap_err();
        assert_eq!(error.state, state, "{price:?}: {}", error.message);
    }
    for (priced_per, least) in [("'second', 9", 0), ("'job', null", 5), ("'step', 1", 5)] {
        let columns = "tool, position, credits, priced_per, quantity, credits_min";
        let values = format!("'{UPSCALER}', 1, 1, {priced_per}, {least}");
        let sql = format!("insert into tool_prices ({columns}) values ({values})");
        assert_eq!(db.try_exec(&sql).await.unwrap_err().state, "23514", "{values}");
    }
    let error = db.try_exec(&rule("no-tool", 1, &any, (1, "job", None))).await.unwrap_err();
    assert_eq!(error.state, "23503");
    for (position, matches) in [
        (1, json!({ "a": null, "b": 1.5, "c": false, "d": "" })),
        (2, json!({ "a": { "gt": 1, "gte": 1, "lt": 2, "lte": 2, "in": [1, "x", null, true] } })),
    ] {
        db.exec(&rule(UPSCALER, position, &matches, (1, "second", Some(0.5)))).await;
    }
}

#[tokio::test]
async fn a_price_is_by_job_step_second_or_megapixel() {
    let db = without_rules().await;
    let (any, measured) = (json!({}), json!({ "seconds": 12.4, "megapixels": 3 }));
    for (rule_price, measured, expected) in [
        ((7, "job", None), measured.clone(), 7),
        ((7, "step", None), measured.clone(), 14),
        ((7, "second", Some(60.0)), measured.clone(), 91),
        ((7, "megapixel", Some(60.0)), measured.clone(), 21),
        // The rule's largest quantity is charged for larger files, and for those that could not be
        // measured.
        ((7, "second", Some(10.0)), measured.clone(), 70),
        ((7, "second", Some(9.5)), json!({}), 70),
        ((7, "second", Some(60.0)), json!({ "megapixels": 3 }), 420),
        ((7, "second", Some(60.0)), json!({ "seconds": null }), 420),
        ((7, "second", Some(60.0)), json!({ "seconds": "1" }), 420),
        ((7, "megapixel", Some(60.0)), json!({ "seconds": 1 }), 420),
        ((7, "megapixel", Some(60.0)), json!([]), 420),
        // The price is at least 1.
        ((7, "second", Some(60.0)), json!({ "seconds": 0 }), 1),
        ((7, "second", Some(60.0)), json!({ "seconds": -5 }), 1),
        ((7, "second", Some(60.0)), json!({ "seconds": 0.01 }), 7),
        ((0, "job", None), json!({}), 1),
        // The largest price that a rule may name.
        ((1_000_000_000_000, "second", Some(1e6)), json!({}), 1_000_000_000_000_000_000),
    ] {
        db.exec("delete from tool_prices").await;
        db.exec(&rule(VIDEO, 1, &any, rule_price)).await;
        let found = price(&db, VIDEO, &any, measured.clone()).await;
        assert_eq!(found, expected, "{rule_price:?} {measured}");
    }
}

#[tokio::test]
async fn an_order_that_must_be_measured_is_not_written_before() {
    let db = without_rules().await;
    db.exec(&rule(VIDEO, 1, &json!({}), (2, "second", Some(900.0)))).await;
    let (user, job) = (db.user(10_000).await, Uuid::new_v4());
    let args = order_args(user, job, VIDEO, 1, &json!({}));
    let asked = with(args.clone(), json!({ "p_can_measure": true }));
    let answer = db.ask("job_enqueue_v2", asked).await;
    assert_has!(answer, { "unmeasured": "second", "status": "pending", "claimed": null });
    assert_eq!((db.count("jobs").await, db.balance(user).await), (0, 10_000));
    let measured = with(args.clone(), json!({ "p_measured": { "seconds": 12.4 } }));
    let answer = db.ask("job_enqueue_v2", measured).await;
    assert_has!(answer, { "unmeasured": null, "status": "queued", "credits_charged": 26 });
    // A Worker of the release before measures nothing.
    let other = order_args(user, Uuid::new_v4(), VIDEO, 1, &json!({}));
    assert_eq!(db.ask("job_enqueue_v2", other).await["credits_charged"], 1_800);
    let first = with(args, json!({ "p_can_measure": true }));
    assert_has!(db.ask("job_enqueue_v2", first).await, { "replayed": true, "unmeasured": null });
    // An order whose price does not depend on its files need not be measured.
    let picture = order_args(user, Uuid::new_v4(), UPSCALER, 1, &json!({}));
    let picture = with(picture, json!({ "p_can_measure": true }));
    assert_has!(db.ask("job_enqueue_v2", picture).await, { "unmeasured": null });
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_dearer_order_than_agreed_is_refused_and_a_replay_never_is() {
    let db = without_rules().await;
    let (user, job) = (db.user(100).await, Uuid::new_v4());
    let input = json!({ "version": "pro" });
    let quote = json!({ "p_tool": UPSCALER, "p_input": input, "p_steps": 1, "p_user_id": user });
    let quoted = db.ask("order_quote_v1", quote.clone()).await;
    assert_has!(quoted, { "credits": 60, "balance": 100, "enough": true, "eta_seconds": 0 });
    db.exec(&rule(UPSCALER, 1, &input, (90, "job", None))).await;
    let agreed = |most: i64| {
        let args = order_args(user, job, UPSCALER, 1, &input);
        with(args, json!({ "p_max_credits": most }))
    };
    let error = db.refusal("job_enqueue_v2", agreed(60)).await;
    assert_eq!(error.reason(), ("PT409", "price_changed"));
    assert_eq!(error.detail, json!({ "credits": 90 }));
    assert_eq!((db.count("jobs").await, db.balance(user).await), (0, 100));
    assert_eq!(db.count("credit_entries where kind = 'debit'").await, 0);
    // The price has risen, and may also be more than the balance: the refusal is first about the
    // new price.
    db.exec("update tool_prices set credits = 101").await;
    assert_eq!(db.refusal("job_enqueue_v2", agreed(60)).await.message, "price_changed");
    assert_eq!(db.refusal("job_enqueue_v2", agreed(101)).await.message, "insufficient_credits");
    db.exec("update tool_prices set credits = 90").await;

    assert_eq!(db.ask("order_quote_v1", quote.clone()).await["credits"], 90);
    let ordered = db.ask("job_enqueue_v2", agreed(90)).await;
    assert_has!(ordered, { "replayed": false, "credits_charged": 90, "balance": 10 });
    db.exec("update tool_prices set credits = 500").await;
    for most in [0, 60, 90] {
        let replay = db.ask("job_enqueue_v2", agreed(most)).await;
        assert_has!(replay, { "replayed": true, "credits_charged": 90 });
    }
    assert_eq!(db.entries(job).await, [-90]);
    let quoted = db.ask("order_quote_v1", quote).await;
    assert_has!(quoted, { "credits": 500, "balance": 10, "enough": false });
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_quote_writes_nothing_and_refuses_what_the_order_would() {
    let db = Database::fresh().await;
    let nobody = json!({ "p_tool": CARDS, "p_input": {}, "p_steps": 3 });
    let quoted = db.ask("order_quote_v1", nobody).await;
    assert_has!(quoted, { "credits": 30, "balance": null, "enough": null, "unmeasured": null });
    let stranger = Uuid::new_v4();
    let args = json!({ "p_tool": CARDS, "p_input": {}, "p_steps": 3, "p_user_id": stranger });
    assert_has!(db.ask("order_quote_v1", args).await, { "balance": 0, "enough": false });
    assert_eq!(db.count("credit_accounts").await, 0);
    for steps in [json!(0), json!(21), json!(null)] {
        let args = json!({ "p_tool": CARDS, "p_input": {}, "p_steps": steps });
        assert_eq!(db.refusal("order_quote_v1", args).await.reason(), ("PT400", "bad_request"));
    }
    let unknown = json!({ "p_tool": "no-tool", "p_input": {}, "p_steps": 1 });
    assert_eq!(db.refusal("order_quote_v1", unknown).await.reason(), ("PT400", "bad_request"));
    db.set_tool(CARDS, "enabled = false").await;
    let closed = json!({ "p_tool": CARDS, "p_input": {}, "p_steps": 1 });
    assert_eq!(db.refusal("order_quote_v1", closed).await.reason(), ("PT503", "tool_disabled"));
}

#[tokio::test]
async fn a_quote_tells_the_wait_behind_what_waits() {
    let db = without_rules().await;
    db.set_slots("runninghub", 1).await;
    let wait = async || {
        let args = json!({ "p_tool": UPSCALER, "p_input": {}, "p_steps": 1 });
        db.ask("order_quote_v1", args).await["eta_seconds"].as_i64().unwrap()
    };
    assert_eq!(wait().await, 0, "a slot is free");
    db.upscale().await;
    db.run("runninghub", "t1").await;
    let behind_one = wait().await;
    assert!((50..=60).contains(&behind_one), "{behind_one}");
    for _ in 0..3 {
        db.upscale().await;
    }
    let behind_four = wait().await;
    assert!((230..=240).contains(&behind_four), "{behind_four}");
    let (user, job) = db.upscale().await;
    let args = order_args(user, job, UPSCALER, 1, &json!({}));
    let args = with(args, json!({ "p_request_hash": format!("{UPSCALER}/1") }));
    let told = db.ask("job_enqueue_v2", args).await["eta_seconds"].as_i64().unwrap();
    assert!((told - behind_four).abs() <= 2, "what the order is told: {told}");
}

#[tokio::test]
async fn a_paid_retry_costs_what_the_job_did() {
    let db = without_rules().await;
    let admin = db.admin().await;
    let (user, job) = db.ordered(1000, UPSCALER, 1).await;
    db.cancel(user, job).await.unwrap();
    db.exec(&rule(UPSCALER, 1, &json!({}), (90, "job", None))).await;
    let retry = async |of: Uuid, charge: bool| {
        let new = Uuid::new_v4();
        let args = requeue_args(admin, "upscaler_jobs", of, charge, new);
        db.ask("job_requeue_v1", args).await;
        let charged = db.job(new).await["credits_charged"].as_i64().unwrap();
        db.cancel(user, new).await.unwrap();
        (new, charged)
    };
    assert_eq!(retry(job, true).await.1, 60);
    let (free, charged) = retry(job, false).await;
    assert_eq!(charged, 0);
    let (of_free, charged) = retry(free, true).await;
    assert_eq!(charged, 60, "a free retry repeats an order that was paid");
    assert_eq!(retry(of_free, true).await.1, 60);
    assert_eq!(db.balance(user).await, 1000);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_debt_stops_a_paid_retry_and_no_free_one() {
    let db = without_rules().await;
    let admin = db.admin().await;
    let (user, job) = db.ordered(1000, UPSCALER, 1).await;
    db.cancel(user, job).await.unwrap();
    db.exec(&format!("insert into credit_debts (user_id, amount) values ('{user}', 5)")).await;
    let args = |charge: bool| requeue_args(admin, "upscaler_jobs", job, charge, Uuid::new_v4());
    let refused = db.refusal("job_requeue_v1", args(true)).await;
    assert_eq!(refused.reason(), ("PT402", "insufficient_credits"));
    assert_eq!(refused.detail["debt"], 5);
    let retried = db.ask("job_requeue_v1", args(false)).await;
    assert_eq!(retried["retry_of"], json!(job));
    assert_eq!(db.balance(user).await, 1000);
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_change_of_a_price_is_kept_with_who_when_from_and_to() {
    let db = without_rules().await;
    let before = db.int("select coalesce(max(id), 0) from admin_log").await;
    let admin = db.admin().await;
    db.exec(&rule(UPSCALER, 1, &json!({ "version": "pro" }), (90, "job", None))).await;
    db.exec(&format!(
        "select set_config('unstuck.actor', 'admin:{admin}', false);
         update tool_prices set credits = 95, note = 'dearer';
         update tools set credit_cost = 61 where tool = '{UPSCALER}';
         update tools set enabled = not enabled;
         select set_config('unstuck.actor', '', false);
         delete from tool_prices"
    ))
    .await;
    let log = format!(
        "select actor, act, subject, \"from\", \"to\" from admin_log
         where id > {before} and act = 'price_changed' order by id"
    );
    let log = db.rows(&log).await;
    let rule = |credits: i64, note: Value| {
        json!({ "position": 1, "matches": { "version": "pro" }, "credits": credits,
            "priced_per": "job", "quantity": null, "note": note, "credits_min": null })
    };
    let (first, second) = (rule(90, json!(null)), rule(95, json!("dearer")));
    let tool = |credits: i64| json!({ "credit_cost": credits, "priced_per": "job" });
    let expected = [
        (json!(null), json!(null), first.clone()),
        (json!(admin), first, second.clone()),
        (json!(admin), tool(60), tool(61)),
        (json!(null), second, json!(null)),
    ];
    assert_eq!(log.len(), expected.len(), "{log:#?}");
    for (row, (actor, from, to)) in log.iter().zip(expected) {
        assert_has!(row, { "act": "price_changed", "subject": UPSCALER, "actor": actor });
        assert_has!(row, { "from": from, "to": to });
    }
}

#[tokio::test]
async fn everybody_reads_what_is_sold_and_nobody_changes_it() {
    let db = Database::fresh().await;
    for role in ["anon", "authenticated", "service_role"] {
        db.become_caller(role, None).await;
        assert_eq!(db.count("unstuck.tool_prices").await, 4, "{role}");
        let tools =
            db.rows("select tool, credit_cost, priced_per, enabled from unstuck.tools").await;
        assert_eq!(tools.len(), 9, "{role}");
        let error = db.try_exec("update unstuck.tool_prices set credits = 1").await.unwrap_err();
        assert_eq!(error.state, "42501", "{role}");
        db.become_owner().await;
    }
    db.become_caller("anon", None).await;
    for hidden in ["circuit_reason", "account_faults"] {
        let error = db.try_rows(&format!("select {hidden} from unstuck.tools")).await.unwrap_err();
        assert_eq!(error.state, "42501", "{hidden}");
    }
}

/// A rule of any kind, what was measured for it, and an order of cards, some of which fail.
#[derive(Debug, Clone)]
struct RandomOrder {
    credits: i64,
    priced_per: &'static str,
    quantity: Option<u32>,
    credits_min: Option<i64>,
    measured: Option<f64>,
    fails: Vec<bool>,
}

fn random_orders() -> impl Strategy<Value = RandomOrder> {
    let by_measure = (
        prop_oneof![Just("second"), Just("megapixel")],
        (1..1_000_u32).prop_map(Some),
        proptest::option::of(1..2_000_i64),
        proptest::option::of(0.0..1_500.0),
    );
    let by_count = prop_oneof![Just("job"), Just("step")];
    let kinds = prop_oneof![by_measure, by_count.prop_map(|per| (per, None, None, None))];
    let fails = proptest::collection::vec(any::<bool>(), 1..=20);
    (0..500_i64, kinds, fails).prop_map(|(credits, kind, fails)| {
        let (priced_per, quantity, credits_min, measured) = kind;
        RandomOrder { credits, priced_per, quantity, credits_min, measured, fails }
    })
}

impl RandomOrder {
    fn rule(&self, credits: i64) -> String {
        let number = |number: Option<i64>| number.map_or("null".to_owned(), |n| n.to_string());
        let (quantity, least) = (number(self.quantity.map(i64::from)), number(self.credits_min));
        format!(
            "delete from tool_prices;
             insert into tool_prices (tool, position, credits, priced_per, quantity, credits_min)
             values ('{CARDS}', 1, {credits}, '{}', {quantity}, {least})",
            self.priced_per
        )
    }

    /// The measured quantity by its unit.
    fn measured(&self) -> Value {
        json!({ format!("{}s", self.priced_per): self.measured })
    }

    /// The price, computed from the rule.
    fn price(&self) -> i64 {
        let count = match self.quantity {
            Some(most) => {
                let most = f64::from(most);
                self.measured.map_or(most, |measured| measured.min(most)).ceil()
            }
            None if self.priced_per == "step" => self.fails.len() as f64,
            None => 1.0,
        };
        (self.credits * count as i64).max(self.credits_min.unwrap_or(1)).max(1)
    }
}

/// Random rules of every kind: the order charges what was quoted, it is refused if the price has
/// risen, the steps' shares add up to the price, and a failed step refunds exactly its share.
#[tokio::test]
async fn whatever_the_rule_quote_charge_shares_and_refunds_agree() {
    let db = without_rules().await;
    db.set_slots("gemini", 20).await;
    let rng = TestRng::deterministic_rng(Config::default().rng_algorithm);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let orders = random_orders();
    for _ in 0..150 {
        let random = orders.new_tree(&mut runner).unwrap().current();
        let (user, job) = (db.user(1_000_000).await, Uuid::new_v4());
        db.exec(&random.rule(random.credits)).await;
        let quote = json!({ "p_tool": CARDS, "p_input": {}, "p_steps": random.fails.len(),
            "p_user_id": user, "p_measured": random.measured() });
        let quoted = db.ask("order_quote_v1", quote).await["credits"].as_i64().unwrap();
        assert_eq!(quoted, random.price(), "{random:?}");
        let agreed = json!({ "p_max_credits": quoted, "p_measured": random.measured() });
        let order = with(order_args(user, job, CARDS, random.fails.len(), &json!({})), agreed);
        // A price above any minimum, until the order is refused.
        db.exec(&random.rule(random.credits + 2_001)).await;
        if random.measured != Some(0.0) {
            let refusal = db.refusal("job_enqueue_v2", order.clone()).await;
            assert_eq!(refusal.reason(), ("PT409", "price_changed"), "{random:?}");
            assert!(refusal.detail["credits"].as_i64() > Some(quoted), "{random:?}");
        }
        assert_eq!(db.count(&format!("jobs where id = '{job}'")).await, 0);
        assert_eq!(db.balance(user).await, 1_000_000, "nothing is charged: {random:?}");
        db.exec(&random.rule(random.credits)).await;
        let ordered = db.ask("job_enqueue_v2", order).await;
        assert_eq!(ordered["credits_charged"], quoted, "{random:?}");
        let shares =
            format!("select coalesce(sum(share), 0)::bigint from job_steps where job_id = '{job}'");
        assert_eq!(db.int(&shares).await, quoted, "{random:?}");

        // A later change of the price does not change this job's.
        db.exec(&random.rule(0)).await;
        for attempt in db.claim("gemini", 20).await {
            let index = usize::try_from(attempt.step - 1).unwrap();
            match random.fails[index] {
                true => db.fail(attempt, "PROVIDER_FAILED").await,
                false => db.complete(attempt).await,
            };
        }
        let lost = db.int(&format!("{shares} and status = 'failed'")).await;
        let failed = random.fails.iter().all(|fails| *fails);
        assert_has!(db.job(job).await, {
            "status": if failed { "failed" } else { "completed" },
            "credits_charged": quoted,
            "credits_refunded": lost,
        }, "{random:?}");
        assert!(lost <= quoted && (!failed || lost == quoted), "{lost}: {random:?}");
        assert_eq!(db.balance(user).await, 1_000_000 - quoted + lost, "{random:?}");
    }
    db.assert_healthy().await;
}
