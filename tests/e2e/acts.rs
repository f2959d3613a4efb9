//! Each act of an admin writes one row of the log, also if the network is lost in the middle of it.
//! The admin's page shows the prices, costs and margin of a tool.

use serde_json::{Value, json};
use unstuck_tests::assert::differences;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

const ADMIN: &str = "00000000-0000-4000-8000-0000000000a1";
const TOOL: &str = "runninghub-upscaler";

/// Performs an act and returns the one row that it wrote into the log.
async fn acted(world: &World, path: &str, body: Value) -> Value {
    let admin = world.admin(1).await;
    let last = world.db().int("select coalesce(max(id), 0) from unstuck.admin_log").await;
    world.call(path).by(&admin).json(&body).ok().await;
    let rows = format!("select * from unstuck.admin_log where id > {last}");
    let mut rows = world.db().rows(&rows).await;
    assert_eq!(rows.len(), 1, "{path} {body}: {rows:#?}");
    let row = rows.remove(0);
    assert_has!(row, { "actor": ADMIN, "reason": body["reason"] }, "{path}: {row:#}");
    row
}

/// Asserts that the pages have words for the act and for each field that it changed, so that no
/// page shows a code.
fn in_words(row: &Value) {
    let words = include_str!("../../web/words/admin/en.js");
    let act = row["act"].as_str().unwrap();
    assert!(words.contains(&format!("  act_{act}: ")), "{act} has no words");
    for side in [&row["from"], &row["to"]] {
        for name in side.as_object().into_iter().flat_map(|fields| fields.keys()) {
            let key = format!("  set_{}: ", name.to_lowercase());
            assert!(name == "ids" || words.contains(&key), "{act}: {name} has no words");
        }
    }
}

async fn live(world: &World, user: &TestUser) -> Uuid {
    world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
    let (job, _) = world.order(user).await;
    world.until_status(job, "running").await;
    job
}

#[test]
fn each_act_on_a_user_or_a_job_is_one_row_of_the_log() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let gift = json!({ "userId": user.id, "amount": 5, "reason": "sorry",
            "idempotencyKey": "k" });
        let row = acted(world, "admin-users/grant", gift).await;
        assert_has!(row, { "act": "credits_granted", "subject": user.id });
        assert_has!(row, { "from": { "balance": 1000 }, "to": { "balance": 1005, "amount": 5 } });
        in_words(&row);

        let job = live(world, &user).await;
        let named = |job: Uuid| json!({ "table": "upscaler_jobs", "jobId": job, "reason": "r" });
        let row = acted(world, "admin-cancel-job", named(job)).await;
        assert_has!(row, { "act": "job_cancelled", "subject": job });
        assert_has!(row, { "from": { "status": "running", "refunded": 0 } });
        assert_has!(row, { "to": { "status": "cancelled", "refunded": 60 } });
        in_words(&row);

        let mut again = named(job);
        again.as_object_mut().unwrap().remove("reason");
        let row = acted(world, "admin-retry-job", again.clone()).await;
        assert_has!(row, { "act": "job_retried", "subject": job });
        let made = row["to"]["job"].as_str().unwrap().parse::<Uuid>().unwrap();
        assert_has!(world.job(made).await, { "retry_of": job });
        in_words(&row);
        world.until_status(made, "running").await;

        let late = "update unstuck.job_steps set deadline_at = now() - interval '1 second'";
        world.db().exec(&format!("{late} where job_id = '{made}'")).await;
        again["jobId"] = json!(made);
        let row = acted(world, "admin-retry-job", again).await;
        assert_has!(row, { "act": "job_retried", "subject": made });
        assert_eq!(
            row["to"]["job"],
            json!(made),
            "the live job itself is put back into the queue: {row:#}"
        );
        in_words(&row);
        world.until_status(made, "running").await;

        let filter = json!({ "userId": user.id });
        let many = json!({ "filter": filter, "limit": 10, "reason": "an outage" });
        let row = acted(world, "admin-cancel-job/many", many.clone()).await;
        assert_has!(row, { "act": "jobs_cancelled", "subject": null, "from": filter });
        assert_has!(row["to"], { "matched": 1, "jobs": [made], "refused": 0, "refunded": 0 });
        in_words(&row);

        world.script(json!({ "reset": true })).await;
        world.script(json!({ "runninghub": { "all": true, "fail": "out of paint" } })).await;
        let other = world.user(2).await;
        let (failed, _) = world.order(&other).await;
        world.until_status(failed, "failed").await;
        let retry = json!({ "filter": { "userId": other.id }, "reason": "it is mended" });
        let row = acted(world, "admin-retry-job/many", retry).await;
        assert_has!(row, { "act": "jobs_retried", "subject": null });
        assert_has!(row["to"], { "matched": 1 });
        in_words(&row);

        let erase = json!({ "userId": user.id, "reason": "asked by mail" });
        let row = acted(world, "admin-users/erase", erase).await;
        assert_has!(row, { "act": "user_erase", "subject": user.id });
        in_words(&row);
    });
}

#[test]
fn each_change_of_a_setting_is_one_row_of_the_log() {
    e2e::run(async |world| {
        world.db().exec("delete from unstuck.tool_prices where tool = 'runninghub-upscaler'").await;
        world
            .set_provider(
                "replicate",
                "circuit_open_until = now() + interval '1 hour', circuit_reason = 'account',
                 circuit_opened_at = now()",
            )
            .await;
        let rule = json!({ "position": 1, "credits": 90, "matches": { "version": "pro" } });
        let costs = json!({ "position": 1, "credits": 95 });
        let gone = json!({ "position": 1, "remove": true });
        for (op, change, act, from, to) in [
            (
                "tools",
                json!({ "enabled": false }),
                "tool_changed",
                json!({ "enabled": true }),
                json!({ "enabled": false }),
            ),
            (
                "tools",
                json!({ "enabled": true }),
                "tool_changed",
                json!({ "enabled": false }),
                json!({ "enabled": true }),
            ),
            (
                "tools",
                json!({ "attemptMax": 5 }),
                "tool_changed",
                json!({ "attempt_max": 3 }),
                json!({ "attempt_max": 5 }),
            ),
            (
                "tools",
                json!({ "providerCost": 12.5 }),
                "tool_changed",
                json!({ "provider_cost": null }),
                json!({ "provider_cost": 12.5 }),
            ),
            (
                "tools",
                json!({ "creditCost": 61 }),
                "price_changed",
                json!({ "credit_cost": 60 }),
                json!({ "credit_cost": 61 }),
            ),
            ("prices", rule, "price_changed", Value::Null, json!({ "credits": 90 })),
            ("prices", costs, "price_changed", json!({ "credits": 90 }), json!({ "credits": 95 })),
            ("prices", gone, "price_changed", json!({ "credits": 95 }), Value::Null),
            (
                "providers",
                json!({ "maxConcurrent": 4 }),
                "provider_changed",
                json!({ "max_concurrent": 3 }),
                json!({ "max_concurrent": 4 }),
            ),
            (
                "providers",
                json!({ "balanceLeast": { "coins": 500 } }),
                "provider_changed",
                json!({ "balance_least": {} }),
                json!({ "balance_least": { "coins": 500 } }),
            ),
            (
                "providers",
                json!({ "enabled": false }),
                "provider_changed",
                json!({ "enabled": true }),
                json!({ "enabled": false }),
            ),
        ] {
            let mut body = change;
            let (key, name) =
                if op == "providers" { ("provider", "runninghub") } else { ("tool", TOOL) };
            body[key] = json!(name);
            body["reason"] = json!("the night");
            let row = acted(world, &format!("admin-settings/{op}"), body).await;
            assert_has!(row, { "act": act, "subject": name }, "{row:#}");
            for (side, told) in [("from", from), ("to", to)] {
                assert_eq!(row[side].is_null(), told.is_null(), "{row:#}");
                if !told.is_null() {
                    let other = differences(&row[side], &told);
                    assert!(other.is_empty(), "{other:?} in {row:#}");
                }
            }
            in_words(&row);
        }
        let close =
            json!({ "provider": "replicate", "closeCircuit": true, "reason": "it is paid" });
        let row = acted(world, "admin-settings/providers", close).await;
        assert_has!(row, { "act": "circuit_closed", "subject": "replicate" });
        in_words(&row);
    });
}

#[test]
fn a_rule_of_prices_is_added_changed_and_removed_on_the_page() {
    e2e::run(async |world| {
        world.db().exec("delete from unstuck.tool_prices where tool = 'runninghub-upscaler'").await;
        let seen = world.browser("rule.mjs", &json!({ "tool": TOOL, "position": 3 }));
        let has = |text: &Value, parts: &[&str]| {
            let text = text.as_str().unwrap();
            assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
        };
        has(&seen["refused"], &["The options are not valid JSON."]);
        has(&seen["added"], &["Model = Pro", "90"]);
        has(&seen["changed"], &["Model = Pro", "95"]);
        has(&seen["log"][2], &["90", "pro costs more", "Upscale"]);
        has(&seen["log"][1], &["90", "95", "dearer still"]);
        has(&seen["log"][0], &["95", "one price for all"]);
        assert_eq!(world.count("tool_prices where tool = 'runninghub-upscaler'").await, 0);
    });
}

#[test]
fn what_a_tool_costs_and_what_is_left_at_a_provider_is_on_the_page() {
    e2e::run(async |world| {
        world.db().exec("delete from unstuck_private.healer_marks where healer = 'balances'").await;
        world.sweep().await;
        let left = "select amounts from unstuck_private.provider_balances";
        assert_eq!(world.db().value(left).await, json!({ "coins": 100_000.0 }));
        world.set_tool(TOOL, "run_timeout = '90 seconds'").await;
        let seen = world.browser("margin.mjs", &json!({ "tool": TOOL }));
        assert_eq!(seen["unchanged"], "Nothing differs from what it is now.");
        assert_eq!(seen["left"], "100,000 coins");
        assert!(seen["before"].as_str().unwrap().contains("Nobody has said"), "{seen:#}");
        let log = seen["log"].as_str().unwrap();
        assert!(log.contains("12.5") && log.contains("their new price list"), "{log}");
        let timeout = format!("tools where tool = '{TOOL}' and run_timeout = '90 seconds'");
        assert_eq!(world.count(&timeout).await, 1, "only what differs is sent: {log}");
        let user = world.user(1).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        world.sweep().await;
        let seen = world.browser("kept.mjs", &json!({ "tool": TOOL }));
        let line = seen["line"].as_str().unwrap();
        assert!(
            line.contains("12.5") && line.contains("+47.5") && line.contains("79.2%"),
            "{line}"
        );
    });
}

#[test]
fn a_network_lost_while_settings_change_or_a_user_is_erased_does_nothing_twice() {
    e2e::run(async |world| {
        world
            .db()
            .exec(
                "delete from unstuck.tool_prices where tool = 'runninghub-upscaler';
                 insert into unstuck_private.provider_balances
                 values ('runninghub', '{\"coins\": 120}', clock_timestamp())
                 on conflict (provider) do update set amounts = excluded.amounts",
            )
            .await;
        let user = world.user(4).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        let open = "account_faults = 3, circuit_reason = 'account', circuit_opened_at = now(),
            circuit_open_until = now() + interval '1 hour'";
        world.set_provider("replicate", open).await;
        let reason = json!({ "Reason": "the night" });
        let price = json!({ "Credits": "75", "Reason": "the night" });
        let rule = json!({ "Position": "1", "Options, as JSON": "{}", "Credits": "80",
            "Reason": "the night" });
        let limits = json!({ "Minutes at the provider": "7", "Reason": "the night" });
        let slots = json!({ "Slots": "7", "Reason": "the night" });
        let cost =
            json!({ "Cost of an attempt, in credits optional": "12.5", "Reason": "the night" });
        let least = json!({ "Warn below, in coins optional": "500", "Reason": "the night" });
        let of_provider = |button: &str, fields: &Value| {
            json!({ "at": "/admin/providers", "button": button, "fields": fields,
                "path": "admin-settings/providers" })
        };
        let erase = json!({ "Type the user's id to confirm": user.id, "Reason": "the night" });
        let tools = |button: &str, list: &str, fields: &Value| {
            json!({ "at": "/admin/tools", "button": button, "fields": fields,
                "path": format!("admin-settings/{list}") })
        };
        let of_rule = "#runninghub-upscaler [data-price='1'] button";
        let acts = json!({ "acts": {
            "a_price": tools("#runninghub-upscaler [data-price=base] button", "tools", &price),
            "a_rule": tools("[data-rule=runninghub-upscaler]", "prices", &rule),
            "a_rule_removed": tools(of_rule, "prices", &reason),
            "circuit": of_provider("[data-circuit=replicate]", &reason),
            "cost": tools("[data-limits=runninghub-upscaler]", "tools", &cost),
            "least": of_provider("[data-least=runninghub]", &least),
            "limits": tools("[data-limits=runninghub-upscaler]", "tools", &limits),
            "slots": of_provider("[data-slots=gemini]", &slots),
            "user": { "at": format!("/admin/users/{}", user.id), "button": "[data-erase]",
                "path": "admin-users/erase", "fields": erase },
        }});
        let seen = world.browser("lost.mjs", &acts);
        for (name, act) in seen["seen"].as_object().unwrap() {
            let said = act["said"].as_array().unwrap();
            let lost = |text: &Value| text.as_str().unwrap().contains("The connection was lost");
            assert!(said.len() == 2 && said.iter().all(lost), "{name}: {act:#}");
        }
        assert_eq!(world.count(&format!("jobs where user_id = '{}'", user.id)).await, 0);
        let price = "select credit_cost from unstuck.tools where tool = 'runninghub-upscaler'";
        assert_eq!(world.db().int(price).await, 75);
        assert_eq!(world.count("tool_prices where tool = 'runninghub-upscaler'").await, 0);
        for changed in [
            "tools where tool = 'runninghub-upscaler' and provider_cost = 12.5",
            "providers where provider = 'replicate' and circuit_open_until is null",
            "providers where balance_least = '{\"coins\": 500}'",
        ] {
            assert_eq!(world.count(changed).await, 1, "{changed}");
        }
        let log = "select * from unstuck.admin_log where reason = 'the night' order by id";
        let log = world.db().rows(log).await;
        let acts: Vec<&str> = log.iter().map(|row| row["act"].as_str().unwrap()).collect();
        assert_eq!(
            acts,
            [
                "price_changed",
                "price_changed",
                "price_changed",
                "circuit_closed",
                "tool_changed",
                "provider_changed",
                "tool_changed",
                "provider_changed",
                "user_erase"
            ],
            "each act is one row: {seen:#}"
        );
    });
}

#[test]
fn a_network_lost_while_many_are_retried_is_told_and_no_job_is_retried_twice() {
    e2e::run(async |world| {
        world.set_provider("llm", "enabled = false").await;
        let user = world.new_user(6_000).await;
        for _ in 0..120 {
            world.db().order(user.id, "generate-website", 1).await;
        }
        let all = "(array_agg(j.id), array_agg('failed'::text), array_agg('TIMEOUT'::text),
            array_agg('the model was away.'::text))";
        let ended = format!(
            "select f.* from (select (unstuck_private.jobs_finalise{all}).* from unstuck.jobs j
             where j.user_id = '{}') f",
            user.id
        );
        world.db().rows(&ended).await;
        assert_eq!(world.count("jobs where status = 'failed'").await, 120);
        let tries = json!([
            { "total": 120, "matching": 120, "lostPart": 1, "arrives": false },
            { "total": 120, "matching": 120, "lostPart": 1, "arrives": true },
            { "total": 220, "matching": 120, "lostPart": 0, "arrives": true },
        ]);
        let given = json!({ "act": "retry", "user": user.id, "tries": tries });
        let seen = world.browser("lost_many.mjs", &given);
        let ends: Vec<&str> = [0, 1, 2].map(|n| seen["tries"][n]["end"].as_str().unwrap()).into();
        for end in &ends[..2] {
            assert!(end.contains("Retried 0 of 120"), "{end}");
            assert!(end.contains("The connection was lost"), "{end}");
        }
        assert!(ends[2].contains("Retried 20 of 120, free of charge."), "{}", ends[2]);
        assert!(ends[2].contains("100 were left as they are."), "{}", ends[2]);
        assert_eq!(world.count("jobs where retry_of is not null").await, 120);
        let once = "select count(distinct retry_of) from unstuck.jobs";
        assert_eq!(world.db().int(once).await, 120, "each job is retried once");
        assert_eq!(world.balance(&user).await, 6_000, "the retries are free of charge");
        let log = "select * from unstuck.admin_log where act = 'jobs_retried'";
        let log = world.db().rows(log).await;
        assert_eq!(log.len(), 2, "one row for each part that arrived: {log:#?}");
        assert!(log.iter().all(|row| row["reason"] == "an outage"), "{log:#?}");
    });
}

#[test]
fn a_network_lost_while_many_are_cancelled_is_told_and_the_next_try_does_the_rest() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let id = user.id;
        let had = world.balance(&user).await;
        world
            .db()
            .exec(&format!(
                "insert into unstuck.credit_entries (user_id, kind, amount)
                 values ('{id}', 'grant', 2500);
                 with made as (
                   insert into unstuck.jobs (tool, user_id, status, credits_charged, refund_rule,
                     created_at, queued_at)
                   select 'generate-website', '{id}', 'queued', 10, 'all',
                     clock_timestamp() - n * interval '1 second', clock_timestamp()
                   from generate_series(1, 250) n
                   returning id)
                 insert into unstuck.credit_entries (user_id, job_id, kind, amount)
                 select '{id}', id, 'debit', -10 from made"
            ))
            .await;
        let tries = json!([
            { "total": 250, "matching": 250, "lostPart": 1, "arrives": false },
            { "total": 250, "matching": 250, "lostPart": 2, "arrives": true },
            { "total": 250, "matching": 50, "lostPart": 0, "arrives": true },
        ]);
        let given = json!({ "act": "cancel", "user": id, "tries": tries });
        let seen = world.browser("lost_many.mjs", &given);
        let said = |number: usize, field: &str, part: &str| {
            let text = seen["tries"][number][field].as_str().unwrap();
            assert!(text.contains(part), "{part} in {text}");
        };
        said(0, "end", "Cancelled 0 of 250");
        said(0, "end", "The connection was lost");
        said(1, "end", "Cancelled 100 of 250");
        said(1, "end", "The connection was lost");
        said(2, "asked", "Cancel 50 live jobs?");
        said(2, "end", "Cancelled 50 of 50; credits returned: 500.");
        assert_eq!(world.count("jobs where status = 'cancelled'").await, 250);
        assert_eq!(world.balance(&user).await, had + 2500);
        let each = "select sum(jsonb_array_length(\"to\" -> 'jobs'))::int from unstuck.admin_log";
        assert_eq!(world.db().int(each).await, 250, "the log lists each job once");
    });
}

#[test]
fn tiles_and_alarms_lead_to_their_question_and_a_job_to_its_logs() {
    e2e::run(async |world| {
        let logs = ("LOGS_URL".to_owned(), Some("https://logs.example/?q={jobId}".to_owned()));
        world.script(json!({ "runninghub": { "times": 2, "fail": "out of paint" } })).await;
        let mut failed = Vec::new();
        for user in 1..=2 {
            let (job, _) = world.order(&world.user(user).await).await;
            world.until_status(job, "failed").await;
            failed.push(job);
        }
        let open = "account_faults = 3, circuit_reason = 'account', circuit_opened_at = now(),
            circuit_open_until = now() + interval '1 hour', balance_least = '{\"coins\": 500}'";
        world.set_provider("runninghub", open).await;
        let alarm = json!({ "p_provider": "runninghub", "p_tool": null, "p_about": null,
            "p_code": "802", "p_detail": null });
        world.db().call("provider_alarm_v1", alarm).await;
        let balance = json!({ "p_provider": "runninghub", "p_amounts": { "coins": 120 } });
        world.db().call("provider_balance_v1", balance).await;

        let seen = world.browser("questions.mjs", &json!({ "job": failed[0] }));
        let tiles = json!([
            ["stuck", "3"],
            ["waiting", "7"],
            ["slots", "7"],
            ["sweep", "8"],
            ["invariants", "1"],
            ["debts", "6"]
        ]);
        assert_eq!(seen["tiles"], tiles);
        assert_has!(seen, { "stuck": "What is stuck?", "at": "/admin/questions/3" });
        let provider = seen["provider"].as_str().unwrap();
        assert!(provider.contains("120 coins runs low"), "{provider}");
        assert_eq!(seen["marks"], json!(["8", "8", "8", "8"]), "circuit, balance, errors, alarms");
        let page = include_str!("../../docs/operations.md");
        let queries = page.matches("```").count() / 2;
        let answers = seen["answers"].as_array().unwrap();
        assert_eq!(answers.len(), page.matches("\n## ").count());
        let shown = answers.iter().map(|answer| answer["queries"].as_array().unwrap().len());
        assert_eq!(shown.sum::<usize>(), queries, "each query is there to be copied");
        for answer in answers {
            let text = answer["text"].as_str().unwrap();
            assert!(!text.contains("**") && !text.contains("| "), "{}: {text}", answer["title"]);
        }
        let told = &seen["told"];
        let hint = format!("job_id = \"{}\"", failed[0]);
        assert!(told["text"].as_str().unwrap().contains(&hint), "{told}");
        let retried = "select reason from unstuck.admin_log where act = 'job_retried'";
        assert_eq!(world.db().texts(retried).await, ["the user asked"]);

        world.restart_workers([("gateway".to_owned(), [logs].into())].into()).await;
        let seen = world.browser("questions.mjs", &json!({ "job": failed[1] }));
        let href = format!("https://logs.example/?q={}", failed[1]);
        assert_has!(seen["told"], { "text": "Open the logs", "href": href });
    });
}
