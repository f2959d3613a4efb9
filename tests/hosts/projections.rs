//! Projections: each transition of our job is written into the app's own table, whatever the app's
//! triggers do, and what the app does to such a row is done to our job.

use serde_json::{Value, json};
use unstuck_tests::hosts::{App, Host};
use unstuck_tests::shop::{CARDS, UPSCALER, WEBSITE, enqueue_args, requeue_args, with};
use unstuck_tests::{Session, assert_has};
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
    let filed = async |job: Uuid| {
        host.count(&format!("public.generations where job_id = '{job}' and image_url is not null"))
            .await
    };
    assert_eq!(filed(job).await, 2, "the last card is written too");
    assert_eq!(host.count("public.notifications").await, 1);

    // One of three cards fails: our job is completed, and the app's own trigger sets the set to
    // failed.
    let partial = host.order(OWNER, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.complete(attempts[0]).await;
    host.fail(attempts[1], "CONTENT_REFUSED").await;
    host.complete(attempts[2]).await;
    host.assert_completed(partial, 10).await;
    let row = shown(&host, "generation_jobs", partial).await;
    assert_has!(row, { "status": "failed", "completed_cards": 2, "tokens_cost": 30 });
    assert_eq!(cards(partial).await, ["completed", "failed", "completed"]);
    assert_eq!(filed(partial).await, 0);
    assert_eq!(
        host.count("public.notifications").await,
        1,
        "there is no notification of a set that is not ready"
    );
    // A set whose rows are all written at once and late is filed completely.
    host.exec(
        "create function public.raises() returns trigger language plpgsql as
        'begin raise exception ''not now''; end';
        create trigger raises before insert on public.generation_jobs
        for each row execute function public.raises()",
    )
    .await;
    let late = host.order(OWNER, CARDS, 2).await;
    for attempt in host.claim("gemini", 2).await {
        host.complete(attempt).await;
    }
    host.exec("drop trigger raises on public.generation_jobs").await;
    host.sweep().await;
    assert_has!(shown(&host, "generation_jobs", late).await, { "status": "completed" });
    assert_eq!(filed(late).await, 2);
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
    let movements = async |job: Uuid| {
        host.texts(&format!(
            "select round(100 * amount)::text from public.credit_transactions
            where generation_id = '{job}' order by amount"
        ))
        .await
        .join(" ")
    };
    assert_eq!(movements(job).await, "-350");
    // The app's own cleanup ends the stale row. The money has come back, so there is no appeal for
    // it.
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
    assert_eq!(movements(stale).await, "-350 350");
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

        // A first sweep cannot write the rows, the next one writes both.
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
    let held = "a transaction of the app holds a row of the job";
    assert_eq!(open_errors(&host).await, [held]);
    app.exec("commit").await;
    host.sweep().await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "cancelled", "rh_cost": 1, "credits_refunded": true });
    assert_eq!(open_errors(&host).await, [""; 0]);
}

/// What the app's own functions do with a job of ours, each in its own way.
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
    // A user cannot cancel a job on which a provider works: the row is restored.
    let job = host.order(OWNER, UPSCALER, 1).await;
    host.run("runninghub", "at work").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    page.row(&format!("{user}'{job}')")).await;
    page.become_owner().await;
    assert_eq!(host.job(job).await["status"], "running");
    assert_has!(shown(&host, "upscaler_jobs", job).await, { "status": "running" });
    assert_eq!(credits(&host).await, 90);
    host.cancel_as_admin(ADMIN, job).await.unwrap();
    // The app's own scheduled cleanup, on a stale job.
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
    // Our job of a row that is never ordered is cancelled; the row stays as the app has it.
    host.age(left, "5 minutes").await;
    host.sweep().await;
    assert_has!(host.job(left).await, { "status": "cancelled", "error_code": "ORPHANED" });
    let row = shown(&host, "upscaler_jobs", left).await;
    assert_has!(row, { "status": "queued", "completed_at": null });
    // The app's service fails the waiting job in the app's table, which the app allows.
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

#[tokio::test]
async fn a_row_that_the_apps_own_function_ran_stays_its_own() {
    let host = Host::with_its_tables(App::Tools).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    let job = Uuid::new_v4();
    let insert = format!(
        "insert into public.upscaler_jobs (id, session_id, user_id, status)
        values ('{job}', 'old', '{OWNER}', 'queued')"
    );
    page.exec(&insert).await;
    assert_eq!(host.job(job).await["status"], "pending");
    host.exec(&format!(
        "begin; set local app.ai_financial_write = 'on';
        update public.upscaler_jobs set status = 'completed', completed_at = now(),
            task_id = 'its own', output_url = 'https://files.invalid/own.png',
            credits_charged = true, user_credit_cost = 60 where id = '{job}'; commit"
    ))
    .await;
    let before = shown(&host, "upscaler_jobs", job).await;
    host.age(job, "5 minutes").await;
    host.sweep().await;
    assert_has!(host.job(job).await, { "status": "cancelled", "error_code": "ORPHANED" });
    assert_eq!(shown(&host, "upscaler_jobs", job).await, before);
    assert_eq!(open_errors(&host).await, [""; 0]);
}

#[tokio::test]
async fn a_row_of_several_tools_is_taken_for_the_one_that_it_fits() {
    let host = Host::with_its_tables(App::Sites).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    for (kind, tool) in
        [("html", Some(WEBSITE)), ("php", Some("generate-php-website")), ("x", None)]
    {
        let job = Uuid::new_v4();
        page.exec(&format!(
            "insert into public.generation_history (id, prompt, user_id, website_type)
            values ('{job}', 'A bakery', '{OWNER}', '{kind}')"
        ))
        .await;
        let taken = host.texts(&format!("select tool from unstuck.jobs where id = '{job}'")).await;
        assert_eq!(taken, tool.into_iter().collect::<Vec<_>>(), "{kind}");
    }
}

#[tokio::test]
async fn an_older_page_fills_no_ledger_of_pending_jobs() {
    let host = Host::with_its_tables(App::Tools).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    let insert = async |count: i64, prompt: String| {
        page.exec(&format!(
            "insert into public.upscaler_jobs (session_id, user_id, prompt)
            select 's', '{OWNER}', '{prompt}' from generate_series(1, {count})"
        ))
        .await;
    };
    insert(1, "x".repeat(21_000)).await;
    assert_eq!(host.count("unstuck.jobs").await, 0, "too large");
    for taken in 1..=12 {
        insert(30, "x".to_owned()).await;
        assert_eq!(host.count("unstuck.jobs").await, (20 * taken).min(200));
        host.exec("update unstuck.jobs set status = 'cancelled', completed_at = now()").await;
    }
}

#[tokio::test]
async fn a_job_that_ended_is_written_no_more() {
    let host = Host::with_its_tables(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    let (partial, deleted) = (host.order(OWNER, CARDS, 2).await, host.order(OWNER, CARDS, 1).await);
    let attempts = host.claim("gemini", 3).await;
    host.complete(attempts[0]).await;
    host.fail(attempts[1], "CONTENT_REFUSED").await;
    host.complete(attempts[2]).await;
    let failed = shown(&host, "generation_jobs", partial).await;
    assert_has!(failed, { "status": "failed" });
    host.exec("update unstuck.retention set keep = '1 hour' where kind = 'inputs'").await;
    host.age_all("1 day").await;
    host.exec(&format!("delete from public.generation_jobs where id = '{deleted}'")).await;
    let before = shown(&host, "generation_jobs", partial).await;
    host.sweep().await;
    assert_eq!(host.count("unstuck.jobs where input = '{}'").await, 2, "the rows were pruned");
    assert_eq!(shown(&host, "generation_jobs", partial).await, before);
    let rows = format!("public.generation_jobs where id = '{deleted}'");
    assert_eq!(host.count(&rows).await, 0, "what the app deleted stays deleted");
}

/// The app's row of the victim's job is missing, and another user inserts a row with its id.
#[tokio::test]
async fn a_row_of_another_user_neither_ends_a_job_nor_shows_it() {
    let host = Host::with_its_tables(App::Tools).await;
    host.exec(RAISES).await;
    host.exec(
        "create trigger raises before insert on public.upscaler_jobs
        for each row execute function public.raises()",
    )
    .await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    host.exec("drop trigger raises on public.upscaler_jobs").await;
    let thief = host.connect("postgres").await;
    thief.become_caller("authenticated", Some(ADMIN)).await;
    let insert = format!(
        "insert into public.upscaler_jobs (id, session_id, user_id, status)
        values ('{job}', 'thief', '{ADMIN}', 'queued')"
    );
    thief.exec(&insert).await;
    thief.become_owner().await;
    host.sweep().await;
    let before = shown(&host, "upscaler_jobs", job).await;
    assert_has!(before, { "user_id": ADMIN, "session_id": "thief", "user_credit_cost": 0 });
    host.exec(&format!("update public.upscaler_jobs set status = 'failed' where id = '{job}'"))
        .await;
    assert_eq!(host.job(job).await["status"], "queued");
    let attempt = host.run("runninghub", "task-1").await;
    host.done(attempt, "task-1").await;
    host.complete(attempt).await;
    host.assert_completed(job, 0).await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "status": "failed", "output_url": null, "task_id": null });
}

#[tokio::test]
async fn the_cards_of_a_job_are_not_shown_under_a_row_of_another_user() {
    let host = Host::with_its_tables(App::Cards).await;
    host.exec(RAISES).await;
    host.exec(
        "create trigger raises before insert on public.generation_jobs
        for each row execute function public.raises()",
    )
    .await;
    let job = host.order(OWNER, CARDS, 1).await;
    host.exec("drop trigger raises on public.generation_jobs").await;
    host.exec(&format!(
        "insert into public.generation_jobs (id, user_id, product_name, category, description)
        values ('{job}', '{ADMIN}', 'x', 'x', 'x')"
    ))
    .await;
    let attempt = host.claim_one("gemini").await;
    host.complete(attempt).await;
    host.sweep().await;
    let cards = format!("public.generation_tasks where job_id = '{job}'");
    assert_eq!(host.count(&cards).await, 0);
    assert_has!(shown(&host, "generation_jobs", job).await, { "user_id": ADMIN, "tokens_cost": 6 });
}

#[tokio::test]
async fn what_is_owed_for_jobs_that_are_gone_holds_up_nothing() {
    let host = Host::with_its_tables(App::Tools).await;
    let (owed, asked) =
        (host.order(OWNER, UPSCALER, 1).await, host.order(OWNER, UPSCALER, 1).await);
    host.exec(&format!(
        "insert into unstuck.projection_errors (tool, host_table, job_id, error, at)
        select '{UPSCALER}', 'public.upscaler_jobs', gen_random_uuid(), 'x', '-infinity'
        from generate_series(1, 60);
        insert into unstuck.projection_errors (tool, host_table, job_id, error)
        values ('{UPSCALER}', 'public.upscaler_jobs', '{owed}', 'x');
        insert into unstuck.host_requests (job_id, host_table, by_user, at)
        select gen_random_uuid(), 'public.upscaler_jobs', false, '-infinity'
        from generate_series(1, 210);
        insert into unstuck.host_requests (job_id, host_table, host_user, by_user)
        values ('{asked}', 'public.upscaler_jobs', '{OWNER}', false)"
    ))
    .await;
    host.sweep().await;
    assert_eq!(open_errors(&host).await, [""; 0]);
    assert_eq!(host.count("unstuck.host_requests").await, 0);
    host.assert_cancelled(asked, 60).await;
}

#[tokio::test]
async fn a_users_own_cancel_that_waited_ends_no_job_that_is_at_work_by_now() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let worker = host.connect("postgres").await;
    worker.exec(&format!("begin; select from unstuck.jobs where id = '{job}' for update")).await;
    let page = host.connect("postgres").await;
    page.become_caller("authenticated", Some(OWNER)).await;
    page.row(&format!("select * from public.user_cancel_ai_job('upscaler_jobs', '{job}')")).await;
    assert_eq!(host.count("unstuck.host_requests where by_user").await, 1);
    worker.exec("commit").await;
    host.run("runninghub", "task-1").await;
    host.sweep().await;
    assert_eq!(host.job(job).await["status"], "running");
    assert_has!(shown(&host, "upscaler_jobs", job).await, { "status": "running" });
    assert_eq!(host.count("unstuck.host_requests").await, 0);
    assert_eq!(credits(&host).await, 90);
}

#[tokio::test]
async fn a_table_is_detached_only_when_no_row_of_it_would_hang() {
    let host = Host::with_its_tables(App::Tools).await;
    let detach =
        format!("select unstuck_private.projection_detach('{UPSCALER}', 'public.upscaler_jobs')");
    let refusal = async || host.try_rows(&detach).await.unwrap_err().to_string();
    let job = host.order(OWNER, UPSCALER, 1).await;
    let refused = refusal().await;
    assert!(refused.contains("1 jobs of runninghub-upscaler live, and 0 rows"), "{refused}");
    host.exec(RAISES).await;
    host.exec(
        "create trigger raises before update on public.upscaler_jobs
        for each row execute function public.raises()",
    )
    .await;
    host.cancel(OWNER, job).await.unwrap();
    let refused = refusal().await;
    assert!(refused.contains("0 jobs of runninghub-upscaler live, and 1 rows"), "{refused}");
    host.exec("drop trigger raises on public.upscaler_jobs").await;
    host.sweep().await;
    assert_eq!(host.count("unstuck.projection_errors").await, 1, "it is mended");
    host.exec(&detach).await;
    assert_eq!(host.count("unstuck.projection_errors").await, 0);
    assert_has!(shown(&host, "upscaler_jobs", job).await, {
        "status": "cancelled", "credits_refunded": true,
    });
}

#[tokio::test]
async fn the_jobs_of_a_user_who_is_erased_end_in_the_apps_table_too() {
    let host = Host::with_its_tables(App::Tools).await;
    let (waits, runs) =
        (host.order(OWNER, UPSCALER, 1).await, host.order(OWNER, UPSCALER, 1).await);
    host.run("runninghub", "task-1").await;
    let erase = json!({ "p_actor": ADMIN, "p_user_id": OWNER, "p_reason": "asked" });
    host.ask("user_erase_v1", erase).await;
    for job in [waits, runs] {
        let row = shown(&host, "upscaler_jobs", job).await;
        assert_has!(row, {
            "status": "cancelled", "user_id": OWNER, "user_credit_cost": 60,
            "credits_charged": true, "credits_refunded": true,
        });
    }
    assert_eq!(credits(&host).await, 150);
    host.sweep().await;
    assert_eq!(open_errors(&host).await, [""; 0]);
}

#[tokio::test]
async fn a_user_is_erased_only_once_the_apps_tables_took_the_ends_of_the_jobs() {
    let host = Host::with_its_tables(App::Tools).await;
    host.exec(RAISES).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let attempt = host.run("runninghub", "task-1").await;
    host.exec(
        "create trigger raises before update on public.upscaler_jobs
        for each row execute function public.raises()",
    )
    .await;
    host.fail(attempt, "PROVIDER_REJECTED").await;
    assert_eq!(open_errors(&host).await, ["not in this app"]);
    let erase = json!({ "p_actor": ADMIN, "p_user_id": OWNER, "p_reason": "asked" });
    let refused = host.try_call("user_erase_v1", erase.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), ("PT409", "in_progress"));
    assert_has!(refused.detail, { "refunds_owed": 0, "rows_owed": 1 });
    host.assert_failed(job, "PROVIDER_REJECTED", 60).await;
    host.exec("drop trigger raises on public.upscaler_jobs").await;
    host.ask("user_erase_v1", erase).await;
    assert_has!(shown(&host, "upscaler_jobs", job).await, {
        "status": "failed", "credits_refunded": true,
    });
    assert_eq!(host.count("unstuck.projection_errors where mended_at is null").await, 0);
}

/// The statement by which an app's function sets the status of a job's row.
fn set_status(job: Uuid, status: &str) -> String {
    format!("update public.upscaler_jobs set status = '{status}' where id = '{job}'")
}

const HEAL_APP: &str = "select unstuck_private.heal_app(clock_timestamp() + interval '2 seconds')";

/// A session whose statements fail after a few seconds, so that a wait for a lock shows.
async fn impatient(host: &Host) -> Session {
    let session = host.connect("postgres").await;
    session.exec("set statement_timeout = '3s'").await;
    session
}

#[tokio::test]
async fn a_healer_waits_for_no_transaction_of_the_app() {
    let host = Host::with_its_tables(App::Tools).await;
    let (worker, app) = (host.connect("postgres").await, host.connect("postgres").await);
    let healer = impatient(&host).await;
    let hold = |table: &str, row: Uuid| format!("begin; select from {table} = '{row}' for update");
    for of_account in [true, false] {
        let job = host.order(OWNER, UPSCALER, 1).await;
        worker
            .exec(&match of_account {
                true => hold("unstuck.credit_accounts where user_id", OWNER),
                false => hold("unstuck.jobs where id", job),
            })
            .await;
        host.exec(&set_status(job, "failed")).await;
        // The app ends its row once more and does not commit yet.
        let (waits, fails) = (set_status(job, "queued"), set_status(job, "failed"));
        app.exec(&format!("begin; {waits}; {fails}")).await;
        worker.exec("commit").await;
        healer.exec(HEAL_APP).await;
        host.assert_cancelled(job, 60).await;
        app.exec("commit").await;
    }
    let other = host.order(OWNER, UPSCALER, 1).await;
    worker.exec(&hold("unstuck.jobs where id", other)).await;
    host.exec(&set_status(other, "failed")).await;
    worker.exec("commit").await;
    // The app holds the row of the wallet.
    app.exec(&format!(
        "begin; update public.upscaler_credits set updated_at = now() where user_id = '{OWNER}'"
    ))
    .await;
    healer.exec(HEAL_APP).await;
    assert_eq!(host.job(other).await["status"], "queued");
    app.exec("commit").await;
    healer.exec(HEAL_APP).await;
    host.assert_cancelled(other, 60).await;
    assert_eq!(host.count("unstuck.host_requests").await, 0);
    assert_eq!(open_errors(&host).await, [""; 0]);
    assert_eq!(credits(&host).await, 150);
    host.assert_healthy().await;
}

#[tokio::test]
async fn the_app_waits_for_no_healer_and_loses_no_request() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let worker = host.connect("postgres").await;
    worker.exec(&format!("begin; select from unstuck.jobs where id = '{job}' for update")).await;
    let page = impatient(&host).await;
    page.become_caller("authenticated", Some(OWNER)).await;
    page.row(&format!("select * from public.user_cancel_ai_job('upscaler_jobs', '{job}')")).await;
    worker.exec("commit").await;
    host.run("runninghub", "task-1").await;
    let healer = host.connect("postgres").await;
    healer.exec(&format!("begin; {HEAL_APP}")).await;
    page.become_caller("authenticated", Some(ADMIN)).await;
    page.row(&format!("select * from public.admin_cancel_job('upscaler_jobs', '{job}')")).await;
    healer.exec("commit").await;
    assert_eq!(host.job(job).await["status"], "running", "its user's cancel came too late");
    host.sweep().await;
    host.assert_cancelled(job, 60).await;
    assert_eq!(host.count("unstuck.host_requests").await, 0);
}

#[tokio::test]
async fn a_page_that_inserts_its_row_waits_for_no_order() {
    let host = Host::with_its_tables(App::Tools).await;
    let (order, job) = (host.connect("postgres").await, Uuid::new_v4());
    order.exec("begin").await;
    order.enqueue(OWNER, job, UPSCALER, 1).await.unwrap();
    let page = impatient(&host).await;
    page.become_caller("authenticated", Some(OWNER)).await;
    page.exec(&format!(
        "insert into public.upscaler_jobs (id, session_id, user_id, status, input_file_name)
        values ('{job}', 'old', '{OWNER}', 'queued', 'in.png')"
    ))
    .await;
    order.exec("commit").await;
    let row = shown(&host, "upscaler_jobs", job).await;
    assert_has!(row, { "input_file_name": "in.png", "user_credit_cost": 60 });
    assert_eq!(host.job(job).await["status"], "queued");
}

/// A migration of ours or an uninstallation holds our tables.
#[tokio::test]
async fn what_the_app_asks_while_our_tables_are_held_is_carried_out_later() {
    let host = Host::with_its_tables(App::Tools).await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    let (migration, app) = (host.connect("postgres").await, impatient(&host).await);
    for table in ["jobs", "credit_accounts", "projections", "host_requests"] {
        migration
            .exec(&format!("begin; lock table unstuck.{table} in access exclusive mode"))
            .await;
        app.exec(&set_status(job, "failed")).await;
        migration.exec("rollback").await;
        if table == "jobs" || table == "credit_accounts" {
            assert_eq!(host.job(job).await["status"], "queued");
            assert_eq!(host.count("unstuck.host_requests").await, 1, "{table}");
            host.exec("delete from unstuck.host_requests").await;
        }
        host.exec(&set_status(job, "queued")).await;
    }
    migration.exec("begin; lock table unstuck.jobs in access exclusive mode").await;
    app.exec(&set_status(job, "failed")).await;
    migration.exec("rollback").await;
    host.sweep().await;
    host.assert_cancelled(job, 60).await;
    assert_eq!(host.count("unstuck.host_requests").await, 0);
}

#[tokio::test]
async fn a_condition_that_cannot_be_asked_of_the_table_is_not_attached() {
    let host = Host::with_its_tables(App::Tools).await;
    let attach = format!(
        "select unstuck_private.projection_attach('{UPSCALER}', 'public.upscaler_jobs', 'job',
            '{{\"status\": \"w.status\"}}', '{{}}', p_begun => 't.no_such_column')"
    );
    let refused = host.try_rows(&attach).await.unwrap_err().to_string();
    assert!(refused.contains("no_such_column"), "{refused}");
    host.order(OWNER, UPSCALER, 1).await;
}

#[tokio::test]
async fn a_website_that_nobody_paid_for_keeps_its_team() {
    let host = Host::with_its_tables(App::Sites).await;
    host.exec("update public.team_pricing set html_price = 0").await;
    let team = async |job: Uuid| shown(&host, "generation_history", job).await["team_id"].clone();
    let (first, second) = ("00000000-0000-4000-8000-0000000000f1", Uuid::new_v4());
    let job = host.order(OWNER, WEBSITE, 1).await;
    assert_eq!(team(job).await, first, "the only one of its user");
    host.cancel(OWNER, job).await.unwrap();
    host.exec(&format!(
        "insert into public.teams (id, name, created_by) values ('{second}', 'Two', '{ADMIN}');
        insert into public.team_pricing (team_id, html_price) values ('{second}', 0);
        insert into public.team_members (team_id, user_id, role, status)
        values ('{second}', '{OWNER}', 'buyer', 'approved')"
    ))
    .await;
    let retry = async |job: Uuid| {
        let again = Uuid::new_v4();
        let args = requeue_args(ADMIN, "generation_history", job, false, again);
        host.ask("job_requeue_v1", args).await;
        host.cancel(OWNER, again).await.unwrap();
        again
    };
    assert_eq!(team(retry(job).await).await, first, "that of the job that it repeats");
    let named = Uuid::new_v4();
    let args = enqueue_args(OWNER, named, WEBSITE, 1);
    let input = json!({ "p_input": { "prompt": "A bakery", "teamId": second } });
    host.ask("job_enqueue_v1", with(args, input)).await;
    assert_eq!(team(named).await, json!(second), "the one that its order named");
    host.cancel(OWNER, named).await.unwrap();
    host.exec(&format!("delete from public.generation_history where id = '{named}'")).await;
    assert_eq!(team(retry(named).await).await, json!(second));
    assert_eq!(open_errors(&host).await, [""; 0]);
}
