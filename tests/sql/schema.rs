//! A migrated database equals the golden dump and what the sources make; and an applied migration
//! stays applied.

use unstuck_tests::{Database, sources};
use xtask::migration::Project;
use xtask::migration::apply::migrate;
use xtask::migration::source::Source;
use xtask::postgres;

pub(crate) async fn dump(db: &Database) -> String {
    let client = postgres::connect(&db.url()).await.unwrap();
    xtask::schema::dump(&client).await.unwrap()
}

/// Asserts that both are equal, and shows the first line that is not.
pub(crate) fn assert_same(one: &str, other: &str, hint: &str) {
    let mut lines = one.lines().zip(other.lines()).enumerate();
    let differs = lines.find(|(_, (one, other))| one != other);
    assert!(one == other, "{hint}; first difference: {differs:#?}");
}

/// A database that is made of the sources, without any migration.
pub(crate) async fn made_of(sources: &[Source]) -> Database {
    let db = Database::empty().await;
    let client = postgres::connect(&db.url()).await.unwrap();
    let platform = sources::root().join("supabase/local/platform.sql");
    postgres::apply(&client, &[platform]).await.unwrap();
    let texts: String = sources.iter().map(|source| source.text.as_str()).collect();
    db.exec(&format!("set check_function_bodies = off; {texts}")).await;
    db
}

#[tokio::test]
async fn the_golden_dump_is_what_the_migrations_make() {
    let db = Database::fresh().await;
    // Each major version prints views in its own way; the golden file is by the embedded server's
    // version.
    if db.int("select current_setting('server_version_num')::int / 10000").await != 17 {
        return;
    }
    let (golden, made) = (sources::read("supabase/schema.sql"), dump(&db).await);
    assert_same(&golden, &made, "run `cargo xtask dump-schema`");
}

#[tokio::test]
async fn the_migrations_make_what_the_sources_make() {
    let (migrated, direct) =
        (Database::fresh().await, made_of(&Project::here().sources().unwrap()).await);
    assert_same(&dump(&direct).await, &dump(&migrated).await, "migrations and sources differ");
}

#[tokio::test]
async fn an_applied_migration_is_not_applied_again_and_keeps_every_row() {
    let db = Database::fresh().await;
    let before = dump(&db).await;
    let user = db.user(100).await;
    let job = db.order(user, unstuck_tests::shop::UPSCALER, 1).await;
    let client = postgres::connect(&db.url()).await.unwrap();
    assert_eq!(migrate(&client, &Project::here(), |_| ()).await.unwrap(), 0, "nothing to apply");
    for (name, text) in Project::here().migrations().unwrap() {
        let refused = db.try_exec(&text).await.unwrap_err();
        let expected = format!("unstuck migration {:04} is applied already", name.number);
        assert_eq!(refused.message, expected, "by hand once more");
        db.exec("rollback").await;
    }
    assert_same(&before, &dump(&db).await, "applying again changes something");
    assert_eq!(db.job(job).await["status"], "queued");
    db.assert_healthy().await;
}

#[tokio::test]
async fn the_table_migrations_lists_every_applied_migration() {
    let db = Database::fresh().await;
    let rows = db.rows("select number, name, hash from unstuck_private.migrations").await;
    let migrations = Project::here().migrations().unwrap();
    assert_eq!(rows.len(), migrations.len());
    for (row, (name, text)) in rows.iter().zip(&migrations) {
        assert_eq!(row["number"], name.number);
        assert_eq!(row["name"], name.name.as_str());
        assert_eq!(row["hash"].as_str(), xtask::migration::file::hash(text).as_deref());
    }
}

#[tokio::test]
async fn a_failure_names_the_file_and_the_line_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = "create table unstuck_private.migrations (number int, name text, hash text);";
    let files = [
        ("schema/unstuck_private.sql", "create schema unstuck_private;"),
        ("history/migrations.sql", table),
        ("a/rows.sql", "insert into unstuck_private.migrations (nothing) values (1);"),
    ];
    for (path, text) in files {
        let path = dir.path().join("schemas").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = Project::at(dir.path());
    project.make("unstuck", None).unwrap();
    let (_, text) = project.migrations().unwrap().remove(0);
    let line = text.lines().position(|line| line.contains("(nothing)")).unwrap() + 1;
    let db = Database::empty().await;
    let client = postgres::connect(&db.url()).await.unwrap();
    let failure = migrate(&client, &project, |_| ()).await.unwrap_err().to_string();
    let expected = format!("supabase/migrations/0001_unstuck.sql: line {line}: column \"nothing\"");
    assert!(failure.starts_with(&expected), "{failure}");
    let left = "select count(*) from pg_namespace where nspname = 'unstuck_private'";
    assert_eq!(db.int(left).await, 0);
    client.batch_execute("select 1").await.expect("the session goes on");
}

#[tokio::test]
async fn install_makes_a_local_database_with_its_seed() {
    let db = Database::empty().await;
    let client = postgres::connect(&db.url()).await.unwrap();
    postgres::install(&client, true).await.unwrap();
    let seeded = "select count(*) from unstuck.credit_accounts where balance = 1000";
    assert_eq!(db.int(seeded).await, 7, "the seed");
    db.assert_healthy().await;
}
