//! The fingerprint shows every change that a careless installation may make.

use unstuck_tests::hosts::{App, Host, Rights};
use xtask::fingerprint::{self, Change, Exception, Fingerprint};

/// Each of these statements changes something that an installation must not change in an app's
/// database.
const CARELESS: [&str; 42] = [
    "grant select on public.profiles to anon with grant option",
    "revoke all on public.upscaler_jobs from authenticated",
    "grant select (status) on public.upscaler_jobs to authenticator",
    "revoke execute on function public.has_role(uuid, public.app_role) from service_role",
    "revoke all on schema public from anon",
    "revoke usage on type public.app_role from public",
    "alter table public.upscaler_jobs owner to supabase_admin",
    "alter function public.is_premium() owner to supabase_admin",
    "alter function public.is_premium() security invoker",
    "alter function public.is_premium() set search_path = ''",
    "create or replace function public.is_premium() returns boolean language sql as 'select true'",
    "drop function public.is_premium()",
    "create function public.another() returns int language sql as 'select 1'",
    "alter table public.upscaler_jobs disable row level security",
    "alter table public.upscaler_jobs force row level security",
    "alter table public.upscaler_jobs add column another int",
    "alter table public.upscaler_jobs alter column status set default 'pending'",
    "alter table public.upscaler_jobs alter column session_id drop not null",
    "alter table public.upscaler_jobs alter column resolution type bigint",
    "alter table public.upscaler_jobs replica identity full",
    "alter table public.upscaler_jobs set (fillfactor = 90)",
    "alter table public.upscaler_jobs add check (resolution > 0)",
    "alter table public.upscaler_jobs disable trigger protect_upscaler_financial",
    "create table unstuck.another (user_id uuid references auth.users)",
    "drop index public.idx_upscaler_jobs_current_step",
    "create index on public.upscaler_jobs (status)",
    "create trigger another after insert on public.upscaler_jobs
    for each row execute function update_updated_at_column()",
    "create rule another as on delete to public.upscaler_jobs do instead nothing",
    "drop policy \"read upscaler_jobs 1\" on public.upscaler_jobs",
    "alter policy \"read upscaler_jobs 1\" on public.upscaler_jobs using (true)",
    "alter type public.app_role add value 'guest'",
    "create domain public.another as int",
    "alter default privileges for role postgres revoke execute on functions from public",
    "alter default privileges for role postgres in schema public revoke select on tables from anon",
    "alter publication supabase_realtime add table public.profiles",
    "alter publication supabase_realtime drop table public.upscaler_jobs",
    "alter extension pgcrypto set schema public",
    "create extension pg_trgm with schema extensions",
    "alter event trigger pgrst_ddl_watch disable",
    "alter database {database} set search_path = unstuck, public",
    "comment on table public.upscaler_jobs is 'ours'",
    "insert into storage.buckets (id, name) values ('another', 'another')",
];

#[tokio::test]
async fn the_fingerprint_sees_every_change_to_what_is_not_ours() {
    let host = Host::installed(App::Tools, Rights::Open).await;
    let before = host.state().await.catalog;
    let url = host.platform_url();
    for careless in CARELESS {
        let client = xtask::postgres::connect(&url).await.unwrap();
        let sql = careless.replace("{database}", host.name());
        client
            .batch_execute(&format!("begin; {sql}"))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let after =
            Fingerprint::take(&client).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert!(!before.changes(&after).is_empty(), "not seen: {sql}");
        client.batch_execute("rollback").await.unwrap();
    }
    assert_eq!(before.changes(&host.state().await.catalog), []);
}

#[tokio::test]
async fn the_fingerprint_leaves_our_own_objects_out() {
    let host = Host::installed(App::Tools, Rights::Open).await;
    let before = host.state().await.catalog;
    let ours = "create table unstuck.another (id int primary key);
        comment on column unstuck.another.id is 'x';
        create view unstuck_private.others as select 1 as n;
        grant select on unstuck.another to anon;
        create policy another on unstuck.another using (true);
        alter default privileges in schema unstuck grant select on tables to service_role";
    host.exec(ours).await;
    assert_eq!(before.changes(&host.state().await.catalog), []);
}

#[test]
fn an_exception_allows_an_addition_of_its_kind_and_name_only() {
    let allowed = |exception: &Exception, added, line: &str| {
        exception.allows(&Change { added, line: line.into() })
    };
    let named =
        Exception { kind: "cron job".into(), name: "unstuck-cleanup".into(), removed: true };
    assert!(allowed(&named, true, "cron job | unstuck-cleanup | select 1"));
    assert!(!allowed(&named, false, "cron job | unstuck-cleanup | select 1"));
    assert!(!allowed(&named, true, "cron job | nightly | select 1"));
    let any = Exception { kind: "front".into(), name: "*".into(), removed: true };
    assert!(allowed(
        &any,
        true,
        "front | view public.upscaler_jobs | Unstuck front of unstuck.upscaler_jobs."
    ));
    assert!(!allowed(&any, true, "relation | public.upscaler_jobs | kind v"));
}

#[test]
fn the_list_of_exceptions_is_short_and_each_is_once() {
    let exceptions = fingerprint::exceptions().unwrap();
    let names: std::collections::BTreeSet<_> =
        exceptions.iter().map(|each| (&each.kind, &each.name)).collect();
    assert_eq!(names.len(), exceptions.len());
    let kept: Vec<&str> =
        exceptions.iter().filter(|each| !each.removed).map(|each| each.kind.as_str()).collect();
    assert_eq!(kept, ["bucket", "bucket"], "only buckets stay");
}
