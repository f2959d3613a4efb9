//! The app of cards: `generation_jobs` and `generation_tasks`, and tokens that a trigger protects.
//! A failed card is refunded by itself; the status of the set is set by the app's own trigger.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::cards::{Cards, prompt_of};
use unstuck_tests::e2e::{self, HostWorld, TestUser};
use unstuck_tests::hosts::App;
use uuid::Uuid;

const JOBS: &str = "generation_jobs";
const TASKS: &str = "generation_tasks";
/// The columns that a page of this app reads.
const SHOWN: [&str; 2] = ["status", "completed_cards"];

#[test]
fn the_app_of_cards_sees_each_step_of_a_set() {
    e2e::run_in(App::Cards, async |home| {
        a_set_is_delivered(home).await;
        a_failed_card_is_returned_alone(home).await;
        a_failed_set_is_returned_and_retried(home).await;
        a_waiting_set_is_cancelled_by_its_user_and_by_an_admin(home).await;
        a_trigger_that_raises_stops_no_card(home).await;
    });
}

/// A new user of the app with 100 tokens.
async fn buyer(home: &HostWorld<'_>) -> TestUser {
    let user = home.newcomer().await;
    home.db()
        .exec(&format!(
            "begin; set local app.bypass_token_protection = 'true';
            update public.profiles set tokens_balance = 100 where id = '{}'; commit",
            user.id
        ))
        .await;
    user
}

/// Orders a set; a card costs one token.
async fn ordered(home: &HostWorld<'_>, user: &TestUser, cards: &[u8]) -> Cards {
    let order = Cards::of(home, user.clone(), cards).await;
    let answer = order.create(home).send().await.expect(202);
    assert_has!(answer, { "totalCards": cards.len(), "creditsCharged": cards.len() });
    order
}

async fn tokens(home: &HostWorld<'_>, user: &TestUser) -> i64 {
    home.db()
        .int(&format!("select tokens_balance from public.profiles where id = '{}'", user.id))
        .await
}

/// The app's own records of a user's tokens, oldest first.
async fn movements(home: &HostWorld<'_>, user: &TestUser) -> String {
    home.line(&format!(
        "select format('%s %s', amount, transaction_type) from public.token_transactions
        where user_id = '{}' order by created_at",
        user.id
    ))
    .await
}

/// How many pictures of a set the app's own trigger filed, and how many notifications the user got.
async fn filed_and_told(home: &HostWorld<'_>, order: &Cards) -> (i64, i64) {
    let filed = format!("public.generations where job_id = '{}' and image_url <> ''", order.job);
    let told = format!("public.notifications where user_id = '{}'", order.user.id);
    (home.db().count(&filed).await, home.db().count(&told).await)
}

/// Asserts that every column of a set and its cards that we write equals ours. The status of the
/// set is the app's, and so is the time of its end where the app's trigger set that.
async fn assert_shown(home: &HostWorld<'_>, order: &Cards, status: &str) -> Value {
    let row = home.row(JOBS, order.job).await;
    let job = home.job(order.job).await;
    assert_has!(row, {
        "user_id": order.user.id,
        "product_name": "Steel bottle",
        "category": "",
        "description": "",
        "created_at": job["created_at"],
        "total_cards": job["total_steps"],
        "status": status,
        "tokens_cost": job["credits_charged"],
        "error_message": job["error_message"],
        "started_at": job["started_at"],
    });
    assert_eq!(row["completed_at"].is_null(), job["completed_at"].is_null(), "{row:#} {job:#}");
    let steps = order.steps(home).await;
    let tasks = tasks(home, order.job).await;
    assert_eq!(tasks.len(), steps.len());
    for ((task, step), index) in tasks.iter().zip(&steps).zip(0..) {
        let word = match step["status"].as_str() {
            Some("blocked" | "queued") => "pending",
            Some("starting" | "running") => "processing",
            Some("cancelled") => "failed",
            other => other.expect("a status"),
        };
        assert_has!(*task, {
            "job_id": order.job,
            "card_index": index,
            "card_type": order.body["selectedCards"][index].to_string(),
            "created_at": job["created_at"],
            "status": word,
            "image_url": step["output_url"],
            "last_error": step["error_message"],
            "retry_count": (step["attempts"].as_i64().expect("a number") - 1).max(0),
            "started_at": step["started_at"],
            "completed_at": step["completed_at"],
        });
    }
    row
}

async fn tasks(home: &HostWorld<'_>, job: Uuid) -> Vec<Value> {
    let rows = format!("select * from public.{TASKS} where job_id = '{job}' order by card_index");
    home.db().rows(&rows).await
}

/// A rule by which the model refuses this card for its content.
fn refused(card: u8) -> Value {
    json!({ "match": prompt_of(card), "finish_reason": "IMAGE_SAFETY" })
}

async fn a_set_is_delivered(home: &mut HostWorld<'_>) {
    let user = buyer(home).await;
    let order = ordered(home, &user, &[0, 1]).await;
    home.until_status(order.job, "completed").await;
    home.db().assert_completed(order.job, 0).await;
    let row = assert_shown(home, &order, "completed").await;
    assert_has!(row, { "completed_cards": 2, "tokens_cost": 2 });
    assert_eq!(tokens(home, &user).await, 98);
    assert_eq!(movements(home, &user).await, "-2 generation");
    assert_eq!(filed_and_told(home, &order).await, (2, 1));
    assert_eq!(
        home.told(JOBS, order.job, &SHOWN).await,
        ["INSERT pending 0", "UPDATE processing 0", "UPDATE processing 1", "UPDATE completed 2"]
    );
    assert_eq!(home.told("notifications", user.id, &["title"]).await, ["INSERT Cards are ready"]);
    for card in tasks(home, order.job).await {
        let id = unstuck_tests::shop::id(&card["id"]);
        assert_eq!(
            home.told(TASKS, id, &["status"]).await,
            ["INSERT pending", "UPDATE processing", "UPDATE completed"]
        );
    }

    // The app's page reads the user's own set, cards and tokens, and no other user's.
    let set = format!("{JOBS}?id=eq.{}", order.job);
    let cards = format!("{TASKS}?job_id=eq.{}&order=card_index", order.job);
    let balance = format!("profiles?id=eq.{}&select=tokens_balance", user.id);
    assert_eq!(home.read_by(&user, &set).await, json!([row]));
    assert_eq!(home.read_by(&user, &cards).await, json!(tasks(home, order.job).await));
    assert_eq!(home.read_by(&user, &balance).await, json!([{ "tokens_balance": 98 }]));
    let stranger = buyer(home).await;
    assert_eq!(home.read_by(&stranger, &set).await, json!([]));
    assert_eq!(home.read_by(&stranger, &cards).await, json!([]));
}

async fn a_failed_card_is_returned_alone(home: &mut HostWorld<'_>) {
    home.script(json!({ "reset": true, "gemini": [refused(1)] })).await;
    let user = buyer(home).await;
    let order = ordered(home, &user, &[0, 1, 2]).await;
    home.until_status(order.job, "completed").await;
    home.db().assert_completed(order.job, 1).await;
    // The app's own trigger sets this status for a set with a failed card.
    let row = assert_shown(home, &order, "failed").await;
    assert_has!(row, { "completed_cards": 2, "tokens_cost": 3 });
    let cards = tasks(home, order.job).await;
    let error = cards[1]["last_error"].as_str().unwrap_or_default();
    assert!(error.starts_with("CONTENT_REFUSED: "), "{}", cards[1]);
    assert_eq!(tokens(home, &user).await, 98);
    assert_eq!(movements(home, &user).await, "-3 generation, 1 refund");
    assert_eq!(filed_and_told(home, &order).await, (0, 0), "the set is not ready");
    assert_eq!(home.told(JOBS, order.job, &SHOWN).await.last().unwrap(), "UPDATE failed 2");
    let id = unstuck_tests::shop::id(&cards[1]["id"]);
    assert_eq!(
        home.told(TASKS, id, &["status"]).await,
        ["INSERT pending", "UPDATE processing", "UPDATE failed"]
    );
}

async fn a_failed_set_is_returned_and_retried(home: &mut HostWorld<'_>) {
    home.script(json!({ "reset": true, "gemini": [refused(0), refused(1)] })).await;
    let user = buyer(home).await;
    let order = ordered(home, &user, &[0, 1]).await;
    home.until_status(order.job, "failed").await;
    home.db().assert_failed(order.job, "CONTENT_REFUSED", 2).await;
    let row = assert_shown(home, &order, "failed").await;
    assert_has!(row, { "completed_cards": 0, "tokens_cost": 2 });
    assert_eq!(tokens(home, &user).await, 100);
    assert_eq!(movements(home, &user).await, "-2 generation, 1 refund, 1 refund");
    assert_eq!(home.told(JOBS, order.job, &SHOWN).await.last().unwrap(), "UPDATE failed 0");

    home.script(json!({ "reset": true })).await;
    for (charge, cost) in [(false, 0), (true, 2)] {
        let job = home.host_admin_retries(JOBS, order.job, charge).await;
        home.until_status(job, "completed").await;
        let again = Cards { job, body: order.body.clone(), user: user.clone() };
        let row = assert_shown(home, &again, "completed").await;
        assert_has!(row, { "completed_cards": 2, "tokens_cost": cost });
        assert_eq!(tokens(home, &user).await, 100 - cost);
        assert_eq!(home.told(JOBS, job, &SHOWN).await.last().unwrap(), "UPDATE completed 2");
        assert_eq!(filed_and_told(home, &again).await.0, 2);
    }
    assert_eq!(home.row(JOBS, order.job).await, row, "the failed one stays as it was");
}

async fn a_waiting_set_is_cancelled_by_its_user_and_by_an_admin(home: &mut HostWorld<'_>) {
    home.set_provider("gemini", "enabled = false").await;
    let user = buyer(home).await;
    for by_admin in [false, true] {
        let order = ordered(home, &user, &[0, 1, 2]).await;
        assert_shown(home, &order, "pending").await;
        assert_eq!(tokens(home, &user).await, 97);
        let answer = if by_admin {
            home.host_admin_cancels(JOBS, order.job).await
        } else {
            home.user_cancels(&user, JOBS, order.job).await
        };
        assert_has!(answer, { "status": "cancelled", "refundedCredits": 3 });
        home.db().assert_cancelled(order.job, 3).await;
        assert_shown(home, &order, "failed").await;
        assert_eq!(tokens(home, &user).await, 100);
        assert_eq!(
            home.told(JOBS, order.job, &SHOWN).await,
            ["INSERT pending 0", "UPDATE failed 0"]
        );
    }
    assert_eq!(
        movements(home, &user).await,
        ["-3 generation, 1 refund, 1 refund, 1 refund"; 2].join(", ")
    );
    home.set_provider("gemini", "enabled = true").await;
}

async fn a_trigger_that_raises_stops_no_card(home: &mut HostWorld<'_>) {
    let user = buyer(home).await;
    home.break_trigger(TASKS).await;
    let order = ordered(home, &user, &[0, 1]).await;
    home.until_status(order.job, "completed").await;
    home.db().assert_completed(order.job, 0).await;
    home.sweep().await;
    let error = "select format('%s %s', host_table, error) from unstuck.projection_errors
        where mended_at is null";
    assert_eq!(home.line(error).await, "generation_tasks not in this app");
    assert_eq!(home.told(TASKS, order.job, &SHOWN).await, [""; 0]);
    assert_eq!(filed_and_told(home, &order).await, (0, 0));

    home.mend_trigger(TASKS).await;
    home.sweep().await;
    let row = assert_shown(home, &order, "completed").await;
    assert_has!(row, { "completed_cards": 2 });
    assert_eq!(home.told(JOBS, order.job, &SHOWN).await.last().unwrap(), "UPDATE completed 2");
    assert_eq!(filed_and_told(home, &order).await, (2, 1), "the set is filed in full");
    assert_eq!(tokens(home, &user).await, 98);
    assert_eq!(movements(home, &user).await, "-2 generation");
}
