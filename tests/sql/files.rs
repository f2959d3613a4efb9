//! Which files go: what is kept no longer, and everything of a user who was erased; never a file of
//! a user with a live job.

use serde_json::{Value, json};
use unstuck_tests::shop::{UPSCALER, with};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

fn object(name: String, created_at: &str) -> Value {
    json!({ "name": name, "created_at": created_at })
}

/// What of these files goes: the first names, and how many in all.
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
        // The app's own, in a bucket of the same name.
        object(format!("{done}/avatar.png"), &old),
        object(format!("{done}/photos/a.png"), &old),
        object(format!("shop/{job}/a.png"), &old),
        object("logo.png".into(), &old),
        object(format!("{done}/{job}/"), &old),
        json!({ "name": format!("{done}/{job}/undated.png") }),
    ];
    assert_eq!(chosen(&db, "uploads", "uploads", None, &files).await, (vec![gone.clone()], 1));
    assert_eq!(chosen(&db, "results", "results", None, &files).await.1, 0, "kept for ever");
    db.exec("update retention set keep = '1 day' where kind = 'results'").await;
    assert_eq!(chosen(&db, "results", "results", None, &files).await.1, 2);
    assert_eq!(chosen(&db, "uploads", "results", None, &files).await.1, 0, "another bucket");
    // In the bucket of an app that moved in, only the files of our jobs are ours.
    db.exec("insert into unstuck_private.installed (adapter) values ('test')").await;
    let ours = db.order(db.user(60).await, UPSCALER, 1).await;
    let owner = db.job(ours).await["user_id"].as_str().unwrap().to_owned();
    db.cancel_by_admin(ours).await;
    let own = format!("{owner}/{ours}/in.png");
    let both = [files[0].clone(), object(own.clone(), &old)];
    assert_eq!(chosen(&db, "uploads", "uploads", None, &both).await, (vec![own], 1));
    db.exec("delete from unstuck_private.installed").await;
    let many: Vec<Value> =
        (0..250).map(|n| object(format!("{done}/{job}/{n}.png"), &old)).collect();
    let (names, due) = chosen(&db, "uploads", "uploads", None, &many).await;
    assert_eq!((names.len(), due), (100, 250), "a bounded number at a time");
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
    assert_eq!(at("results").await.1, 0, "not while the user has a live job");
    db.cancel_by_admin(job).await;
    let path = |folder: Uuid| format!("{user}/{folder}/a.png");
    assert_eq!(at("uploads").await, (vec![path(gone)], 1));
    // What a worker stored after all, for a job that is gone.
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
    db.call("files_deleted_v1", failed).await;
    assert_eq!(db.int(files_left).await, 7, "an error counts nothing");
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
    db.exec("update retention set keep = null where kind = 'uploads'").await;
    assert_eq!(db.call("files_due_v1", json!({})).await, [json!(null); 0], "nothing is due");
}
