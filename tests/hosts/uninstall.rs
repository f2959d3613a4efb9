//! An uninstallation is refused where it would break the app or lose something, and says what to do
//! next.

use unstuck_tests::assert_has;
use unstuck_tests::hosts::{self, App, Host, Refusal, Rights, refusal, uninstall};
use unstuck_tests::shop::UPSCALER;
use uuid::{Uuid, uuid};
use xtask::postgres;

const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");

/// Asserts that the uninstallation is refused with these words and changes neither the app nor our
/// objects.
async fn refuses(host: &Host, expected: &str) -> Refusal {
    let ours = "select count(*) as n from pg_depend d join pg_namespace n on n.oid = d.refobjid
        where n.nspname in ('unstuck', 'unstuck_private')";
    let (before, count) = (host.state().await, host.int(ours).await);
    let refused = host.try_uninstall().await.expect_err("it refuses");
    assert!(refused.message.contains(expected), "{refused:?}");
    assert!(!refused.hint.is_empty(), "{refused:?}");
    assert_eq!((before, count), (host.state().await, host.int(ours).await));
    refused
}

#[tokio::test]
async fn uninstall_refuses_while_the_schema_is_exposed() {
    let host = Host::installed(App::Cards, Rights::Open).await;
    let platform = host.platform().await;
    let name = host.name();
    for (exposed, left) in [
        (
            format!(
                "alter role authenticator in database {name}
                set pgrst.db_schemas = 'public, unstuck, graphql_public'"
            ),
            "public, graphql_public",
        ),
        (format!("alter database {name} set pgrst.db_schemas = 'unstuck'"), "public"),
    ] {
        platform.exec(&exposed).await;
        let refused = refuses(&host, "exposes the schema unstuck").await;
        // The hint is the statement to run next.
        platform.exec(&refused.hint).await;
        let said = platform.value(
            "select string_agg(entry, '|') from pg_db_role_setting, unnest(setconfig) entry
            where entry like 'pgrst.db_schemas%' and entry not like '%unstuck%'",
        );
        assert!(said.await.as_str().unwrap().contains(&format!("pgrst.db_schemas={left}")));
    }
    // A setting without our schema allows the uninstallation; a setting of another database does
    // not matter.
    assert_eq!(host.try_uninstall().await, Ok(()));
}

/// The test sets it within a transaction, because all tests share the server's roles.
#[tokio::test]
async fn uninstall_sees_a_setting_for_every_database() {
    let host = Host::installed(App::Cards, Rights::Open).await;
    let client = postgres::connect(&host.platform_url()).await.unwrap();
    client
        .batch_execute(
            "begin; alter role authenticator set pgrst.db_schemas = 'public,\"unstuck\"'",
        )
        .await
        .unwrap();
    let refused = refusal(client.batch_execute(&uninstall()).await).unwrap_err();
    assert!(refused.message.contains("exposes the schema unstuck"), "{refused:?}");
    assert!(
        refused.hint.starts_with("alter role authenticator set pgrst.db_schemas = 'public'"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn uninstall_asks_for_a_setting_where_it_cannot_see_what_is_exposed() {
    let host = Host::installed(App::Small, Rights::Closed).await;
    let postgrest = host.connect("authenticator").await;
    let refused = refuses(&host, "cannot be seen").await;
    assert!(refused.hint.contains("set unstuck.not_exposed = 'yes';"), "{refused:?}");
    let client = postgres::connect(&host.url("postgres")).await.unwrap();
    client.batch_execute("set unstuck.not_exposed = 'yes'").await.unwrap();
    assert_eq!(refusal(client.batch_execute(&uninstall()).await), Ok(()));
    drop(postgrest);
}

#[tokio::test]
async fn uninstall_refuses_while_a_job_lives_or_users_have_credits() {
    let host = Host::installed(App::Tools, Rights::Closed).await;
    let user = host.user(100).await;
    let job = host.order(user, UPSCALER, 1).await;
    let refused = refuses(&host, &format!("1 jobs live: {job}")).await;
    // The hint's statement works as it is, with an admin's id.
    let words = refused.hint.split("as an admin: ").nth(1).unwrap().trim_end_matches(';');
    let cancelled = host.row(&words.replace("<id of an admin>", &ADMIN.to_string())).await;
    assert_has!(cancelled, { "status": "cancelled", "refunded_credits": 60 });

    let refused = refuses(&host, "1 users have credits here, 100 in all").await;
    let words = refused.hint.split("; then ").nth(1).unwrap();
    host.exec(words).await;
    assert_eq!(host.violations().await, Vec::<serde_json::Value>::new());
    assert_eq!(host.try_uninstall().await, Ok(()));
}

#[tokio::test]
async fn uninstall_refuses_while_an_object_of_the_app_depends_on_ours() {
    let host = Host::installed(App::Small, Rights::Open).await;
    let platform = host.platform().await;
    for (sql, named, mend) in [
        (
            "create view public.report as select status, count(*) from unstuck.jobs group by 1",
            "public.report",
            "drop view public.report",
        ),
        (
            "create view public.old_report as select id from public.upscaler_jobs",
            "public.old_report",
            "drop view public.old_report",
        ),
        (
            "create table public.ratings (job_id uuid references unstuck.jobs, stars int)",
            "ratings_job_id_fkey on table public.ratings",
            "drop table public.ratings",
        ),
        (
            "create table public.staff (id uuid, role unstuck.app_role)",
            "column role of table public.staff",
            "drop table public.staff",
        ),
        (
            "create policy admins on public.notes using (unstuck.has_role(auth.uid(), 'admin'))",
            "policy admins on table public.notes",
            "drop policy admins on public.notes",
        ),
        (
            "create function public.log_job() returns trigger language plpgsql
             as 'begin return new; end';
             create trigger app after update on unstuck.jobs
             for each row execute function public.log_job()",
            "",
            "drop trigger app on unstuck.jobs; drop function public.log_job()",
        ),
    ] {
        host.exec(sql).await;
        if named.is_empty() {
            // The trigger is dropped with our table, and nothing of the app's is dropped with it.
            host.exec(mend).await;
            continue;
        }
        refuses(&host, named).await;
        host.exec(mend).await;
    }
    platform.exec("create table unstuck.theirs (id int)").await;
    refuses(&host, "unstuck.theirs").await;
    platform.exec("alter table unstuck.theirs set schema public").await;
    assert_eq!(host.try_uninstall().await, Ok(()));
    assert_eq!(host.count("public.theirs").await, 0);
}

/// Later versions of ours may leave such rows; the names are those of the data model.
#[tokio::test]
async fn uninstall_refuses_while_refunds_are_owed_or_debts_are_open() {
    let host = Host::installed(App::Sites, Rights::Closed).await;
    if host.value("select to_regclass('unstuck.refunds_owed')").await.is_null() {
        host.exec(
            "create table unstuck.refunds_owed (job_id uuid, step int, amount bigint, error text)",
        )
        .await;
    }
    host.exec(
        "insert into unstuck.refunds_owed (job_id, step, amount, error)
        values (gen_random_uuid(), 1, 7, 'x')",
    )
    .await;
    refuses(&host, "1 refunds are owed, 7 credits").await;
    host.exec("delete from unstuck.refunds_owed").await;
    if host.value("select to_regclass('unstuck.credit_debts')").await.is_null() {
        host.exec(
            "create table unstuck.credit_debts
            (id uuid, user_id uuid, amount bigint, settled bigint)",
        )
        .await;
    }
    host.exec(
        "insert into unstuck.credit_debts (id, user_id, amount, settled)
        values (gen_random_uuid(), gen_random_uuid(), 9, 4)",
    )
    .await;
    let refused = refuses(&host, "1 debts are open, 5 credits").await;
    host.exec(refused.hint.split("; then ").nth(1).unwrap()).await;
    assert_eq!(host.try_uninstall().await, Ok(()));
}

const POLICY: &str =
    "create policy \"unstuck uploads insert\" on storage.objects for insert to authenticated
    with check (bucket_id = 'uploads' and unstuck_private.is_live('queued'))";

#[tokio::test]
async fn uninstall_removes_the_policy_for_uploads() {
    let host = Host::installed(App::Tools, Rights::Open).await;
    host.exec("drop policy if exists \"unstuck uploads insert\" on storage.objects").await;
    host.exec(POLICY).await;
    assert_eq!(host.try_uninstall().await, Ok(()));
    let before = &hosts::before(App::Tools, Rights::Open).catalog;
    assert_eq!(hosts::not_undone(before, &host.state().await.catalog), []);

    // If the owner of the files made the policy, that owner must drop it.
    let host = Host::installed(App::Tools, Rights::Closed).await;
    let platform = host.platform().await;
    platform.exec("drop policy if exists \"unstuck uploads insert\" on storage.objects").await;
    platform.exec(POLICY).await;
    let refused = refuses(&host, "is not postgres to drop").await;
    let words = refused
        .hint
        .trim_start_matches("As who owns storage.objects: ")
        .split("; then")
        .next()
        .unwrap();
    platform.exec(words).await;
    assert_eq!(host.try_uninstall().await, Ok(()));
}
