//! An app's database with a real pg_cron.

use serde_json::json;
use unstuck_tests::Session;
use unstuck_tests::hosts;
use unstuck_tests::pg_cron::{self, PATIENCE, POLL};
use xtask::fingerprint::{self, Change, Fingerprint};
use xtask::migration::{Project, apply::migrate};
use xtask::postgres;

async fn catalog(url: &str) -> Fingerprint {
    let client = postgres::connect(url).await.unwrap();
    Fingerprint::take(&client).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn install_adds_our_cron_job_and_uninstall_keeps_the_hosts_own() {
    let Some(server) = pg_cron::server("pg_cron in a host's database").await else { return };
    let url = server.url("postgres");
    let client = postgres::connect(&url).await.unwrap();
    let platform = xtask::paths::root().join("supabase/local/platform.sql");
    postgres::apply(&client, &[platform]).await.unwrap();
    let host = Session::connect(&url).await;
    host.exec(
        "create extension pg_cron;
        select cron.schedule('each minute', '* * * * *', 'select 1');
        select cron.schedule('0 4 * * *', 'select 2')",
    )
    .await;

    let before = catalog(&url).await;
    migrate(&client, &Project::here(), |_| ()).await.unwrap();
    let changes = before.changes(&catalog(&url).await);
    let exceptions = fingerprint::exceptions().unwrap();
    let allowed = |change: &&Change| !exceptions.iter().any(|each| each.allows(change));
    assert_eq!(changes.iter().filter(allowed).collect::<Vec<_>>(), Vec::<&Change>::new());
    let ours =
        changes.iter().filter(|change| change.line.starts_with("cron job | unstuck-cleanup"));
    assert_eq!(ours.count(), 1);

    // The records of our cron job's runs are deleted; those of the app's jobs stay.
    host.exec(
        "insert into cron.job_run_details (jobid, runid, command, status)
        select jobid, -jobid, command, 'past' from cron.job",
    )
    .await;
    // If pg_cron started a run while our schema is dropped, its record would stay.
    let minute_is_young = "select extract(second from clock_timestamp()) between 5 and 40";
    while host.value(minute_is_young).await != json!(true) {
        tokio::time::sleep(POLL).await;
    }
    client.batch_execute(&hosts::uninstall()).await.unwrap();
    assert_eq!(hosts::not_undone(&before, &catalog(&url).await), []);
    let past = "select command from cron.job_run_details where status = 'past' order by 1";
    assert_eq!(
        host.rows(past).await,
        [json!({ "command": "select 1" }), json!({ "command": "select 2" })]
    );

    // At the next minute pg_cron runs the host's job and none of ours.
    let gone = host.value("select clock_timestamp()").await;
    let ran = format!(
        "select count(*) from cron.job_run_details
        where command = 'select 1' and status = 'succeeded' and start_time > {gone}::timestamptz",
        gone = gone.to_string().replace('"', "'")
    );
    let next_minute = async {
        while host.int(&ran).await == 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, next_minute).await.expect("pg_cron runs the host's job");
    let ours = "select * from cron.job_run_details where command ~ 'unstuck'";
    assert_eq!(host.rows(ours).await, Vec::<serde_json::Value>::new());
}
