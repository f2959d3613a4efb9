//! A project's database for a test of storage or Realtime: roles, claims, and what our migration
//! makes there.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;
use tokio_postgres::Client;
use xtask::paths;
use xtask::postgres::{self, Options, Postgres};

const TEMPLATE: &str = "project";

struct ProjectServer {
    port: u16,
    _postgres: Postgres,
}

/// One server for the whole run; its watcher stops it when this process ends.
static SERVER: OnceCell<ProjectServer> = OnceCell::const_new();

/// A test's own copy, with a session of its owner.
pub(crate) struct ProjectDatabase {
    name: String,
    client: Client,
}

impl ProjectDatabase {
    pub(crate) async fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("project_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        SERVER.get_or_init(start).await;
        let admin = postgres::connect(&url("postgres", "postgres")).await.unwrap();
        let copy = format!("create database {name} template {TEMPLATE}");
        admin.batch_execute(&copy).await.unwrap();
        let client = postgres::connect(&url("postgres", &name)).await.unwrap();
        Self { name, client }
    }

    pub(crate) fn authenticator_url(&self) -> String {
        url("authenticator", &self.name)
    }

    /// As a role that may replicate.
    pub(crate) fn owner_url(&self) -> String {
        url("postgres", &self.name)
    }

    pub(crate) async fn exec(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = format!("select count(*) from {table}");
        self.client.query_one(&sql, &[]).await.unwrap().get(0)
    }
}

fn url(role: &str, database: &str) -> String {
    let port = SERVER.get().map_or(0, |server| server.port);
    at(port, role, database)
}

fn at(port: u16, role: &str, database: &str) -> String {
    format!("postgres://{role}:{role}@127.0.0.1:{port}/{database}")
}

async fn start() -> ProjectServer {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log_dir = paths::target_host().join("stand-ins");
    let options = Options { port, fsync: false, installed: None, env: Vec::new(), log_dir };
    let server = Postgres::start(options).await.unwrap();
    let admin = postgres::connect(&server.url("postgres")).await.unwrap();
    admin.batch_execute(&format!("create database {TEMPLATE}")).await.unwrap();
    let supabase = paths::root().join("supabase");
    let files = ["local/platform.sql", "schemas/platform/storage.sql"];
    let client = postgres::connect(&server.url(TEMPLATE)).await.unwrap();
    postgres::apply(&client, &files.map(|file| supabase.join(file))).await.unwrap();
    let close = format!("alter database {TEMPLATE} with allow_connections false");
    admin.batch_execute(&close).await.unwrap();
    let sessions = format!("from pg_stat_activity where datname = '{TEMPLATE}'");
    let end = format!("select pg_terminate_backend(pid) {sessions}");
    admin.batch_execute(&end).await.unwrap();
    ProjectServer { port, _postgres: server }
}
