//! Our jobs in the app's own tables: each step of a job shows there, whatever the app's triggers
//! do, and what the app does to such a row is taken as ours.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::hosts::{App, Host};
use unstuck_tests::shop::{CARDS, UPSCALER, WEBSITE};
use uuid::{Uuid, uuid};

const OWNER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");

/// The app's row of a job.
async fn shown(host: &Host, table: &str, job: Uuid) -> Value {
    host.row(&format!("select * from public.{table} where id = '{job}'")).await
}

async fn credits(host: &Host) -> i64 {
    host.int(&format!("select balance from public.upscaler_credits where user_id = '{OWNER}'"))
        .await
}

async fn open_errors(host: &Host) -> Vec<String> {
    host.texts("select error from unstuck.projection_errors where mended_at is null").await
}

#[tokio::test]
async fn a_picture_shows_each_of_its_steps_in_the_apps_table() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, {
        "user_id": OWNER, "session_id": "session", "status": "queued", "user_credit_cost": 60,
        "credits_charged": false, "credits_refunded": false, "completed_at": null,
        "input_url": "https://files.invalid/in.png",
    });
    let attempt = host.run("runninghub", "task-1").await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "running", "task_id": "task-1" });
    assert!(!row["started_at"].is_null());
    host.exec(&format!("update public.upscaler_jobs set rh_cost = 7 where id = '{job}'")).await;
    host.done(attempt, "task-1").await;
    host.complete(attempt).await;
    let row = shown(&host, "upscaler_jobs", job).await;
    let ours = host.job(job).await;
    assert_has!(row, {
        "status": "completed", "output_url": ours["output_url"], "credits_charged": true,
        "credits_refunded": false, "rh_cost": 7,
    });

    let job = host.order(OWNER, UPSCALER, 1).await;
    host.cancel(OWNER, job).await.unwrap();
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "cancelled", "credits_charged": true, "credits_refunded": true });
    assert!(row["error_message"].as_str().unwrap().starts_with("CANCELLED: "));
    let job = host.order(OWNER, UPSCALER, 1).await;
    host.age(job, "2 hours").await;
    host.sweep().await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "failed", "credits_charged": true, "credits_refunded": true });
    assert_eq!(open_errors(&host).await, [""; 0]);
    assert_eq!(host.count("unstuck_private.unprojected").await, 0);
    host.assert_healthy().await;
}

#[tokio::test]
async fn a_set_of_cards_shows_its_cards_and_the_apps_word_for_the_set_stays() {
    let host = Host::with_its_tables(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    let cards = async |job: Uuid| {
        host.texts(&format!(
            "select status::text from public.generation_tasks where job_id = '{job}'
            order by card_index"
        ))
        .await
    };
    let job = host.order(OWNER, CARDS, 2).await;
    let row = shown(&host, "generation_jobs", job).await;
    assert_has!(row, {
        "user_id": OWNER, "status": "pending", "total_cards": 2, "tokens_cost": 20,
    });
    assert_eq!(cards(job).await, ["pending"; 2]);
    let attempts = host.claim("gemini", 2).await;
    assert_eq!(cards(job).await, ["processing"; 2]);
    host.complete(attempts[0]).await;
    assert_has!(shown(&host, "generation_jobs", job).await, { "completed_cards": 1 });
    host.complete(attempts[1]).await;
    let row = shown(&host, "generation_jobs", job).await;
    assert_has!(row, { "status": "completed", "completed_cards": 2 });

    // Of three cards one fails: ours is completed, the app's own trigger says failed.
    let partial = host.order(OWNER, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.complete(attempts[0]).await;
    host.fail(attempts[1], "CONTENT_REFUSED").await;
    host.complete(attempts[2]).await;
    host.assert_completed(partial, 10).await;
    let row = shown(&host, "generation_jobs", partial).await;
    assert_has!(row, { "status": "failed", "completed_cards": 2, "tokens_cost": 30 });
    assert_eq!(cards(partial).await, ["completed", "failed", "completed"]);
    assert_eq!(open_errors(&host).await, [""; 0]);
    host.assert_healthy().await;
}

#[tokio::test]
async fn a_website_shows_its_team_and_at_its_end_what_the_team_paid() {
    let host = Host::with_its_tables(App::Sites).await;
    let job = host.order(OWNER, WEBSITE, 1).await;
    let row = shown(&host, "generation_history", job).await;
    assert_has!(row, {
        "status": "pending", "user_id": OWNER, "website_type": "html", "sale_price": null,
        "team_id": "00000000-0000-4000-8000-0000000000f1",
    });
    let attempt = host.claim_one("llm").await;
    assert_has!(shown(&host, "generation_history", job).await, { "status": "generating" });
    host.complete(attempt).await;
    let row = shown(&host, "generation_history", job).await;
    assert_has!(row, { "status": "completed", "sale_price": 3.5 });
    // What hangs is ended by the app's own cleanup: no appeal over money that came back.
    let stale = host.order(OWNER, WEBSITE, 1).await;
    let old = format!(
        "update public.generation_history set created_at = now() - interval '2 hours'
        where id = '{stale}'"
    );
    host.exec(&old).await;
    host.exec("select public.cleanup_stale_generations()").await;
    host.assert_cancelled(stale, 350).await;
    let appeals =
        format!("public.appeals where generation_id = '{stale}' and amount_to_refund > 0");
    assert_eq!(host.count(&appeals).await, 0);
    let row = shown(&host, "generation_history", stale).await;
    assert_has!(row, { "status": "failed", "sale_price": 0.0 });
    assert_eq!(open_errors(&host).await, [""; 0]);
}

const RAISES: &str = "
    create function public.raises() returns trigger language plpgsql as
    'begin raise exception ''not in this app''; end'";

#[tokio::test]
async fn a_trigger_of_the_app_that_raises_is_recorded_and_stops_nothing() {
    let host = Host::with_its_tables(App::Tools).await;
    host.exec(RAISES).await;
    for kind in [
        "create trigger raises before insert or update on public.upscaler_jobs
        for each row execute function public.raises()",
        "create constraint trigger raises after insert or update on public.upscaler_jobs
        deferrable initially deferred for each row execute function public.raises()",
    ] {
        let before = credits(&host).await;
        host.exec(kind).await;
        let (done, cancelled) =
            (host.order(OWNER, UPSCALER, 1).await, host.order(OWNER, UPSCALER, 1).await);
        let attempt = host.claim_one("runninghub").await;
        assert_eq!(attempt.job, done);
        host.sent(attempt).await;
        host.started(attempt, kind).await;
        host.done(attempt, kind).await;
        host.complete(attempt).await;
        host.cancel(OWNER, cancelled).await.unwrap();
        host.assert_completed(done, 0).await;
        host.assert_cancelled(cancelled, 60).await;
        assert_eq!(credits(&host).await, before - 60);
        assert_eq!(open_errors(&host).await, ["not in this app"; 2], "{kind}");
        let rows = format!("public.upscaler_jobs where id in ('{done}', '{cancelled}')");
        assert_eq!(host.count(&rows).await, 0);

        // A pass tries in vain, the next one writes both.
        host.sweep().await;
        assert_eq!(open_errors(&host).await.len(), 2);
        host.assert_healthy().await;
        host.exec("update unstuck.projection_errors set at = at - interval '61 minutes'").await;
        assert_eq!(host.violated().await, ["projection_owed"]);
        host.exec("drop trigger raises on public.upscaler_jobs").await;
        host.sweep().await;
        assert_eq!(open_errors(&host).await, [""; 0]);
        assert_eq!(shown(&host, "upscaler_jobs", done).await["status"], "completed");
        assert_eq!(shown(&host, "upscaler_jobs", cancelled).await["status"], "cancelled");
        host.exec(
            "update public.upscaler_credits set balance = 150, monthly_balance = 100,
            lifetime_balance = 50 where user_id = '00000000-0000-4000-8000-000000000001'",
        )
        .await;
    }
    host.assert_healthy().await;
}

#[tokio::test]
async fn a_row_that_the_app_holds_is_written_by_a_later_pass() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let app = host.connect("postgres").await;
    app.exec(&format!("begin; update public.upscaler_jobs set rh_cost = 1 where id = '{job}'"))
        .await;
    host.cancel(OWNER, job).await.unwrap();
    host.assert_cancelled(job, 60).await;
    assert_eq!(open_errors(&host).await, ["canceling statement due to lock timeout"]);
    app.exec("commit").await;
    host.sweep().await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "cancelled", "rh_cost": 1, "credits_refunded": true });
    assert_eq!(open_errors(&host).await, [""; 0]);
}

/// What the app's own functions make of a job of ours, each in its way.
#[tokio::test]
async fn the_apps_own_functions_return_the_credits_of_a_job_once() {
    let host = Host::with_its_tables(App::Tools).await;
    let page = host.connect("postgres").await;
    let user = "select * from public.user_cancel_ai_job('upscaler_jobs', ";
    let admin = "select * from public.admin_cancel_job('upscaler_jobs', ";
    for (caller, call, runs) in [(OWNER, user, false), (ADMIN, admin, false), (ADMIN, admin, true)]
    {
        let job = host.order(OWNER, UPSCALER, 1).await;
        if runs {
            host.run("runninghub", &job.to_string()).await;
        }
        assert_eq!(credits(&host).await, 90);
        page.become_caller("authenticated", Some(caller)).await;
        let answer = page.row(&format!("{call}'{job}')")).await;
        page.become_owner().await;
        assert_has!(answer, { "success": true, "refunded_amount": 0 });
        host.assert_cancelled(job, 60).await;
        assert_eq!(credits(&host).await, 150, "{call} {runs}");
        let row = shown(&host, "upscaler_jobs", job).await;
        assert_has!(row, { "status": "cancelled", "credits_refunded": true });
    }
    // A user does not end what a provider works on: the row is as it was.
    let job = host.order(OWNER, UPSCALER, 1).await;
    host.run("runninghub", "at work").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    page.row(&format!("{user}'{job}')")).await;
    page.become_owner().await;
    assert_eq!(host.job(job).await["status"], "running");
    assert_has!(shown(&host, "upscaler_jobs", job).await, { "status": "running" });
    assert_eq!(credits(&host).await, 90);
    host.cancel_as_admin(ADMIN, job).await.unwrap();
    // The app's own schedule, on a job that hangs.
    let job = host.order(OWNER, UPSCALER, 1).await;
    host.exec(&format!(
        "update public.upscaler_jobs set created_at = now() - interval '1 hour' where id = '{job}'"
    ))
    .await;
    host.exec("select * from public.cleanup_all_stale_ai_jobs()").await;
    host.assert_cancelled(job, 60).await;
    let returned = format!(
        "select sum(amount)::int from public.upscaler_credit_transactions
        where user_id = '{OWNER}' and amount > 0 and description is distinct from 'Timed out'"
    );
    assert_eq!(host.int(&returned).await, 5 * 60);
    host.sweep().await;
    assert_eq!(host.int(&returned).await, 5 * 60);
    assert_eq!(open_errors(&host).await, [""; 0]);
    host.assert_healthy().await;
}

#[tokio::test]
async fn what_the_app_asks_of_a_job_that_is_held_is_carried_out_by_the_next_pass() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let worker = host.connect("postgres").await;
    worker.exec(&format!("begin; select from unstuck.jobs where id = '{job}' for update")).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(ADMIN)).await;
    page.row(&format!("select * from public.admin_cancel_job('upscaler_jobs', '{job}')")).await;
    assert_eq!(host.job(job).await["status"], "queued", "nobody waited");
    assert_eq!(host.count("unstuck.host_requests").await, 1);
    worker.exec("commit").await;
    host.sweep().await;
    host.assert_cancelled(job, 60).await;
    assert_eq!(host.count("unstuck.host_requests").await, 0);
    assert_eq!(credits(&host).await, 150);
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "cancelled", "credits_refunded": true });
}

#[tokio::test]
async fn a_row_that_an_older_page_inserts_is_pending_until_its_run() {
    let host = Host::with_its_tables(App::Tools).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    let (ordered, left) = (Uuid::new_v4(), Uuid::new_v4());
    for job in [ordered, left] {
        page.exec(&format!(
            "insert into public.upscaler_jobs (id, session_id, user_id, status, input_file_name)
            values ('{job}', 'old', '{OWNER}', 'queued', 'in.png')"
        ))
        .await;
        assert_has!(host.job(job).await, { "status": "pending", "credits_charged": 0 });
    }
    host.enqueue(OWNER, ordered, UPSCALER, 1).await.unwrap();
    assert_eq!(credits(&host).await, 90);
    let row = shown(&host, "upscaler_jobs", ordered).await;
    let own = json!("in.png");
    assert_has!(row, { "status": "queued", "input_file_name": own, "user_credit_cost": 60 });
    // What is never ordered is ended in both, and costs nothing.
    host.age(left, "5 minutes").await;
    host.sweep().await;
    let row = shown(&host, "upscaler_jobs", left).await;
    assert_has!(row, { "status": "cancelled", "credits_charged": false });
    // The page ends its own waiting job in the app's table, as the app allows its service.
    host.exec(&format!("update public.upscaler_jobs set status = 'failed' where id = '{ordered}'"))
        .await;
    host.assert_cancelled(ordered, 60).await;
    assert_eq!(credits(&host).await, 150);
}

#[tokio::test]
async fn a_detached_table_is_left_right_and_alone() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let refused = host.try_uninstall().await.unwrap_err();
    assert!(refused.message.contains("jobs live"), "{refused:?}");
    host.cancel(OWNER, job).await.unwrap();
    let refused = host.try_uninstall().await.unwrap_err();
    assert!(refused.message.contains("unstuck_host_row"), "{refused:?}");
    for (tool, table) in [
        (UPSCALER, "upscaler_jobs"),
        ("runninghub-video-upscaler", "video_upscaler_jobs"),
        ("runninghub-pose-changer", "pose_changer_jobs"),
        ("runninghub-veste-ai", "veste_ai_jobs"),
    ] {
        host.exec(&format!("select unstuck_private.projection_detach('{tool}', 'public.{table}')"))
            .await;
    }
    let later = host.order(OWNER, UPSCALER, 1).await;
    assert_eq!(host.count(&format!("public.upscaler_jobs where id = '{later}'")).await, 0);
    host.cancel(OWNER, later).await.unwrap();
    assert_eq!(shown(&host, "upscaler_jobs", job).await["status"], "cancelled");
    assert_eq!(host.try_uninstall().await, Ok(()));
    assert_eq!(credits(&host).await, 150);
}
