//! Rights: only the service calls a function of queues or money, nobody writes a table, and a user
//! reads only their own rows.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, id};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PUBLIC_FUNCTIONS: &str = "select p.oid::regprocedure::text as name from pg_proc p
    where p.pronamespace = 'unstuck'::regnamespace order by 1";

#[tokio::test]
async fn only_the_service_calls_a_function() {
    let db = Database::fresh().await;
    let functions = db.texts(PUBLIC_FUNCTIONS).await;
    assert!(functions.len() > 25, "{functions:?}");
    for function in functions {
        for role in ["anon", "authenticated", "service_role"] {
            let may = format!("select has_function_privilege('{role}', '{function}', 'execute')");
            // Policies of Supabase apps call `has_role` themselves.
            let by_user = role == "authenticated" && function.starts_with("has_role(");
            let expected = role == "service_role" || by_user;
            assert_eq!(db.value(&may).await, expected, "{role}: {function}");
        }
    }
    let private = "select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace = 'unstuck_private'::regnamespace
        and has_function_privilege('{role}', p.oid, 'execute') order by 1";
    assert!(db.texts(&private.replace("{role}", "anon")).await.is_empty());
    let readers = db.texts(&private.replace("{role}", "authenticated")).await;
    let allowed = [
        "caller_balance",
        "caller_positions",
        "is_admin",
        "is_final",
        "is_live",
        "may_see",
        "number_or_null",
        "seconds_between",
        "status_word",
        "visible_costs",
        "visible_errors",
        "visible_hours",
        "visible_load",
        "visible_money",
        "visible_outcomes",
        "visible_positions",
        "visible_violations",
    ];
    let found = readers
        .iter()
        .map(|name| name.trim_start_matches("unstuck_private.").split('(').next().unwrap());
    let found: Vec<&str> = found.collect();
    assert_eq!(found, allowed, "what the views compute with more rights, and nothing else");
}

/// An app may put its users into a database role that it made itself.
#[tokio::test]
async fn a_role_that_the_app_made_is_trusted_no_more_than_a_user() {
    let db = Database::fresh().await;
    let role = format!("app_{}", Uuid::new_v4().simple());
    db.exec(&format!("create role {role}; grant authenticated to {role}; set role {role}")).await;
    db.exec(r#"set request.headers = '{"x-unstuck-caller": "healer"}'"#).await;
    let sees = db.value("select unstuck_private.may_see(gen_random_uuid()) is true").await;
    db.exec("reset role").await;
    let called = "select unstuck_private.caller_header()";
    assert_eq!((sees, db.value(called).await), (json!(false), json!("healer")));
    db.exec(&format!("grant execute on all functions in schema unstuck_private to {role}")).await;
    db.exec(&format!("set role {role}")).await;
    assert_eq!(db.value(called).await, Value::Null);
    db.exec(&format!("reset role; drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn a_new_table_is_readable_by_nobody_and_anon_reaches_nothing_internal() {
    let db = Database::fresh().await;
    db.exec(
        "create function unstuck.oops() returns int
        language sql as 'select 1'; create table unstuck.oops (id int)",
    )
    .await;
    for privilege in [
        "table_privilege('anon', 'unstuck.oops', 'select')",
        "table_privilege('authenticated', 'unstuck.oops', 'select')",
        "table_privilege('service_role', 'unstuck.oops', 'select')",
        "schema_privilege('anon', 'unstuck_private', 'usage')",
    ] {
        assert_eq!(db.value(&format!("select has_{privilege}")).await, false, "{privilege}");
    }
}

#[tokio::test]
async fn every_object_is_described_and_every_function_is_pinned_and_unique() {
    let db = Database::fresh().await;
    let functions = "from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('unstuck', 'unstuck_private')";
    let each = format!("select p.oid::regprocedure::text {functions}");
    let pinned = "coalesce(p.proconfig, '{}') @> array['search_path=\"\"']";
    let said = "coalesce(obj_description(p.oid, 'pg_proc'), '')";
    for (rule, wrong) in [
        (
            "a function's comment says caller, effect, refusals, replay",
            format!(
                "{each} and n.nspname = 'unstuck'
                 and {said} !~ '^\\s*Caller: .*\\nEffect: .*\\nRefuses: .*\\nReplay: '"
            ),
        ),
        (
            "a relation's comment says what a row is",
            "select c.relname::text from pg_class c
             where c.relnamespace = 'unstuck'::regnamespace and c.relkind in ('r', 'v')
               and obj_description(c.oid, 'pg_class') is null"
                .to_owned(),
        ),
        (
            "no overloads",
            format!(
                "select n.nspname || '.' || p.proname {functions} group by 1 having count(*) > 1"
            ),
        ),
        // A definer's function without a fixed search path would lend its rights to every caller.
        (
            "search_path = ''",
            format!("{each} and (n.nspname = 'unstuck' or p.prosecdef) and not {pinned}"),
        ),
        (
            "every RPC runs with its owner's rights",
            format!("{each} and n.nspname = 'unstuck' and not p.prosecdef"),
        ),
    ] {
        assert_eq!(db.texts(&wrong).await, [""; 0], "{rule}");
    }
}

#[tokio::test]
async fn nobody_writes_a_table() {
    let db = Database::fresh().await;
    let relations = "select c.relname as name from pg_class c
        where c.relnamespace = 'unstuck'::regnamespace and c.relkind in ('r', 'v', 'p', 'm')
        order by 1";
    let old_names = ["upscaler_jobs", "video_upscaler_jobs", "pose_changer_jobs", "veste_ai_jobs"];
    for relation in db.texts(relations).await {
        for role in ["anon", "authenticated", "service_role"] {
            for right in
                ["select", "insert", "update", "delete", "truncate", "references", "trigger"]
            {
                let may = db
                    .value(&format!(
                        "select has_table_privilege('{role}', 'unstuck.{relation}', '{right}')"
                    ))
                    .await;
                let view_write = role == "authenticated"
                    && old_names.contains(&relation.as_str())
                    && ["insert", "update", "delete"].contains(&right);
                if right == "select" {
                    let is_open = role != "anon"
                        || ["tool_prices", "credit_packs"].contains(&relation.as_str());
                    assert!(is_open || may == false, "{role} reads {relation}");
                } else {
                    assert_eq!(may, json!(view_write), "{role} {right} {relation}");
                }
            }
        }
    }
    let open = "select c.relname as name from pg_class c
        where c.relnamespace = 'unstuck'::regnamespace and c.relkind = 'r'
        and not c.relrowsecurity";
    assert_eq!(db.texts(open).await, [""; 0], "row level security everywhere");
    let plain =
        "select c.relname as name from pg_class c where c.relnamespace = 'unstuck'::regnamespace
            and c.relkind = 'v'
                 and not coalesce(c.reloptions, '{}') @> array['security_invoker=true']";
    assert_eq!(db.texts(plain).await, [""; 0], "a view sees what its reader may see");
}

/// Two users with one job in each state that shows something, an admin, and a user without rows.
async fn town(db: &Session) -> (Uuid, Uuid, Uuid) {
    db.open_all_tools().await;
    let (user, other, admin) = (db.user(1000).await, db.user(1000).await, db.admin().await);
    for (index, owner) in [user, other].into_iter().enumerate() {
        db.order(owner, UPSCALER, 1).await;
        let attempt = db.run("runninghub", &format!("t{index}")).await;
        db.done(attempt, &format!("t{index}")).await;
        db.complete(attempt).await;
        db.order(owner, UPSCALER, 1).await;
        db.order(owner, TRY_ON, 2).await;
        let cards = db.order(owner, CARDS, 2).await;
        let claimed = db.claim("gemini", 2).await;
        assert_eq!(claimed[0].job, cards);
        db.complete(claimed[0]).await;
        db.order(owner, "generate-website", 1).await;
        db.exec(&format!("insert into user_roles values ('{owner}', 'user')")).await;
    }
    (user, other, admin)
}

#[tokio::test]
async fn a_user_reads_own_rows_and_an_admin_all() {
    let db = Database::fresh().await;
    let (user, other, admin) = town(&db).await;
    let caller = db.connect().await;
    let relations = db
        .texts(
            "select c.relname as name from pg_class c
        where c.relnamespace = 'unstuck'::regnamespace and c.relkind in ('r', 'v')
        order by 1",
        )
        .await;
    let mut with_owner = 0;
    for relation in relations {
        let readable = db
            .value(&format!(
                "select has_any_column_privilege('authenticated', 'unstuck.{relation}', 'select')"
            ))
            .await;
        caller.become_caller("authenticated", Some(user)).await;
        let columns = db
            .rows(&format!(
                "select column_name as name from information_schema.columns
            where table_schema = 'unstuck' and table_name = '{relation}'"
            ))
            .await;
        let has = |name: &str| columns.iter().any(|column| column["name"] == name);
        if readable == false {
            assert_eq!(
                caller
                    .try_rows(&format!("select 1 as x from unstuck.{relation}"))
                    .await
                    .unwrap_err()
                    .state,
                "42501",
                "{relation}"
            );
            continue;
        }
        if has("user_id") {
            with_owner += 1;
            let owners = async |session: &Session| {
                let rows =
                    session.rows(&format!("select distinct user_id from unstuck.{relation}")).await;
                let mut owners: Vec<Uuid> = rows.iter().map(|row| id(&row["user_id"])).collect();
                owners.sort();
                owners
            };
            let everybody = owners(&db).await;
            let own: Vec<Uuid> = everybody.iter().copied().filter(|owner| *owner == user).collect();
            assert_eq!(owners(&caller).await, own, "{relation}");
            caller.become_caller("authenticated", Some(admin)).await;
            assert_eq!(owners(&caller).await, everybody, "{relation} for an admin");
            caller.become_caller("authenticated", Some(Uuid::new_v4())).await;
            assert!(owners(&caller).await.is_empty(), "{relation} for a stranger");
        } else if has("job_id") {
            let jobs = db.rows(&format!("select id from jobs where user_id = '{other}'")).await;
            let jobs: Vec<String> =
                jobs.iter().map(|row| format!("'{}'", id(&row["id"]))).collect();
            let of_others = format!(
                "select count(*) from unstuck.{relation} where job_id in ({})",
                jobs.join(", ")
            );
            assert_eq!(caller.int(&of_others).await, 0, "{relation}");
        }
    }
    assert!(with_owner >= 10, "{with_owner}");
}

#[tokio::test]
async fn events_and_violations_are_read_by_admins_only() {
    let db = Database::fresh().await;
    let (user, _, admin) = town(&db).await;
    db.exec(&format!(
        "update jobs set credits_charged = 59 where user_id = '{user}'
        and status = 'completed'"
    ))
    .await;
    let caller = db.connect().await;
    for (who, role, violations, events) in [
        (Some(user), "authenticated", false, false),
        (Some(admin), "authenticated", true, true),
        (None, "service_role", true, true),
    ] {
        caller.become_caller(role, who).await;
        let seen = async |sql: &str| caller.int(sql).await > 0;
        assert_eq!(
            seen("select count(*) from invariant_violations").await,
            violations,
            "{role} {who:?}"
        );
        assert_eq!(seen("select count(*) from job_events").await, events, "{role} {who:?}");
    }
    caller.become_caller("authenticated", Some(user)).await;
    for table in ["webhook_inbox", "sweeps", "cancelled_requests", "sessions"] {
        assert_eq!(
            caller.try_rows(&format!("select * from unstuck.{table}")).await.unwrap_err().state,
            "42501",
            "{table}"
        );
    }
    caller.become_owner().await;
    caller.become_caller("anon", None).await;
    for relation in
        ["jobs", "upscaler_jobs", "job_receipts", "queue_positions", "tools", "credit_accounts"]
    {
        assert_eq!(
            caller.try_rows(&format!("select * from unstuck.{relation}")).await.unwrap_err().state,
            "42501",
            "{relation}"
        );
    }
}

#[tokio::test]
async fn an_owner_reads_neither_requests_nor_undelivered_results() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    let page = db.page(user).await;
    for column in ["input", "output", "output_url", "provider_cancel_due"] {
        let refused = page.try_rows(&format!("select {column} from job_steps")).await.unwrap_err();
        assert_eq!(refused.state, "42501", "{column}");
    }
    assert!(page.try_rows("select job_id, status, error_code from job_steps").await.is_ok());

    // The first picture of a failed try-on is not shown to its owner; a delivered card is.
    let chain = db.order(user, TRY_ON, 2).await;
    let attempt = db.run("replicate", "t1").await;
    db.done(attempt, "t1").await;
    db.complete(attempt).await;
    let second = db.run("replicate", "t2").await;
    db.fail(second, "PROVIDER_FAILED").await;
    let row = page
        .row(&format!(
            "select result_url, output_url, status from replicate_tasks
            where id = '{chain}'"
        ))
        .await;
    assert_eq!(row, json!({ "result_url": null, "output_url": null, "status": "failed" }));
    let cards = db.order(user, CARDS, 2).await;
    let claimed = db.claim("gemini", 2).await;
    db.complete(claimed[0]).await;
    let urls = page
        .rows(&format!(
            "select image_url from generation_tasks where job_id = '{cards}' order by step"
        ))
        .await;
    assert!(urls[0]["image_url"].is_string() && urls[1]["image_url"].is_null(), "{urls:?}");

    // A success after the job's end is not shown.
    let late = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "t3").await;
    db.cancel_by_admin(late).await;
    db.done(attempt, "t3").await;
    let receipt = page
        .row(&format!(
            "select status, output_url, credits_paid from job_receipts
            where job_id = '{late}'"
        ))
        .await;
    assert_eq!(receipt, json!({ "status": "cancelled", "output_url": null, "credits_paid": 0 }));
}

#[tokio::test]
async fn a_receipt_lists_every_entry_of_its_job() {
    let db = Database::fresh().await;
    let (user, job) = db.ordered(100, UPSCALER, 1).await;
    db.cancel(user, job).await.unwrap();
    let page = db.page(user).await;
    let receipt = page.row(&format!("select * from job_receipts where job_id = '{job}'")).await;
    assert_has!(receipt, { "credits_charged": 60, "credits_refunded": 60, "credits_paid": 0 });
    let entries: Vec<(&Value, &Value, &Value)> = receipt["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["kind"], &entry["amount"], &entry["balance_after"]))
        .collect();
    assert_eq!(
        entries,
        [(&json!("debit"), &json!(-60), &json!(40)), (&json!("refund"), &json!(60), &json!(100))]
    );
}

#[tokio::test]
async fn a_position_in_the_queue_counts_other_users_without_showing_them() {
    let db = Database::fresh().await;
    let (user, other) = (db.user(60).await, db.user(60).await);
    db.order(other, UPSCALER, 1).await;
    let job = db.order(user, UPSCALER, 1).await;
    let page = db.page(user).await;
    let places = page.rows("select id, position from upscaler_jobs").await;
    assert_eq!(places, [json!({ "id": job, "position": 2 })]);
    let admin = db.admin().await;
    for (who, role, places, tables) in [
        (user, "authenticated", 0, 0),
        (admin, "authenticated", 2, 7),
        (user, "service_role", 2, 7),
    ] {
        page.become_owner().await;
        page.become_caller(role, Some(who)).await;
        assert_eq!(page.count("queue_positions").await, places, "{role} {who}");
        assert_eq!(page.count("job_health").await, tables, "{role} {who}");
    }
}

#[tokio::test]
async fn load_and_hours_are_for_admins() {
    let db = Database::fresh().await;
    let user = db.user(200).await;
    db.order(user, UPSCALER, 1).await;
    db.run("runninghub", "t1").await;
    db.order(db.user(60).await, UPSCALER, 1).await;
    let over = db.order(db.user(60).await, UPSCALER, 1).await;
    db.cancel_by_admin(over).await;

    db.exec(
        "update jobs set queued_at = clock_timestamp() - interval '1 hour' \
        where status = 'queued'",
    )
    .await;
    let page = db.page(db.admin().await).await;
    let load = page.row("select * from provider_load where provider = 'runninghub'").await;
    assert_has!(load, { "max_concurrent": 3, "running": 1, "waiting": 1, "enabled": true });
    let waits_s = load["oldest_waiting_seconds"].as_i64().expect("a number");
    assert!((3_600..3_720).contains(&waits_s), "{load}");
    let hours = page.rows("select * from jobs_by_hour").await;
    assert_eq!(hours.len(), 24);
    // A new hour may have begun meanwhile, so the sums are compared.
    let sum = |name: &str| hours.iter().map(|hour| hour[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!(
        (
            sum("ordered"),
            sum("cancelled"),
            sum("completed"),
            sum("credits_charged"),
            sum("credits_refunded")
        ),
        (3, 1, 0, 180, 60),
        "{hours:?}"
    );
    for (role, who, rows) in [("authenticated", Some(user), 0), ("service_role", None, 28)] {
        page.become_owner().await;
        page.become_caller(role, who).await;
        let seen = "select (select count(*) from provider_load) + (select count(*)
            from jobs_by_hour)";
        assert_eq!(page.int(seen).await, rows, "{role}");
    }
}
