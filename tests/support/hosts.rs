//! The databases of existing apps (`tests/hosts/fixtures`), with and without our objects.
//!
//! They are on a server of their own, where `postgres` is no superuser and owns neither `auth` nor
//! `storage`, as at Supabase. Each database is built once in a run, and a test gets a copy.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};

use anyhow::Result;
use xtask::migration;
use xtask::postgres::{self, Postgres};

use crate::database::{apart, close, discard, embedded, run};
pub use crate::host_state::{HostState, not_undone};
use crate::session::Session;
use crate::shop::{CARDS, UPSCALER, WEBSITE};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum App {
    Tools,
    Cards,
    Sites,
    Small,
}

/// The default privileges on objects that `postgres` creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rights {
    /// Supabase before October 2026: everything in `public` is granted to everybody.
    Open,
    /// Supabase since then: nothing is granted.
    Closed,
    /// Everything is granted in every schema. The publication is for all tables and belongs to the
    /// platform.
    Global,
}

/// The app's names: of its adapter's folder, of our tool, of its own table.
impl App {
    /// The folder of its adapter.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Tools => "tools-app",
            Self::Cards => "cards-app",
            Self::Sites => "sites-app",
            Self::Small => "template",
        }
    }

    /// Our tool that is ordered in this app.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Tools | Self::Small => UPSCALER,
            Self::Cards => CARDS,
            Self::Sites => WEBSITE,
        }
    }

    /// The provider of that tool.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Tools | Self::Small => "runninghub",
            Self::Cards => "gemini",
            Self::Sites => "llm",
        }
    }

    /// The app's own table of that tool's jobs.
    pub fn table(self) -> &'static str {
        match self {
            Self::Tools => "upscaler_jobs",
            Self::Cards => "generation_jobs",
            Self::Sites => "generation_history",
            Self::Small => panic!("the small app has no jobs"),
        }
    }
}

pub const APPS: [App; 4] = [App::Tools, App::Cards, App::Sites, App::Small];
pub const RIGHTS: [Rights; 3] = [Rights::Open, Rights::Closed, Rights::Global];

/// Every app with every kind of default privileges.
pub fn all() -> impl Iterator<Item = (App, Rights)> {
    APPS.into_iter().flat_map(|app| RIGHTS.into_iter().map(move |rights| (app, rights)))
}

/// A test's own copy of a host's database, with one session of its owner `postgres`; dropped with
/// this value.
pub struct Host {
    session: Session,
    name: OwnDatabase,
}

impl Host {
    /// A copy of the app's database without our objects.
    pub async fn fresh(app: App, rights: Rights) -> Self {
        Self::copy_of(&template(app, rights, false).name).await
    }

    /// A copy of the app's database in which `postgres` has installed our objects.
    pub async fn installed(app: App, rights: Rights) -> Self {
        Self::copy_of(&template(app, rights, true).name).await
    }

    async fn copy_of(template: &str) -> Self {
        let name = OwnDatabase::copy_of(template).await;
        let session = Session::connect(&url("postgres", &name)).await;
        Self { name, session }
    }

    /// Closes this host's database to connections, so that it can be copied as it is now.
    pub async fn frozen(self) -> FrozenHost {
        drop(self.session);
        close(&url(PLATFORM, "postgres"), &self.name).await.expect("its sessions are closed");
        FrozenHost(self.name)
    }

    /// A new session of that role; `supabase_admin` is the platform's superuser.
    pub async fn connect(&self, role: &str) -> Session {
        Session::connect(&url(role, &self.name)).await
    }

    pub async fn platform(&self) -> Session {
        self.connect(PLATFORM).await
    }

    pub fn platform_url(&self) -> String {
        self.url(PLATFORM)
    }

    pub fn url(&self, role: &str) -> String {
        url(role, &self.name)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        server().port
    }

    /// The database's name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Applies all migrations, as the owner.
    pub async fn install(&self) {
        let client = postgres::connect(&url("postgres", &self.name)).await.expect("a connection");
        install(&client).await.expect("the migrations run in a host's database");
    }

    /// Replaces our wallet by the app's own: `supabase/hosts/<folder>/wallet.sql`.
    pub async fn try_attach_wallet(&self, folder: &str) -> Result<(), Refusal> {
        self.try_attach(&format!("{folder}/wallet.sql")).await
    }

    /// Runs a file of an adapter as the owner, on a connection of its own.
    async fn try_attach(&self, file: &str) -> Result<(), Refusal> {
        let file = xtask::paths::root().join("supabase/hosts").join(file);
        let sql = std::fs::read_to_string(file).expect("an adapter's file");
        let client = postgres::connect(&url("postgres", &self.name)).await.expect("a connection");
        refusal(client.batch_execute(&sql).await)
    }

    /// The app with our objects, with its own wallet in place of ours and every tool enabled.
    pub async fn with_its_wallet(app: App) -> Self {
        let host = Self::installed(app, Rights::Closed).await;
        if app == App::Small {
            let table = "create table public.balances (user_id uuid primary key, balance bigint)";
            host.exec(table).await;
        }
        host.try_attach_wallet(app.folder()).await.expect("the wallet is attached");
        host.open_all_tools().await;
        host
    }

    /// Like [`Host::with_its_wallet`], with our jobs written into the app's own tables.
    pub async fn with_its_tables(app: App) -> Self {
        let host = Self::with_its_wallet(app).await;
        let file = format!("{}/projection.sql", app.folder());
        host.try_attach(&file).await.expect("the tables are attached");
        host
    }

    /// Like [`Host::with_its_wallet`], with 72 stale jobs of the app and the adapter that heals
    /// them.
    pub async fn with_the_incident(app: App) -> Self {
        let host = Self::with_its_wallet(app).await;
        host.suffer_incident(app).await;
        let file = format!("{}/heal.sql", app.folder());
        host.try_attach(&file).await.expect("what heals it");
        host
    }

    /// Inserts 72 stale jobs into the app's own tables.
    pub async fn suffer_incident(&self, app: App) {
        let client = postgres::connect(&url("postgres", &self.name)).await.expect("a connection");
        let incident = fixture(app.folder()).join("incident.sql");
        postgres::apply(&client, &[incident]).await.expect("the incident");
    }

    /// The present state of the app's database.
    pub async fn state(&self) -> HostState {
        HostState::of(&url(PLATFORM, &self.name))
            .await
            .expect("a host's catalog and tables can be read")
    }

    /// Runs `uninstall.sql` as the owner, on a connection of its own.
    pub async fn try_uninstall(&self) -> Result<(), Refusal> {
        let client = postgres::connect(&url("postgres", &self.name)).await.expect("a connection");
        refusal(client.batch_execute(&uninstall()).await)
    }
}

/// The message of a refused file of SQL, and its hint of what to do next.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub message: String,
    pub hint: String,
}

pub fn refusal(answer: Result<(), tokio_postgres::Error>) -> Result<(), Refusal> {
    answer.map_err(|error| {
        let db = error.as_db_error().expect("Postgres refuses");
        Refusal { message: db.message().into(), hint: db.hint().unwrap_or_default().into() }
    })
}

/// The text of `supabase/uninstall.sql`.
pub fn uninstall() -> String {
    let file = xtask::paths::root().join("supabase/uninstall.sql");
    std::fs::read_to_string(file).expect("uninstall.sql")
}

impl Deref for Host {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A host that is only copied.
pub struct FrozenHost(OwnDatabase);

impl FrozenHost {
    pub async fn copy(&self) -> Host {
        Host::copy_of(&self.0).await
    }
}

/// The name of a database that is dropped with this value.
struct OwnDatabase(String);

impl OwnDatabase {
    async fn copy_of(template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("host_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let sql =
            format!("create database {name} template {template} owner postgres strategy file_copy");
        run(&url(PLATFORM, "postgres"), &sql).await.expect("a copy of a host");
        Self(name)
    }
}

impl Deref for OwnDatabase {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        discard(&url(PLATFORM, "postgres"), &self.0);
    }
}

/// The superuser of the platform; no app connects as this role.
pub(crate) const PLATFORM: &str = "supabase_admin";

struct HostServer {
    port: u16,
    _postgres: Postgres,
}

static SERVER: OnceLock<HostServer> = OnceLock::new();

fn server() -> &'static HostServer {
    SERVER.get_or_init(|| apart(start()).expect("the hosts' server starts"))
}

fn url(role: &str, database: &str) -> String {
    format!("postgres://{role}:{role}@127.0.0.1:{}/{database}", server().port)
}

async fn start() -> Result<HostServer> {
    let (port, postgres) = platform_server().await?;
    Ok(HostServer { port, _postgres: postgres })
}

/// A server with the platform's roles and its superuser. The embedded server's superuser is called
/// `postgres`, a name that the app needs: another superuser renames it.
pub(crate) async fn platform_server() -> Result<(u16, Postgres)> {
    let (port, postgres) = embedded(Vec::new()).await?;
    let at = |role: &str| format!("postgres://{role}:{role}@127.0.0.1:{port}/postgres");
    run(&at("postgres"), "create role namer superuser login").await?;
    run(&at("namer"), &format!("alter role postgres rename to {PLATFORM}")).await?;
    run(&at(PLATFORM), "drop role namer").await?;
    let client = postgres::connect(&at(PLATFORM)).await?;
    postgres::apply(&client, &[fixture("roles.sql")]).await?;
    Ok((port, postgres))
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    xtask::paths::root().join("tests/hosts/fixtures").join(name)
}

/// The app's state before our installation.
pub fn before(app: App, rights: Rights) -> &'static HostState {
    &template(app, rights, false).state
}

/// The app's state after our installation.
pub fn after(app: App, rights: Rights) -> &'static HostState {
    &template(app, rights, true).state
}

/// A database of which tests get copies.
struct Template {
    name: String,
    state: HostState,
}

type Templates = Mutex<HashMap<(App, Rights, bool), &'static OnceLock<Template>>>;

static TEMPLATES: LazyLock<Templates> = LazyLock::new(Templates::default);

/// Returns the template, which the first call builds.
fn template(app: App, rights: Rights, installed: bool) -> &'static Template {
    let mut templates = TEMPLATES.lock().expect("no test panics here");
    let cell =
        *templates.entry((app, rights, installed)).or_insert_with(|| Box::leak(Box::default()));
    drop(templates);
    cell.get_or_init(|| {
        let name = format!("template_{app:?}_{rights:?}_{installed}").to_lowercase();
        let base = if installed { &template(app, rights, false).name } else { "template1" };
        apart(make(&name, base, app, rights, installed)).expect("a host's database")
    })
}

async fn make(
    name: &str,
    base: &str,
    app: App,
    rights: Rights,
    installed: bool,
) -> Result<Template> {
    let server = url(PLATFORM, "postgres");
    run(&server, &format!("create database {name} template {base} owner postgres")).await?;
    if installed {
        install(&postgres::connect(&url("postgres", name)).await?).await?;
    } else {
        build(name, app, rights).await?;
    }
    let template =
        Template { name: name.to_owned(), state: HostState::of(&url(PLATFORM, name)).await? };
    close(&server, name).await?;
    Ok(template)
}

async fn install(client: &tokio_postgres::Client) -> Result<()> {
    migration::apply::migrate(client, &migration::Project::here(), |_| ()).await?;
    Ok(())
}

async fn build(name: &str, app: App, rights: Rights) -> Result<()> {
    let platform = postgres::connect(&url(PLATFORM, name)).await?;
    let of_rights = match rights {
        Rights::Open => "rights/open.sql",
        Rights::Closed => "rights/closed.sql",
        Rights::Global => "rights/global.sql",
    };
    postgres::apply(&platform, &[fixture("platform.sql"), fixture(of_rights)]).await?;
    let owner = postgres::connect(&url("postgres", name)).await?;
    owner
        .batch_execute("create publication supabase_realtime; set check_function_bodies = off")
        .await?;
    if app == App::Small {
        postgres::apply(&owner, &[fixture("small-app.sql")]).await?;
    } else {
        platform.batch_execute("create extension \"uuid-ossp\" with schema extensions").await?;
        let parts = ["1_tables", "2_functions", "3_behaviour", "4_policies", "5_rows"];
        let mut files: Vec<PathBuf> =
            parts.map(|part| fixture(app.folder()).join(format!("{part}.sql"))).into();
        files.push(fixture("grants.sql"));
        postgres::apply(&owner, &files).await?;
    }
    if rights == Rights::Global {
        let all = "drop publication supabase_realtime;
            create publication supabase_realtime for all tables";
        platform.batch_execute(all).await?;
    }
    Ok(())
}
