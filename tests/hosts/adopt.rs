//! `cargo xtask adopt`: every step of an adoption and of its removal, each with its dry run, and
//! each done twice.

use std::collections::BTreeSet;
use std::pin::pin;

use unstuck_tests::hosts::{self, App, Host, Rights};
use unstuck_tests::shop::CARDS;
use uuid::{Uuid, uuid};
use xtask::adopt::{Adoption, AdoptionStep};
use xtask::postgres;

const OWNER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");

/// Performs a step and returns its output.
async fn says(host: &Host, app: &str, step: AdoptionStep, how: &[&str]) -> Vec<String> {
    try_says(host, app, step, how).await.unwrap_or_else(|error| panic!("{step:?}: {error}"))
}

async fn try_says(
    host: &Host,
    app: &str,
    step: AdoptionStep,
    how: &[&str],
) -> Result<Vec<String>, String> {
    let client = postgres::connect(&host.url("postgres")).await.unwrap();
    let adoption = Adoption {
        app: app.to_owned(),
        tools: how.iter().filter(|word| **word != "dry").map(|word| (*word).to_owned()).collect(),
        dry_run: how.contains(&"dry"),
    };
    adoption.perform(&client, step).await.map_err(|error| format!("{error:#}"))
}

fn has(said: &[String], words: &str) -> bool {
    said.iter().any(|line| line.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_moves_in_step_by_step_and_out_again() {
    for app in [App::Tools, App::Cards, App::Sites] {
        let (folder, tool, table) = (app.folder(), app.tool(), app.table());
        let host = Host::fresh(app, Rights::Closed).await;
        host.suffer_incident(app).await;
        let before = host.state().await;

        let looked = says(&host, folder, AdoptionStep::Look, &[]).await;
        assert!(has(&looked, "to apply: 0001_unstuck.sql"), "{looked:?}");
        assert!(has(&looked, "public.has_role is the app's own"), "{looked:?}");
        assert!(has(&looked, "that hang"), "{looked:?}");
        let dry = says(&host, folder, AdoptionStep::Install, &["dry"]).await;
        assert!(has(&dry, "wallet: built in") && has(&dry, "rolled back"), "{dry:?}");
        assert_eq!(says(&host, folder, AdoptionStep::Status, &[]).await, ["not installed"]);
        assert!(try_says(&host, folder, AdoptionStep::Attach, &[]).await.is_err());
        assert_eq!(host.state().await, before, "{folder}: nothing was changed");

        says(&host, folder, AdoptionStep::Install, &[]).await;
        let again = says(&host, folder, AdoptionStep::Install, &[]).await;
        assert_eq!(again, ["0 migrations applied"]);
        let member = postgres::connect(&host.url("supabase_auth_admin")).await.unwrap();
        let adoption = Adoption { app: folder.to_owned(), tools: Vec::new(), dry_run: true };
        for step in [AdoptionStep::Look, AdoptionStep::Attach, AdoptionStep::Uninstall] {
            let refused = adoption.perform(&member, step).await.unwrap_err().to_string();
            assert!(refused.contains("connect as the role that owns"), "{step:?}: {refused}");
        }

        let dry = says(&host, folder, AdoptionStep::Attach, &["dry"]).await;
        let headings: Vec<_> = dry.iter().filter(|line| line.ends_with(':')).collect();
        assert_eq!(headings, ["before:", "after:"], "{dry:?}");
        assert!(has(&dry, &format!("wallet: {folder}")) && has(&dry, "rolled back"), "{dry:?}");
        let status = says(&host, folder, AdoptionStep::Status, &[]).await;
        assert!(has(&status, "wallet: built in"), "{status:?}");
        let typo = try_says(&host, folder, AdoptionStep::Attach, &["no-tool"]).await.unwrap_err();
        assert!(typo.contains("has no tool no-tool"), "{typo}");
        assert_eq!(host.count("unstuck_private.installed").await, 0);
        says(&host, folder, AdoptionStep::Attach, &[tool]).await;
        let tools = "select string_agg(distinct tool, ' ') from unstuck.projections";
        assert_eq!(host.texts(tools).await, [tool]);
        let whole = says(&host, folder, AdoptionStep::Attach, &[]).await;
        let twice = says(&host, folder, AdoptionStep::Attach, &[]).await;
        assert_eq!(whole, twice, "{folder}");

        let dry = says(&host, folder, AdoptionStep::Heal, &["dry"]).await;
        let healed = says(&host, folder, AdoptionStep::Heal, &[]).await;
        assert_eq!(dry[..healed.len()], healed, "{folder}: the step does what its dry run told");
        assert!(healed.len() > 72, "{healed:?}");
        let again = says(&host, folder, AdoptionStep::Heal, &[]).await;
        let left: Vec<_> = again.iter().filter(|line| line.contains(" to nobody, ")).collect();
        let unclear =
            again.iter().filter(|line| line.contains(" 0 to ") && line.contains("left: "));
        assert!(left.len() <= 1 && !has(&again, "by its price"), "{again:?}");
        assert_eq!(unclear.count(), if app == App::Cards { 5 } else { 1 }, "{again:?}");

        host.open_all_tools().await;
        host.set_tool(CARDS, "credit_cost = 5").await;
        let job = host.order(OWNER, tool, 1).await;
        let row = format!("public.{table} where id = '{job}'");
        assert_eq!(host.count(&row).await, 1, "{folder}");
        let refused = try_says(&host, folder, AdoptionStep::Detach, &[]).await.unwrap_err();
        assert!(refused.contains("1 jobs live that the app's wallet paid for"), "{refused}");
        host.cancel(OWNER, job).await.unwrap();

        let typo = try_says(&host, folder, AdoptionStep::Detach, &["no-tool"]).await.unwrap_err();
        assert!(typo.contains("has no tool no-tool"), "{typo}");
        says(&host, folder, AdoptionStep::Detach, &["dry"]).await;
        says(&host, folder, AdoptionStep::Detach, &[tool]).await;
        let status = says(&host, folder, AdoptionStep::Status, &[]).await;
        assert!(has(&status, &format!("wallet: {folder}")), "the wallet stays: {status:?}");
        says(&host, folder, AdoptionStep::Detach, &[]).await;
        let status = says(&host, folder, AdoptionStep::Detach, &[]).await;
        assert!(has(&status, "wallet: built in"), "{status:?}");
        assert_eq!(host.count("unstuck.projections").await, 0);
        host.assert_healthy().await;
        // The wallet is ours again: it grants and takes as in any other database.
        let user = host.user(100).await;
        let spent = host.order(user, tool, 1).await;
        host.cancel(user, spent).await.unwrap();
        assert_eq!(host.balance(user).await, 100, "{folder}");
        host.insert_entry(user, None, "adjustment", -100).await;

        let dry = says(&host, folder, AdoptionStep::Uninstall, &["dry"]).await;
        let goes = [
            "goes: the schema unstuck with",
            "goes: unstuck.jobs in the publication",
            "goes: the function public.credit_grant_v1",
            "stays: the buckets",
            "nothing was changed",
        ];
        assert!(goes.iter().all(|words| has(&dry, words)), "{dry:?}");
        assert_eq!(host.count("pg_namespace where nspname ~ 'unstuck'").await, 2);
        says(&host, folder, AdoptionStep::Uninstall, &[]).await;
        let after = host.state().await;
        assert_eq!(hosts::not_undone(&before.catalog, &after.catalog), [], "{folder}");
        assert_eq!(host.count(&row).await, 1, "{folder}: the app's rows are the app's");
    }
}

#[tokio::test]
async fn another_apps_adapter_is_refused_and_changes_nothing() {
    let host = Host::installed(App::Cards, Rights::Closed).await;
    let before = host.state().await;
    for (app, step) in [
        ("tools-app", AdoptionStep::Look),
        ("tools-app", AdoptionStep::Attach),
        ("sites-app", AdoptionStep::Heal),
        ("no-app", AdoptionStep::Look),
    ] {
        let refused = try_says(&host, app, step, &[]).await.unwrap_err();
        assert!(refused.contains(app), "{refused}");
    }
    assert_eq!(host.state().await, before);
    assert_eq!(host.count("unstuck_private.installed").await, 0);
}

#[tokio::test]
async fn a_step_waits_for_no_lock_of_the_app_for_long() {
    let host = Host::installed(App::Tools, Rights::Closed).await;
    let reader = host.connect("postgres").await;
    reader.exec("begin; lock table public.upscaler_jobs in share mode").await;
    let refused = try_says(&host, "tools-app", AdoptionStep::Attach, &[]).await.unwrap_err();
    assert!(refused.contains("lock timeout"), "{refused}");
    assert_eq!(host.count("unstuck_private.installed").await, 0);
    reader.exec("commit").await;
    says(&host, "tools-app", AdoptionStep::Attach, &[]).await;
}

/// While a migration of ours waits for a lock of the app, others that wait behind it get their
/// turn.
#[tokio::test]
async fn an_installation_lets_others_go_first() {
    let host = Host::fresh(App::Tools, Rights::Closed).await;
    let app = host.connect("postgres").await;
    app.exec("begin; alter publication supabase_realtime add table public.profiles").await;
    let waits = "select xact_start::text from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()";
    let mut seen = BTreeSet::new();
    let mut install = pin!(try_says(&host, "tools-app", AdoptionStep::Install, &[]));
    // The same migration waits, gives up and waits once more.
    while seen.len() < 2 {
        tokio::select! {
            said = &mut install => panic!("the installation did not wait: {said:?}"),
            waiting = host.texts(waits) => seen.extend(waiting),
        }
    }
    app.exec("rollback").await;
    let said = install.await.unwrap();
    assert!(has(&said, "migrations applied"), "{said:?}");
}
