//! Jobs of many parallel steps: their shares are exact for every price and every failure; and what
//! workers and owners read of them.

use serde_json::{Value, json};
use unstuck_tests::Database;
use unstuck_tests::shop::CARDS;
use uuid::Uuid;

/// For each price, every subset of 1 to 7 cards fails: the shares add up, the refunds are the
/// shares of the failed cards, and the balance agrees. It is one block, because it makes a thousand
/// jobs. It commits each of them: within one transaction no version of a row is removed, and each
/// write reads all of them. It writes what is wrong into the table `wrong`.
const EVERY_SUBSET: &str = "
do $$
declare
  v_price int; v_cards int; v_failing int; v_job uuid; v_user uuid; v_step record; v_shares int;
  v_lost int; v_row record;
begin
  foreach v_price in array array[1, 7, 10, 100] loop
    update tools set credit_cost = v_price where tool = 'create-generation-job-banana';
    for v_cards in 1..7 loop
      for v_failing in 0 .. (1 << v_cards) - 1 loop
        v_job := gen_random_uuid(); v_user := gen_random_uuid();
        perform credit_grant_v1(v_user, 1000, 'bought', v_user::text);
        perform job_enqueue_v1(v_user, v_job, 'create-generation-job-banana', null, '{}',
        'h',
          (select jsonb_agg('{}'::jsonb) from generate_series(1, v_cards)));
        for v_step in select * from step_claim_v1('gemini', 7) loop
          if v_failing & (1 << (v_step.step - 1)) <> 0 then
            perform step_fail_v1(v_job, v_step.step, v_step.run, 'PROVIDER_FAILED', 'no.');
          else
            perform step_complete_v1(v_job, v_step.step, v_step.run, null,
            'https://p.invalid/a.png');
          end if;
        end loop;
        select sum(s.share), coalesce(sum(s.share) filter (where s.status = 'failed'), 0) into
        v_shares, v_lost
        from job_steps s where s.job_id = v_job;
        select j.status, j.credits_charged, j.credits_refunded, a.balance,
          (select coalesce(sum(e.amount), 0) from credit_entries e where e.job_id = v_job
          and e.kind = 'refund') as returned
        into v_row from jobs j join credit_accounts a using (user_id)
        where j.id = v_job;
        if v_shares <> v_row.credits_charged or v_row.credits_refunded <> v_lost
        or v_row.returned <> v_lost
          or v_row.balance <> 1000 - v_row.credits_charged + v_lost
          or v_row.credits_charged <> (v_price * case (select priced_per from tools
          where tool = 'create-generation-job-banana') when 'step' then v_cards else 1 end)
          or v_row.status <> (case when v_failing = (1 << v_cards) - 1 then 'failed'
          else 'completed' end)
          or exists (select from job_steps s where s.job_id = v_job
          and abs(s.share::numeric - v_shares::numeric / v_cards) >= 1) then
          insert into wrong values
          (format('%s credits, %s cards, %s failing: %s of %s shares lost, %s', v_price, v_cards,
          v_failing::bit(7), v_lost, v_shares, v_row));
        end if;
        commit;
      end loop;
    end loop;
  end loop;
end $$";

async fn every_subset(priced_per: &str) {
    let db = Database::fresh().await;
    db.set_slots("gemini", 7).await;
    db.set_tool(CARDS, &format!("priced_per = '{priced_per}'")).await;
    db.exec("create temporary table wrong (what text)").await;
    db.exec(EVERY_SUBSET).await;
    assert_eq!(db.rows("select what from wrong limit 3").await, Vec::<Value>::new());
    assert_eq!(db.count("jobs").await, 4 * 254, "4 prices, 2 + 4 + … + 128 subsets");
    db.assert_healthy().await;
}

#[tokio::test]
async fn every_subset_that_fails_returns_exactly_its_shares() {
    every_subset("step").await;
}

#[tokio::test]
async fn a_price_that_does_not_divide_is_split_and_returned_exactly() {
    every_subset("job").await;
}

#[tokio::test]
async fn steps_waiting_v1_counts_waiting_steps_and_free_slots() {
    let db = Database::fresh().await;
    db.set_slots("gemini", 3).await;
    let waits = async |db: &Database| {
        let row = db.ask("steps_waiting_v1", json!({ "p_provider": "gemini" })).await;
        (row["waiting"].as_i64().unwrap(), row["may_start"].as_i64().unwrap())
    };
    assert_eq!(waits(&db).await, (0, 0));
    let user = db.user(1_000).await;
    db.order(user, CARDS, 5).await;
    assert_eq!(waits(&db).await, (5, 3));
    let attempts = db.claim("gemini", 2).await;
    assert_eq!(waits(&db).await, (3, 1));
    // A step that waits for its retry is counted, but may not start.
    assert_eq!(db.requeue(attempts[0], "transient", 60_000).await["outcome"], "queued");
    assert_eq!(waits(&db).await, (4, 2));
    db.exec("update providers set enabled = false where provider = 'gemini'").await;
    assert_eq!(waits(&db).await, (4, 0));
    assert!(db.call("steps_waiting_v1", json!({ "p_provider": "nobody" })).await.is_empty());
}

/// The job as a status endpoint shows it.
async fn seen_by_owner(db: &Database, job: Uuid) -> Value {
    db.call("job_get_v1", json!({ "p_job_id": job })).await.remove(0)
}

#[tokio::test]
async fn an_owner_reads_each_card_while_others_are_made() {
    let db = Database::fresh().await;
    let (_, job) = db.ordered(1_000, CARDS, 3).await;
    db.exec(&format!(
        "update jobs set input = '{{\"selectedCards\": [4, 0, 6]}}' where id = '{job}'"
    ))
    .await;
    let attempts = db.claim("gemini", 2).await;
    db.complete(attempts[0]).await;
    db.requeue(attempts[1], "transient", 60_000).await;
    let seen = seen_by_owner(&db, job).await;
    let tasks = &seen["tasks"];
    let shown: Vec<_> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| {
            (
                task["card"].as_i64().unwrap(),
                task["status"].as_str().unwrap(),
                task["retrying"] == true,
            )
        })
        .collect();
    assert_eq!(shown, [(4, "completed", false), (0, "queued", true), (6, "queued", false)]);
    assert!(tasks[0]["output_url"].is_string() && tasks[1]["output_url"].is_null());
    assert_eq!(tasks[1]["error_message"], "PROVIDER_FAILED: busy.");
    assert_eq!(seen["status"], "running", "a job with a finished card does not count as waiting");
    db.exec("update job_steps set not_before = null").await;
    let again = db.claim("gemini", 5).await;
    for attempt in again {
        db.complete(attempt).await;
    }
    let tasks = seen_by_owner(&db, job).await["tasks"].as_array().unwrap().clone();
    assert!(
        tasks.iter().all(|task| task["status"] == "completed" && task["error_message"].is_null()),
        "{tasks:?}"
    );
}
