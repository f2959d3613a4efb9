//! 72 jobs of cards are stuck for ever, 33 of them without `started_at`: one run of the healer over
//! HTTP ends them. And a card with an impossible number is claimed together with the cards of other
//! users.

use serde_json::Value;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use unstuck_tests::e2e::cards::{Cards, PROCESS};

/// Five cards for 10 credits each. Every second job has one delivered card, every seventh has no
/// steps.
const STUCK: &str = "
drop table if exists pg_temp.stuck;
create temporary table stuck as
select gen_random_uuid() as id, md5('cards ' || n % 20)::uuid as user_id, n % 7 <> 0
and n % 2 = 0 as has_card, n % 7 <> 0 as has_steps,
  case when n > 33 then now() - make_interval(hours => n) end as started_at, now() -
  make_interval(hours => n + 1) as created_at
from generate_series(1, 72) as n;
insert into unstuck.credit_entries (user_id, kind, amount) select distinct user_id, 'grant', 5000
from stuck;
insert into unstuck.jobs (id, tool, user_id, status, credits_charged, total_steps, started_at,
created_at)
select id, 'create-generation-job-banana', user_id, 'running', 50, 5, started_at, created_at
from stuck;
insert into unstuck.credit_entries (user_id, job_id, kind, amount)
select user_id, id, 'debit', -50 from stuck;
insert into unstuck.job_steps (job_id, step, status, provider, share, output_url, completed_at)
select id, step, case when has_card and step = 1 then 'completed' else 'running' end, 'gemini', 10,
  case when has_card and step = 1 then 'https://p.invalid/a.png' end, case when has_card
  and step = 1 then created_at end
from stuck cross join generate_series(1, 5) as step where has_steps";

#[test]
fn one_run_closes_all_of_them_and_returns_exactly() {
    e2e::run(async |world| {
        world.db().exec(STUCK).await;
        assert_eq!(world.db().int("select count(*) from stuck where started_at is null").await, 33);
        let owed =
            world.db().int("select sum(case when has_card then 40 else 50 end) from stuck").await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 72, "remaining": 0 });
        assert_eq!(report["refundedCredits"], owed);
        let tables = report["tables"].as_array().expect("tables");
        let cards =
            tables.iter().find(|row| row["table_name"] == "generation_jobs").expect("its table");
        assert_has!(cards, { "cancelled_count": 72, "refunded_credits": owed });
        let wrong = "select s.id, j.status, j.credits_refunded, j.error_message from stuck s
            join unstuck.jobs j using (id)
            where (j.status, j.credits_refunded) <> (case when has_card then 'completed'
            else 'failed' end, case when has_card then 40 else 50 end)
              or (j.status = 'failed' and j.error_message is null)
              or exists (select from unstuck.job_steps t where t.job_id = s.id
              and t.completed_at is null)";
        assert_eq!(world.db().rows(wrong).await, Vec::<Value>::new());
        let again = world.sweep().await;
        assert_has!(again, { "cleaned": 0, "refundedCredits": 0 });
        assert_eq!(
            world.provider_calls(":generateContent").await.len(),
            0,
            "nothing of it is made now"
        );
    });
}

#[test]
fn a_card_with_a_number_that_makes_no_sense_fails_no_strangers_cards() {
    e2e::run(async |world| {
        world.set_provider("gemini", "enabled = false").await;
        let mut orders = Vec::new();
        for _ in 0..4 {
            orders.push(Cards::ordered(world, &[0]).await);
        }
        let odd = format!(
            "update unstuck.job_steps set attempts = -5 where job_id = '{}'",
            orders[0].job
        );
        world.db().exec(&odd).await;
        world.set_provider("gemini", "enabled = true").await;
        world.call(PROCESS).by_service().ok().await;
        for order in &orders {
            order.until_over(world, "completed", 1).await;
            let steps = order.steps(world).await;
            assert_has!(steps[0], { "run": 1, "attempts": 1 });
        }
    });
}
