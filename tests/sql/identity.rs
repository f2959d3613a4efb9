//! Whose database it is: Workers of another deployment write nothing, and a caller that names no
//! deployment is accepted as before.

use serde_json::{Value, json};
use unstuck_tests::shop::UPSCALER;
use unstuck_tests::{Database, Session};

/// Every function that may write, except for the one that records a refusal.
const WRITERS: &str = "
    from pg_proc p
    where p.pronamespace = 'unstuck'::regnamespace
      and p.provolatile = 'v'
      and p.proname <> 'deployment_alarm_v1'";

async fn owned_by(db: &Session, id: &str) {
    let sql = format!(
        "insert into unstuck_private.deployment (id, supabase_url)
        values ('{id}', 'https://abc.supabase.co')
        on conflict ((true)) do update set id = excluded.id"
    );
    db.exec(&sql).await;
}

/// Gives the session the header that a Worker of this deployment sends through PostgREST.
async fn come_from(db: &Session, id: &str) {
    let headers = json!({ "x-unstuck-deployment": id });
    db.exec(&format!("set request.headers = '{headers}'")).await;
}

async fn alarms(db: &Session) -> Vec<Value> {
    db.rows("select id, count from unstuck_private.deployment_alarms order by id").await
}

async fn is_wrong(db: &Session) -> Value {
    db.ask("health_v2", json!({})).await["wrong_deployment"].clone()
}

#[tokio::test]
async fn every_function_that_may_write_begins_with_the_refusal() {
    let db = Database::fresh().await;
    let refusal = "unstuck_private.refuse_other_deployment();";
    let body = "case l.lanname
        when 'sql' then ltrim(p.prosrc, E' \\n')
        else ltrim(split_part(p.prosrc, E'\\nbegin\\n', 2))
      end";
    let sql = format!(
        "select p.proname::text as name from (select p.* {WRITERS}) p
        join pg_language l on l.oid = p.prolang
        where not starts_with({body}, 'select {refusal}')
          and not starts_with({body}, 'perform {refusal}')"
    );
    assert_eq!(db.texts(&sql).await, [""; 0]);
    assert!(db.int(&format!("select count(*) {WRITERS}")).await > 35);
}

#[tokio::test]
async fn another_deployment_is_refused_by_every_function_that_may_write() {
    let db = Database::fresh().await;
    owned_by(&db, "shop").await;
    come_from(&db, "staging").await;
    let calls = format!(
        "select format('select * from unstuck.%I(%s)', p.proname,
          array_to_string(array(
            select 'null::' || format_type(t.type, null)
            from unnest(p.proargtypes) with ordinality as t (type, at)
            order by t.at), ', ')) as call {WRITERS}"
    );
    for call in db.texts(&calls).await {
        let refused = db.try_rows(&call).await.expect_err(&call);
        assert_eq!(refused.reason(), ("PT503", "wrong_deployment"), "{call}");
    }
    assert_eq!(db.count("unstuck.sweeps").await, 0);
}

#[tokio::test]
async fn who_says_nothing_and_who_belongs_to_it_are_taken() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    // Neither names a deployment; only the Worker does; both name the same; only the database does.
    db.order(user, UPSCALER, 1).await;
    come_from(&db, "shop").await;
    db.order(user, UPSCALER, 1).await;
    owned_by(&db, "shop").await;
    db.order(user, UPSCALER, 1).await;
    assert_eq!(is_wrong(&db).await, false);
    db.exec("set request.headers = '{\"accept\": \"*/*\"}'").await;
    db.order(user, UPSCALER, 1).await;
    assert_eq!(db.count("jobs").await, 4);
    assert_eq!(is_wrong(&db).await, false);
}

#[tokio::test]
async fn a_refusal_leaves_an_alarm_that_health_shows_for_ten_minutes() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    owned_by(&db, "shop").await;
    let worker = db.connect().await;
    come_from(&worker, "staging").await;
    for _ in 0..2 {
        worker.refusal("sweep_begin_v1", json!({ "p_source": "cron" })).await;
        worker.call("deployment_alarm_v1", json!({})).await;
    }
    assert_eq!(alarms(&db).await, [json!({"id": "staging", "count": 2})]);
    assert_eq!((is_wrong(&worker).await, is_wrong(&db).await), (json!(true), json!(true)));

    // The owner's own Workers record no alarm, and their calls go on.
    come_from(&db, "shop").await;
    db.call("deployment_alarm_v1", json!({})).await;
    db.order(user, UPSCALER, 1).await;
    assert_eq!(alarms(&db).await.len(), 1);

    let past = "update unstuck_private.deployment_alarms set last_at = now() - interval '11 min'";
    db.exec(past).await;
    assert_eq!((is_wrong(&worker).await, is_wrong(&db).await), (json!(true), json!(false)));
}

/// pg_cron cannot know that it runs in a copy of the database; its healing closes rows and sends no
/// request.
#[tokio::test]
async fn sql_alone_heals_the_rows_of_a_copy() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    let job = db.order(user, UPSCALER, 1).await;
    owned_by(&db, "shop").await;
    let worker = db.connect().await;
    come_from(&worker, "staging").await;
    worker.refusal("step_claim_v1", json!({ "p_provider": "runninghub", "p_limit": 3 })).await;
    db.age_all("3 hours").await;
    db.call("cleanup_all_stale_ai_jobs", json!({})).await;
    db.assert_failed(job, "QUEUE_TIMEOUT", 60).await;
    assert_eq!(db.balance(user).await, 1000);
}

#[tokio::test]
async fn a_database_has_one_owner() {
    let db = Database::fresh().await;
    owned_by(&db, "shop").await;
    let second = "insert into unstuck_private.deployment (id, supabase_url) values ('b', 'c')";
    assert_eq!(db.try_exec(second).await.unwrap_err().state, "23505");
}
