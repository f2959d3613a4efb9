//! The two buckets and the upload policy in apps that have files of their own.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use unstuck_tests::Session;
use unstuck_tests::hosts::{App, Host, Rights};
use uuid::{Uuid, uuid};
use xtask::migration::{self, Project};
use xtask::postgres;

const USER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
const OTHER: Uuid = uuid!("00000000-0000-4000-8000-000000000002");

/// Installs as `postgres` and returns the server's warnings.
async fn install(host: &Host) -> Vec<String> {
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = warnings.clone();
    let hear = move |warning| heard.lock().unwrap().push(warning);
    let client = postgres::connect_with(&host.url("postgres"), hear).await.unwrap();
    migration::apply::migrate(&client, &Project::here(), |_| ()).await.unwrap();
    let heard = warnings.lock().unwrap();
    heard.clone()
}

/// The answer of the database to an upload by `user`, which is rolled back.
async fn upload(page: &Session, user: Uuid, bucket: &str, name: &str) -> Result<u64, String> {
    page.become_caller("authenticated", Some(user)).await;
    page.exec("begin").await;
    let sql =
        format!("insert into storage.objects (bucket_id, name) values ('{bucket}', '{name}')");
    let answer = page.changed(&sql).await.map_err(|error| error.message);
    page.exec("rollback").await;
    answer
}

const REFUSED: &str = "new row violates row-level security policy for table \"objects\"";

async fn uploads_are_ones_own(host: &Host) {
    let page = host.connect("postgres").await;
    assert_eq!(upload(&page, USER, "uploads", &format!("{USER}/a.png")).await, Ok(1));
    for (bucket, name) in [
        ("uploads", format!("{OTHER}/a.png")),
        ("uploads", format!("x/{USER}/a.png")),
        ("uploads", format!("{USER}")),
        ("results", format!("{USER}/a.png")),
    ] {
        let refused = upload(&page, USER, bucket, &name).await.unwrap_err();
        assert_eq!(refused, REFUSED, "{bucket}/{name}");
    }
}

#[tokio::test]
async fn r01_a_user_may_upload_below_their_own_id_only() {
    let host = Host::fresh(App::Tools, Rights::Open).await;
    assert_eq!(install(&host).await, Vec::<String>::new());
    uploads_are_ones_own(&host).await;
    let policies = "select count(*) as n from pg_policy
        where polrelid = 'storage.objects'::regclass and polname like 'unstuck%'";
    assert_eq!(host.int(policies).await, 1, "nothing but inserts");
    let buckets =
        "select id, public, file_size_limit / 1048576 as mib, allowed_mime_types[1] as first,
        'application/json' = any(allowed_mime_types) as json
        from storage.buckets where id in ('uploads', 'results') order by mib";
    assert_eq!(
        host.rows(buckets).await,
        [
            json!({
                "id": "uploads", "public": true, "mib": 50, "first": "image/png", "json": false,
            }),
            json!({
                "id": "results", "public": true, "mib": 512, "first": "image/png", "json": true,
            }),
        ]
    );
}

/// How long uploads that no job names are kept; null is for ever.
async fn abandoned(host: &Host) -> Value {
    host.value("select keep::text from unstuck.retention where kind = 'abandoned_uploads'").await
}

#[tokio::test]
async fn abandoned_uploads_go_from_a_bucket_of_ours_and_stay_in_one_of_the_apps() {
    let host = Host::fresh(App::Tools, Rights::Open).await;
    install(&host).await;
    assert_eq!(abandoned(&host).await, "7 days");

    let bucket =
        "insert into storage.buckets (id, name, public) values ('uploads', 'uploads', true)";
    let host = Host::fresh(App::Tools, Rights::Open).await;
    host.exec(bucket).await;
    install(&host).await;
    assert_eq!(abandoned(&host).await, Value::Null, "the bucket existed before our installation");

    // The app's bucket was made after our first migration, and before the migration that makes our
    // buckets.
    let host = Host::fresh(App::Tools, Rights::Open).await;
    let (_, first) = Project::here().migrations().unwrap().remove(0);
    host.exec(&first).await;
    host.exec(bucket).await;
    install(&host).await;
    assert_eq!(abandoned(&host).await, Value::Null, "the bucket has none of our settings");
}

/// The hint's statement makes uploads possible.
#[tokio::test]
async fn a_role_that_may_not_write_the_policy_is_told_the_statement() {
    let host = Host::fresh(App::Tools, Rights::Closed).await;
    let warnings = install(&host).await;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.starts_with("users cannot upload yet, the policy is missing"), "{warning}");
    let page = host.connect("postgres").await;
    let own = format!("{USER}/a.png");
    assert_eq!(upload(&page, USER, "uploads", &own).await, Err(REFUSED.into()));
    let (_, statement) = warning.split_once("As who owns storage.objects: ").unwrap();
    host.platform().await.exec(statement).await;
    uploads_are_ones_own(&host).await;
}

#[tokio::test]
async fn a_role_that_may_not_make_buckets_is_told_the_statement() {
    let host = Host::fresh(App::Small, Rights::Open).await;
    let platform = host.platform().await;
    let revoke = "revoke all on storage.buckets from postgres, anon, authenticated, service_role";
    platform.exec(revoke).await;
    let warnings = install(&host).await;
    assert!(warnings[0].starts_with("Unstuck has no buckets yet"), "{warnings:?}");
    assert_eq!(host.count("unstuck.tools").await, 9);
    assert_eq!(abandoned(&host).await, Value::Null);
    let (_, statement) = warnings[0].split_once("As who owns storage.buckets: ").unwrap();
    platform.exec(statement).await;
    assert_eq!(platform.count("storage.buckets where id in ('uploads', 'results')").await, 2);
}

#[tokio::test]
async fn a_bucket_that_is_there_keeps_its_settings() {
    let host = Host::fresh(App::Small, Rights::Open).await;
    let buckets = "insert into storage.buckets (id, name, public, file_size_limit)
        values ('uploads', 'uploads', false, 7), ('results', 'results', true, 8)";
    host.exec(buckets).await;
    let sql = "select id, public, file_size_limit, allowed_mime_types from storage.buckets
        where id in ('uploads', 'results') order by id";
    let before = host.rows(sql).await;
    let warnings = install(&host).await;
    assert_eq!(host.rows(sql).await, before);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.starts_with("the bucket uploads is there already and is not public"));
    let (_, statement) = warning.split_once("needs it public: ").unwrap();
    host.exec(statement).await;
    uploads_are_ones_own(&host).await;
}

/// An uninstallation keeps the buckets, so the next installation finds them.
#[tokio::test]
async fn buckets_and_policy_survive_an_uninstallation_and_a_second_installation() {
    let host = Host::installed(App::Cards, Rights::Open).await;
    assert_eq!(host.try_uninstall().await, Ok(()));
    assert_eq!(host.count("storage.buckets where id in ('uploads', 'results')").await, 2);
    let page = host.connect("postgres").await;
    let own = format!("{USER}/a.png");
    assert_eq!(upload(&page, USER, "uploads", &own).await, Err(REFUSED.into()));
    assert_eq!(install(&host).await, Vec::<String>::new());
    assert_eq!(abandoned(&host).await, Value::Null, "files that came since then are the app's");
    uploads_are_ones_own(&host).await;
}
