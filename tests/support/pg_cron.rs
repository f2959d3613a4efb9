//! Debian's PostgreSQL 15 with pg_cron, where they are installed
//! (`apt-get install postgresql-15 postgresql-15-cron`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xtask::postgres::{Installed, Options, Postgres};

const BIN: &str = "/usr/lib/postgresql/15/bin";
const EXTENSION: &str = "/usr/share/postgresql/15/extension/pg_cron.control";
/// pg_cron 1.4 runs a job at whole minutes only.
pub const PATIENCE: Duration = Duration::from_secs(150);
pub const POLL: Duration = Duration::from_millis(500);

/// Starts a server whose database `postgres` may have pg_cron. If pg_cron is not installed, it
/// prints on the terminal that the test `what` was not run, because the output of a passed test is
/// not shown.
pub async fn server(what: &str) -> Option<Postgres> {
    if !Path::new(EXTENSION).exists() || !Path::new(BIN).join("postgres").exists() {
        let why = "postgresql-15-cron is not installed here";
        let _ = writeln!(std::io::stderr(), "NOT RUN: {what}: {why}");
        return None;
    }
    let settings = [
        "shared_preload_libraries=pg_cron",
        "cron.database_name=postgres",
        "cron.use_background_workers=on",
    ];
    let settings = settings.map(str::to_owned).to_vec();
    let installed = Some(Installed { bin: PathBuf::from(BIN), settings });
    let options = Options { installed, ..Options::for_tests().expect("a port") };
    Some(Postgres::start(options).await.expect("Debian's PostgreSQL 15 starts"))
}
