//! A Supabase project in whose database nothing of ours is installed yet. It has the roles, `auth`
//! and `storage` as the platform makes them, and an owner `postgres` who is no superuser.
//!
//! Each project has a Postgres server of its own: PostgREST's settings are settings of its role,
//! and a role belongs to the whole server. Source: supabase/postgres, migrations/db.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::postgres::{self, Postgres};

use crate::database::{close, discard, run};
use crate::hosts::{PLATFORM, fixture, platform_server};
use crate::session::Session;

const BARE: &str = "bare";

pub struct BareProject {
    port: u16,
    databases: AtomicU32,
    _postgres: Postgres,
}

impl BareProject {
    pub async fn start() -> Self {
        let (port, postgres) = platform_server().await.expect("a server");
        let project = Self { port, databases: AtomicU32::new(0), _postgres: postgres };
        let platform = project.url(PLATFORM, "postgres");
        run(&platform, "create database bare owner postgres").await.expect("a database");
        let client = postgres::connect(&project.url(PLATFORM, BARE)).await.expect("a connection");
        let files = ["platform.sql", "rights/closed.sql", "bare.sql"].map(fixture);
        postgres::apply(&client, &files).await.expect("the platform's part");
        drop(client);
        let owner = project.url("postgres", BARE);
        run(&owner, "create publication supabase_realtime").await.expect("a publication");
        close(&platform, BARE).await.expect("no session is open");
        project
    }

    /// A project's database as the platform makes it.
    pub async fn database(&self) -> BareDatabase<'_> {
        self.copy_of(BARE).await
    }

    async fn copy_of(&self, template: &str) -> BareDatabase<'_> {
        let name = format!("project_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let copy = format!("create database {name} template {template} owner postgres");
        run(&self.url(PLATFORM, "postgres"), &copy).await.expect("a copy");
        let session = Session::connect(&self.url("postgres", &name)).await;
        BareDatabase { project: self, name, session }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{role}@127.0.0.1:{}/{database}", self.port)
    }
}

/// One database of a project, with a session of its owner; dropped with this value.
pub struct BareDatabase<'a> {
    project: &'a BareProject,
    name: String,
    session: Session,
}

impl<'a> BareDatabase<'a> {
    /// The URL with which a deployment connects: as the owner `postgres`.
    pub fn url(&self) -> String {
        self.project.url("postgres", &self.name)
    }

    /// A session of the platform's superuser.
    pub async fn platform(&self) -> Session {
        Session::connect(&self.project.url(PLATFORM, &self.name)).await
    }

    /// Copies the database, as the platform does for a branch or a restore. It ends every session
    /// of this database.
    pub async fn copy(&self) -> BareDatabase<'a> {
        let platform = self.project.url(PLATFORM, "postgres");
        let sessions = format!("from pg_stat_activity where datname = '{}'", self.name);
        let end = format!("select pg_terminate_backend(pid, 5000) {sessions}");
        run(&platform, &end).await.expect("the sessions end");
        self.project.copy_of(&self.name).await
    }
}

impl Deref for BareDatabase<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for BareDatabase<'_> {
    fn drop(&mut self) {
        discard(&self.project.url(PLATFORM, "postgres"), &self.name);
    }
}
