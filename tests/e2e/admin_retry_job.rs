//! `admin-retry-job`: an admin retries a job. A stuck job starts over, a final one is ordered once
//! more, and a double click makes one new job.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{self, lease_is_over};
use unstuck_tests::e2e::website::{CREDITS, PRICE, TABLE, TOOL, Website};

fn of(table: &str, job: Uuid) -> Value {
    json!({ "table": table, "jobId": job })
}

async fn retried(world: &World, table: &str, job: Uuid) -> Value {
    world.call("admin-retry-job").by(&world.admin(1).await).json(&of(table, job)).ok().await
}

#[test]
fn a_stuck_website_starts_over_with_fresh_counters() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "times": 1, "hang": true } })).await;
        let website = Website::order(world, "stuck").await;
        website.until_running(world, 1).await;
        // Once the model was called, no later call meets the rule.
        let asked = async || (!Website::asked(world, "stuck").await.is_empty()).then_some(());
        world.until("the model is asked", asked).await;
        world.kill_workerd().await;
        world
            .db()
            .exec("update unstuck.job_steps set attempts = 3; update unstuck.jobs set retries = 2")
            .await;
        website.lease_is_over(world).await;
        let answer = retried(world, TABLE, website.id).await;
        assert_eq!(answer, json!({ "success": true, "jobId": website.id, "retried": true }));
        website.assert_completed(world, 0).await;
        let note = world
            .db()
            .row(&format!(
                "select admin_note from unstuck.generation_history where id = '{}'",
                website.id
            ))
            .await;
        assert_eq!(note["admin_note"], "retry:0");
        assert_eq!(website.step(world).await["attempts"], 1);
        let events = "select actor from unstuck.job_events where event = 'job_requeued'";
        assert_eq!(
            world.db().rows(events).await,
            [json!({ "actor": format!("admin:{}", world.admin(1).await.id) })]
        );
    });
}

#[test]
fn one_that_is_well_is_left_alone() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "all": true, "hang": true } })).await;
        let website = Website::order(world, "well").await;
        website.until_running(world, 1).await;
        let admin = world.admin(1).await;
        let refused = world
            .call("admin-retry-job")
            .by(&admin)
            .json(&of(TABLE, website.id))
            .refused(409, "in_progress")
            .await;
        assert_eq!(refused["status"], "running", "{refused}");
        assert_eq!(website.step(world).await["run"], 1);
    });
}

#[test]
fn a_failed_one_is_done_again_for_free() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "times": 1, "status": 401 } })).await;
        let website = Website::order(world, "second chance").await;
        website.assert_returned(world, "PROVIDER_REJECTED").await;
        let answer = retried(world, TABLE, website.id).await;
        assert_has!(answer, { "success": true, "retryOf": website.id });
        let new = unstuck_tests::shop::id(&answer["jobId"]);
        assert_ne!(new, website.id);
        world.until_status(new, "completed").await;
        assert_eq!(world.db().entries(new).await, Vec::<i64>::new());
        assert_eq!(world.balance(&website.user).await, CREDITS);
        let again = Website { id: new, user: website.user.clone(), tool: TOOL };
        assert_eq!(
            again.get(world).await["status"],
            "completed",
            "the new job belongs to the owner"
        );
        assert_eq!(website.get(world).await["status"], "failed", "the old one stays as it was");
    });
}

#[test]
fn charged_only_where_the_admin_says_so() {
    e2e::run(async |world| {
        let website = Website::order(world, "again, please").await;
        website.assert_completed(world, 0).await;
        let mut body = of(TABLE, website.id);
        body["charge"] = true.into();
        let (admin, new) = (world.admin(1).await, Uuid::new_v4());
        let retry = || {
            let call = world.call("admin-retry-job").by(&admin).json(&body);
            call.header("idempotency-key", &new.to_string())
        };
        assert_eq!(retry().ok().await["jobId"], json!(new));
        world.until_status(new, "completed").await;
        assert_eq!(retry().ok().await["jobId"], json!(new), "its first answer was lost");
        assert_eq!(world.db().entries(new).await, [-PRICE]);
        assert_eq!(world.balance(&website.user).await, CREDITS - 2 * PRICE);
        let spent = "insert into unstuck.credit_entries (user_id, kind, amount, reason)";
        let rest = CREDITS - 2 * PRICE;
        world
            .db()
            .exec(&format!(
                "{spent} values ('{}', 'adjustment', -{rest}, 'spent')",
                website.user.id
            ))
            .await;
        world
            .call("admin-retry-job")
            .by(&admin)
            .json(&body)
            .refused(402, "insufficient_credits")
            .await;
    });
}

#[test]
fn a_double_click_makes_one() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "times": 1, "status": 401 } })).await;
        let website = Website::order(world, "double click").await;
        website.assert_returned(world, "PROVIDER_REJECTED").await;
        world.script(json!({ "llm": { "all": true, "hang": true } })).await;
        let (one, two) =
            tokio::join!(retried(world, TABLE, website.id), retried(world, TABLE, website.id));
        assert_eq!(one["jobId"], two["jobId"], "{one} {two}");
        let third = retried(world, TABLE, website.id).await;
        assert_eq!(third["jobId"], one["jobId"], "while the new job is live");
        assert_eq!(world.count("jobs where retry_of is not null").await, 1);
    });
}

#[test]
fn a_stuck_picture_is_handed_over_again() {
    e2e::run(async |world| {
        let order = order::Order::new(world).await;
        world
            .script(json!({ "runninghub": { "times": 1, "lost_answer": true, "webhook": "lost" } }))
            .await;
        order.run(world).ok().await;
        lease_is_over(world, order.job).await;
        world.script(json!({ "reset": true })).await;
        let answer = retried(world, order::TABLE, order.job).await;
        assert_eq!(answer["retried"], true, "{answer}");
        order.assert_completed(world).await;
    });
}

#[test]
fn only_an_admin_and_only_what_is_there() {
    e2e::run(async |world| {
        let website = Website::order(world, "mine").await;
        website.assert_completed(world, 0).await;
        let call = |body: Value| world.call("admin-retry-job").json(&body);
        call(of(TABLE, website.id)).refused(401, "unauthorized").await;
        call(of(TABLE, website.id)).by(&website.user).refused(403, "forbidden").await;
        call(of(TABLE, website.id)).by_service().refused(403, "forbidden").await;
        let admin = world.admin(1).await;
        call(of(TABLE, Uuid::new_v4())).by(&admin).refused(404, "not_found").await;
        call(of("upscaler_jobs", website.id)).by(&admin).refused(404, "not_found").await;
        for bad in [
            of("jobs", website.id),
            json!({ "table": TABLE }),
            json!({ "table": TABLE, "jobId": "7" }),
            json!({ "table": TABLE, "jobId": website.id, "charge": "yes" }),
        ] {
            call(bad).by(&admin).refused(400, "bad_request").await;
        }
        assert_eq!(world.count("jobs").await, 1);
    });
}
