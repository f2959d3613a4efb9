//! `doctor_v1`: what a database tells the doctor.

use serde_json::{Value, json};
use unstuck_tests::{Database, assert_has};

/// The query that returns the answer of `doctor_v1`.
const ASKED: &str = "select unstuck.doctor_v1()";

#[tokio::test]
async fn an_event_is_one_row_with_its_newest_time() {
    let db = Database::open().await;
    let event = json!({ "p_function": "cleanup-stale-jobs", "p_event": "cron" });
    db.call("event_seen_v1", event.clone()).await;
    db.exec("update unstuck_private.events_seen set at = at - interval '1 hour'").await;
    let before = db.value(ASKED).await["events"][0].clone();
    assert_has!(before, { "function": "cleanup-stale-jobs", "event": "cron" });
    assert!(before["seconds"].as_f64() > Some(3_599.0), "{before}");
    db.call("event_seen_v1", event).await;
    let events = db.value(ASKED).await["events"].clone();
    assert_eq!(events.as_array().map(Vec::len), Some(1));
    assert!(events[0]["seconds"].as_f64() < Some(600.0), "{events}");
    let unknown = json!({ "p_function": "cleanup-stale-jobs", "p_event": "webhook" });
    assert_eq!(db.refusal("event_seen_v1", unknown).await.reason().0, "23514");
}

#[tokio::test]
async fn a_database_tells_what_it_is_and_what_it_lacks() {
    let db = Database::open().await;
    let fresh = db.value(ASKED).await;
    assert_has!(fresh, { "identity": null, "admins": 0, "published": true, "circuits": [] });
    let newest =
        db.value("select name from unstuck_private.migrations order by number desc limit 1").await;
    let applied = fresh["migrations"].as_array().unwrap();
    assert_eq!(applied.last(), Some(&newest));
    db.exec(
        "insert into unstuck_private.deployment (id, supabase_url)
        values ('shop', 'https://abc.supabase.co');
        insert into unstuck.user_roles (user_id, role) values (gen_random_uuid(), 'admin');
        update unstuck.tools
        set circuit_open_until = now() + interval '1 hour', circuit_reason = 'the key is refused'
        where tool = 'runninghub-upscaler';
        update unstuck.tools set enabled = false where tool = 'runninghub-veste-ai';
        alter publication supabase_realtime drop table unstuck.jobs",
    )
    .await;
    let told = db.value(ASKED).await;
    assert_has!(told, { "admins": 1, "published": false });
    assert_has!(told["identity"], { "id": "shop", "supabase_url": "https://abc.supabase.co" });
    let circuit = json!({ "subject": "runninghub-upscaler", "reason": "the key is refused" });
    assert_eq!(told["circuits"], json!([circuit]));
    let sold = |state: &Value| state["tools"].as_array().map(Vec::len);
    assert_eq!(sold(&told), sold(&fresh).map(|count| count - 1));
    assert!(told["health"].is_object(), "{told}");
}
