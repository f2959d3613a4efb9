//! The incident: 72 jobs are stuck for ever, 33 of them without `started_at`, because a cleanup
//! never ran.

use serde_json::Value;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;

use super::counts;

/// Stuck jobs of several tools, prices and users; every third user has two. Rows as the systems of
/// that time left them: no steps, the debits in the ledger, and the first 33 never started.
const STUCK: &str = "
drop table if exists pg_temp.stuck;
create temporary table stuck as
select gen_random_uuid() as id, md5('user ' || n % 48)::uuid as user_id, t.tool, t.table_name,
(array[60, 45, 120, 7, 999])[n % 5 + 1] as price,
  case when n > 33 then now() - make_interval(hours => n) end as started_at, now() -
  make_interval(hours => n + 1) as created_at,
  (array['queued', 'starting', 'running'])[n % 3 + 1] as status
from generate_series(1, 72) as n
join (select tool, table_name, row_number() over (order by tool) - 1 as turn
from unstuck.tools) t on t.turn = n % 9;
insert into unstuck.credit_accounts (user_id) select distinct user_id from stuck;
insert into unstuck.credit_entries (user_id, kind, amount) select user_id, 'grant', 5000
from (select distinct user_id from stuck) u;
insert into unstuck.jobs (id, tool, user_id, status, credits_charged, started_at, created_at)
select id, tool, user_id, status, price, started_at, created_at from stuck;
insert into unstuck.credit_entries (user_id, job_id, kind, amount)
select user_id, id, 'debit', -price from stuck";

#[test]
fn one_sweep_closes_all_of_it_and_returns_every_credit() {
    e2e::run(async |world| {
        world.db().exec(STUCK).await;
        assert_eq!(world.db().int("select count(*) from stuck where started_at is null").await, 33);
        let taken = world.db().int("select sum(price) from stuck").await;

        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 72, "remaining": 0 });
        assert_eq!(report["refundedCredits"], taken, "{report}");
        for row in world
            .db()
            .rows(
                "select table_name, count(*) as jobs, sum(price) as credits from stuck group by 1",
            )
            .await
        {
            let table = row["table_name"].as_str().expect("a name");
            assert_eq!(counts(&report, table), (&row["jobs"], &row["credits"]), "{table}");
        }
        let wrong = "select s.id, j.status, j.credits_refunded, j.error_message from stuck s
                join unstuck.jobs j using (id)
            where j.status <> 'failed' or j.credits_refunded <> s.price or j.completed_at is null
              or j.error_message !~ '^(QUEUE_)?TIMEOUT: .* minutes.* credits were returned'";
        assert_eq!(world.db().rows(wrong).await, Vec::<Value>::new());
        let poorer = "select user_id, balance from unstuck.credit_accounts
            where user_id in (select user_id from stuck) and balance <> 5000";
        assert_eq!(world.db().rows(poorer).await, Vec::<Value>::new());

        let again = world.sweep().await;
        assert_has!(again, { "cleaned": 0, "refundedCredits": 0 });
    });
}

#[test]
fn a_row_whose_money_is_wrong_is_quarantined_and_stops_nothing() {
    e2e::run(async |world| {
        world.expect_violations();
        world.db().exec(STUCK).await;
        // The ledger has the debit of this job, but its row says that the price was refunded.
        world
            .db()
            .exec(
                "update unstuck.jobs set credits_refunded = credits_charged
            where id = (select id from stuck order by id limit 1)",
            )
            .await;
        let report = world.sweep().await;
        assert_has!(report, { "cleaned": 71, "remaining": 0 });
        let live = world.db().rows("select id from unstuck.jobs where completed_at is null").await;
        assert_eq!(live.len(), 1, "{live:?}");
        let bad = live[0]["id"].as_str().expect("an id");
        let event = world
            .db()
            .row(&format!(
                "select actor, detail from unstuck.job_events where job_id = '{bad}'
                and event = 'quarantined'"
            ))
            .await;
        assert_eq!(event["actor"], "sweep", "{event}");
        let violations = world.violations().await;
        assert!(violations.iter().any(|row| row["subject"] == bad), "{violations:?}");
        let again = world.sweep().await;
        assert_eq!(again["cleaned"], 0, "{again}");
        // The gateway keeps an answer of health for some seconds.
        let look = async || {
            let health = world.get("health").send().await;
            (health.status == 503 && health.json["violations"] != 0).then_some(())
        };
        world.until("health counts the violation", look).await;
    });
}
