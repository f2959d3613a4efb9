//! A job of any tool in one vocabulary: shown, listed page by page, cancelled; and what the service
//! does on behalf of a user.

use serde_json::{Value, json};
use unstuck_tests::shop::{CARDS, TRY_ON, UPSCALER, VIDEO, WEBSITE, enqueue_args};
use unstuck_tests::{Database, Session, assert_has};
use uuid::Uuid;

async fn shown(db: &Session, user: Uuid, job: Uuid) -> Value {
    let args = json!({ "p_user_id": user, "p_job_id": job });
    db.ask("job_show_v1", args).await["job_show_v1"].clone()
}

async fn page(db: &Session, user: Uuid, more: Value) -> Value {
    let args = unstuck_tests::shop::with(json!({ "p_user_id": user }), more);
    db.ask("jobs_list_v1", args).await
}

fn ids(page: &Value) -> Vec<Value> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect()
}

#[tokio::test]
async fn a_job_of_every_tool_has_the_same_fields_and_words() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(1_000).await;
    for (tool, steps) in [(UPSCALER, 1), (VIDEO, 1), (CARDS, 2), (TRY_ON, 2), (WEBSITE, 1)] {
        let job = db.order(user, tool, steps).await;
        let seen = shown(&db, user, job).await;
        assert_has!(seen, { "id": job, "tool": tool, "status": "queued", "outputs": [],
            "error": null, "creditsRefunded": 0, "startedAt": null, "completedAt": null });
        assert!(seen["position"].as_i64() >= Some(1), "{seen}");
        assert!(seen["etaSeconds"].as_i64() >= Some(0), "{seen}");
        let mut fields: Vec<&String> = seen.as_object().unwrap().keys().collect();
        fields.sort();
        let expected = [
            "completedAt",
            "createdAt",
            "creditsCharged",
            "creditsRefunded",
            "error",
            "etaSeconds",
            "id",
            "outputs",
            "position",
            "startedAt",
            "status",
            "tool",
        ];
        assert_eq!(fields, expected);
    }
}

#[tokio::test]
async fn the_outputs_and_the_error_of_each_end_are_told() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(1_000).await;
    let picture = db.order(user, UPSCALER, 1).await;
    let attempt = db.run("runninghub", "a").await;
    assert_has!(shown(&db, user, picture).await, { "status": "running", "etaSeconds": null,
        "position": null });
    db.done(attempt, "a").await;
    db.complete(attempt).await;
    let seen = shown(&db, user, picture).await;
    assert_has!(seen, { "status": "completed", "error": null });
    assert_has!(seen["outputs"][0], { "index": 0, "kind": "image", "error": null });
    assert!(seen["outputs"][0]["url"].is_string() && seen["completedAt"].is_string(), "{seen}");
    let cards = db.order(user, CARDS, 2).await;
    let claimed = db.claim("gemini", 2).await;
    db.complete(claimed[0]).await;
    assert_eq!(shown(&db, user, cards).await["outputs"].as_array().unwrap().len(), 1);
    db.fail(claimed[1], "CONTENT_REFUSED").await;
    let seen = shown(&db, user, cards).await;
    assert_has!(seen, { "status": "completed", "creditsRefunded": 10 });
    let mut urls = 0;
    for output in seen["outputs"].as_array().unwrap() {
        if output["url"].is_string() {
            urls += 1;
            assert_eq!(output["error"], Value::Null);
        } else {
            assert_eq!(output["error"]["code"], "CONTENT_REFUSED");
        }
    }
    assert_eq!(urls, 1, "{seen}");
    let website = db.order(user, WEBSITE, 1).await;
    let attempt = db.claim_one("llm").await;
    db.complete(attempt).await;
    assert_eq!(shown(&db, user, website).await["outputs"][0]["kind"], "files");
    let failed = db.order(user, VIDEO, 1).await;
    let attempt = db.run("runninghub", "b").await;
    db.fail(attempt, "PROVIDER_FAILED").await;
    let seen = shown(&db, user, failed).await;
    assert_has!(seen, { "status": "failed", "outputs": [], "creditsRefunded": 120 });
    assert_eq!(seen["error"]["code"], "PROVIDER_FAILED");
    let message = seen["error"]["message"].as_str().unwrap();
    assert!(!message.contains("PROVIDER_FAILED") && message.contains("credits"), "{message}");
    // The pictures of a try-on's finished steps are no outputs while it runs.
    let chain = db.order(user, TRY_ON, 2).await;
    let first = db.run("replicate", "c").await;
    db.complete(first).await;
    assert_has!(shown(&db, user, chain).await, { "status": "running", "outputs": [] });
}

#[tokio::test]
async fn only_its_owner_is_shown_a_job() {
    let db = Database::fresh().await;
    let (_, job) = db.upscale().await;
    let other = db.user(60).await;
    for (user, job) in [(other, job), (other, Uuid::new_v4())] {
        let args = json!({ "p_user_id": user, "p_job_id": job });
        for function in ["job_show_v1", "job_cancel_v2", "job_cancel_v3"] {
            let error = db.refusal(function, args.clone()).await;
            assert_eq!(error.reason(), ("PT404", "not_found"));
        }
    }
}

#[tokio::test]
async fn the_list_is_paged_newest_first_and_holds_no_job_of_others() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let (user, other) = (db.user(1_000).await, db.user(100).await);
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(json!(db.order(user, UPSCALER, 1).await));
        db.order(other, CARDS, 1).await;
    }
    // Two jobs of the same time are ordered by their ids.
    let (a, b) = (&jobs[1], &jobs[2]);
    db.exec(&format!(
        "update jobs set created_at = (select created_at from jobs where id = {})
         where id = {}",
        a.to_string().replace('"', "'"),
        b.to_string().replace('"', "'")
    ))
    .await;
    let whole = page(&db, user, json!({})).await;
    assert_eq!(whole["next"], Value::Null);
    let all = ids(&whole);
    assert_eq!(all.len(), 5);
    assert_eq!((&all[0], &all[4]), (&jobs[4], &jobs[0]));
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let next = page(&db, user, json!({ "p_cursor": cursor, "p_limit": 2 })).await;
        seen.extend(ids(&next));
        cursor = next["next"].clone();
        if cursor.is_null() {
            break;
        }
        assert!(seen.len() < 5, "the last page names none after it");
    }
    assert_eq!(seen, all, "each once, in the same order");
    let nobody = page(&db, Uuid::new_v4(), json!({})).await;
    assert_eq!(nobody, json!({ "jobs": [], "next": null }));
}

#[tokio::test]
async fn the_list_heals_first_and_knows_the_words_of_a_status() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(1_000).await;
    let stale = db.order(user, UPSCALER, 1).await;
    db.age(stale, "11 minutes").await;
    let queued = db.order(user, UPSCALER, 1).await;
    for (status, expected) in [("queued", vec![json!(queued)]), ("failed", vec![json!(stale)])] {
        let found = page(&db, user, json!({ "p_status": status })).await;
        assert_eq!(ids(&found), expected, "{status}");
    }
    for (more, field) in [
        (json!({ "p_status": "pending" }), "status"),
        (json!({ "p_status": "" }), "status"),
        (json!({ "p_cursor": "" }), "cursor"),
        (json!({ "p_cursor": "x' or true" }), "cursor"),
        (json!({ "p_cursor": "f".repeat(48) }), "cursor"),
        (json!({ "p_cursor": "0".repeat(47) }), "cursor"),
    ] {
        let args = unstuck_tests::shop::with(json!({ "p_user_id": user }), more);
        let error = db.refusal("jobs_list_v1", args).await;
        assert_eq!(error.reason(), ("PT400", "bad_request"));
        assert_eq!(error.detail["field"], field);
    }
    let far = page(&db, user, json!({ "p_cursor": "0".repeat(48), "p_limit": 100_000 })).await;
    assert_eq!(ids(&far), Vec::<Value>::new());
}

#[tokio::test]
async fn a_waiting_job_of_any_tool_is_cancelled_once() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(1_000).await;
    for (tool, steps, price) in [(UPSCALER, 1, 60), (CARDS, 2, 20), (WEBSITE, 1, 50)] {
        let job = db.order(user, tool, steps).await;
        let args = json!({ "p_user_id": user, "p_job_id": job });
        let cancelled = db.ask("job_cancel_v3", args.clone()).await["job_cancel_v3"].clone();
        assert_has!(cancelled, { "status": "cancelled", "creditsRefunded": price });
        assert_eq!(cancelled, shown(&db, user, job).await);
        let error = db.refusal("job_cancel_v3", args).await;
        assert_eq!(error.reason(), ("PT409", "already_final"));
    }
    // Workers of a release before `job_cancel_v3` read these columns.
    let job = db.order(user, UPSCALER, 1).await;
    let args = json!({ "p_user_id": user, "p_job_id": job });
    let cancelled = db.ask("job_cancel_v2", args).await;
    let provider = "runninghub";
    assert_has!(cancelled, {
        "status": "cancelled", "refunded_credits": 60, "provider": provider,
    });
    assert_eq!(db.balance(user).await, 1_000);
    db.assert_healthy().await;
}

async fn actors(db: &Session, job: Uuid) -> Vec<String> {
    db.texts(&format!(
        "select distinct actor from job_events where job_id = '{job}' and step is null"
    ))
    .await
}

#[tokio::test]
async fn what_the_service_does_on_behalf_of_a_user_is_told_as_the_services() {
    let db = Database::fresh().await;
    db.open_all_tools().await;
    let user = db.user(1_000).await;
    let job = Uuid::new_v4();
    db.exec(r#"set request.headers = '{"x-unstuck-caller": "service"}'"#).await;
    let args = enqueue_args(user, job, UPSCALER, 1);
    assert_eq!(db.ask("job_enqueue_v1", args.clone()).await["replayed"], false);
    db.exec("set request.headers = ''").await;
    let replay = db.ask("job_enqueue_v1", args).await;
    assert_has!(replay, { "replayed": true, "balance": 940 });
    assert_eq!(actors(&db, job).await, ["service"]);
    let own = db.order(user, UPSCALER, 1).await;
    assert_eq!(actors(&db, own).await, ["user"]);
    assert_eq!(ids(&page(&db, user, json!({})).await).len(), 2, "both are the user's");
}

#[tokio::test]
async fn a_user_whom_the_service_names_is_known_or_refused() {
    let db = Database::fresh().await;
    let user = Uuid::new_v4();
    db.exec(&format!("insert into auth.users (id, email) values ('{user}', 'a@b.example')")).await;
    let named = db.ask("user_on_behalf_v1", json!({ "p_user_id": user })).await;
    assert_eq!(named, json!({ "user_on_behalf_v1": false }));
    let error = db.refusal("user_on_behalf_v1", json!({ "p_user_id": Uuid::new_v4() })).await;
    assert_eq!(error.reason(), ("PT404", "not_found"));
    assert_eq!(error.detail["field"], "onBehalfOf");
}
