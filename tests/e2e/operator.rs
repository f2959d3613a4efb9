//! What an operator does at night, in a real browser: finds a user or a job, sees why it waits,
//! grants credits, changes prices, switches providers, and cancels many jobs.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::try_on::TryOn;
use unstuck_tests::e2e::website::Website;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

const ADMIN: &str = "00000000-0000-4000-8000-0000000000a1";

fn has(seen: &Value, field: &str, texts: &[&str]) {
    let text = seen[field].as_str().map_or_else(|| seen[field].to_string(), str::to_owned);
    assert!(texts.iter().all(|part| text.contains(part)), "{field}: {texts:?} in {text:?}");
}

/// Makes every task run until the test finishes it, and sets the number of slots.
async fn until_finished(world: &World, slots: u32) {
    world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
    world.set_provider("runninghub", &format!("max_concurrent = {slots}")).await;
}

async fn running(world: &World, user: &TestUser) -> Uuid {
    let (job, _) = world.order(user).await;
    world.until_status(job, "running").await;
    job
}

async fn log(world: &World) -> Vec<Value> {
    world.db().rows("select * from unstuck.admin_log order by id").await
}

#[test]
fn a_job_is_followed_on_its_own_page_from_the_queue_to_the_result() {
    e2e::run(async |world| {
        until_finished(world, 1).await;
        let before = running(world, &world.user(2).await).await;
        let (job, _) = world.order(&world.user(1).await).await;
        world.until_status(job, "queued").await;
        let seen = world.browser("job_page.mjs", &json!({ "job": job, "before": before }));
        has(
            &seen,
            "waits",
            &["It waits because the only slot of runninghub is taken.", "Position 1 in the queue"],
        );
        has(&seen, "runs", &["runninghub has been working on it for"]);
        has(&seen, "done", &["Done after"]);
        has(&seen, "title", &["Job", &job.to_string()[..8]]);
        has(&seen, "input", &["Input"]);
        has(
            &seen,
            "events",
            &["Job created", "Step is handed over", "Provider works", "Job done", "ms"],
        );
        has(&seen, "steps", &["runninghub", "Done", "ms"]);
        has(&seen, "ledger", &["Spent", "−60"]);
        assert_has!(seen, { "heading": "H1", "pictures": 2, "back": "?status=queued" });
        assert_has!(seen, { "filter": "queued" });
    });
}

#[test]
fn a_text_that_begins_like_a_url_is_shown_as_text() {
    e2e::run(async |world| {
        let texts = [
            "http://",
            "https://[no-host]",
            "https://example.com make a similar site",
            "https://x.example/50%",
        ];
        let mut jobs = Vec::new();
        for text in texts {
            jobs.push(Website::order(world, text).await.id);
        }
        // The address of a result that somebody wrote by hand.
        let by_hand =
            format!("update unstuck.jobs set output_url = 'none' where id = '{}'", jobs[0]);
        world.until_status(jobs[0], "completed").await;
        world.db().exec(&by_hand).await;
        let seen = world.browser("job_texts.mjs", &json!({ "jobs": jobs }));
        for (number, text) in texts.into_iter().enumerate() {
            let input = seen["inputs"][number].as_str().expect("a text");
            let shown = if text.ends_with('%') { "50%" } else { text };
            assert!(input.contains(shown), "{text}: {input}");
        }
    });
}

#[test]
fn the_page_of_a_job_shows_every_status_and_outlives_a_row_that_it_cannot_draw() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "work": "until_finished" } })).await;
        let try_on = TryOn::running(world, 2).await;
        let seen = world.browser("odd_row.mjs", &json!({ "job": try_on.job }));
        assert_has!(seen, { "waits": "Waits for the step before", "kept": 2, "left": 0 });
        has(&seen, "title", &["Outfit"]);
        has(&seen, "said", &["This could not be shown: "]);
    });
}

#[test]
fn a_user_is_found_by_email_and_given_credits_with_a_reason() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        let task = world
            .db()
            .value(&format!("select provider_task_id from unstuck.job_steps where job_id='{job}'"))
            .await;
        let beginning = job.to_string()[..13].to_owned();
        let searches = json!({ "job": beginning, "task": task, "user": user.id });
        let given = json!({ "email": "user1@example.com", "user": user.id, "searches": searches });
        let seen = world.browser("grant.mjs", &given);
        assert_has!(seen, { "before": "940", "without": true }, "no reason, no grant: {seen:#}");
        assert_eq!(seen["isKept"], true, "the dialog stays until the answer is there: {seen:#}");
        assert_eq!(seen["toast"], "Given. The balance is 1,040 now.");
        has(&seen, "entry", &["Gift", "+100", "1,040", "for the outage of Monday", "Admin"]);
        has(&seen, "log", &["Gave credits", "for the outage of Monday"]);
        let (at_job, at_user) = (format!("/admin/jobs/{job}"), format!("/admin/users/{}", user.id));
        assert_has!(seen["found"], { "job": at_job, "task": at_job, "user": at_user });
        assert_eq!(world.balance(&user).await, 1040);
        let log = log(world).await;
        assert_eq!(log.len(), 1, "{log:#?}");
        assert_has!(log[0], { "actor": ADMIN, "act": "credits_granted", "subject": user.id });
        assert_has!(log[0], { "reason": "for the outage of Monday" });
    });
}

#[test]
fn a_price_changed_while_an_order_is_under_way_holds_for_the_next_one() {
    e2e::run(async |world| {
        until_finished(world, 3).await;
        let user = world.user(1).await;
        let job = running(world, &user).await;
        world.db().exec("delete from unstuck.tool_prices where tool = 'runninghub-upscaler'").await;
        let before = log(world).await.len();
        let seen = world.browser(
            "settings.mjs",
            &json!({
                "at": "/admin/tools",
                "button": "#runninghub-upscaler [data-price=base] button",
                "fields": { "Credits": "75", "Reason": "the provider is dearer" },
            }),
        );
        has(&seen, "log", &["Changed a price", "Upscale", "60", "75", "the provider is dearer"]);
        world.finish(job).await;
        let done = world.until_status(job, "completed").await;
        assert_has!(done, { "credits_charged": 60 }, "an order keeps its price");
        let next = running(world, &user).await;
        assert_has!(world.job(next).await, { "credits_charged": 75 });
        let log = log(world).await;
        assert_eq!(log.len(), before + 1, "{log:#?}");
        assert_has!(log[before], { "actor": ADMIN, "reason": "the provider is dearer" });
    });
}

#[test]
fn a_provider_that_is_switched_off_makes_orders_wait_and_the_page_says_why() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let off = json!({
            "at": "/admin/providers",
            "button": "[data-switch=runninghub]",
            "fields": { "Reason": "it bills twice" },
            "shows": "Switch on",
        });
        let seen = world.browser("settings.mjs", &off);
        has(&seen, "log", &["Changed a provider", "runninghub", "it bills twice"]);
        let (job, _) = world.order(&user).await;
        let on = json!({
            "at": "/admin/providers",
            "button": "[data-switch=runninghub]",
            "fields": { "Reason": "it is mended" },
            "shows": "Switch off",
        });
        let page = json!({ "job": job });
        let seen = world.browser("why.mjs", &page);
        has(&seen, "why", &["It waits because runninghub is switched off."]);
        assert_eq!(world.job(job).await["status"], "queued");
        world.browser("settings.mjs", &on);
        world.sweep().await;
        world.until_status(job, "completed").await;
        let acts: Vec<Value> = log(world).await.iter().map(|row| row["act"].clone()).collect();
        assert_eq!(acts, ["provider_changed", "provider_changed"]);
    });
}

/// Inserts 700 live jobs of one user, paid and without a step.
async fn seven_hundred_live(world: &World, user: &TestUser) {
    let id = user.id;
    world
        .db()
        .exec(&format!(
            "with made as (
               insert into unstuck.jobs (tool, user_id, status, credits_charged, refund_rule,
                 created_at, queued_at)
               select 'generate-website', '{id}', 'queued', 10, 'all',
                 clock_timestamp() - n * interval '1 second', clock_timestamp()
               from generate_series(1, 700) n
               returning id)
             insert into unstuck.credit_entries (user_id, job_id, kind, amount)
             select '{id}', id, 'debit', -10 from made"
        ))
        .await;
}

async fn grant(world: &World, user: &TestUser, amount: i64) {
    let id = user.id;
    world
        .db()
        .exec(&format!(
            "insert into unstuck.credit_entries (user_id, kind, amount)
             values ('{id}', 'grant', {amount})"
        ))
        .await;
}

#[test]
fn everything_that_matches_is_cancelled_and_nothing_else() {
    e2e::run(async |world| {
        let (user, other) = (world.user(1).await, world.user(2).await);
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let stays = running(world, &other).await;
        grant(world, &user, 7000).await;
        let had = world.balance(&user).await;
        seven_hundred_live(world, &user).await;
        let given = json!({ "user": user.id, "count": 700 });
        let seen = world.browser("many.mjs", &given);
        assert_has!(seen, { "everybody": 701, "matching": 700, "done": 700 });
        has(&seen, "question", &["Cancel 700 live jobs?", "User: ", &user.id.to_string()]);
        has(&seen, "address", &["?user="]);
        has(&seen, "end", &["Cancelled 700 of 700; credits returned: 7,000."]);
        let fields = seen["fields"].as_array().unwrap();
        assert_eq!(fields.len(), 7, "{fields:#?}");
        assert_has!(fields[0], { "ids": 100, "userId": user.id, "reason": "an outage" });
        assert_eq!(world.balance(&user).await, had);
        assert_eq!(world.count("jobs where status = 'cancelled'").await, 700);
        assert_eq!(world.job(stays).await["status"], "running");
        let log = log(world).await;
        assert_eq!(log.len(), 7, "one of each request: {log:#?}");
        assert!(log.iter().all(|row| row["act"] == "jobs_cancelled" && row["actor"] == ADMIN));
        assert!(log.iter().all(|row| row["reason"] == "an outage"), "{log:#?}");
    });
}

#[test]
fn an_answer_that_comes_late_changes_neither_the_filters_of_an_act_nor_the_page() {
    e2e::run(async |world| {
        let (user, other) = (world.user(1).await, world.user(2).await);
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let meant = running(world, &user).await;
        let stays = running(world, &other).await;
        let given = json!({ "user": user.id, "email": "user1@example.com" });
        let seen = world.browser("late.mjs", &given);
        has(&seen, "file", &[meant.to_string().as_str()]);
        assert!(!seen["file"].as_str().unwrap().contains(&stays.to_string()), "{seen:#}");
        has(&seen, "question", &["Cancel 1 live job?", "User: ", &user.id.to_string()]);
        has(&seen, "end", &["Cancelled 1 of 1"]);
        assert_eq!(world.job(meant).await["status"], "cancelled");
        assert_eq!(world.job(stays).await["status"], "running");
        assert_eq!(seen["pages"], json!(["/admin/money", "/admin/search?q=nobody"]));
    });
}

#[test]
fn a_bulk_act_that_is_stopped_after_200_leaves_exactly_the_rest() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        grant(world, &user, 7000).await;
        let had = world.balance(&user).await;
        seven_hundred_live(world, &user).await;
        let given = json!({ "user": user.id, "count": 700, "stopIn": 2 });
        let seen = world.browser("many.mjs", &given);
        assert_has!(seen, { "done": 200 });
        has(&seen, "end", &["Cancelled 200 of 700", "Stopped"]);
        assert_eq!(world.count("jobs where status = 'cancelled'").await, 200);
        assert_eq!(world.count("jobs where status = 'queued'").await, 500);
        assert_eq!(world.balance(&user).await, had - 5000);
    });
}

#[test]
fn a_network_lost_in_the_middle_of_an_act_is_told_and_nothing_is_done_twice() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        world.script(json!({ "runninghub": { "times": 1, "fail": "out of paint" } })).await;
        let (failed, _) = world.order(&user).await;
        world.until_status(failed, "failed").await;
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let job = running(world, &world.user(2).await).await;
        let at_user = format!("/admin/users/{}", user.id);
        let reason = json!({ "Reason": "the night" });
        let amount = json!({ "Credits": "100", "Reason": "the night" });
        let acts = json!({ "acts": {
            "grant": { "at": at_user, "button": "[data-grant]", "path": "admin-users/grant",
                "fields": amount },
            "cancel": { "at": format!("/admin/jobs/{job}"), "button": "[data-cancel]",
                "path": "admin-cancel-job" },
            "retry": { "at": format!("/admin/jobs/{failed}"), "button": "[data-retry]",
                "path": "admin-retry-job", "fields": { "Reason optional": "the night" } },
            "provider": { "at": "/admin/providers", "button": "[data-switch=gemini]",
                "path": "admin-settings/providers", "fields": reason },
            "tool": { "at": "/admin/tools", "button": "[data-switch=generate-website]",
                "path": "admin-settings/tools", "fields": reason },
        }});
        let seen = world.browser("lost.mjs", &acts);
        for (name, act) in seen["seen"].as_object().unwrap() {
            let said = act["said"].as_array().unwrap();
            let lost = |text: &Value| text.as_str().unwrap().contains("The connection was lost");
            assert!(said.len() == 2 && said.iter().all(lost), "{name}: {act:#}");
        }
        let balance = world.balance(&user).await;
        assert_eq!(balance, 1100, "a gift is given once: {seen:#}");
        assert_has!(world.job(job).await, { "status": "cancelled", "credits_refunded": 60 });
        let made = world.count(&format!("jobs where retry_of = '{failed}'")).await;
        assert_eq!(made, 1, "{seen:#}");
        for (table, row) in
            [("providers", "provider = 'gemini'"), ("tools", "tool like '%e-website'")]
        {
            assert_eq!(world.count(&format!("{table} where not enabled and {row}")).await, 1);
        }
        let mut acts: Vec<String> =
            log(world).await.iter().map(|row| row["act"].as_str().unwrap().to_owned()).collect();
        acts.sort_unstable();
        let once =
            ["credits_granted", "job_cancelled", "job_retried", "provider_changed", "tool_changed"];
        assert_eq!(acts, once, "each act is one row");
    });
}

#[test]
fn the_admin_page_fits_a_phone_in_every_language() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        world.script(json!({ "runninghub": { "times": 1, "fail": "out of paint" } })).await;
        let (failed, _) = world.order(&user).await;
        world.until_status(failed, "failed").await;
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let live = running(world, &world.user(2).await).await;
        let balance = json!({ "p_provider": "runninghub", "p_amounts": { "coins": 1 } });
        world.db().call("provider_balance_v1", balance).await;
        world.set_provider("runninghub", "balance_least = '{\"coins\": 5}'").await;
        let places = [
            "/admin".to_owned(),
            "/admin/jobs?status=live".to_owned(),
            format!("/admin/jobs/{failed}"),
            format!("/admin/jobs/{live}"),
            format!("/admin/users/{}", user.id),
            "/admin/search?q=user".to_owned(),
            "/admin/money".to_owned(),
            "/admin/providers".to_owned(),
            "/admin/tools".to_owned(),
            "/admin/log".to_owned(),
            "/admin/violations".to_owned(),
            "/admin/questions".to_owned(),
            "/admin/questions/7".to_owned(),
            "/admin/questions/12".to_owned(),
        ];
        let opened = [
            (format!("/admin/users/{}", user.id), "[data-grant]"),
            (format!("/admin/users/{}", user.id), "[data-erase]"),
            (format!("/admin/jobs/{live}"), "[data-cancel]"),
            (format!("/admin/jobs/{failed}"), "[data-retry]"),
            ("/admin/jobs?status=live".to_owned(), "[data-many=cancel]"),
            ("/admin/providers".to_owned(), "[data-slots]"),
            ("/admin/providers".to_owned(), "[data-least]"),
            ("/admin/providers".to_owned(), "[data-switch]"),
            ("/admin/tools".to_owned(), "[data-rule]"),
            ("/admin/tools".to_owned(), "[data-limits]"),
            ("/admin/tools".to_owned(), "[data-price] button"),
        ];
        let places: Vec<Value> =
            places.iter().map(|place| json!(place)).chain(opened.map(|pair| json!(pair))).collect();
        let seen = world.browser("widths.mjs", &json!({ "places": places }));
        assert_eq!(seen["findings"], json!([]), "{seen:#}");
        assert_eq!(seen["looked"], 100);
    });
}

#[test]
fn ten_refreshes_leave_focus_selection_and_rows_where_they_are() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let (user, other) = (world.user(1).await, world.user(3).await);
        let job = running(world, &user).await;
        running(world, &other).await;
        let seen = world.browser("focus.mjs", &json!({ "job": job }));
        let before = &seen["before"];
        assert_has!(before, { "focus": job, "selected": job.to_string()[..8] }, "{seen:#}");
        let after = seen["seen"].as_array().unwrap();
        assert_eq!(after.len(), 10);
        for look in after {
            for field in ["focus", "selected", "top", "rows"] {
                assert_eq!(look[field], before[field], "{field}: {look:#}");
            }
        }
        assert_eq!(seen["fresh"], "Show 1 new job");
        assert_eq!(seen["first"], seen["ordered"], "{seen:#}");
    });
}

#[test]
fn the_money_of_a_day_is_shown_and_saved_by_kind_and_tool() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        let owed = "insert into unstuck.credit_debts (user_id, amount)
            values (gen_random_uuid(), 40), (gen_random_uuid(), 5)";
        world.db().exec(owed).await;
        let seen = world.browser("money.mjs", &json!({}));
        has(&seen, "debts", &["Open debts", "2", "45 credits are owed"]);
        let day = world.db().value("select (now() at time zone 'UTC')::date::text").await;
        let day = day.as_str().unwrap();
        has(&seen, "days", &["In all", "−60"]);
        assert_eq!(seen["name"], "money.csv");
        let lines = seen["lines"].as_array().unwrap();
        assert!(
            lines[0].as_str().unwrap().ends_with(r#""day","kind","tool","entries","credits""#),
            "{lines:#?}"
        );
        let spent = format!(r#""{day}","debit","runninghub-upscaler",1,-60"#);
        assert!(lines.iter().any(|line| line == &spent), "{spent} in {lines:#?}");
        let sums = "select count(distinct (e.kind, j.tool)) from unstuck.credit_entries e
            left join unstuck.jobs j on j.id = e.job_id";
        let sums = world.db().int(sums).await;
        assert!(sums >= 2, "more rows than one answer has: {sums}");
        assert_eq!(lines.len() as i64, 1 + sums, "a heading and every sum: {lines:#?}");
    });
}
