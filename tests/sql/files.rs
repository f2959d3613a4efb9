//! Which files are deleted: those past their retention, and all files of an erased user, but no
//! file of a user with a live job.

use serde_json::{Value, json};
use unstuck_tests::shop::{UPSCALER, with};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

fn object(name: String, created_at: &str) -> Value {
    json!({ "name": name, "created_at": created_at })
}

/// Which of these files are deleted: the first names, and how many in all.
async fn chosen(
    db: &Session,
    kind: &str,
    bucket: &str,
    user: Option<Uuid>,
    files: &[Value],
) -> (Vec<String>, i64) {
    let mut args = json!({ "p_kind": kind, "p_bucket": bucket, "p_objects": files });
    if let Some(user) = user {
        args["p_user_id"] = json!(user);
    }
    let row = db.ask("files_choose_v1", args).await;
    let names = row["names"].as_array().unwrap().iter();
    (names.map(|name| name.as_str().unwrap().to_owned()).collect(), row["due"].as_i64().unwrap())
}

async fn ago(db: &Session, time: &str) -> String {
    let sql = format!("select (clock_timestamp() - interval '{time}')::text");
    db.value(&sql).await.as_str().unwrap().to_owned()
}

/// A user with a job that has ended.
async fn served(db: &Database) -> (Uuid, Uuid) {
    let user = db.user(60).await;
    let job = db.order(user, UPSCALER, 1).await;
    db.cancel_by_admin(job).await;
    (user, job)
}

async fn keep(db: &Session, kind: &str, time: Option<&str>) {
    let time = time.map_or("null".to_owned(), |time| format!("'{time}'"));
    db.exec(&format!("update retention set keep = {time} where kind = '{kind}'")).await;
}

#[tokio::test]
async fn old_uploads_go_and_files_of_others_and_of_live_jobs_stay() {
    let db = Database::open().await;
    let (old, new) = (ago(&db, "7 days 1 minute").await, ago(&db, "6 days 23 hours").await);
    let (done, working) = (db.user(60).await, db.user(60).await);
    db.order(working, UPSCALER, 1).await;
    let job = Uuid::new_v4();
    let gone = format!("{done}/{job}/a b.png");
    let files = [
        object(gone.clone(), &old),
        object(format!("{done}/{job}/new.png"), &new),
        object(format!("{working}/{job}/in.png"), &old),
        // The app's own files in a bucket of the same name.
        object(format!("{done}/avatar.png"), &old),
        object(format!("{done}/photos/a.png"), &old),
        object(format!("shop/{job}/a.png"), &old),
        object("logo.png".into(), &old),
        object(format!("{done}/{job}/"), &old),
        json!({ "name": format!("{done}/{job}/undated.png") }),
    ];
    assert_eq!(chosen(&db, "uploads", "uploads", None, &files).await, (vec![gone], 1));
    assert_eq!(chosen(&db, "uploads", "results", None, &files).await.1, 0, "another bucket");
    let many: Vec<Value> =
        (0..250).map(|n| object(format!("{done}/{job}/{n:03}.png"), &old)).collect();
    let (names, due) = chosen(&db, "uploads", "uploads", None, &many).await;
    assert_eq!((names.len(), due), (100, 250), "a bounded number at a time");
    assert!(names.is_sorted(), "{names:?}");
    let (others, _) = chosen(&db, "uploads", "uploads", None, &many).await;
    assert_ne!(names, others, "files that cannot be deleted are not chosen every time");
}

/// It holds before an adapter is attached, while it is attached, and after it was removed.
#[tokio::test]
async fn of_a_bucket_that_was_there_before_us_only_the_files_of_our_jobs_go() {
    let db = Database::open().await;
    keep(&db, "abandoned_uploads", None).await;
    let old = ago(&db, "8 days").await;
    let (user, job) = served(&db).await;
    let ours = format!("{user}/{job}/in.png");
    let files = [
        object(ours.clone(), &old),
        object(format!("{user}/{}/a.png", Uuid::new_v4()), &old),
        // In this folder the job's id is right, but the user is another one.
        object(format!("{}/{job}/a.png", Uuid::new_v4()), &old),
    ];
    for adapter in [
        "select",
        "insert into unstuck_private.installed (adapter) values ('test')",
        "delete from unstuck_private.installed",
    ] {
        db.exec(adapter).await;
        let of = |kind| chosen(&db, kind, kind, None, &files);
        assert_eq!(of("uploads").await, (vec![ours.clone()], 1), "{adapter}");
        keep(&db, "results", Some("1 day")).await;
        assert_eq!(of("results").await, (vec![ours.clone()], 1), "{adapter}");
        keep(&db, "results", None).await;
        assert_eq!(of("results").await.1, 0, "kept for ever");
    }
}

#[tokio::test]
async fn uploads_of_jobs_and_abandoned_ones_are_kept_each_for_its_own_time() {
    let db = Database::open().await;
    let kept = "select array_agg(kind || ' ' || keep order by kind)::text from retention
        where kind like '%uploads'";
    let both = "{\"abandoned_uploads 7 days\",\"uploads 7 days\"}";
    assert_eq!(db.value(kept).await, both, "the migration made the bucket");
    let old = ago(&db, "8 days").await;
    let (user, job) = served(&db).await;
    let (of_job, abandoned) =
        (format!("{user}/{job}/a.png"), format!("{user}/{}/a.png", Uuid::new_v4()));
    let files = [object(of_job.clone(), &old), object(abandoned.clone(), &old)];
    let due = || async { db.call("files_due_v1", json!({})).await.len() };
    let went = || async { chosen(&db, "uploads", "uploads", None, &files).await.0 };
    assert_eq!((went().await.len(), due().await), (2, 1));
    keep(&db, "uploads", None).await;
    assert_eq!((went().await, due().await), (vec![abandoned], 1));
    keep(&db, "uploads", Some("7 days")).await;
    keep(&db, "abandoned_uploads", Some("9 days")).await;
    assert_eq!((went().await, due().await), (vec![of_job], 1));
    keep(&db, "uploads", None).await;
    keep(&db, "abandoned_uploads", None).await;
    assert_eq!((went().await.len(), due().await), (0, 0));
}

#[tokio::test]
async fn the_files_of_an_erased_user_go_and_those_of_the_user_who_comes_back_stay() {
    let db = Database::open().await;
    let (user, admin) = (db.user(60).await, db.admin().await);
    let before = ago(&db, "1 second").await;
    let erase = json!({ "p_actor": admin, "p_user_id": user, "p_reason": "asked" });
    db.ask("user_erase_v1", erase).await;
    let due = db.call("files_due_v1", json!({})).await;
    let erased = json!({ "kind": "erased", "user_id": user, "cursor": null });
    assert!(due.contains(&erased), "{due:?}");
    db.grant(user, 60).await;
    let job = db.order(user, UPSCALER, 1).await;
    let after = ago(&db, "0 seconds").await;
    let file = |folder: Uuid, at: &str| object(format!("{user}/{folder}/a.png"), at);
    let (gone, other) = (Uuid::new_v4(), Uuid::new_v4());
    let files = [file(gone, &before), file(other, &after), file(job, &after)];
    let all = [&files[..], &[object(format!("{admin}/{gone}/a.png"), &before)]].concat();
    let at = |bucket| chosen(&db, "erased", bucket, Some(user), &all);
    for bucket in ["uploads", "results"] {
        let (names, due) = at(bucket).await;
        assert_eq!(names, [""; 0], "not while the user has a live job");
        assert!(due > 0, "and the erasure is not over: what {bucket} holds is due");
    }
    db.cancel_by_admin(job).await;
    let path = |folder: Uuid| format!("{user}/{folder}/a.png");
    assert_eq!(at("uploads").await, (vec![path(gone)], 1));
    // The other file was stored by a worker after the erasure, for a job that no longer exists.
    let mut both = vec![path(gone), path(other)];
    both.sort();
    assert_eq!(at("results").await, (both, 2));
    assert_eq!(chosen(&db, "erased", "results", Some(admin), &all).await.1, 0, "nobody's erasure");
}

#[tokio::test]
async fn what_a_pass_did_is_recorded_and_the_next_one_goes_on() {
    let db = Database::open().await;
    let (user, admin) = (db.user(0).await, db.admin().await);
    let erase = json!({ "p_actor": admin, "p_user_id": user, "p_reason": "asked" });
    db.ask("user_erase_v1", erase).await;
    let uploads = json!({ "p_kind": "uploads", "p_deleted": 3, "p_left": 0, "p_cursor": "next" });
    db.call("files_deleted_v1", uploads).await;
    let left = |left: i64| {
        let args = json!({ "p_kind": "erased", "p_deleted": 100, "p_left": left });
        with(args, json!({ "p_user_id": user }))
    };
    let files_left = "select files_left from erasures";
    for count in [20, 0] {
        db.call("files_deleted_v1", left(count)).await;
        assert_eq!(db.int(files_left).await, count);
    }
    let failed = json!({ "p_kind": "erased", "p_deleted": 0, "p_left": 0, "p_user_id": user,
        "p_error": "storage answered 503" });
    db.exec("update erasures set files_left = 7").await;
    db.call("files_deleted_v1", failed.clone()).await;
    assert_eq!(db.int(files_left).await, 7, "an error counts no file");
    db.call("files_deleted_v1", with(failed.clone(), json!({ "p_left": 2 }))).await;
    assert_eq!(db.int(files_left).await, 2, "but for what is known to be left");
    db.exec("update erasures set files_left = 0").await;
    db.call("files_deleted_v1", failed).await;
    assert_eq!(db.value(files_left).await, Value::Null, "and says of none that all are gone");
    let progress = "select pruned, error from unstuck_private.retention_progress
        where kind in ('uploads', 'erased') order by kind";
    assert_eq!(
        db.rows(progress).await,
        [
            json!({ "pruned": 200, "error": "storage answered 503" }),
            json!({ "pruned": 3, "error": null })
        ]
    );
    let due = db.call("files_due_v1", json!({})).await;
    assert!(
        due.contains(&json!({ "kind": "uploads", "user_id": null, "cursor": "next" })),
        "{due:?}"
    );
    db.exec("update erasures set files_left = 0, at = at - interval '2 hours'").await;
    db.exec("update retention set keep = null where kind like '%uploads'").await;
    assert_eq!(db.call("files_due_v1", json!({})).await, [json!(null); 0], "nothing is due");
}
