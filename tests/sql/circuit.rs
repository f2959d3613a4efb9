//! A provider's alarms as rows, and the circuits that they open: which steps wait, which go on, and
//! what closes a circuit.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, UPSCALER, VIDEO};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";
const KEY: &str = "802 APIKEY_UNAUTHORIZED";
const APP: &str = "803 APIKEY_INVALID_NODE_INFO";

fn fault(provider: &str, tool: &str, about: Option<&str>, code: &str) -> Value {
    json!({ "p_provider": provider, "p_tool": tool, "p_about": about, "p_code": code,
        "p_detail": "a job" })
}

async fn alarm(db: &Session, tool: &str, about: Option<&str>, code: &str) {
    db.call("provider_alarm_v1", fault(PROVIDER, tool, about, code)).await;
}

async fn alarms(db: &Session, tool: &str, about: &str, code: &str, count: usize) {
    for _ in 0..count {
        alarm(db, tool, Some(about), code).await;
    }
}

/// Ends the minute of an open circuit.
async fn minute_is_over(db: &Session, table: &str) {
    db.exec(&format!(
        "update {table} set circuit_open_until = clock_timestamp() - interval '1 second'
            where circuit_open_until is not null"
    ))
    .await;
}

async fn provider(db: &Session) -> Value {
    circuit(db, "providers", "provider", PROVIDER).await
}

async fn tool(db: &Session, tool: &str) -> Value {
    circuit(db, "tools", "tool", tool).await
}

async fn circuit(db: &Session, table: &str, key: &str, is: &str) -> Value {
    let open = "circuit_open_until is not null as open, circuit_open_until > clock_timestamp() \
        as waits, circuit_open_until < clock_timestamp() + interval '61 seconds' as a_minute";
    db.row(&format!(
        "select account_faults as faults, circuit_reason as reason, {open}
            from {table} where {key} = '{is}'"
    ))
    .await
}

async fn may_start(db: &Session, provider: &str) -> Value {
    let row = db.ask("steps_waiting_v1", json!({ "p_provider": provider })).await;
    row["may_start"].clone()
}

/// Orders one job of that tool for each of so many users.
async fn waiting(db: &Session, tool: &str, jobs: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..jobs {
        ids.push(db.order(db.user(200).await, tool, 1).await);
    }
    ids
}

/// Sends the attempt, which the provider accepts.
async fn accepts(db: &Session, attempt: StepRun) {
    assert!(db.sent(attempt).await);
    assert_eq!(db.started(attempt, &format!("task of {}", attempt.job)).await, "running");
}

#[tokio::test]
async fn equal_alarms_of_an_hour_are_one_row_with_their_count() {
    let db = Database::fresh().await;
    for (tool, code) in [(UPSCALER, KEY), (UPSCALER, KEY), (VIDEO, KEY), (UPSCALER, APP)] {
        alarm(&db, tool, None, code).await;
    }
    let long = "x".repeat(3_000);
    db.call(
        "provider_alarm_v1",
        json!({ "p_provider": PROVIDER, "p_tool": "", "p_about": "", "p_code": long,
            "p_detail": long }),
    )
    .await;
    let rows = "select tool, code, detail, count from provider_alarms order by id";
    let rows = db.rows(rows).await;
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert_has!(rows[0], { "tool": UPSCALER, "code": KEY, "detail": "a job", "count": 2 });
    assert_has!(rows[1], { "tool": VIDEO, "count": 1 });
    assert_has!(rows[3], { "tool": null, "count": 1 });
    assert_eq!(rows[3]["code"].as_str().map(str::len), Some(200));
    assert_eq!(rows[3]["detail"].as_str().map(str::len), Some(500));
    assert_has!(provider(&db).await, { "faults": 0, "open": false }, "no alarm is about an order");
    db.exec("update provider_alarms set at = at - interval '61 minutes'").await;
    alarm(&db, UPSCALER, None, KEY).await;
    assert_eq!(db.count("provider_alarms").await, 5, "another hour has another row");
    for (provider, code) in [("nobody", KEY), (PROVIDER, "")] {
        let refused = db.refusal("provider_alarm_v1", fault(provider, UPSCALER, None, code)).await;
        assert_eq!(refused.reason(), ("PT400", "bad_request"));
    }
}

#[tokio::test]
async fn the_last_alarm_is_the_one_that_came_last_even_if_it_began_earlier() {
    let db = Database::fresh().await;
    for code in [KEY, APP, KEY] {
        alarm(&db, UPSCALER, None, code).await;
    }
    let admin = db.admin().await;
    let read = json!({ "p_actor": admin, "p_change": null, "p_reason": null });
    let providers = db.call("providers_change_v1", read).await;
    let row = providers.iter().find(|row| row["provider"] == PROVIDER).unwrap();
    assert_has!(row["settings"]["lastAlarm"], { "code": KEY, "count": 2 });
}

#[tokio::test]
async fn an_admin_reads_alarms_and_open_circuits_and_nobody_else_does() {
    let db = Database::fresh().await;
    alarms(&db, UPSCALER, "account", KEY, 3).await;
    alarms(&db, VIDEO, "app", APP, 3).await;
    let page = db.page(db.admin().await).await;
    assert_eq!(page.count("provider_alarms").await, 2);
    let load = page.row("select * from provider_load where provider = 'runninghub'").await;
    assert_has!(load, { "circuit_reason": "account", "circuits_of_tools": [VIDEO] });
    assert!(load["circuit_open_until"].is_string(), "{load}");
    let page = db.page(db.user(0).await).await;
    assert_eq!(page.count("provider_alarms").await, 0);
    assert_eq!(page.count("provider_load").await, 0);
    let forged = page.refusal("provider_alarm_v1", fault(PROVIDER, "", None, KEY)).await;
    assert_eq!(forged.state, "42501");
}

#[tokio::test]
async fn three_faults_of_the_account_make_all_orders_wait_and_an_accepted_trial_lets_them_go() {
    let db = Database::open().await;
    alarms(&db, UPSCALER, "account", KEY, 2).await;
    assert_has!(provider(&db).await, { "faults": 2, "open": false });
    let first = waiting(&db, UPSCALER, 1).await;
    accepts(&db, db.claim_one(PROVIDER).await).await;
    assert_has!(provider(&db).await, { "faults": 0 }, "an accepted step ends the row of faults");
    db.complete(StepRun { job: first[0], step: 1, run: 1 }).await;

    alarms(&db, UPSCALER, "account", KEY, 2).await;
    alarms(&db, VIDEO, "place", "http 403 without JSON", 1).await;
    let open = json!({ "faults": 3, "reason": "place", "open": true, "waits": true,
        "a_minute": true });
    assert_eq!(provider(&db).await, open);
    let jobs = waiting(&db, UPSCALER, 2).await;
    let video = waiting(&db, VIDEO, 1).await;
    assert!(db.claim(PROVIDER, 5).await.is_empty(), "every tool waits");
    assert_eq!(may_start(&db, PROVIDER).await, 0);
    let queue = db.ask("queue_check_v1", json!({ "p_provider": PROVIDER })).await;
    assert_has!(queue, { "enabled": false, "total_queued": 3 });
    let shown = db.rows("select position, eta_seconds from queue_positions order by 1").await;
    assert_eq!(shown.len(), 3);
    assert!(shown[0]["eta_seconds"].as_i64().unwrap() >= 55, "{shown:?}");
    db.age_all("5 minutes").await;
    db.assert_healthy().await;

    minute_is_over(&db, "providers").await;
    let queue = db.ask("queue_check_v1", json!({ "p_provider": PROVIDER })).await;
    assert_has!(queue, { "enabled": true }, "the next order is the trial");
    assert_eq!(may_start(&db, PROVIDER).await, 1);
    let trial = db.claim(PROVIDER, 5).await;
    assert_eq!(trial.len(), 1, "one step a minute");
    assert_eq!(trial[0].job, jobs[0], "it is the first in line");
    assert_has!(provider(&db).await, { "open": true, "waits": true, "a_minute": true });
    assert!(db.claim(PROVIDER, 5).await.is_empty());
    alarm(&db, UPSCALER, Some("account"), KEY).await;
    db.fail(trial[0], "PROVIDER_REJECTED").await;
    db.assert_failed(jobs[0], "PROVIDER_REJECTED", 60).await;
    assert_has!(provider(&db).await, { "faults": 4, "reason": "account", "waits": true });

    minute_is_over(&db, "providers").await;
    accepts(&db, db.claim_one(PROVIDER).await).await;
    let closed = json!({ "faults": 0, "reason": null, "open": false, "waits": null,
        "a_minute": null });
    assert_eq!(provider(&db).await, closed);
    db.assert_healthy().await;
    assert_eq!(db.claim(PROVIDER, 5).await.len(), 1, "the waiting step is claimed at once");
    assert_eq!(db.step(video[0], 1).await["status"], "starting");
}

#[tokio::test]
async fn a_fault_of_one_app_makes_only_its_own_tool_wait() {
    let db = Database::open().await;
    db.set_slots(PROVIDER, 9).await;
    let blocked = waiting(&db, UPSCALER, 3).await;
    let free = waiting(&db, VIDEO, 2).await;
    alarms(&db, UPSCALER, "app", APP, 3).await;
    assert_has!(provider(&db).await, { "faults": 0, "open": false });
    assert_has!(tool(&db, UPSCALER).await, { "reason": "app", "waits": true });
    assert_has!(tool(&db, VIDEO).await, { "faults": 0, "open": false });
    assert_eq!(may_start(&db, PROVIDER).await, 2);
    let line = db.rows("select job_id from queue_positions order by position").await;
    assert_eq!(line[0]["job_id"], json!(free[0]), "steps that may start come first: {line:?}");
    let claimed: Vec<Uuid> =
        db.claim(PROVIDER, 9).await.into_iter().map(|attempt| attempt.job).collect();
    assert_eq!(claimed, free);
    db.age_all("5 minutes").await;
    db.assert_healthy().await;

    minute_is_over(&db, "tools").await;
    let later = waiting(&db, VIDEO, 2).await;
    assert_eq!(may_start(&db, PROVIDER).await, 3);
    let claimed = db.claim(PROVIDER, 9).await;
    assert_eq!(claimed.len(), 3, "one trial of the tool, and all of the other tool");
    assert_eq!(claimed.iter().filter(|attempt| later.contains(&attempt.job)).count(), 2);
    let trial = *claimed.iter().find(|attempt| blocked.contains(&attempt.job)).unwrap();
    assert!(db.claim(PROVIDER, 9).await.is_empty());
    let other = *claimed.iter().find(|attempt| later.contains(&attempt.job)).unwrap();
    accepts(&db, other).await;
    assert_has!(tool(&db, UPSCALER).await, { "open": true }, "another tool closes no circuit");
    accepts(&db, trial).await;
    assert_has!(tool(&db, UPSCALER).await, { "faults": 0, "reason": null, "open": false });
    db.assert_healthy().await;
    assert_eq!(db.claim(PROVIDER, 9).await.len(), 2);
}

#[tokio::test]
async fn a_completed_call_closes_the_circuit_of_a_synchronous_provider() {
    let db = Database::open().await;
    let (_, job) = db.ordered(100, CARDS, 4).await;
    let attempt = db.claim_one("gemini").await;
    for _ in 0..3 {
        db.call("provider_alarm_v1", fault("gemini", CARDS, Some("account"), "http 403")).await;
    }
    assert!(db.claim("gemini", 5).await.is_empty());
    assert_eq!(may_start(&db, "gemini").await, 0);
    db.complete(attempt).await;
    assert_eq!(may_start(&db, "gemini").await, 0, "it was claimed before the faults");
    minute_is_over(&db, "providers").await;
    db.complete(db.claim_one("gemini").await).await;
    assert_eq!(may_start(&db, "gemini").await, 2);
    assert_eq!(db.claim("gemini", 5).await.len(), 2);
    assert_eq!(db.job(job).await["status"], "running");
}

#[tokio::test]
async fn an_order_that_waits_for_a_circuit_too_long_is_refunded_by_the_usual_deadline() {
    let db = Database::open().await;
    alarms(&db, UPSCALER, "account", KEY, 3).await;
    let job = waiting(&db, UPSCALER, 1).await[0];
    db.age(job, "11 minutes").await;
    db.sweep().await;
    db.assert_failed(job, "QUEUE_TIMEOUT", 60).await;
    // An update that closes the circuit by hand also clears its faults and its reason.
    db.exec("update providers set circuit_open_until = null where provider = 'runninghub'").await;
    assert_has!(provider(&db).await, { "faults": 0, "reason": null });
    let job = waiting(&db, UPSCALER, 1).await[0];
    assert_eq!(db.claim_one(PROVIDER).await.job, job);
}

/// A second claim runs while the first one's transaction is open.
#[tokio::test]
async fn two_claims_at_once_let_one_trial_through() {
    for (about, table) in [("account", "providers"), ("app", "tools")] {
        let db = Database::open().await;
        waiting(&db, UPSCALER, 5).await;
        alarms(&db, UPSCALER, about, KEY, 3).await;
        minute_is_over(&db, table).await;
        let other = db.connect().await;
        db.exec("begin").await;
        assert_eq!(db.claim(PROVIDER, 5).await.len(), 1);
        let (second, ()) = futures::join!(other.claim(PROVIDER, 5), async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            db.exec("commit").await;
        });
        assert_eq!(second, [], "{about}");

        minute_is_over(&db, table).await;
        let workers = db.sessions(6).await;
        let claims = workers.iter().map(|worker| worker.claim(PROVIDER, 5));
        let claims = futures::future::join_all(claims).await;
        assert_eq!(claims.concat().len(), 1, "{about}");
    }
}

#[tokio::test]
async fn an_accepted_step_and_a_claim_at_once_do_not_lock_each_other_out() {
    let db = Database::open().await;
    db.set_slots(PROVIDER, 50).await;
    waiting(&db, UPSCALER, 12).await;
    let attempts = db.claim(PROVIDER, 6).await;
    for attempt in &attempts {
        assert!(db.sent(*attempt).await);
    }
    alarms(&db, UPSCALER, "account", KEY, 3).await;
    let workers = db.sessions(18).await;
    let work = workers.iter().enumerate().map(async |(number, worker)| match number % 3 {
        0 => {
            let attempt = attempts[number / 3];
            assert_eq!(worker.started(attempt, &attempt.job.to_string()).await, "running");
        }
        1 => drop(worker.claim(PROVIDER, 2).await),
        _ => alarm(worker, UPSCALER, Some("account"), KEY).await,
    });
    futures::future::join_all(work).await;
    db.exec("update providers set circuit_open_until = null, account_faults = 0").await;
    db.assert_healthy().await;
}
