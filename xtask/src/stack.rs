//! The local stack: Postgres, a server with PostgREST's protocol, Supabase's front door, stand-ins
//! for the providers, and every function.
//!
//! Dropping a [`Stack`] stops all of it. Two stacks can run side by side, on different port bases
//! and in different state folders. A stack talks to nothing outside of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::command::say;
use crate::keys::{LocalKeys, LocalUser};
use crate::postgres::{self, Postgres};
use crate::process::{Process, ProcessSpec};
use crate::workers::{self, Overrides, PORT_CONTROL, PORT_RESULTS, PORT_WORKERS};
use crate::{build, keys, paths, tools};

const PORT_BASE: u16 = 54320;
const PORT_ORIGIN: u16 = 1;
const PORT_POSTGRES: u16 = 2;
const PORT_PROVIDERS: u16 = 3;
const PORT_REST: u16 = 4;

/// The algorithm that signs users' tokens (`UNSTUCK_SIGNING`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Hs256,
    Es256,
}

#[derive(Clone, Debug)]
pub struct StackOptions {
    pub port_base: u16,
    /// The folder of stack.json, keys.json, storage and logs.
    pub state_dir: PathBuf,
    /// Whether crons fire on their schedule.
    pub cron: bool,
    pub signing: Signing,
    /// The folders of functions that only tests run, such as `tests/functions/panicking`.
    pub extra_functions: Vec<PathBuf>,
    pub fsync: bool,
    /// The URL, for the user `postgres`, of a database in which we are installed, in place of a new
    /// one.
    pub database: Option<String>,
    pub overrides: Overrides,
    /// Whether to build first what the stack runs. Off if the caller has just built it.
    pub build: bool,
}

impl StackOptions {
    /// The options of `cargo xtask dev`, from `UNSTUCK_PORT_BASE`, `UNSTUCK_CRON`,
    /// `UNSTUCK_SIGNING` and `UNSTUCK_EXTRA_FUNCTIONS`.
    pub fn from_env() -> Result<Self> {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let port_base = match var("UNSTUCK_PORT_BASE") {
            None => PORT_BASE,
            Some(text) => {
                text.parse().with_context(|| format!("UNSTUCK_PORT_BASE={text} is not a port"))?
            }
        };
        let signing = match var("UNSTUCK_SIGNING").as_deref() {
            None | Some("hs256") => Signing::Hs256,
            Some("es256") => Signing::Es256,
            Some(other) => bail!("UNSTUCK_SIGNING={other}: hs256 or es256"),
        };
        Ok(Self {
            port_base,
            state_dir: state_dir(port_base),
            cron: var("UNSTUCK_CRON").as_deref() != Some("off"),
            signing,
            extra_functions: var("UNSTUCK_EXTRA_FUNCTIONS")
                .into_iter()
                .flat_map(|list| split(&list))
                .collect(),
            fsync: true,
            database: None,
            overrides: BTreeMap::new(),
            build: var("UNSTUCK_SKIP_BUILD").is_none(),
        })
    }

    /// The options of a stack for tests: free ports, a state folder of its own, no crons, no fsync.
    pub fn for_tests() -> Result<Self> {
        let port_base = free_port_base()?;
        Ok(Self {
            port_base,
            state_dir: state_dir(port_base),
            cron: false,
            fsync: false,
            signing: Signing::Hs256,
            ..Self::from_env()?
        })
    }
}

/// The folder for a stack's state. `dev` uses `.local` itself; other stacks share neither its logs
/// nor its storage.
fn state_dir(port_base: u16) -> PathBuf {
    match port_base {
        PORT_BASE => paths::local(),
        other => paths::local().join(format!("stack-{other}")),
    }
}

fn split(list: &str) -> Vec<PathBuf> {
    list.split(',').map(|item| PathBuf::from(item.trim())).collect()
}

/// A port base that is not that of `dev` and whose ports are all free.
pub fn free_port_base() -> Result<u16> {
    let start = u16::from_str_radix(&keys::random_hex(2)?, 16)? % 800;
    (0..800)
        .map(|step| 20_000 + (start + step) % 800 * 10)
        .find(|base| {
            (1..=PORT_RESULTS)
                .all(|offset| std::net::TcpListener::bind(("127.0.0.1", base + offset)).is_ok())
        })
        .context("no ten free ports in a row between 20000 and 28000")
}

/// What a client must know of the stack, written to `stack.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StackInfo {
    pub url: String,
    pub functions_url: String,
    pub anon_key: String,
    pub service_role_key: String,
    pub cron_secret: String,
    pub jwt_secret: String,
    pub db_url: String,
    pub providers_url: String,
    /// The schema of our tables and RPCs, which PostgREST exposes in addition to `public`.
    pub schema: String,
    pub users: Vec<LocalUser>,
}

/// A running stack.
pub struct Stack {
    options: StackOptions,
    info: StackInfo,
    keys: LocalKeys,
    // Dropped, and so stopped, in this order.
    workers: Process,
    front: Process,
    rest: Process,
    postgres: Option<Postgres>,
}

impl Stack {
    pub async fn start(options: StackOptions) -> Result<Self> {
        let state = options.state_dir.clone();
        let log_dir = state.join("log");
        std::fs::create_dir_all(&log_dir)
            .with_context(|| format!("cannot create {}", log_dir.display()))?;
        ports_free(options.port_base)?;
        if options.build {
            build::stand_ins()?;
            build::functions(&build::all_with(&options.extra_functions)?)?;
        }
        let keys = LocalKeys::load(&paths::local())?;
        let (postgres, db_url) = database(&options, log_dir).await?;
        let info = info(options.port_base, &keys, db_url);
        let (rest, front, workers) = tokio::try_join!(
            start_rest(&options, &keys, &info.db_url),
            start_front(&options, &keys, &info.db_url),
            start_workers(&options, &keys)
        )?;
        write_info(&state, &info)?;
        Ok(Self { options, info, keys, workers, front, rest, postgres })
    }

    pub fn info(&self) -> &StackInfo {
        &self.info
    }

    /// All keys, including those that no client needs.
    pub fn keys(&self) -> &LocalKeys {
        &self.keys
    }

    pub fn options(&self) -> &StackOptions {
        &self.options
    }

    /// The functions' log, with one JSON object per line.
    pub fn workers_log(&self) -> PathBuf {
        self.options.state_dir.join("log/workers.log")
    }

    /// The URL of the gateway itself, without the front door.
    pub fn gateway_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.port_base + PORT_WORKERS)
    }

    /// The folder in which the front door stores objects, as `<bucket>/<path>`.
    pub fn storage_dir(&self) -> PathBuf {
        self.options.state_dir.join("storage")
    }

    /// A connection as the owner of the database.
    pub async fn db(&self) -> Result<tokio_postgres::Client> {
        postgres::connect(&self.info.db_url).await
    }

    /// Runs a function's scheduled handler to its end.
    pub async fn fire(&self, function: &str) -> Result<()> {
        self.control(&format!("/__scheduled/{function}")).await
    }

    /// Runs one sweep over HTTP, as an external scheduler would do.
    pub async fn sweep(&self) -> Result<()> {
        let url = format!("{}/cleanup-stale-jobs", self.info.functions_url);
        post(&url, Some(&self.info.cron_secret)).await
    }

    /// Kills workerd with every request in flight. Returns when a new one serves.
    pub async fn kill_workerd(&self) -> Result<()> {
        self.control("/__kill").await
    }

    /// Restarts the functions with these overrides.
    pub async fn restart_workers(&mut self, overrides: Overrides) -> Result<()> {
        self.stop_workers();
        self.options.overrides = overrides;
        self.workers = start_workers(&self.options, &self.keys).await?;
        Ok(())
    }

    /// Stops only the functions, as if the platform were down.
    pub fn stop_workers(&mut self) {
        self.workers.stop();
    }

    /// Fails if a part of the stack has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.workers.check()?;
        self.front.check()?;
        self.rest.check()?;
        self.postgres.as_mut().map_or(Ok(()), Postgres::check)
    }

    /// Stops everything, as dropping the stack does.
    pub fn stop(self) {}

    async fn control(&self, path: &str) -> Result<()> {
        post(&format!("http://127.0.0.1:{}{path}", self.options.port_base + PORT_CONTROL), None)
            .await
    }
}

/// The database's URL. If the stack has a server of its own, also that new server, with everything
/// installed.
async fn database(options: &StackOptions, log_dir: PathBuf) -> Result<(Option<Postgres>, String)> {
    if let Some(url) = &options.database {
        return Ok((None, url.clone()));
    }
    let postgres = Postgres::start(postgres::Options {
        port: options.port_base + PORT_POSTGRES,
        fsync: options.fsync,
        log_dir,
        installed: None,
        env: Vec::new(),
    })
    .await?;
    let url = postgres.url("postgres");
    postgres::install(&postgres::connect(&url).await?, true).await?;
    Ok((Some(postgres), url))
}

async fn post(url: &str, bearer: Option<&str>) -> Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(120)).build()?;
    let request = client.post(url);
    let request = match bearer {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await.with_context(|| format!("POST {url}"))?;
    let status = answer.status();
    if !status.is_success() {
        bail!("POST {url} answered {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(())
}

/// Writes `<dir>/stack.json`.
pub fn write_info(dir: &Path, info: &StackInfo) -> Result<()> {
    let path = dir.join("stack.json");
    let text = serde_json::to_string_pretty(info)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn info(base: u16, keys: &LocalKeys, db_url: String) -> StackInfo {
    let url = format!("http://127.0.0.1:{}", base + PORT_ORIGIN);
    StackInfo {
        functions_url: format!("{url}/functions/v1"),
        url,
        anon_key: keys.anon_key.clone(),
        service_role_key: keys.service_role_key.clone(),
        cron_secret: keys.cron_secret.clone(),
        jwt_secret: keys.jwt_secret.clone(),
        db_url,
        providers_url: format!("http://127.0.0.1:{}", base + PORT_PROVIDERS),
        schema: "unstuck".into(),
        users: keys::users(),
    }
}

fn ports_free(base: u16) -> Result<()> {
    for offset in 1..=PORT_RESULTS {
        let port = base + offset;
        std::net::TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("port {port} is taken: stop the stack that has it, or set UNSTUCK_PORT_BASE")
        })?;
    }
    Ok(())
}

async fn listens(port: u16) -> bool {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

async fn start_rest(options: &StackOptions, keys: &LocalKeys, db_url: &str) -> Result<Process> {
    let base = options.port_base;
    let env = [
        ("PGRST_DB_URI", authenticator_url(db_url)),
        ("PGRST_DB_SCHEMAS", "public,unstuck".into()),
        ("PGRST_DB_ANON_ROLE", "anon".into()),
        ("PGRST_DB_POOL", "60".into()),
        ("PGRST_JWT_SECRET", rest_jwt_secret(options, keys)?),
        ("PGRST_SERVER_HOST", "127.0.0.1".into()),
        ("PGRST_SERVER_PORT", (base + PORT_REST).to_string()),
        ("PGRST_COMPAT_MODE", "true".into()),
        ("PGRST_DB_ERRORS_VERBATIM", "true".into()),
        ("PGRST_DB_CHANNEL_ENABLED", "true".into()),
        ("RUST_BACKTRACE", "0".into()),
        ("NO_COLOR", "1".into()),
    ];
    let mut process = Process::spawn(ProcessSpec {
        name: "postrust",
        program: tools::postrust(),
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        log: options.state_dir.join("log/postrust.log"),
        ..ProcessSpec::default()
    })?;
    process.wait_ready(Duration::from_secs(30), || listens(base + PORT_REST)).await?;
    Ok(process)
}

/// The database's URL for PostgREST and storage.
fn authenticator_url(db_url: &str) -> String {
    db_url.replacen("postgres:postgres@", "authenticator:authenticator@", 1)
}

/// The project's secret; with ES256, a key set that also has the front door's public key.
fn rest_jwt_secret(options: &StackOptions, keys: &LocalKeys) -> Result<String> {
    match options.signing {
        Signing::Hs256 => Ok(keys.jwt_secret.clone()),
        Signing::Es256 => keys.jwks_with_secret(),
    }
}

async fn start_front(options: &StackOptions, keys: &LocalKeys, db_url: &str) -> Result<Process> {
    let base = options.port_base;
    let storage = options.state_dir.join("storage");
    // A new database has no rows for the stored objects.
    if storage.exists() {
        std::fs::remove_dir_all(&storage)
            .with_context(|| format!("cannot empty {}", storage.display()))?;
    }
    std::fs::create_dir_all(&storage)?;
    let mut config = json!({
        "port_base": base,
        "jwt_secret": keys.jwt_secret,
        "anon_key": keys.anon_key,
        "service_role_key": keys.service_role_key,
        "publishable_key": keys.publishable_key,
        "secret_key": keys.secret_key,
        "users": keys::users(),
        "storage_dir": storage,
        "database_url": authenticator_url(db_url),
        "replication_url": db_url,
    });
    if options.signing == Signing::Es256 {
        config["es256_private_pem"] = keys.es256_private_pem.clone().into();
    }
    let path = options.state_dir.join("stand-ins.json");
    std::fs::write(&path, config.to_string())?;
    let mut process = Process::spawn(ProcessSpec {
        name: "stand-ins",
        program: build::stand_ins_binary(),
        args: vec!["--config".into(), path.into()],
        log: options.state_dir.join("log/stand-ins.log"),
        ..ProcessSpec::default()
    })?;
    let ready =
        || async { listens(base + PORT_ORIGIN).await && listens(base + PORT_PROVIDERS).await };
    process.wait_ready(Duration::from_secs(30), ready).await?;
    Ok(process)
}

async fn start_workers(options: &StackOptions, keys: &LocalKeys) -> Result<Process> {
    let base = options.port_base;
    let config = workers::config(&workers::Local {
        port_base: base,
        keys,
        state_dir: &options.state_dir,
        cron: options.cron,
        extra_functions: &options.extra_functions,
        overrides: &options.overrides,
    })?;
    let path = options.state_dir.join("workers.json");
    std::fs::write(&path, config.to_string())?;
    let mut process = Process::spawn(ProcessSpec {
        name: "workers",
        program: paths::node_bin("node"),
        args: vec![paths::root().join("xtask/local/workers.mjs").into(), path.into()],
        env: vec![("NODE_NO_WARNINGS".into(), "1".into())],
        log: options.state_dir.join("log/miniflare.log"),
        ..ProcessSpec::default()
    })?;
    let ready =
        || async { listens(base + PORT_CONTROL).await && listens(base + PORT_WORKERS).await };
    process.wait_ready(Duration::from_secs(60), ready).await?;
    Ok(process)
}

/// Prints what a user of the stack needs to know.
pub fn announce(info: &StackInfo) {
    say(format_args!("the stack serves at {} (.local/stack.json has every key)", info.url));
    for (label, value) in [
        ("functions", &info.functions_url),
        ("database", &info.db_url),
        ("providers", &info.providers_url),
    ] {
        println!("  {label:<10} {value}");
    }
    for (label, value) in [
        ("anon key", &info.anon_key),
        ("service key", &info.service_role_key),
        ("cron secret", &info.cron_secret),
        ("jwt secret", &info.jwt_secret),
    ] {
        println!("  {label:<12} {value}");
    }
    for user in &info.users {
        println!("  {:<6} {} / {}  {}", user.role, user.email, user.password, user.id);
    }
}
