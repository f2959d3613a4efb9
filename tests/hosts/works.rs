//! Unstuck works in the database of every app: orders, workers, cancels, the healer, and what
//! owners read. Afterwards an uninstallation leaves the database as it was before.

use serde_json::{Value, json};
use unstuck_tests::Session;
use unstuck_tests::hosts::{self, App, Host, HostState, Rights};
use unstuck_tests::shop::UPSCALER;
use uuid::{Uuid, uuid};

const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");

/// A session with the role of the service, as PostgREST opens it.
async fn service(host: &Host) -> Session {
    let session = host.connect("postgres").await;
    session.become_caller("service_role", None).await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_carried_out_cancelled_and_healed_in_every_host() {
    for (app, rights) in hosts::all() {
        let host = Host::installed(app, rights).await;
        let at = format!("{app:?} {rights:?}");
        let service = service(&host).await;
        let user = service.user(500).await;

        let done = service.order(user, UPSCALER, 1).await;
        let attempt = service.run("runninghub", "task-1").await;
        service.done(attempt, "task-1").await;
        service.complete(attempt).await;
        assert_eq!(service.job(done).await["status"], "completed", "{at}");

        let cancelled = service.order(user, UPSCALER, 1).await;
        service.cancel(user, cancelled).await.unwrap();
        service.assert_cancelled(cancelled, 60).await;

        // A sweep of the edge healer, and a run of pg_cron's function.
        let stale = service.order(user, UPSCALER, 1).await;
        host.age(stale, "2 hours").await;
        service.sweep().await;
        service.assert_failed(stale, "QUEUE_TIMEOUT", 60).await;
        let stale = service.order(user, UPSCALER, 1).await;
        host.age(stale, "2 hours").await;
        assert_eq!(
            host.rows("select * from unstuck.cleanup_all_stale_ai_jobs()").await.len(),
            7,
            "{at}"
        );
        service.assert_failed(stale, "QUEUE_TIMEOUT", 60).await;
        assert_eq!(service.balance(user).await, 440, "{at}");
        host.assert_healthy().await;

        // The app's admins are our admins, and nobody else is. In an app without roles our own
        // table names them.
        let ours = if app == App::Small { ADMIN } else { user };
        host.exec(&format!("insert into unstuck.user_roles values ('{ours}', 'admin')")).await;
        let by_admin = service.order(user, UPSCALER, 1).await;
        let refused = service.cancel_as_admin(user, by_admin).await;
        assert_eq!(refused.unwrap_err().message, "forbidden", "{at}");
        service.cancel_as_admin(ADMIN, by_admin).await.unwrap();
        service.assert_cancelled(by_admin, 60).await;

        let last = service.order(user, UPSCALER, 1).await;
        reads_are_ones_own(&host, user, &at).await;
        service.cancel(user, last).await.unwrap();
        leaves_no_trace(&host, hosts::before(app, rights), &at).await;
    }
}

async fn leaves_no_trace(host: &Host, before: &HostState, at: &str) {
    let take_over = "insert into unstuck.credit_entries (user_id, kind, amount)
        select user_id, 'adjustment', -balance from unstuck.credit_accounts where balance <> 0";
    host.exec(take_over).await;
    assert_eq!(host.try_uninstall().await, Ok(()), "{at}");
    let after = host.state().await;
    assert_eq!(hosts::not_undone(&before.catalog, &after.catalog), [], "{at}");
    assert_eq!(before.contents, after.contents, "{at}");
    assert_eq!(host.count("pg_namespace where nspname ~ 'unstuck'").await, 0, "{at}");
    // A second uninstallation changes nothing, and a new installation works.
    assert_eq!(host.try_uninstall().await, Ok(()), "{at}");
    host.install().await;
}

async fn reads_are_ones_own(host: &Host, user: Uuid, at: &str) {
    let page = host.connect("postgres").await;
    for (reader, expected) in [(user, 6), (Uuid::new_v4(), 0), (ADMIN, 6)] {
        page.become_caller("authenticated", Some(reader)).await;
        for relation in ["unstuck.jobs", "unstuck.upscaler_jobs", "unstuck.job_receipts"] {
            assert_eq!(page.count(relation).await, expected, "{at}: {relation} as {reader}");
        }
        let position = page
            .rows("select \"position\" from unstuck.upscaler_jobs where status = 'queued'")
            .await;
        assert_eq!(
            position,
            vec![json!({ "position": 1 }); usize::from(expected > 0)],
            "{at}: {reader}"
        );
    }
    page.become_caller("anon", None).await;
    for relation in ["unstuck.jobs", "unstuck.upscaler_jobs"] {
        let refused = page.try_rows(&format!("select * from {relation}")).await;
        assert_eq!(refused.unwrap_err().state, "42501", "{at}: {relation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_names_in_public_answer_as_ours() {
    let host = Host::installed(App::Small, Rights::Closed).await;
    let service = service(&host).await;
    let user = service.user(100).await;
    let job = service.order(user, UPSCALER, 1).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(user)).await;
    let of = |schema: &str| format!("select * from {schema}.upscaler_jobs");
    assert_eq!(page.rows(&of("public")).await, page.rows(&of("unstuck")).await);
    assert_eq!(page.row(&of("public")).await["id"], json!(job));
    assert_eq!(
        page.value(&format!("select public.has_role('{user}', 'admin')")).await,
        json!(false)
    );
    // An older page cancels its own waiting job through the old name.
    let ended = page
        .changed(&format!(
            "update public.upscaler_jobs set status = 'cancelled' where id = '{job}'"
        ))
        .await;
    assert_eq!(ended, Ok(1));
    service.assert_cancelled(job, 60).await;
    let grant =
        "select * from public.credit_grant_v1(p_user_id => $u$, p_amount => 5, p_reason => 'x',
        p_idempotency_key => 'k')";
    let refused = page.try_rows(&grant.replace("$u$", &format!("'{user}'"))).await;
    assert_eq!(refused.unwrap_err().state, "42501");
    assert_eq!(service.row(&grant.replace("$u$", &format!("'{user}'"))).await["balance"], 105);
    let cleaned: Vec<Value> =
        service.rows("select * from public.cleanup_all_stale_ai_jobs()").await;
    assert_eq!(cleaned.len(), 7);
}
