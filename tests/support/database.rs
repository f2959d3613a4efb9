//! One real Postgres for the whole run, a template with our SQL in it, and a fresh copy of that for
//! every test.
//!
//! `UNSTUCK_TEST_DATABASE` (a superuser's URL without a database) names another server to use
//! instead of the embedded one, with room for 150 connections; a template named
//! `unstuck_template_…` stays behind there. The embedded server cannot outlive the run: its watcher
//! stops it when this process ends, however it ends.

use std::net::TcpListener;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use uuid::Uuid;
use xtask::postgres::{self, Options, Postgres};

use crate::session::Session;

struct Server {
    /// The server's URL up to the database's name, which it leaves out.
    base: String,
    template: String,
    _postgres: Option<Postgres>,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A test's own database, with one session open; dropped with this value. Every session of it
/// finds our tables, views and functions without their schema.
pub struct Database {
    name: String,
    session: Session,
}

impl Database {
    /// A copy of the template: schema, tools and providers, no users.
    pub async fn fresh() -> Self {
        Self::create(Some(&server().template)).await
    }

    /// Like [`Database::fresh`], with every tool enabled and none exclusive.
    pub async fn open() -> Self {
        let db = Self::fresh().await;
        db.open_all_tools().await;
        db
    }

    /// A database without anything of ours.
    pub async fn empty() -> Self {
        Self::create(None).await
    }

    async fn create(template: Option<&str>) -> Self {
        let server = server();
        let name =
            format!("unstuck_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template1");
        let sql = format!("create database {name} template {template}");
        let admin = Session::connect(&url(&server.base, "postgres")).await;
        admin.exec(&sql).await;
        admin
            .exec(&format!(
                "alter role current_user in database {name} set search_path = unstuck, public"
            ))
            .await;
        let session = Session::connect(&url(&server.base, &name)).await;
        Self { name, session }
    }

    /// A new connection, as the owner.
    pub async fn connect(&self) -> Session {
        Session::connect(&self.url()).await
    }

    /// A new connection with the role and claims that PostgREST gives to a signed-in user's page.
    pub async fn page(&self, user: Uuid) -> Session {
        let page = self.connect().await;
        page.become_caller("authenticated", Some(user)).await;
        page
    }

    pub async fn sessions(&self, count: usize) -> Vec<Session> {
        futures::future::join_all((0..count).map(|_| self.connect())).await
    }

    pub fn url(&self) -> String {
        url(&server().base, &self.name)
    }
}

impl Deref for Database {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        discard(&url(&server().base, "postgres"), &self.name);
    }
}

fn url(base: &str, database: &str) -> String {
    format!("{base}/{database}")
}

fn server() -> &'static Server {
    SERVER.get_or_init(|| apart(start()).expect("the test server starts"))
}

/// Runs a future to its end on a thread and runtime of its own, so that it may be called from
/// inside a test's runtime.
pub(crate) fn apart<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(future)
        });
        thread.join().expect("the thread ends")
    })
}

pub(crate) async fn run(url: &str, sql: &str) -> Result<()> {
    let client = postgres::connect(url).await?;
    client.batch_execute(sql).await.with_context(|| sql.to_owned())
}

async fn start() -> Result<Server> {
    let (base, postgres) = match std::env::var("UNSTUCK_TEST_DATABASE") {
        Ok(base) => (base.trim_end_matches('/').to_owned(), None),
        Err(_) => {
            let (port, postgres) = embedded(Vec::new()).await?;
            (format!("postgres://postgres:postgres@127.0.0.1:{port}"), Some(postgres))
        }
    };
    let template = format!("unstuck_template_{}", std::process::id());
    let admin = url(&base, "postgres");
    run(&admin, &format!("drop database if exists {template}")).await?;
    run(&admin, &format!("create database {template}")).await?;
    let client = postgres::connect(&url(&base, &template)).await?;
    postgres::install(&client, false).await?;
    drop(client);
    close(&admin, &template).await?;
    Ok(Server { base, template, _postgres: postgres })
}

/// Closes all connections of a database and refuses new ones, so that it can be copied.
pub(crate) async fn close(admin: &str, database: &str) -> Result<()> {
    run(admin, &format!("alter database {database} with allow_connections false")).await?;
    let sessions = format!("from pg_stat_activity where datname = '{database}'");
    run(admin, &format!("select pg_terminate_backend(pid) {sessions}")).await
}

/// Drops a test's database. It ignores a failed drop, which must not hide the test's own failure:
/// the server ends with the run.
pub(crate) fn discard(admin: &str, database: &str) {
    let sql = format!("drop database if exists {database} with (force)");
    let _ = apart(async move { run(admin, &sql).await });
}

/// Starts a server on a free port. Another program may take the port before the server does, so
/// this tries three ports.
pub(crate) async fn embedded(env: Vec<(String, String)>) -> Result<(u16, Postgres)> {
    let log_dir = xtask::paths::target_host().join("unstuck-tests");
    let mut failure = None;
    for _ in 0..3 {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        match Postgres::start(Options {
            port,
            fsync: false,
            installed: None,
            env: env.clone(),
            log_dir: log_dir.clone(),
        })
        .await
        {
            Ok(postgres) => return Ok((port, postgres)),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.context("no attempt")?)
}
