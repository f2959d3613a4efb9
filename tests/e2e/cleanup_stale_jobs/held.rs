//! Jobs that another transaction holds: a pass skips them, and heals all others in time.

use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use unstuck_tests::shop::UPSCALER;
use uuid::Uuid;

use unstuck_tests::e2e::order::PRICE;

/// Writes a running job by hand that is past its deadline and about whose task the provider may
/// still be queried. Its id begins with `first`: passes query in the order of ids.
async fn overdue(world: &World, user: Uuid, first: &str) -> Uuid {
    let db = world.db();
    let (began, ended) = ("now() - interval '20 minutes'", "now() - interval '150 seconds'");
    let times = [("started_at", began), ("deadline_at", ended), ("credits_charged", "60")];
    let drawn = db.insert_job(user, UPSCALER, "running", &times).await;
    let job: Uuid = format!("{first}{}", &drawn.to_string()[first.len()..]).parse().unwrap();
    db.exec(&format!("update unstuck.jobs set id = '{job}' where id = '{drawn}'")).await;
    let task = format!("'{}'", Uuid::new_v4());
    let sent = [
        ("provider_task_id", task.as_str()),
        ("run", "1"),
        ("share", "60"),
        ("sent_at", began),
        ("deadline_at", ended),
    ];
    db.insert_step(job, 1, "running", &sent).await;
    db.insert_entry(user, Some(job), "debit", -PRICE).await;
    job
}

#[test]
fn steps_of_an_account_that_is_held_use_up_no_pass() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "max_concurrent = 50").await;
        world
            .script(serde_json::json!({ "runninghub": { "match": "/query", "status": 503 } }))
            .await;
        let held = world.new_user(15 * PRICE).await;
        let mut busy = Vec::new();
        for _ in 0..15 {
            busy.push(overdue(world, held.id, "00000000").await);
        }
        let mut others = Vec::new();
        for _ in 0..3 {
            let user = world.new_user(PRICE).await;
            others.push(overdue(world, user.id, "ffffffff").await);
        }
        let holder = world.stack().db().await.expect("a connection");
        let lock = format!(
            "begin; select from unstuck.credit_accounts where user_id = '{}' for update",
            held.id
        );
        holder.batch_execute(&lock).await.expect("the account is held");
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 3, "refundedCredits": 3 * PRICE });
        for job in &others {
            world.db().assert_closed(*job, "failed", Some("TIMEOUT"), PRICE).await;
        }
        for job in &busy {
            assert_eq!(
                world.job(*job).await["status"],
                "running",
                "the job of the held account is left alone"
            );
        }
        holder.batch_execute("rollback").await.expect("the account is free");
        world.db().exec("update unstuck.job_steps set checked_at = null").await;
        assert_eq!(world.sweep().await["cleaned"], 15, "the next pass");
    });
}
