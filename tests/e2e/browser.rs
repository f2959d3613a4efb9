//! The pages in a real browser as users use them: what they see, what they click, and what the
//! database holds afterwards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stand_ins::media::SHORT_CLIP;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

use unstuck_tests::e2e::website::{self, Website};

fn id(seen: &Value) -> Uuid {
    seen["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no job: {seen:#}"))
}

/// Gives the only slot to another user's job, which never ends. The tasks of all other jobs run
/// until the test finishes them.
async fn somebody_is_before_us(world: &World) -> Uuid {
    let held = json!({ "match": "before-us", "hang": true });
    world.script(json!({ "runninghub": [held, { "all": true, "work": "until_finished" }] })).await;
    world.set_provider("runninghub", "max_concurrent = 1").await;
    let other = world.user(2).await;
    world.order_as(&other, Uuid::new_v4(), json!({ "prompt": "before-us" })).await.0
}

#[test]
fn a_picture_is_uploaded_waits_runs_and_comes_back_twice_as_large() {
    e2e::run(async |world| {
        let before = somebody_is_before_us(world).await;
        let seen = world.browser("upscale.mjs", &json!({ "before": before }));
        assert_has!(seen, { "before": "1,000", "position": "1", "charged": "940" });
        assert_has!(seen["urls"], { "made": 2, "left": 1 }, "the form's alone: {seen:#}");
        let pixels = &seen["pixels"];
        assert_has!(pixels, { "before": [12, 9], "after": [24, 18] }, "{seen:#}");
        assert!(
            pixels["difference"].as_f64().is_some_and(|difference| difference < 12.0),
            "another picture: {seen:#}"
        );
        assert_has!(seen, { "shown": "24 × 18", "split": "0%" });
        let receipt = seen["receipt"][0].as_str().unwrap();
        assert!(receipt.contains("Charged") && receipt.contains("−60"), "{receipt}");
        let job = world.job(id(&seen)).await;
        assert_has!(job, { "status": "completed", "credits_charged": 60 });
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn every_tool_is_ordered_by_its_own_form() {
    e2e::run(async |world| {
        // The price that the form shows; and the sizes of the pictures that the page shows in the
        // end, or the names of the files.
        let tools = [
            ("runninghub-video-upscaler", 120, json!([[64, 32]])),
            ("runninghub-pose-changer", 60, json!([[24, 9]])),
            ("runninghub-veste-ai", 60, json!([[24, 9]])),
            ("replicate-async-start", 80, json!([[12, 9]])),
            ("create-generation-job-banana", 30, json!([[240, 320], [240, 320], [240, 320]])),
            ("generate-website", 50, json!(["index.html", "css/style.css", "js/app.js"])),
            (
                "generate-react-website",
                80,
                json!([
                    "package.json",
                    "index.html",
                    "vite.config.ts",
                    "src/main.tsx",
                    "src/App.tsx",
                    "src/style.css"
                ]),
            ),
            ("generate-php-website", 80, json!(["index.php", "inc/page.php", "style.css"])),
        ];
        let clip = BASE64.encode(SHORT_CLIP.original);
        let given = json!({ "clip": clip, "tools": tools.each_ref().map(|t| t.0) });
        let seen = &world.browser("tools.mjs", &given)["seen"];
        let (mut left, none) = (1000, json!([]));
        for (tool, price, shown) in tools {
            let seen = &seen[tool];
            assert_has!(seen, { "cost": price.to_string(), "shown": shown }, "{tool}: {seen}");
            let job = world.job(id(seen)).await;
            assert_has!(job, { "tool": tool, "status": "completed", "credits_charged": price });
            left -= price;
            let is_site = tool.ends_with("website");
            let (files, downloads) = (&seen["opened"]["files"], &seen["opened"]["downloads"]);
            assert_eq!(
                files,
                if is_site { &seen["shown"] } else { &none },
                "{tool}: what its row opens"
            );
            if is_site {
                assert_eq!(
                    (&seen["thumb"], downloads),
                    (&Value::Null, &json!(0)),
                    "its object is no picture and no download"
                );
            }
        }
        assert_eq!(world.balance(&world.user(1).await).await, left);
    });
}

#[test]
fn a_tab_closed_while_uploading_leaves_nothing_behind() {
    e2e::run(async |world| {
        let seen = world.browser("leave.mjs", &json!({ "state": "uploading" }));
        let user = world.user(1).await;
        assert_eq!(world.count("jobs").await, 0);
        assert_eq!(world.balance(&user).await, 1000);
        // An order that was already being sent is refused.
        let body = world.order_body(&user, id(&seen), json!({})).await;
        let late = world.call("runninghub-upscaler/run").by(&user).json(&body).send().await;
        assert_eq!(late.status, 409, "{}", late.text);
        assert_eq!(world.count("jobs where status <> 'cancelled'").await, 0);
        assert_eq!(world.balance(&user).await, 1000);
    });
}

#[test]
fn a_tab_closed_while_running_loses_nothing() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let seen = world.browser("leave.mjs", &json!({ "state": "running" }));
        world.finish(id(&seen)).await;
        let job = world.until_status(id(&seen), "completed").await;
        assert!(job["output_url"].is_string(), "{job}");
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn a_reload_finds_the_running_job() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let seen = world.browser("reload.mjs", &json!({}));
        assert_has!(seen, { "found": seen["id"], "done": seen["id"] });
        assert_eq!(world.count("jobs").await, 1);
    });
}

#[test]
fn a_job_ordered_before_the_page_knows_what_runs_is_followed_once() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let seen = world.browser("early.mjs", &json!({}));
        assert_eq!(seen["told"], json!(["Upscale: Done"]), "{seen:#}");
        assert_eq!(world.count("jobs").await, 1);
    });
}

#[test]
fn a_job_whose_order_had_no_answer_is_shown_as_it_is_once_the_line_is_back() {
    e2e::run(async |world| {
        let seen = world.browser("unanswered.mjs", &json!({}));
        let failed = seen["failed"].as_str().unwrap_or_default();
        assert!(failed.contains("The server cannot be reached"), "{failed:?}");
        assert!(!failed.contains("Nothing was charged"), "nobody knows that: {failed:?}");
        let job = world.job(id(&seen)).await;
        assert_has!(job, { "status": "completed", "credits_charged": 60 });
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn a_person_is_told_in_words_what_became_of_the_job_and_the_credits() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let told = |seen: &Value, texts: &[&str]| {
            let text = seen["text"].as_str().unwrap_or_default();
            assert!(texts.iter().all(|part| text.contains(part)), "{texts:?} in {text:?}");
        };
        world.script(json!({ "runninghub": { "all": true, "fail": "out of paint" } })).await;
        let seen = world.browser("refused.mjs", &json!({ "state": "failed" }));
        told(&seen, &["The provider could not finish it.", "60 credits returned"]);

        world.script(json!({ "reset": true })).await;
        somebody_is_before_us(world).await;
        let seen = world.browser("refused.mjs", &json!({ "state": "cancelled", "cancel": true }));
        told(&seen, &["Cancelled", "60 credits returned"]);
        assert_eq!(world.balance(&user).await, 1000);
    });
}

/// Orders a job and waits until it runs. Its task ends only if the provider ends it.
async fn endless(world: &World, user: &TestUser) -> Uuid {
    let (job, _) = world.order(user).await;
    world.until_status(job, "running").await;
    job
}

async fn refunds(world: &World, job: Uuid) -> i64 {
    let sum = "select coalesce(sum(amount), 0) from unstuck.credit_entries where kind = 'refund'
        and job_id";
    world.db().int(&format!("{sum} = '{job}'")).await
}

#[test]
fn an_admin_cancels_a_running_job_by_clicking() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let (finished, _) = world.order(&user).await;
        world.until_status(finished, "completed").await;
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let job = endless(world, &user).await;
        let task = world
            .db()
            .value(&format!(
                "select provider_task_id from unstuck.job_steps where job_id = '{job}'"
            ))
            .await;
        let seen = world.browser("admin.mjs", &json!({ "job": job, "finished": finished }));
        let has = |field: &str, texts: &[&str]| {
            let text = seen[field].as_str().unwrap_or_default();
            assert!(texts.iter().all(|part| text.contains(part)), "{field}: {texts:?} in {text:?}");
        };
        has("before", &["Upscale", "Running", "60", "Cancel"]);
        has("question", &["Cancel this job?", "60 credits go back"]);
        assert_eq!(seen["toast"], "Job cancelled and 60 credits refunded");
        has("after", &["Cancelled", "−60"]);
        assert_has!(seen, { "buttons": 0, "finished": 0 }, "Cancel is for live rows: {seen:#}");
        assert_eq!(seen["colour"], "rgb(179, 38, 30)", "it is red");
        has(
            "history",
            &[
                task.as_str().unwrap(),
                "Spent",
                "Returned",
                "Job cancelled",
                "Provider works",
                "Admin 00000000",
                "cancelled by an admin",
            ],
        );
        assert_eq!(seen["address"], "/admin", "Back leads to the list: {seen:#}");
        has("health", &["Stuck now", "runninghub", "0/3", "Last sweep", "Broken rules"]);
        assert_eq!(refunds(world, job).await, 60);
        assert_eq!(world.balance(&user).await, 940);
    });
}

#[test]
fn an_admin_is_told_what_could_not_be_read() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let (job, _) = world.order(&user).await;
        world.until_status(job, "completed").await;
        let seen = world.browser("unread.mjs", &json!({ "job": job }));
        let why = "This could not be read: canceling statement due to statement timeout";
        for place in ["violations", "page", "role"] {
            let text = seen[place].as_str().unwrap_or_default();
            assert!(text.contains(why), "{place}: {text:?}");
        }
        let page = seen["page"].as_str().unwrap_or_default();
        assert_eq!(page.matches(why).count(), 4, "state, steps, events, ledger: {page:?}");
        assert!(!page.contains("Nothing was charged"), "{page:?}");
        let stale = seen["stale"].as_str().unwrap_or_default();
        let kept = ["The server cannot be reached", &job.to_string()[..8]];
        assert!(kept.iter().all(|text| stale.contains(text)), "{stale:?}");
        let health = seen["health"].as_str().unwrap_or_default();
        assert!(health.contains("The server cannot be reached"), "{health:?}");
    });
}

#[test]
fn an_admin_has_a_failed_job_done_again_for_free_by_clicking() {
    e2e::run(async |world| {
        world
            .script(
                json!({ "llm": [{ "match": "again", "times": 1, "status": 401 }, { "match": "well",
                    "hang": true }] }),
            )
            .await;
        let failed = Website::order(world, "again").await;
        failed.assert_returned(world, "PROVIDER_REJECTED").await;
        let well = Website::order(world, "well").await;
        well.until_running(world, 1).await;
        let seen = world.browser("retry.mjs", &json!({ "failed": failed.id, "well": well.id }));
        assert_has!(seen, { "toast": "A new job has been made", "well": 0 });
        let question = seen["question"].as_str().unwrap_or_default();
        assert!(question.contains("Retry this job?"), "it asks first: {question:?}");
        assert!(question.contains("Free of charge"), "{question:?}");
        let made = seen["made"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(made.len(), 1, "{seen:#}");
        let new = unstuck_tests::shop::id(&made[0]);
        let job = world.until_status(new, "completed").await;
        assert_has!(job, { "retry_of": failed.id, "credits_charged": 0 });
        assert_eq!(world.db().entries(new).await, Vec::<i64>::new());
        assert_eq!(world.balance(&failed.user).await, website::CREDITS);
        assert_eq!(failed.get(world).await["status"], "failed");
        assert_eq!(world.count("jobs").await, 3);
    });
}

#[test]
fn of_two_admins_one_cancels_and_the_other_is_told() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let user = world.user(1).await;
        let job = endless(world, &user).await;
        let seen = world.browser("two_admins.mjs", &json!({ "job": job }));
        let mut toasts: Vec<&str> =
            seen["toasts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        toasts.sort_unstable();
        assert_eq!(
            toasts,
            [
                "Job cancelled and 60 credits refunded",
                "Somebody was faster: the job is over (Cancelled), 60 credits had been refunded."
            ]
        );
        assert_eq!(refunds(world, job).await, 60);
        assert_eq!(world.balance(&user).await, 1000);
    });
}

#[test]
fn a_user_sees_nothing_on_the_admins_page() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let (user, other) = (world.user(1).await, world.user(2).await);
        let job = endless(world, &other).await;
        let seen = world.browser("outsider.mjs", &json!({ "job": job }));
        assert!(
            seen["notice"].as_str().is_some_and(|text| text.contains("Not allowed")),
            "{seen:#}"
        );
        let asked = seen["asked"].as_array().unwrap();
        let data = |path: &Value| {
            path.as_str().is_some_and(|path| {
                path.starts_with("/rest/v1/") && path != "/rest/v1/rpc/has_role"
            })
        };
        assert!(!asked.iter().any(data), "the page asks for no data: {asked:?}");
        assert_eq!(seen["byHand"]["cancel"], 403, "{seen:#}");
        for (table, rows) in seen["byHand"]["rows"].as_object().unwrap() {
            // The request is refused, or it returns no rows but the user's own credits.
            let own = |row: &Value| row["user_id"] == json!(user.id);
            let nothing = rows.as_array().is_none_or(|rows| rows.iter().all(own));
            assert!(nothing, "{table}: {rows}");
        }
        assert_eq!(world.job(job).await["status"], "running");
    });
}

#[test]
fn axe_finds_nothing_serious_on_any_page() {
    e2e::run(async |world| {
        let given = json!({ "light": "user1@example.com", "dark": "user3@example.com" });
        // The admin's page shows a live job.
        let held = json!({ "match": "hold-this-one", "hang": true });
        world
            .script(json!({ "runninghub": [held, { "all": true,
            "work": "until_finished" }] }))
            .await;
        let other = world.user(2).await;
        let (job, _) =
            world.order_as(&other, Uuid::new_v4(), json!({ "prompt": "hold-this-one" })).await;
        world.until_status(job, "running").await;
        let seen = world.browser("inspect.mjs", &given);
        assert_eq!(seen["findings"], json!([]), "{seen:#}");
        assert_eq!(seen["looked"].as_array().map(Vec::len), Some(36), "{seen:#}");
    });
}

#[test]
fn the_pages_speak_the_browsers_language() {
    e2e::run(async |world| {
        let seen = &world.browser("languages.mjs", &json!({}))["seen"];
        for (locale, lang, title, empty) in [
            ("en-GB", "en", "Operations", "Your result appears here"),
            ("pt-BR", "pt", "Operações", "Seu resultado aparece aqui"),
            ("ru-RU", "ru", "Управление", "Здесь появится результат"),
            ("uk-UA", "uk", "Керування", "Тут з’явиться результат"),
            ("fi-FI", "en", "Operations", "Your result appears here"),
        ] {
            assert_eq!(
                seen[locale],
                json!({ "lang": lang, "title": title, "empty": empty }),
                "{locale}"
            );
        }
    });
}

/// Inserts a day of jobs by a dozen users, with their ledger entries.
const A_DAY: &str = "
    do $$
    declare
      v_people uuid[] := array(select gen_random_uuid() from generate_series(1, 12));
      v_tools text[] := array['runninghub-upscaler', 'runninghub-upscaler', 'runninghub-veste-ai',
      'runninghub-pose-changer',
        'replicate-async-start', 'generate-website', 'runninghub-video-upscaler'];
      v_tool unstuck.tools; v_job uuid; v_user uuid; v_at timestamptz; v_status text;
    begin
      insert into unstuck.credit_entries (user_id, kind, amount) select id, 'grant', 9000
      from unnest(v_people) id;
      for i in 1..170 loop
        -- More by day than by night.
        v_at := clock_timestamp() - interval '3 minutes' - interval '23 hours' * ((i / 170.0) +
        0.05 * sin(i / 13.0));
        v_user := v_people[1 + (i * 7) % 12];
        select * into v_tool from unstuck.tools where tool = v_tools[1 + (i * 5) % 7];
        v_status := case when i % 19 = 3 then 'failed' when i % 27 = 4 then 'cancelled'
        else 'completed' end;
        insert into unstuck.jobs (tool, user_id, status, credits_charged, credits_refunded,
        refund_rule, created_at, queued_at, started_at, completed_at,
          error_code, error_message)
        values (v_tool.tool, v_user, v_status, v_tool.credit_cost, case v_status when 'completed'
        then 0 else v_tool.credit_cost end, 'all', v_at, v_at,
          v_at + interval '2 s', v_at + interval '55 s', case v_status when 'failed'
          then 'TIMEOUT' when 'cancelled' then 'CANCELLED' end,
          case v_status when 'failed' then 'TIMEOUT: no result within 10 minutes.'
          when 'cancelled' then 'CANCELLED: cancelled by an admin.' end)
        returning id into v_job;
        insert into unstuck.job_steps (job_id, step, status, provider, provider_task_id, share,
        attempts, sent_at, started_at, error_code, completed_at, deadline_at)
        values (v_job, 1, v_status, v_tool.provider, (1984000000000000000 + i * 7919)::text,
        v_tool.credit_cost, 1, v_at + interval '2 s', v_at + interval '3 s',
        case v_status when 'failed' then 'TIMEOUT' end,
        v_at + interval '40 s' + (i % 23) * interval '1 s', v_at);
        insert into unstuck.credit_entries (user_id, job_id, kind, amount, created_at)
        values (v_user, v_job, 'debit', -v_tool.credit_cost, v_at);
        if v_status <> 'completed' then
          insert into unstuck.credit_entries (user_id, job_id, kind, amount, created_at)
          values (v_user, v_job, 'refund', v_tool.credit_cost, v_at);
        end if;
      end loop;
      perform unstuck_private.act_as('migration');
      update unstuck.tools
      set provider_cost = round(credit_cost * 0.3);
      insert into unstuck_private.costs_by_day (day, tool, attempts, cost)
      select (j.created_at at time zone 'UTC')::date, t.tool, count(*), sum(t.provider_cost)
      from unstuck.jobs j
      join unstuck.tools t using (tool)
      group by 1, 2;
      insert into unstuck_private.provider_balances (provider, amounts, told_at)
      values ('runninghub', '{\"coins\": 48210}', clock_timestamp())
      on conflict (provider) do update set amounts = excluded.amounts;
    end $$";

/// With `UNSTUCK_PICTURES=docs` it keeps the pictures; otherwise it only asserts that they are
/// made.
#[test]
fn the_documents_pictures_are_of_the_pages() {
    e2e::run(async |world| {
        world.db().exec(A_DAY).await;
        let scratch = std::env::temp_dir().join(format!("unstuck-pictures-{}", std::process::id()));
        let kept =
            std::env::var_os("UNSTUCK_PICTURES").map(|folder| xtask::paths::root().join(folder));
        let folder = kept.clone().unwrap_or_else(|| scratch.clone());
        std::fs::create_dir_all(&folder).unwrap();
        world.browser("pictures.mjs", &json!({ "folder": folder }));
        let looks = ["admin", "admin-dark"].into_iter();
        let pages = ["", "-job", "-money", "-phone"];
        let admin = looks.flat_map(|look| pages.map(|page| format!("{look}{page}")));
        for name in admin.chain(["studio", "studio-phone"].map(str::to_owned)) {
            let bytes = std::fs::metadata(folder.join(format!("{name}.png"))).unwrap().len();
            assert!(bytes > 20_000, "{name}: an empty page? {bytes} bytes");
        }
        let _ = std::fs::remove_dir_all(scratch);
    });
}
