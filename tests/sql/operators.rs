//! What an admin does at night: finds a user, grants credits, changes prices and switches, cancels
//! and retries many jobs. Each act is a row of `admin_log` that nobody changes.

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, requeue_args};
use unstuck_tests::{Database, assert_has};
use uuid::Uuid;

const LOG: &str = "select actor, act, subject, \"from\", \"to\", reason from admin_log order by id";

async fn last_act(db: &Database) -> Value {
    db.rows(LOG).await.pop().expect("an act")
}

fn many(admin: Uuid, filter: Value, limit: i64, reason: &str) -> Value {
    json!({ "p_actor": admin, "p_filter": filter, "p_limit": limit, "p_reason": reason })
}

fn change(admin: Uuid, change: Value, reason: &str) -> Value {
    json!({ "p_actor": admin, "p_change": change, "p_reason": reason })
}

#[tokio::test]
async fn nobody_changes_the_log_of_what_admins_did() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(100).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    db.cancel_as_admin(admin, job).await.unwrap();
    for change in
        ["update admin_log set reason = 'another'", "delete from admin_log", "truncate admin_log"]
    {
        assert_eq!(db.try_exec(change).await.unwrap_err().state, "23001", "{change}");
    }
    let log = last_act(&db).await;
    assert_has!(log, { "actor": admin, "act": "job_cancelled", "subject": job });
    assert_has!(log, { "from": { "status": "queued", "refunded": 0 } });
    assert_has!(log, { "to": { "status": "cancelled", "refunded": 60 } });
    db.become_caller("service_role", None).await;
    let error = db.try_exec("insert into unstuck.admin_log (act) values ('x')").await.unwrap_err();
    assert_eq!(error.state, "42501");
}

#[tokio::test]
async fn only_an_admin_acts_and_only_with_a_reason_where_money_moves() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(60).await, db.admin().await);
    let grant = |actor: Uuid, reason: &str| {
        json!({ "p_actor": actor, "p_user_id": user, "p_amount": 5, "p_reason": reason,
            "p_idempotency_key": "k" })
    };
    let price = json!({ "tool": UPSCALER, "creditCost": 1 });
    let rule = json!({ "tool": UPSCALER, "position": 1, "credits": 1 });
    let all = json!({ "tool": UPSCALER });
    for (function, by_user, without_reason) in [
        ("credit_grant_admin_v1", grant(user, "sorry"), Some(grant(admin, " "))),
        ("tools_change_v1", change(user, price.clone(), "x"), Some(change(admin, price, ""))),
        ("prices_change_v1", change(user, rule.clone(), "x"), Some(change(admin, rule, ""))),
        ("providers_change_v1", change(user, json!({ "provider": "replicate" }), "x"), None),
        (
            "jobs_cancel_many_v1",
            many(user, all.clone(), 5, "x"),
            Some(many(admin, all.clone(), 5, "")),
        ),
        ("jobs_requeue_many_v1", many(user, all.clone(), 5, "x"), Some(many(admin, all, 5, ""))),
        ("users_find_v1", json!({ "p_actor": user, "p_query": "a" }), None),
        ("user_show_v1", json!({ "p_actor": user, "p_user_id": user }), None),
        ("admin_log_read_v1", json!({ "p_actor": user }), None),
    ] {
        assert_eq!(db.refusal(function, by_user).await.state, "PT403", "{function}");
        if let Some(args) = without_reason {
            assert_eq!(db.refusal(function, args).await.state, "PT400", "{function}");
        }
    }
    for function in ["jobs_cancel_many_v1", "jobs_requeue_many_v1"] {
        for (filter, limit) in
            [(json!({}), 5), (json!({ "else": 1 }), 5), (json!({ "tool": UPSCALER }), 1001)]
        {
            let refused = db.refusal(function, many(admin, filter, limit, "why")).await;
            assert_eq!(refused.state, "PT400", "{function}");
        }
    }
    assert_eq!(db.count("admin_log").await, 0);
    assert_eq!(db.balance(user).await, 60);
}

#[tokio::test]
async fn credits_are_given_once_as_goodwill_and_settle_a_debt() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(60).await, db.admin().await);
    let args = |amount: i64| {
        json!({ "p_actor": admin, "p_user_id": user, "p_amount": amount,
            "p_reason": "three failures", "p_idempotency_key": "ticket 7" })
    };
    let given = db.ask("credit_grant_admin_v1", args(100)).await;
    assert_eq!(given, json!({ "balance": 160, "replayed": false }));
    let replayed = db.ask("credit_grant_admin_v1", args(100)).await;
    assert_eq!(replayed, json!({ "balance": 160, "replayed": true }));
    assert_eq!(db.refusal("credit_grant_admin_v1", args(101)).await.state, "PT409");
    let entry = "select kind, amount, reason, actor from credit_entries where amount = 100";
    assert_eq!(
        db.rows(entry).await,
        [json!({ "kind": "goodwill", "amount": 100, "reason": "three failures",
            "actor": format!("admin:{admin}") })]
    );
    assert_eq!(
        db.rows(LOG).await,
        [json!({ "actor": admin, "act": "credits_granted", "subject": user,
            "from": { "balance": 60 }, "to": { "balance": 160, "amount": 100 },
            "reason": "three failures" })]
    );
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_user_is_found_by_e_mail_by_any_id_or_its_beginning_and_by_the_request() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(500).await, db.admin().await);
    db.exec(&format!(
        "insert into auth.users (id, email) values ('{user}', 'Anna.Smith@example.org')
         on conflict (id) do update set email = excluded.email"
    ))
    .await;
    db.exec(r#"select set_config('request.headers', '{"x-unstuck-request": "req-77"}', false)"#)
        .await;
    let job = db.order(user, UPSCALER, 1).await;
    db.exec("select set_config('request.headers', '', false)").await;
    db.order(db.user(100).await, UPSCALER, 1).await;
    let run = db.claim_one("runninghub").await;
    assert_eq!(run.job, job);
    db.started(run, "task-4711").await;
    let (user_text, job_text) = (user.to_string(), job.to_string());
    for (query, with_job) in [
        ("anna.smith@EXAMPLE.org", false),
        ("anna.", false),
        (&user_text, false),
        (&user_text[..8], false),
        (&job_text, true),
        (&job_text[..13], true),
        ("task-4711", true),
        ("req-77", true),
        ("  req-77 ", true),
    ] {
        let args = json!({ "p_actor": admin, "p_query": query });
        let found = db.ask("users_find_v1", args).await;
        let users = found["users"].as_array().unwrap();
        assert_eq!(users.len(), 1, "{query}: {found}");
        assert_has!(users[0], { "userId": user, "email": "Anna.Smith@example.org" });
        assert_has!(users[0], { "balance": 440, "liveJobs": 1, "debt": 0 });
        let jobs = found["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), usize::from(with_job), "{query}: {found}");
        if with_job {
            assert_has!(jobs[0], { "jobId": job, "userId": user, "table": "upscaler_jobs" });
        }
    }
    for nobody in ["nobody@example.org", "ab", "%", "x' or true"] {
        let found = db.ask("users_find_v1", json!({ "p_actor": admin, "p_query": nobody })).await;
        assert_eq!(found, json!({ "users": [], "jobs": [] }), "{nobody}");
    }
    let shown = db.ask("user_show_v1", json!({ "p_actor": admin, "p_user_id": user })).await;
    assert_has!(shown["account"], { "balance": 440, "liveJobs": 1 });
    assert_has!(shown["jobs"][0], { "jobId": job, "status": "running", "creditsCharged": 60 });
    let amounts: Vec<&Value> =
        shown["ledger"].as_array().unwrap().iter().map(|entry| &entry["amount"]).collect();
    assert_eq!(amounts, [&json!(-60), &json!(500)]);
}

#[tokio::test]
async fn a_tool_and_a_provider_are_changed_with_from_and_to() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let args = change(admin, json!({ "tool": UPSCALER, "enabled": false }), "");
    let tools = db.call("tools_change_v1", args.clone()).await;
    let row = tools.iter().find(|row| row["tool"] == UPSCALER).unwrap();
    assert_has!(row["settings"], { "enabled": false, "creditCost": 60, "runTimeoutSeconds": 600 });
    db.exec("begin; update tools set run_timeout = '10000 years', queue_ttl = '10000 years'").await;
    let tools = db.call("tools_change_v1", args.clone()).await;
    let row = tools.iter().find(|row| row["tool"] == UPSCALER).unwrap();
    let seconds = row["settings"]["runTimeoutSeconds"].as_i64();
    assert!(seconds > Some(i64::from(i32::MAX)), "one tool's time hides no other: {row}");
    db.exec("rollback").await;
    db.call("tools_change_v1", args).await;
    assert_eq!(
        db.rows(LOG).await,
        [json!({ "actor": admin, "act": "tool_changed", "subject": UPSCALER,
            "from": { "enabled": true }, "to": { "enabled": false }, "reason": null })],
        "a change that changes nothing writes no row of the log"
    );
    let limits = json!({ "tool": UPSCALER, "enabled": true, "runTimeoutSeconds": 900,
        "creditCost": 70 });
    db.call("tools_change_v1", change(admin, limits, "dearer at the provider")).await;
    let log = db.rows(LOG).await;
    assert_eq!(log.len(), 3);
    assert!(log[1..].iter().all(|row| row["reason"] == "dearer at the provider"), "{log:?}");
    assert!(log[1..].iter().any(|row| row["act"] == "price_changed"
        && row["from"]["credit_cost"] == 60
        && row["to"]["credit_cost"] == 70));
    assert!(log[1..].iter().any(|row| row["act"] == "tool_changed"
        && row["to"] == json!({ "enabled": true, "run_timeout": "00:15:00" })));
    let wrong = change(admin, json!({ "tool": UPSCALER, "runTimeoutSeconds": 0 }), "");
    assert_eq!(db.refusal("tools_change_v1", wrong).await.state, "PT400");
    let unknown = change(admin, json!({ "tool": "nothing", "enabled": false }), "");
    assert_eq!(db.refusal("tools_change_v1", unknown).await.state, "PT404");

    let off = json!({ "provider": "replicate", "enabled": false, "maxConcurrent": 4 });
    let providers = db.call("providers_change_v1", change(admin, off, "they are down")).await;
    let row = providers.iter().find(|row| row["provider"] == "replicate").unwrap();
    assert_has!(row["settings"], { "enabled": false, "maxConcurrent": 4, "running": 0 });
    let act = last_act(&db).await;
    assert_has!(act, { "act": "provider_changed", "subject": "replicate" });
    assert_has!(act, { "from": { "enabled": true, "max_concurrent": 10 } });
    assert_has!(act, { "to": { "enabled": false, "max_concurrent": 4 } });
    assert_has!(act, { "reason": "they are down" });
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_circuit_is_closed_by_an_admin_and_by_no_other_change() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    db.exec(
        "update providers set account_faults = 3, circuit_open_until = clock_timestamp(),
         circuit_opened_at = clock_timestamp(), circuit_reason = 'account'
         where provider = 'replicate'",
    )
    .await;
    let keep = json!({ "provider": "replicate", "maxConcurrent": 9 });
    db.call("providers_change_v1", change(admin, keep, "")).await;
    let open = "select circuit_open_until is not null as open from providers
        where provider = 'replicate'";
    assert_eq!(db.value(open).await, true);
    let close = json!({ "provider": "replicate", "closeCircuit": true });
    db.call("providers_change_v1", change(admin, close, "paid the bill")).await;
    assert_eq!(db.value(open).await, false);
    assert_has!(last_act(&db).await, { "act": "circuit_closed", "reason": "paid the bill" });
}

#[tokio::test]
async fn a_price_that_changes_under_an_order_leaves_the_order_at_its_price() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(1000).await, db.admin().await);
    let before = db.order(user, UPSCALER, 1).await;
    let rule = json!({ "tool": UPSCALER, "position": 1, "matches": {}, "credits": 75 });
    let rules = db.call("prices_change_v1", change(admin, rule, "new contract")).await;
    assert_has!(rules.iter().find(|row| row["rule"]["position"] == 1).unwrap()["rule"],
        { "credits": 75, "pricedPer": "job", "quantity": null });
    db.cancel(user, before).await.unwrap();
    assert_eq!(db.balance(user).await, 1000, "what was charged came back");
    let after = db.order(user, UPSCALER, 1).await;
    assert_eq!(db.job(after).await["credits_charged"], 75);
    let act = last_act(&db).await;
    assert_has!(act, { "act": "price_changed", "actor": admin, "reason": "new contract" });
    assert_has!(act, { "from": null, "subject": UPSCALER });
    let again = json!({ "tool": UPSCALER, "position": 1, "credits": 80 });
    db.call("prices_change_v1", change(admin, again, "typo")).await;
    assert_has!(last_act(&db).await["to"], { "credits": 80, "matches": {} });
    let wrong = json!({ "tool": UPSCALER, "position": 1, "matches": { "a": { "near": 1 } } });
    assert_eq!(db.refusal("prices_change_v1", change(admin, wrong, "x")).await.state, "PT400");
    let gone = json!({ "tool": UPSCALER, "position": 1, "remove": true });
    db.call("prices_change_v1", change(admin, gone.clone(), "back")).await;
    assert_has!(last_act(&db).await, { "to": null, "reason": "back" });
    assert_eq!(db.refusal("prices_change_v1", change(admin, gone, "back")).await.state, "PT404");
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_rule_by_measure_has_a_least_price_until_it_is_one_of_a_job() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let rule = async |fields: Value, why: &str| {
        let mut rule = json!({ "tool": UPSCALER, "position": 1 });
        rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let rules = db.call("prices_change_v1", change(admin, rule, why)).await;
        rules.iter().find(|row| row["rule"]["position"] == 1).unwrap()["rule"].clone()
    };
    let measured = json!({ "credits": 2, "pricedPer": "second", "quantity": 60, "creditsMin": 30 });
    assert_has!(rule(measured, "by length").await, { "quantity": 60, "creditsMin": 30 });
    assert_has!(rule(json!({ "credits": 3 }), "dearer").await, { "credits": 3, "creditsMin": 30 });
    assert_has!(rule(json!({ "creditsMin": 50 }), "dearer").await, { "creditsMin": 50 });
    assert_has!(last_act(&db).await["from"], { "credits_min": 30 });
    let of_a_job = rule(json!({ "pricedPer": "job" }), "one price").await;
    assert_has!(of_a_job, { "creditsMin": null, "quantity": null });
    let wrong = json!({ "tool": UPSCALER, "position": 1, "creditsMin": 5 });
    assert_eq!(db.refusal("prices_change_v1", change(admin, wrong, "x")).await.state, "PT400");
}

#[tokio::test]
async fn many_jobs_are_cancelled_by_a_filter_in_parts_and_the_rest_stays() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let mut users = Vec::new();
    for _ in 0..7 {
        let user = db.user(100).await;
        db.order(user, UPSCALER, 1).await;
        users.push(user);
    }
    let other = db.user(100).await;
    let kept = db.order(other, CARDS, 1).await;
    for ids in [json!({ "ids": [] }), json!({ "ids": [], "tool": UPSCALER })] {
        let nobodys = db.ask("jobs_cancel_many_v1", many(admin, ids, 0, "")).await;
        assert_has!(nobodys, { "matched": 0, "done": 0 });
    }
    let filter = json!({ "tool": UPSCALER });
    let counted = db.ask("jobs_cancel_many_v1", many(admin, filter.clone(), 0, "")).await;
    assert_has!(counted, { "matched": 7, "done": 0, "refunded_credits": 0, "refused": [] });
    assert_eq!(db.count("admin_log").await, 0, "a count writes no row of the log");
    let part = db.ask("jobs_cancel_many_v1", many(admin, filter.clone(), 3, "an outage")).await;
    assert_has!(part, { "matched": 7, "done": 3, "refunded_credits": 180, "refused": [] });
    assert_has!(part, { "providers": ["runninghub"] });
    assert_eq!(db.count("jobs where status = 'cancelled'").await, 3, "stopped here");
    let rest = db.ask("jobs_cancel_many_v1", many(admin, filter.clone(), 100, "an outage")).await;
    assert_has!(rest, { "matched": 4, "done": 4, "refunded_credits": 240 });
    let none = db.ask("jobs_cancel_many_v1", many(admin, filter, 100, "an outage")).await;
    assert_has!(none, { "matched": 0, "done": 0 });
    for user in users {
        assert_eq!(db.balance(user).await, 100);
    }
    assert_eq!(db.job(kept).await["status"], "queued");
    let message =
        db.value("select min(error_message) from jobs where tool = 'runninghub-upscaler'");
    let message = message.await;
    let message = message.as_str().unwrap();
    assert!(message.starts_with("CANCELLED: cancelled by an admin: an outage."), "{message}");
    let acts = db.rows(LOG).await;
    assert_has!(acts[0], { "act": "jobs_cancelled", "reason": "an outage", "actor": admin });
    assert_has!(acts[0], { "from": { "tool": UPSCALER } });
    assert_eq!(acts[0]["to"]["jobs"].as_array().unwrap().len(), 3);
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_named_job_that_is_not_cancelled_says_why() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(500).await, db.admin().await);
    let ended = db.order(user, UPSCALER, 1).await;
    db.cancel(user, ended).await.unwrap();
    let held = db.order(user, UPSCALER, 1).await;
    let live = db.order(db.user(100).await, UPSCALER, 1).await;
    let nowhere = Uuid::new_v4();
    let holder = db.connect().await;
    holder.exec(&format!("begin; select from jobs where id = '{held}' for update")).await;
    let filter = json!({ "ids": [ended, held, live, nowhere] });
    let answer = db.ask("jobs_cancel_many_v1", many(admin, filter, 10, "cleaning")).await;
    holder.exec("rollback").await;
    assert_has!(answer, { "matched": 3, "done": 1, "refunded_credits": 60 });
    let refused = answer["refused"].as_array().unwrap();
    let code = |job: Uuid| {
        let row = refused.iter().find(|row| row["jobId"] == json!(job));
        row.map_or("", |row| row["code"].as_str().unwrap())
    };
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(
        (code(ended), code(held), code(nowhere)),
        ("already_final", "in_progress", "not_found")
    );
    assert_eq!(db.job(held).await["status"], "queued");
    db.assert_healthy().await;
}

#[tokio::test]
async fn many_failed_jobs_are_retried_once_each_and_for_free() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let mut failed = Vec::new();
    for _ in 0..4 {
        let user = db.user(200).await;
        let job = db.order(user, TRY_ON, 1).await;
        let run = db.claim_one("replicate").await;
        assert_eq!(run.job, job);
        db.fail(run, "PROVIDER_FAILED").await;
        failed.push((user, job));
    }
    db.exec(&format!(
        "update jobs set error_code = 'TIMEOUT', error_message = 'TIMEOUT: late'
        where id = '{}'",
        failed[0].1
    ))
    .await;
    let filter = json!({ "errorCode": "PROVIDER_FAILED", "createdAfter": "2020-01-01T00:00:00Z" });
    let part = db.ask("jobs_requeue_many_v1", many(admin, filter.clone(), 2, "outage over")).await;
    assert_has!(part, { "matched": 3, "done": 2, "refused": [] });
    let rest = db.ask("jobs_requeue_many_v1", many(admin, filter.clone(), 9, "outage over")).await;
    assert_has!(rest, { "matched": 1, "done": 1 });
    let none = db.ask("jobs_requeue_many_v1", many(admin, filter, 9, "outage over")).await;
    assert_has!(none, { "matched": 0, "done": 0 });
    for time in ["yesterday at two", "2026-01-01T00:00:00+99:00", "2026-01-01 Mars/Olympus", "x"] {
        let args = many(admin, json!({ "createdBefore": time }), 9, "outage over");
        assert_eq!(db.refusal("jobs_requeue_many_v1", args).await.state, "PT400", "{time}");
    }
    assert_eq!(db.count("jobs where retry_of is not null and status = 'queued'").await, 3);
    for (user, _) in &failed {
        assert_eq!(db.balance(*user).await, 200, "free");
    }
    let act = "select * from admin_log where act = 'jobs_retried' order by id limit 1";
    assert_eq!(db.row(act).await["to"]["jobs"].as_array().unwrap().len(), 2);
    // A named job whose retry is live gets no second retry: it counts as done.
    let named = json!({ "ids": [failed[1].1, Uuid::nil()] });
    let answer = db.ask("jobs_requeue_many_v1", many(admin, named, 9, "once more")).await;
    assert_has!(answer, { "matched": 1, "done": 1 });
    assert_has!(answer["refused"][0], { "code": "not_found" });
    assert_eq!(db.count("jobs where retry_of is not null").await, 3);
    db.assert_healthy().await;
}

#[tokio::test]
async fn jobs_of_accounts_that_are_held_are_refused_and_the_others_are_retried() {
    let db = Database::fresh().await;
    let admin = db.admin().await;
    let (mut users, mut jobs) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let user = db.user(200).await;
        let job = db.order(user, UPSCALER, 1).await;
        let run = db.claim_one("runninghub").await;
        db.fail(run, "PROVIDER_FAILED").await;
        users.push(user);
        jobs.push(job);
    }
    let holder = db.connect().await;
    let held = format!("user_id in ('{}', '{}')", users[0], users[1]);
    holder.exec(&format!("begin; select from credit_accounts where {held} for update")).await;
    let filter = json!({ "errorCode": "PROVIDER_FAILED" });
    let answer = db.ask("jobs_requeue_many_v1", many(admin, filter, 9, "outage over")).await;
    holder.exec("rollback").await;
    assert_has!(answer, { "matched": 4, "done": 2 });
    let mut refused: Vec<String> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["jobId"].as_str().unwrap(), row["code"]))
        .collect();
    refused.sort();
    let mut expected: Vec<String> =
        jobs[..2].iter().map(|job| format!("{job} \"in_progress\"")).collect();
    expected.sort();
    assert_eq!(refused, expected);
    let retried = "select user_id::text from jobs where retry_of is not null order by 1";
    let mut free: Vec<String> = users[2..].iter().map(ToString::to_string).collect();
    free.sort();
    assert_eq!(db.texts(retried).await, free);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_single_retry_is_logged_once_however_often_it_is_clicked() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(200).await, db.admin().await);
    let job = db.order(user, UPSCALER, 1).await;
    db.cancel(user, job).await.unwrap();
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let mut args = requeue_args(admin, "upscaler_jobs", job, true, first);
    args["p_reason"] = json!("asked by mail");
    assert_has!(db.ask("job_requeue_v1", args).await, { "job_id": first, "retry_of": job });
    let args = requeue_args(admin, "upscaler_jobs", job, true, second);
    assert_has!(db.ask("job_requeue_v1", args).await, { "job_id": first, "retried": false });
    // The first answer was lost, and the new job has ended meanwhile.
    db.cancel(user, first).await.unwrap();
    let args = requeue_args(admin, "upscaler_jobs", job, true, first);
    assert_has!(db.ask("job_requeue_v1", args).await, { "job_id": first, "retry_of": job });
    assert_eq!(db.entries(first).await, [-60, 60], "charged once");
    assert_eq!(
        db.rows(LOG).await,
        [json!({ "actor": admin, "act": "job_retried", "subject": job,
            "from": { "status": "cancelled" }, "to": { "job": first, "charge": true },
            "reason": "asked by mail" })]
    );
}

#[tokio::test]
async fn the_log_is_read_backwards_and_by_subject() {
    let db = Database::fresh().await;
    let (user, admin) = (db.user(10).await, db.admin().await);
    for number in 1..=5 {
        let args = json!({ "p_actor": admin, "p_user_id": user, "p_amount": number,
            "p_reason": "x", "p_idempotency_key": number.to_string() });
        db.ask("credit_grant_admin_v1", args).await;
    }
    let page = |before: Value| json!({ "p_actor": admin, "p_before": before, "p_limit": 2 });
    let newest = db.call("admin_log_read_v1", page(json!(null))).await;
    let amounts = |rows: &[Value]| -> Vec<i64> {
        rows.iter().map(|row| row["to"]["amount"].as_i64().unwrap()).collect()
    };
    assert_eq!(amounts(&newest), [5, 4]);
    let older = db.call("admin_log_read_v1", page(newest[1]["id"].clone())).await;
    assert_eq!(amounts(&older), [3, 2]);
    let other = json!({ "p_actor": admin, "p_subject": Uuid::new_v4() });
    assert_eq!(db.call("admin_log_read_v1", other).await, Vec::<Value>::new());
}
