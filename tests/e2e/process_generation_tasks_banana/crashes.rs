//! SIGKILL of the functions' runtime while cards are made. No card stays stuck, no picture is
//! stored twice, nobody pays twice.

use serde_json::{Value, json};
use unstuck_tests::e2e;

use unstuck_tests::e2e::cards::{Cards, PROCESS};
use unstuck_tests::e2e::order::{lease_is_over, sweep_until};

#[test]
fn killed_before_the_hint_is_read_the_cron_finds_the_job() {
    e2e::run(async |world| {
        world.set_provider("gemini", "enabled = false").await;
        let order = Cards::ordered(world, &[0, 1]).await;
        // The messages of the queue are lost with the runtime.
        world.kill_workerd().await;
        world.set_provider("gemini", "enabled = true").await;
        world.fire(PROCESS).await;
        order.until_over(world, "completed", 2).await;
    });
}

#[test]
fn killed_while_gemini_works_the_cards_are_made_by_another_attempt() {
    e2e::run(async |world| {
        world.script(json!({ "gemini": { "hang": true, "times": 2 } })).await;
        let order = Cards::ordered(world, &[0, 1]).await;
        world
            .until("both are at work", async || {
                (world.provider_calls(":generateContent").await.len() == 2).then_some(())
            })
            .await;
        world.kill_workerd().await;
        assert_eq!(order.seen(world).await["status"], "processing");
        lease_is_over(world, order.job).await;
        // The sweep requeues the cards and sends the hint; nothing else wakes the consumer.
        let report =
            sweep_until(world, "they go back", async |report| report["requeued"] == 2).await;
        assert_eq!(report["refundedCredits"], 0);
        order.until_over(world, "completed", 2).await;
        assert!(
            order.steps(world).await.iter().all(|step| step["run"] == 2 && step["attempts"] == 2)
        );
    });
}

#[test]
fn killed_between_storing_and_recording_the_stored_picture_is_taken() {
    e2e::run(async |world| {
        world.script(json!({ "gemini": { "times": 1, "work": "until_finished" } })).await;
        let order = Cards::ordered(world, &[3]).await;
        let holder = world.stack().db().await.expect("a connection");
        world
            .until("it is at work", async || (order.calls_of(world, 3).await == 1).then_some(()))
            .await;
        let lock =
            format!("begin; select 1 from unstuck.jobs where id = '{}' for update", order.job);
        holder.batch_execute(&lock).await.expect("the row");
        world.finish(order.user.id).await;
        world
            .until("the picture is stored", async || (order.stored(world).len() == 1).then_some(()))
            .await;
        world.kill_workerd().await;
        // End the dead worker's call that still waits in the database: it must not complete the
        // step.
        let waiting = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
            where query like '%step_complete_v2%' and pid <> pg_backend_pid()";
        world.db().exec(waiting).await;
        holder.batch_execute("rollback").await.expect("the row is free");
        assert_eq!(order.steps(world).await[0]["output_url"], Value::Null);

        lease_is_over(world, order.job).await;
        sweep_until(world, "it goes back", async |report| report["requeued"] == 1).await;
        order.until_over(world, "completed", 1).await;
        assert_eq!(order.calls_of(world, 3).await, 1, "neither made nor billed again");
        assert!(order.stored(world)[0].starts_with("1-1-"), "what the first run stored");
    });
}

#[test]
fn a_worker_whose_lease_was_taken_changes_nothing() {
    e2e::run(async |world| {
        world.script(json!({ "gemini": { "times": 1, "work": "until_finished" } })).await;
        let order = Cards::ordered(world, &[3]).await;
        world
            .until("it is at work", async || (order.calls_of(world, 3).await == 1).then_some(()))
            .await;
        lease_is_over(world, order.job).await;
        sweep_until(world, "it goes back", async |report| report["requeued"] == 1).await;
        // The first consumer still waits for the provider's answer; this call starts another run.
        world.call(PROCESS).by_service().ok().await;
        let step = world
            .until("the second attempt is done", async || {
                order
                    .steps(world)
                    .await
                    .into_iter()
                    .next()
                    .filter(|step| step["status"] == "completed")
            })
            .await;
        assert_eq!(step["run"], 2);
        world.finish(order.user.id).await;
        // The first run stores its own picture and is told that its lease was taken.
        world
            .until("the first is through", async || (order.stored(world).len() == 2).then_some(()))
            .await;
        assert_eq!(order.steps(world).await[0]["output_url"], step["output_url"]);
        assert_eq!(world.db().entries(order.job).await, [-10]);
    });
}
