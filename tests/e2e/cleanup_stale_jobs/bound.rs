//! How long after its deadline a job may stay unsettled, with each healer alone. Each test prints
//! what it measured.

use std::io::Write;

use serde_json::json;
use tokio::time::Instant;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{
    CREDITS, Order, PRICE, intervals, overdue, until_cancelled_at_provider,
};

/// Writes to stderr directly, because the test runner captures what a test prints.
pub(super) fn measured(text: &str) {
    let _ = writeln!(std::io::stderr(), "measured: {text}");
}

async fn disable_provider(world: &World, disabled: bool) {
    world.set_provider("runninghub", &format!("enabled = {}", !disabled)).await;
}

/// Seconds from a job's deadline to its end.
async fn seconds_after(world: &World, job: Uuid, deadline: &str) -> f64 {
    let sql = format!(
        "select extract(epoch from completed_at - '{deadline}')::float8 from unstuck.jobs
            where id = '{job}'"
    );
    world.db().value(&sql).await.as_f64().expect("it is over")
}

#[test]
fn with_the_edge_cron_alone_within_30_s() {
    e2e::run_apart(
        |options| options.cron = true,
        async |world| {
            // No sweep queries a task before its deadline.
            intervals(world, &[("check_every", "10 minutes")]).await;
            world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
            let silent = Order::running(world).await;
            let unknown = Order::new(world).await;
            world
                .script(json!({ "reset": true, "runninghub": { "match": unknown.job,
                        "lost_answer": true, "hang": true } }))
                .await;
            unknown.run(world).ok().await;
            world.script(json!({ "runninghub": { "all": true, "webhook": "lost" } })).await;
            let finished = Order::running(world).await;
            disable_provider(world, true).await;
            let waiting = Order::new(world).await;
            waiting.run(world).ok().await;

            // The worst case: every deadline expires just after a pass.
            let passes = "select count(*) from unstuck.sweeps
                where source = 'cron' and finished_at is not null";
            let fired = async || (world.db().int(passes).await > 0).then_some(());
            world.until("the cron fires", fired).await;
            let orders = [&silent, &unknown, &finished, &waiting];
            let deadline = world.db().value("select clock_timestamp()::text").await;
            let deadline = deadline.as_str().expect("a time");
            for order in orders {
                overdue(world, order.job).await;
                world
                    .db()
                    .exec(&format!(
                        "update unstuck.job_steps
                    set lease_until = least(lease_until, '{deadline}')
                    where job_id = '{}'",
                        order.job
                    ))
                    .await;
            }
            for order in orders {
                let is_over = async || {
                    Some(order.row(world).await).filter(|row| !row["completed_at"].is_null())
                };
                world.until("the cron settles it", is_over).await;
            }
            for (what, order) in [
                ("never ends", &silent),
                ("answer lost", &unknown),
                ("webhook lost", &finished),
                ("not started", &waiting),
            ] {
                let seconds = seconds_after(world, order.job, deadline).await;
                measured(&format!(
                    "edge cron alone, {what}: settled {seconds:.1} s after the deadline"
                ));
                assert!(seconds <= 30.0, "{what}: {seconds} s");
            }
            finished.assert_completed(world).await;
            silent.assert_returned(world, "failed", "TIMEOUT").await;
            unknown.assert_returned(world, "failed", "TIMEOUT").await;
            waiting.assert_returned(world, "failed", "QUEUE_TIMEOUT").await;
        },
    );
}

#[test]
fn with_a_provider_that_cannot_be_asked_2_minutes_more() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": [{ "match": "/query", "status": 503 }, { "all": true,
                    "hang": true, "cancellable": true }] }))
            .await;
        let order = Order::running(world).await;
        let task = order.task(world).await;
        overdue(world, order.job).await;
        for _ in 0..2 {
            let report = world.sweep().await;
            assert_eq!(report["cleaned"], 0, "a grace first: {report}");
            assert_eq!(order.row(world).await["status"], "running");
            world.db().age(order.job, "59 seconds").await;
        }
        world.db().age(order.job, "3 seconds").await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 1, "refundedCredits": PRICE });
        order.assert_returned(world, "failed", "TIMEOUT").await;
        measured(
            "an edge healer, provider silent: settled by its first pass 2 min after the deadline",
        );
        world.sweep().await;
        until_cancelled_at_provider(world, &task).await;
    });
}

#[test]
fn with_sql_alone_within_4_minutes() {
    e2e::run(async |world| {
        world
            .script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } }))
            .await;
        let asked = Order::running(world).await;
        let task = asked.task(world).await;
        disable_provider(world, true).await;
        let (waiting, unsent) = (Order::new(world).await, Order::new(world).await);
        waiting.run(world).ok().await;
        world.db().age(waiting.job, "1 second").await;
        unsent.run(world).ok().await;
        world
            .db()
            .exec(&format!(
                "update unstuck.jobs set queued_at = queued_at - interval '1 minute'
                    where id = '{}'",
                unsent.job
            ))
            .await;
        disable_provider(world, false).await;
        assert_eq!(world.db().claim_one("runninghub").await.job, unsent.job);
        // From now on no function runs.
        world.stop_workers();
        for job in [asked.job, waiting.job, unsent.job] {
            overdue(world, job).await;
        }
        world
            .db()
            .exec(&format!(
                "update unstuck.job_steps set lease_until = clock_timestamp() where job_id = '{}'",
                unsent.job
            ))
            .await;

        let closed = async || -> i64 {
            let rows = world.db().call("cleanup_all_stale_ai_jobs", json!({})).await;
            assert_eq!(rows.len(), 7, "{rows:?}");
            rows.iter().filter_map(|row| row["cancelled_count"].as_i64()).sum()
        };
        assert_eq!(closed().await, 1, "a job that was never started is closed at once");
        world.db().assert_closed(waiting.job, "failed", Some("QUEUE_TIMEOUT"), PRICE).await;
        assert_eq!(
            unsent.row(world).await["status"],
            "queued",
            "a step that was never sent is requeued at once"
        );
        measured(
            "SQL alone, not started or not sent: settled by its first run after the deadline (it \
                runs every minute)",
        );

        world.db().age(asked.job, "120 seconds").await;
        assert_eq!(closed().await, 0, "an edge healer may still query the provider");
        assert_eq!(asked.row(world).await["status"], "running");
        world.db().age(asked.job, "61 seconds").await;
        assert_eq!(closed().await, 1);
        world.db().assert_closed(asked.job, "failed", Some("TIMEOUT"), PRICE).await;
        measured(
            "SQL alone, at an asynchronous provider: settled by its first run 3 min after the \
                deadline: within 4 min",
        );

        // SQL cannot tell the provider to cancel: it records a cancel debt, which the next sweep of
        // the edge pays.
        let owed = asked.step(world).await["provider_cancel_due"].clone();
        assert_eq!(owed[0]["task_id"], json!(task), "{owed}");
        world.restart_workers([].into()).await;
        world.sweep().await;
        until_cancelled_at_provider(world, &task).await;
        assert_eq!(asked.step(world).await["provider_cancel_due"], json!([]));
    });
}

#[test]
fn with_the_users_next_request_alone_at_once() {
    e2e::run(async |world| {
        disable_provider(world, true).await;
        let waiting = Order::new(world).await;
        waiting.run(world).ok().await;
        overdue(world, waiting.job).await;
        let next = waiting.again();
        let began = Instant::now();
        let answer = next.run(world).ok().await;
        measured(&format!(
            "next request alone, not started: settled and the new job accepted in {} ms",
            began.elapsed().as_millis()
        ));
        assert_has!(answer, { "status": "queued", "balance": CREDITS - PRICE });
        world.db().assert_closed(waiting.job, "failed", Some("QUEUE_TIMEOUT"), PRICE).await;
        world.db().exec("delete from unstuck.cancelled_requests").await;
        overdue(world, next.job).await;
        assert_eq!(next.status(world).await["status"], "failed", "a query of the job heals it");
        disable_provider(world, false).await;

        world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
        let asked = Order::running(world).await;
        overdue(world, asked.job).await;
        let next = asked.again();
        let refusal = next.run(world).refused(409, "active_job_exists").await;
        assert_eq!(refusal["activeJobId"], json!(asked.job), "the provider must be queried first");
        world.db().age(asked.job, "181 seconds").await;
        let began = Instant::now();
        next.starts(world).await;
        measured(&format!(
            "next request alone, 3 min after the deadline of an asked provider: in {} ms",
            began.elapsed().as_millis()
        ));
        world.db().assert_closed(asked.job, "failed", Some("TIMEOUT"), PRICE).await;
        assert_eq!(world.balance(&next.user).await, CREDITS - PRICE);
    });
}

#[test]
fn a_user_whose_last_credits_lie_in_a_dead_job_gets_them_back_by_asking() {
    e2e::run(async |world| {
        disable_provider(world, true).await;
        let user = world.new_user(PRICE).await;
        let image_url = world.upload_png(&user, 8, 8).await;
        let dead = Order::of(user, &image_url);
        dead.run(world).ok().await;
        overdue(world, dead.job).await;
        // Without an exclusive key the dead job does not block the next order, which then lacks
        // only the credits.
        world
            .db()
            .exec(&format!(
                "update unstuck.jobs set exclusive_key = null where id = '{}'",
                dead.job
            ))
            .await;
        let next = dead.again();
        let answer = next.run(world).ok().await;
        assert_has!(answer, { "status": "queued", "balance": 0 });
        world.db().assert_closed(dead.job, "failed", Some("QUEUE_TIMEOUT"), PRICE).await;
    });
}
