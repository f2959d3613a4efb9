//! An installation adds what the list of exceptions allows, and changes nothing else.

use serde_json::json;
use unstuck_tests::hosts::{self, App, Host, Rights};
use unstuck_tests::shop::UPSCALER;
use xtask::fingerprint::{self, Change};

fn beside_the_exceptions(changes: Vec<Change>) -> Vec<String> {
    let exceptions = fingerprint::exceptions().unwrap();
    let unexpected = changes
        .iter()
        .filter(|change| !exceptions.iter().any(|exception| exception.allows(change)));
    unexpected.map(Change::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_changes_nothing_of_the_app() {
    for (app, rights) in hosts::all() {
        let (before, after) = (hosts::before(app, rights), hosts::after(app, rights));
        assert!(before.catalog.lines().count() > 100, "{app:?}: a host has something to change");
        let changes = before.catalog.changes(&after.catalog);
        assert!(
            changes.iter().any(|change| change.line.starts_with("front | ")),
            "{app:?} {rights:?}"
        );
        assert_eq!(beside_the_exceptions(changes), Vec::<String>::new(), "{app:?} {rights:?}");
        assert_eq!(
            before.contents, after.contents,
            "{app:?} {rights:?}: what the app's tables hold"
        );
    }
}

/// The names of the fronts. The small app has none of the old names of its own, so it gets a front
/// for each.
async fn fronts(host: &Host) -> Vec<String> {
    let sql = "select coalesce(c.relname, p.proname, t.typname) as name from pg_description d
        left join pg_class c on c.tableoid = d.classoid and c.oid = d.objoid
        left join pg_proc p on p.tableoid = d.classoid and p.oid = d.objoid
        left join pg_type t on t.tableoid = d.classoid and t.oid = d.objoid
        where d.description like 'Unstuck front of %' order by 1";
    host.texts(sql).await
}

async fn has_in_public(host: &Host, name: &str) -> bool {
    let sql = format!(
        "select '{name}' in (
          select relname from pg_class where relnamespace = 'public'::regnamespace
          union all
          select proname from pg_proc where pronamespace = 'public'::regnamespace
          union all
          select typname from pg_type where typnamespace = 'public'::regnamespace)"
    );
    host.value(&sql).await == json!(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_is_made_only_where_its_name_was_free() {
    let all = fronts(&Host::installed(App::Small, Rights::Closed).await).await;
    assert!(all.len() >= 14, "{all:?}");
    for name in
        ["upscaler_jobs", "generation_history", "has_role", "app_role", "cleanup_all_stale_ai_jobs"]
    {
        assert!(all.iter().any(|front| front == name), "{name}");
    }
    for app in [App::Tools, App::Cards, App::Sites] {
        let before = Host::fresh(app, Rights::Closed).await;
        let mut expected = Vec::new();
        for name in &all {
            if !has_in_public(&before, name).await {
                expected.push(name.clone());
            }
        }
        let found = fronts(&Host::installed(app, Rights::Closed).await).await;
        assert_eq!(found, expected, "{app:?}");
        assert!(found.len() < all.len(), "{app:?} has old names of its own");
    }
}

/// It skips the publication if only the platform may add to it or if there is none, and the buckets
/// if there is no storage.
#[tokio::test]
async fn install_skips_what_is_not_permitted() {
    let host = Host::fresh(App::Small, Rights::Closed).await;
    let platform = host.platform().await;
    platform.exec("alter publication supabase_realtime owner to supabase_admin").await;
    platform.exec("drop schema storage cascade").await;
    host.install().await;
    assert_eq!(host.count("pg_publication_rel").await, 0);
    assert_eq!(host.count("unstuck.tools").await, 9);

    let host = Host::fresh(App::Small, Rights::Closed).await;
    host.platform().await.exec("drop publication supabase_realtime").await;
    host.install().await;
    assert_eq!(host.count("unstuck.tools").await, 9);
}

/// It holds whatever the app's objects are called, and whichever schema its search path names
/// first.
#[tokio::test]
async fn install_leaves_objects_with_names_like_ours_alone() {
    let host = Host::fresh(App::Small, Rights::Open).await;
    host.exec(
        "create schema app;
        create table app.jobs (id int);
        create table app.tools (tool text primary key);
        create view app.job_steps as select 1 as step;
        create type app.app_role as enum ('owner');
        create function app.is_live(text) returns boolean language sql as 'select false';
        create function app.refuse(int, text) returns void language sql as '';
        create function app.now() returns timestamptz language sql as 'select null::timestamptz';
        create function app.clock_timestamp() returns text language sql as 'select ''never''';
        create operator app.= (function = texteq, leftarg = text, rightarg = text);
        create function public.jobs() returns int language sql as 'select 1';
        create type public.upscaler_jobs as (id int);
        create sequence public.generation_history;",
    )
    .await;
    let set_path = format!("alter database {} set search_path = app, public", host.name());
    host.exec(&set_path).await;
    let own_path = format!("alter role postgres in database {} set search_path = app", host.name());
    host.platform().await.exec(&own_path).await;

    let before = host.state().await;
    host.install().await;
    let after = host.state().await;
    let changes = before.catalog.changes(&after.catalog);
    assert_eq!(beside_the_exceptions(changes), Vec::<String>::new());
    let found = fronts(&host).await;
    for taken in ["upscaler_jobs", "generation_history"] {
        assert!(!found.iter().any(|front| front == taken), "{found:?}");
    }
    let user = host.user(100).await;
    let job = host.order(user, UPSCALER, 1).await;
    host.cancel(user, job).await.unwrap();
    host.assert_cancelled(job, 60).await;
}

#[tokio::test]
async fn jobs_are_published_once() {
    let published = "select schemaname || '.' || tablename as name from pg_publication_tables
        where pubname = 'supabase_realtime' and schemaname = 'unstuck' order by 1";
    for rights in [Rights::Open, Rights::Closed] {
        let host = Host::installed(App::Tools, rights).await;
        assert_eq!(host.rows(published).await, [json!({ "name": "unstuck.jobs" })]);
    }
    // The publication is for all tables already, so nothing is added.
    let host = Host::installed(App::Tools, Rights::Global).await;
    assert_eq!(host.count("pg_publication_rel").await, 0);
}
