//! The migrations as files: they apply twice, and `supabase/schema.sql` is what they make.

use unstuck_tests::{Database, sources};

async fn dump(db: &Database) -> String {
    let client = xtask::postgres::connect(&db.url()).await.unwrap();
    xtask::schema::dump(&client).await.unwrap()
}

/// Equal, or the first line that is not.
fn assert_same(one: &str, other: &str, hint: &str) {
    let differs = one.lines().zip(other.lines()).enumerate().find(|(_, (one, other))| one != other);
    assert!(one == other, "{hint}; first difference: {differs:#?}");
}

#[tokio::test]
async fn the_golden_dump_is_what_the_migrations_make() {
    let db = Database::fresh().await;
    // Each major version prints views in its own way; the golden file is of the embedded one's.
    if db.int("select current_setting('server_version_num')::int / 10000").await != 17 {
        return;
    }
    let (golden, made) = (sources::read("supabase/schema.sql"), dump(&db).await);
    assert_same(&golden, &made, "run `cargo xtask dump-schema`");
}

#[tokio::test]
async fn migrations_apply_twice_and_keep_what_is_there() {
    let db = Database::fresh().await;
    let before = dump(&db).await;
    let user = db.user(100).await;
    let job = db.order(user, unstuck_tests::shop::UPSCALER, 1).await;
    db.exec("update unstuck.providers set max_concurrent = 7 where provider = 'runninghub'").await;
    let client = xtask::postgres::connect(&db.url()).await.unwrap();
    let files = xtask::postgres::sql_files().unwrap();
    xtask::postgres::apply(&client, &files).await.unwrap();
    xtask::postgres::apply(&client, &files).await.unwrap();
    assert_same(&before, &dump(&db).await, "applying again changes something");
    assert_eq!(db.job(job).await["status"], "queued");
    assert_eq!(
        db.int("select max_concurrent from unstuck.providers where provider = 'runninghub'").await,
        7,
        "a project's own settings stay"
    );
    db.assert_healthy().await;
}

#[tokio::test]
async fn migrations_apply_where_nothing_is_yet() {
    let db = Database::empty().await;
    let client = xtask::postgres::connect(&db.url()).await.unwrap();
    xtask::postgres::apply(&client, &xtask::postgres::sql_files().unwrap()).await.unwrap();
    assert_eq!(db.int("select count(*) from unstuck.credit_accounts where balance = 1000").await, 7, "the seed");
    db.assert_healthy().await;
}
