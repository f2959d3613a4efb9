//! The app of tools: `upscaler_jobs` and similar tables, a wallet in two parts, unlimited
//! subscribers.
//!
//! Each of its tools is one step, so nothing is refunded in part. A refund goes back to the two
//! parts from which the price was taken.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::order::{MediaTool, Order, POSE, TABLE, UPSCALER, VESTE, VIDEO, upload};
use unstuck_tests::e2e::{self, HostWorld, TestUser};
use unstuck_tests::hosts::App;
use uuid::{Uuid, uuid};

const UNLIMITED: Uuid = uuid!("00000000-0000-4000-8000-000000000003");
/// The columns that a page of this app reads.
const SHOWN: [&str; 3] = ["status", "credits_charged", "credits_refunded"];

#[test]
fn the_app_of_tools_sees_each_step_of_a_job() {
    e2e::run_in(App::Tools, async |home| {
        a_picture_is_delivered(home).await;
        a_failure_is_returned_to_both_parts_and_retried(home).await;
        a_job_is_cancelled_by_its_user_by_the_old_page_and_by_an_admin(home).await;
        the_other_tables_show_their_jobs_too(home).await;
        an_older_pages_row_earns_its_partner_the_rate(home).await;
        home.assert_nothing_owed().await;
    });
}

#[test]
fn a_trigger_that_raises_stops_no_picture_and_an_unlimited_subscriber_pays_nothing() {
    e2e::run_in(App::Tools, async |home| {
        an_unlimited_subscriber_pays_nothing(home).await;
        a_trigger_that_raises_stops_nothing(home).await;
        home.assert_nothing_owed().await;
    });
}

/// A new user of the app with that many credits in the two parts of the wallet.
async fn buyer(home: &HostWorld<'_>, monthly: i64, lifetime: i64) -> TestUser {
    let user = home.newcomer().await;
    let columns = "upscaler_credits (user_id, balance, monthly_balance, lifetime_balance)";
    let all = monthly + lifetime;
    home.db()
        .exec(&format!(
            "insert into public.profiles (id, name) values ('{0}', 'buyer');
            insert into public.{columns} values ('{0}', {all}, {monthly}, {lifetime})",
            user.id
        ))
        .await;
    user
}

/// An order of that user, with its files uploaded.
async fn order(home: &HostWorld<'_>, user: &TestUser, tool: &'static MediaTool) -> Order {
    let mut urls = Vec::new();
    for field in tool.files {
        urls.push(upload(home, user, field).await);
    }
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    Order::with(tool, user.clone(), &urls)
}

/// The whole balance and its two parts, monthly and lifetime: `90 = 40 + 50`.
async fn wallet(home: &HostWorld<'_>, user: &TestUser) -> String {
    home.line(&format!(
        "select format('%s = %s + %s', balance, monthly_balance, lifetime_balance)
        from public.upscaler_credits where user_id = '{}'",
        user.id
    ))
    .await
}

/// The app's own records of a user's credits, oldest first.
async fn movements(home: &HostWorld<'_>, user: &TestUser) -> String {
    home.line(&format!(
        "select format('%s %s %s: %s', amount, transaction_type, credit_type, balance_after)
        from public.upscaler_credit_transactions where user_id = '{}'
        order by created_at, balance_after",
        user.id
    ))
    .await
}

/// Asserts that every column of a job that we write equals our job. What was charged and refunded
/// is written at its end only.
async fn assert_shown(home: &HostWorld<'_>, order: &Order, status: &str) -> Value {
    let row = home.row(order.tool.table, order.job).await;
    let (job, step) = (order.row(home).await, order.step(home).await);
    let is_over = !job["completed_at"].is_null();
    let is_paid = |credits: &str| is_over && job[credits].as_i64() > Some(0);
    assert_has!(row, {
        "user_id": order.user.id,
        "session_id": "a page",
        "created_at": job["created_at"],
        "status": status,
        "task_id": step["provider_task_id"],
        "output_url": job["output_url"],
        "error_message": job["error_message"],
        "started_at": job["started_at"],
        "completed_at": job["completed_at"],
        "waited_in_queue": job["waited_in_queue"],
        "user_credit_cost": job["credits_charged"],
        "credits_charged": is_paid("credits_charged"),
        "credits_refunded": is_paid("credits_refunded"),
    });
    let file = match order.tool.table {
        TABLE => "input_url",
        "video_upscaler_jobs" => "video_url",
        _ => return row,
    };
    assert_eq!(row[file], order.urls()[0]);
    row
}

/// Makes the provider work on every task until a test finishes it.
async fn work_is_finished_by_hand(home: &HostWorld<'_>) {
    let rule = json!({ "all": true, "work": "until_finished", "cancellable": true });
    home.script(json!({ "reset": true, "runninghub": rule })).await;
}

async fn a_picture_is_delivered(home: &mut HostWorld<'_>) {
    work_is_finished_by_hand(home).await;
    let user = buyer(home, 100, 50).await;
    let order = order(home, &user, &UPSCALER).await;
    let answer = order.starts(home).await;
    assert_has!(answer, { "creditsCharged": 60, "balance": 90 });
    let row = assert_shown(home, &order, "running").await;
    assert_has!(row, { "output_url": null, "completed_at": null, "user_credit_cost": 60 });
    assert_eq!(wallet(home, &user).await, "90 = 40 + 50");

    home.finish(order.job).await;
    order.assert_completed(home).await;
    order.assert_real(home).await;
    let row = assert_shown(home, &order, "completed").await;
    assert!(row["output_url"].is_string() && row["completed_at"].is_string(), "{row}");
    assert_has!(row, { "credits_charged": true, "credits_refunded": false, "rh_cost": 0 });
    assert_eq!(movements(home, &user).await, "-60 consumption monthly: 90");
    assert_eq!(
        home.told(TABLE, order.job, &SHOWN).await,
        ["INSERT starting f f", "UPDATE running f f", "UPDATE completed t f"]
    );

    // The app's page reads the user's own row and balance, and no other user's.
    let query = format!("{TABLE}?id=eq.{}", order.job);
    assert_eq!(home.read_by(&user, &query).await, json!([row]));
    assert_eq!(home.read_by(&home.newcomer().await, &query).await, json!([]));
    let parts = json!({ "_user_id": user.id });
    let parts = home.call_by(&user, "get_upscaler_credits_breakdown", parts).await;
    assert_eq!(parts, Ok(json!([{ "total": 90, "monthly": 40, "lifetime": 50 }])));
    // The app's trigger refuses a page that writes a column which only we may write.
    let refused = home.change_by(&user, &query, &json!({ "credits_refunded": true })).await;
    assert!(refused.clone().is_err_and(|text| text.contains("protected column")), "{refused:?}");
}

async fn a_failure_is_returned_to_both_parts_and_retried(home: &mut HostWorld<'_>) {
    let user = buyer(home, 40, 50).await;
    let order = order(home, &user, &UPSCALER).await;
    let rule = json!({ "match": order.job, "times": 1, "code": 301 });
    home.script(json!({ "reset": true, "runninghub": rule })).await;
    let refusal = order.run(home).refused(422, "provider_rejected").await;
    assert_has!(refusal, { "refunded": true, "refundedCredits": 60 });
    order.assert_returned(home, "failed", "PROVIDER_REJECTED").await;
    let row = assert_shown(home, &order, "failed").await;
    assert_has!(row, { "credits_charged": true, "credits_refunded": true });
    assert_eq!(wallet(home, &user).await, "90 = 40 + 50");
    assert_eq!(
        movements(home, &user).await,
        "-60 consumption mixed: 30, 20 refund lifetime: 50, 40 refund monthly: 90"
    );
    assert_eq!(
        home.told(TABLE, order.job, &SHOWN).await,
        ["INSERT starting f f", "UPDATE failed t t"]
    );

    // One retry is free, the other is paid, as the admin chooses.
    for (charge, cost, left) in [(false, 0, "90 = 40 + 50"), (true, 60, "30 = 0 + 30")] {
        let job = home.host_admin_retries(TABLE, order.job, charge).await;
        home.until_status(job, "completed").await;
        let again = Order { job, body: order.body.clone(), user: user.clone(), tool: &UPSCALER };
        let row = assert_shown(home, &again, "completed").await;
        assert_has!(row, { "user_credit_cost": cost, "credits_charged": charge });
        assert_eq!(wallet(home, &user).await, left);
        let last = home.told(TABLE, job, &SHOWN).await.pop();
        let charged = if charge { "t" } else { "f" };
        assert_eq!(last, Some(format!("UPDATE completed {charged} f")));
    }
    assert_eq!(home.row(TABLE, order.job).await, row, "the failed one stays as it was");
}

async fn a_job_is_cancelled_by_its_user_by_the_old_page_and_by_an_admin(home: &mut HostWorld<'_>) {
    work_is_finished_by_hand(home).await;
    let user = buyer(home, 60, 0).await;
    home.set_provider("runninghub", "enabled = false").await;
    let waiting = order(home, &user, &UPSCALER).await;
    let answer = waiting.run(home).ok().await;
    assert_has!(answer, { "queued": true, "status": "queued", "balance": 0 });
    assert_shown(home, &waiting, "queued").await;
    let answer = home.user_cancels(&user, TABLE, waiting.job).await;
    assert_has!(answer, { "status": "cancelled", "refundedCredits": 60 });
    assert_cancelled(home, &waiting, &["INSERT queued f f", "UPDATE cancelled t t"]).await;

    // The app's own function refunds nothing: we refund once.
    let old = waiting.again();
    old.run(home).ok().await;
    let named = json!({ "p_table_name": TABLE, "p_job_id": old.job });
    let answer = home.call_by(&user, "user_cancel_ai_job", named).await.expect("its own job");
    assert_has!(answer[0], { "success": true, "refunded_amount": 0 });
    let told = ["INSERT queued f f", "UPDATE cancelled f f", "UPDATE cancelled t t"];
    assert_cancelled(home, &old, &told).await;

    home.set_provider("runninghub", "enabled = true").await;
    let running = waiting.again();
    running.starts(home).await;
    let answer = home.host_admin_cancels(TABLE, running.job).await;
    assert_has!(answer, { "status": "cancelled", "refundedCredits": 60 });
    let told = ["INSERT starting f f", "UPDATE running f f", "UPDATE cancelled t t"];
    assert_cancelled(home, &running, &told).await;
    assert_eq!(
        movements(home, &user).await,
        ["-60 consumption monthly: 0, 60 refund monthly: 60"; 3].join(", ")
    );
}

/// Asserts that the job is cancelled and refunded, and that its pages got these changes.
async fn assert_cancelled(home: &mut HostWorld<'_>, order: &Order, told: &[&str]) {
    order.assert_returned(home, "cancelled", "CANCELLED").await;
    assert_shown(home, order, "cancelled").await;
    assert_eq!(home.told(TABLE, order.job, &SHOWN).await, told);
    assert_eq!(wallet(home, &order.user).await, "60 = 60 + 0");
}

async fn the_other_tables_show_their_jobs_too(home: &mut HostWorld<'_>) {
    work_is_finished_by_hand(home).await;
    for tool in [&VIDEO, &POSE, &VESTE] {
        let user = buyer(home, 0, tool.price).await;
        let order = order(home, &user, tool).await;
        order.starts(home).await;
        home.finish(order.job).await;
        order.assert_completed(home).await;
        assert_shown(home, &order, "completed").await;
        assert_eq!(wallet(home, &user).await, "0 = 0 + 0");
        assert_eq!(
            home.told(tool.table, order.job, &SHOWN).await,
            ["INSERT starting f f", "UPDATE running f f", "UPDATE completed t f"]
        );
    }
}

async fn an_older_pages_row_earns_its_partner_the_rate(home: &mut HostWorld<'_>) {
    work_is_finished_by_hand(home).await;
    let user = buyer(home, 60, 0).await;
    let order = order(home, &user, &POSE).await;
    let row = json!({ "id": order.job, "session_id": "a page", "user_id": user.id,
        "status": "queued", "reference_prompt_id": "prompt-7" });
    home.insert_by(&user, POSE.table, &row).await;
    assert_has!(order.row(home).await, { "status": "pending", "credits_charged": 0 });
    order.starts(home).await;
    home.finish(order.job).await;
    order.assert_completed(home).await;
    let row = home.row(POSE.table, order.job).await;
    assert_has!(row, { "status": "completed", "reference_prompt_id": "prompt-7" });
    let earnings = format!(
        "select format('%s %s', prompt_id, amount) from public.collaborator_tool_earnings
        where job_id = '{}'",
        order.job
    );
    assert_eq!(home.line(&earnings).await, "prompt-7 0.25", "the app's trigger saw the end once");
    assert_eq!(
        home.told(POSE.table, order.job, &["status"]).await.last().unwrap(),
        "UPDATE completed"
    );
}

async fn an_unlimited_subscriber_pays_nothing(home: &mut HostWorld<'_>) {
    work_is_finished_by_hand(home).await;
    let user = home.person(UNLIMITED);
    let order = order(home, &user, &UPSCALER).await;
    let answer = order.starts(home).await;
    assert_has!(answer, { "creditsCharged": 0 });
    home.finish(order.job).await;
    home.until_status(order.job, "completed").await;
    home.db().assert_completed(order.job, 0).await;
    let row = assert_shown(home, &order, "completed").await;
    assert_has!(row, { "user_credit_cost": 0, "credits_charged": false });

    let failed = order.again();
    let rule = json!({ "match": failed.job, "times": 1, "code": 301 });
    home.script(json!({ "reset": true, "runninghub": rule })).await;
    let refusal = failed.run(home).refused(422, "provider_rejected").await;
    assert_eq!(refusal["refundedCredits"], 0, "{refusal}");
    home.db().assert_failed(failed.job, "PROVIDER_REJECTED", 0).await;
    let row = assert_shown(home, &failed, "failed").await;
    assert_has!(row, { "credits_charged": false, "credits_refunded": false });
    assert_eq!(
        home.told(TABLE, failed.job, &SHOWN).await,
        ["INSERT starting f f", "UPDATE failed f f"]
    );
    assert_eq!(wallet(home, &user).await, "20 = 20 + 0");
    assert_eq!(movements(home, &user).await, "", "no line of money");
}

async fn a_trigger_that_raises_stops_nothing(home: &mut HostWorld<'_>) {
    work_is_finished_by_hand(home).await;
    let user = buyer(home, 60, 0).await;
    let order = order(home, &user, &UPSCALER).await;
    home.break_trigger(TABLE).await;
    order.starts(home).await;
    home.finish(order.job).await;
    order.assert_completed(home).await;
    order.assert_real(home).await;
    assert_eq!(wallet(home, &user).await, "0 = 0 + 0");
    home.sweep().await;
    let query = format!("{TABLE}?id=eq.{}", order.job);
    assert_eq!(home.read_by(&user, &query).await, json!([]), "the app has no row of it");
    let error = "select format('%s %s %s', host_table, tool, error) from unstuck.projection_errors
        where mended_at is null";
    assert_eq!(home.line(error).await, "upscaler_jobs runninghub-upscaler not in this app");
    assert_eq!(home.told(TABLE, order.job, &SHOWN).await, [""; 0]);

    home.mend_trigger(TABLE).await;
    home.sweep().await;
    let row = assert_shown(home, &order, "completed").await;
    assert_eq!(home.read_by(&user, &query).await, json!([row]));
    assert_eq!(home.told(TABLE, order.job, &SHOWN).await, ["INSERT completed t f"]);
    assert_eq!(movements(home, &user).await, "-60 consumption monthly: 0");
}
