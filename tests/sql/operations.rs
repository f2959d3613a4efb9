//! Every query of `docs/operations.md` runs in a database in which everything that the page asks
//! about has gone wrong, and finds it.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::shop::{TRY_ON, UPSCALER, VIDEO, WEBSITE};
use unstuck_tests::{Database, Session, sources};
use uuid::Uuid;

struct Night {
    db: Database,
    admin: Uuid,
    /// A user with a stuck try-on, with credits that were given twice, and with an upscale past its
    /// deadline.
    user: Uuid,
    chain: Uuid,
}

/// Inserts rows in the state of a night in which nothing was healed yet.
async fn night() -> Night {
    let db = Database::open().await;
    let (admin, user) = (db.admin().await, db.user(1000).await);
    db.sweep().await;

    // At the provider one job failed, one was cancelled, and one finished but was never stored.
    let failed = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "t1").await;
    assert_eq!(attempt.job, failed);
    db.fail(attempt, "PROVIDER_FAILED").await;
    db.adjust("refund", user, 60, "older code").await;
    let cancelled = db.order(user, UPSCALER, 1).await;
    db.run("runninghub", "t2").await;
    db.cancel_by_admin(cancelled).await;
    db.order(user, UPSCALER, 1).await;
    db.submit("runninghub").await;
    let stuck = db.order(user, UPSCALER, 1).await;
    let copied = db.run("runninghub", "t3").await;
    db.done(copied, "t3").await;
    db.order(user, VIDEO, 1).await;

    // The price of a tool was changed.
    db.set_tool(WEBSITE, "credit_cost = 51").await;

    // A try-on in its second step, which the checker has not queried for a while.
    let chain = db.order(user, TRY_ON, 3).await;
    let first = db.run("replicate", "p1").await;
    db.complete(first).await;
    db.run("replicate", "p2").await;

    // Older clients that were closed during their upload.
    let page = db.page(user).await;
    for table in ["upscaler_jobs", "video_upscaler_jobs"] {
        page.exec(&format!(
            "insert into public.{table} (status, input_file_name) values ('queued', 'in.mp4')"
        ))
        .await;
    }
    // Without the trigger off, every update would set `updated_at` to now.
    db.exec("alter table unstuck.jobs disable trigger jobs_before_update").await;
    db.age_all("30 minutes").await;
    db.exec(&format!(
        "update jobs set updated_at = updated_at - interval '30 minutes', queued_at =
            clock_timestamp() where status = 'queued';
         update jobs set updated_at = updated_at - interval '30 minutes'
         where id in ('{chain}', '{stuck}');
         update jobs set completed_at = clock_timestamp() where completed_at is not null;
         update job_steps set deadline_at = clock_timestamp() + interval '10 minutes'
         where status = 'queued'"
    ))
    .await;
    db.exec("alter table unstuck.jobs enable trigger jobs_before_update").await;
    // A key that is refused, and an app that was deleted.
    for (about, code) in [("account", "802 APIKEY_UNAUTHORIZED"), ("app", "901 WEBAPP_NOT_EXISTS")]
    {
        let alarm = json!({ "p_provider": "runninghub", "p_tool": UPSCALER, "p_about": about,
            "p_code": code, "p_detail": stuck });
        for _ in 0..3 {
            db.call("provider_alarm_v1", alarm.clone()).await;
        }
    }
    // Workers of a copy of the database that was never given an owner of its own.
    db.exec(
        "insert into unstuck_private.deployment (id, supabase_url) values ('shop', 'https://a.b');
        insert into unstuck_private.deployment_alarms (id) values ('staging');
        insert into unstuck_private.settings_differing (name) values ('WEBHOOK_SECRET');
        insert into unstuck.messages_owed (kind, \"to\", body) values ('alert', 'alerts', '{}')",
    )
    .await;
    Night { db, admin, user, chain }
}

/// The sections of the page, as titles and texts.
fn questions(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').expect("a title and a text"))
        .collect()
}

fn queries(text: &str) -> Vec<&str> {
    text.split("```sql\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default().trim())
        .collect()
}

async fn found(db: &Session, query: &str) -> u64 {
    let query = query.trim_end_matches(';');
    // As in the SQL editor of Supabase, which knows no table of ours without its schema.
    db.exec("begin; set local search_path = public, extensions").await;
    let rows = if query.starts_with("select") {
        db.rows(query).await.len() as u64
    } else {
        db.changed(query).await.unwrap_or_else(|error| panic!("{error}\n{query}"))
    };
    db.exec("rollback").await;
    rows
}

#[tokio::test]
async fn every_query_of_the_operators_page_finds_what_it_asks_for() {
    let page = sources::read("docs/operations.md");
    let questions = questions(&page);
    let night = night().await;
    for (number, (title, text)) in questions.iter().enumerate() {
        assert!(title.starts_with(&format!("{}. ", number + 1)), "{title}");
        assert!(text.contains("**Do**"), "{title}: what to do");
        let queries = queries(text);
        assert!(!queries.is_empty(), "{title}: its query");
        for query in queries {
            let query = query
                .replace("<job id>", &night.chain.to_string())
                .replace("<user id>", &night.user.to_string())
                .replace("<admin id>", &night.admin.to_string());
            assert!(found(&night.db, &query).await > 0, "{title}: finds nothing\n{query}");
        }
    }
    assert_eq!(questions.len(), 15);
}

#[tokio::test]
async fn the_page_names_only_violations_that_the_audit_reports() {
    let page = sources::read("docs/operations.md");
    let rules: String = [
        "violations_of_jobs",
        "violations_of_entries",
        "violations_of_balances",
        "violations_of_purchases",
        "violations_now",
        "violations_of_owed",
        "violations_of_purchases",
        "violations_of_each",
    ]
    .map(|name| sources::read(format!("supabase/schemas/audit/{name}.sql")))
    .concat();
    let table = page
        .split("| violation | what to do |")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("the page has a table of violations");
    let named: Vec<&str> =
        table.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
    assert!(named.len() > 5, "the table names violations: {named:?}");
    for name in named.iter().filter(|name| !name.contains('(') && !name.ends_with("_v1")) {
        assert!(rules.contains(&format!("select '{name}'")), "{name} is no violation any more");
    }
    assert!(sources::read("README.md").contains("docs/operations.md"));
}

#[tokio::test]
async fn job_health_counts_the_jobs_of_each_table() {
    let night = night().await;
    let row = night.db.row("select * from job_health where table_name = 'upscaler_jobs'").await;
    let counts = [
        "live",
        "waiting",
        "running",
        "old_queued_without_task_or_position",
        "video_input_not_a_url",
    ];
    assert_eq!(counts.map(|name| row[name].as_i64().unwrap()), [3, 1, 2, 1, 0], "{row}");
    for name in ["mean_age_seconds", "oldest_seconds"] {
        assert!((1790..1900).contains(&row[name].as_i64().unwrap()), "{name}: {row}");
    }
    let row =
        night.db.row("select * from job_health where table_name = 'video_upscaler_jobs'").await;
    assert_eq!(counts.map(|name| row[name].as_i64().unwrap()), [2, 2, 0, 1, 2], "{row}");
    let row = night.db.row("select * from job_health where table_name = 'replicate_tasks'").await;
    assert_has!(row, { "live": 1, "unchanged_for_10_minutes": 1 });
    assert!(row["longest_unchanged_seconds"].as_i64().unwrap() >= 1790, "{row}");
    assert_eq!(night.db.count("job_health").await, 7, "tables without a live job are listed too");
}

#[tokio::test]
async fn job_health_counts_old_waiting_rows_also_by_hand() {
    let db = Database::fresh().await;
    db.exec(&format!(
        "insert into jobs (tool, user_id, status, created_at)
            select '{UPSCALER}', gen_random_uuid(), s, clock_timestamp() - a
         from unnest(array['pending', 'queued']) s, unnest(array[interval '1 minute',
         '3 minutes']) a"
    ))
    .await;
    let placed = db.order(db.user(60).await, UPSCALER, 1).await;
    db.age(placed, "3 minutes").await;
    let row = db
        .row(
            "select waiting, old_queued_without_task_or_position as old from job_health
            where table_name = 'upscaler_jobs'",
        )
        .await;
    assert_eq!(row, json!({ "waiting": 5, "old": 2 }));
    db.exec(&format!(
        "insert into jobs (tool, user_id, status, input)
            select '{VIDEO}', gen_random_uuid(), 'queued', i::jsonb
         from unnest(array['{{}}', '{{\"videoUrl\": \"a.mp4\"}}',
         '{{\"input_file_name\": \"a.mp4\"}}',
         '{{\"videoUrl\": \"https://a.invalid/a.mp4\", \"input_file_name\": \"a.mp4\"}}']) i"
    ))
    .await;
    let names = "select video_input_not_a_url from job_health
        where table_name = 'video_upscaler_jobs'";
    assert_eq!(db.int(names).await, 3);
}
