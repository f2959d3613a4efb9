//! The buckets and the upload policy that the migrations make.

use unstuck_tests::{Database, sources};
use uuid::Uuid;
use xtask::postgres;

const SOURCE: &str = "supabase/schemas/platform/storage.sql";

/// The buckets and policies of the database.
async fn storage(db: &Database) -> Vec<serde_json::Value> {
    let sql = "select to_jsonb(b)::text as line from storage.buckets b
        union all
        select p::text from pg_policies p where schemaname = 'storage'
        order by 1";
    db.rows(sql).await
}

#[tokio::test]
async fn the_migration_makes_both_buckets_and_one_policy() {
    let db = Database::fresh().await;
    let buckets = "select id from storage.buckets where public order by id";
    assert_eq!(
        db.texts(buckets.replace("id from", "id as name from").as_str()).await,
        ["results", "uploads"]
    );
    let policy = db
        .row(
            "select policyname, cmd, roles::text, qual, with_check from pg_policies
            where schemaname = 'storage'",
        )
        .await;
    assert_eq!(policy["policyname"], "unstuck uploads insert");
    assert_eq!((&policy["cmd"], &policy["roles"]), (&"INSERT".into(), &"{authenticated}".into()));
    let check = policy["with_check"].as_str().unwrap();
    for part in ["'uploads'", "foldername(name))[1]", "uid()"] {
        assert!(check.contains(part), "{check}");
    }
}

#[tokio::test]
async fn making_buckets_and_policy_a_second_time_changes_nothing() {
    let db = Database::fresh().await;
    let before = storage(&db).await;
    assert_eq!(before.len(), 3);
    db.exec(&sources::read(SOURCE)).await;
    assert_eq!(storage(&db).await, before);
}

#[tokio::test]
async fn a_database_without_storage_is_left_without() {
    let db = Database::empty().await;
    let client = postgres::connect(&db.url()).await.unwrap();
    let platform = sources::root().join("supabase/local/platform.sql");
    postgres::apply(&client, &[platform]).await.unwrap();
    db.exec("drop schema storage cascade").await;
    let project = xtask::migration::Project::here();
    xtask::migration::apply::migrate(&client, &project, |_| ()).await.unwrap();
    assert_eq!(db.count("pg_namespace where nspname = 'storage'").await, 0);
    assert_eq!(db.count("unstuck.tools").await, 9);
    assert_eq!(
        db.count("unstuck.retention where keep is null").await,
        2,
        "no retention of files is set"
    );
}

#[tokio::test]
async fn the_folder_of_another_user_is_refused() {
    let db = Database::fresh().await;
    let (user, other) = (Uuid::new_v4(), Uuid::new_v4());
    let page = db.page(user).await;
    let insert = |bucket: &str, owner: Uuid| {
        format!("insert into storage.objects (bucket_id, name) values ('{bucket}', '{owner}/a')")
    };
    page.exec(&insert("uploads", user)).await;
    for (bucket, owner) in [("uploads", other), ("results", user)] {
        let refused = page.try_exec(&insert(bucket, owner)).await.unwrap_err();
        assert_eq!(refused.state, "42501", "{bucket} of {owner}");
    }
    assert_eq!(page.count("storage.objects").await, 0, "nor does a user list files");
}

#[tokio::test]
async fn the_deployments_own_names_of_buckets_are_used() {
    let db = Database::fresh().await;
    db.exec("drop policy \"unstuck uploads insert\" on storage.objects").await;
    db.exec(
        "insert into unstuck_private.deployment (id, supabase_url, uploads_bucket)
        values ('d', 'https://abc.supabase.co', 'inputs')",
    )
    .await;
    db.exec(&sources::read(SOURCE)).await;
    assert_eq!(db.count("storage.buckets where id = 'inputs' and public").await, 1);
    let page = db.page(Uuid::nil()).await;
    let insert = format!(
        "insert into storage.objects (bucket_id, name) values ('inputs', '{}/a')",
        Uuid::nil()
    );
    page.exec(&insert).await;
}
