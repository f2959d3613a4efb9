//! The database of a deployment: migrations, the SQL healer's schedule, owner, buckets and their
//! policy, the exposed schema, the first admin.
//!
//! Every act is one statement or one transaction, and first checks whether it is needed. Repeated
//! after a failure at any point, it has the same result. Nothing of the app is overwritten. If our
//! role lacks a right, the command prints the statement for a person to send.

mod admin;
mod exposure;
mod identity;
mod limits;
pub(super) mod management;
mod schedule;
mod storage;

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::deployment::Deployment;
use crate::migration::{self, apply};
use crate::postgres;
use identity::Owner;

const REMOVE_ALL: &str = "psql \"$DATABASE_URL\" -f supabase/uninstall.sql";

/// The options for bringing a project up.
#[derive(Clone, Debug)]
pub struct BringUp {
    /// Whether to change nothing and only report.
    pub plan_only: bool,
    /// Whether to take over a database that names another deployment as its owner.
    pub take_over: bool,
    /// The address of Supabase's Management API.
    pub management_url: String,
}

impl Default for BringUp {
    fn default() -> Self {
        Self { plan_only: false, take_over: false, management_url: management::address() }
    }
}

/// One thing that the database of a deployment needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectAct {
    pub what: String,
    /// Whether it changed something, or in a plan, would. False if nothing was needed.
    pub done: bool,
    pub undo: Option<String>,
    /// What a person must send or do, if we lack the right.
    pub by_hand: Option<String>,
}

impl ProjectAct {
    fn done(what: impl Into<String>, undo: impl Into<String>) -> Self {
        Self { what: what.into(), done: true, undo: Some(undo.into()), by_hand: None }
    }

    fn already(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    fn left(what: impl Into<String>, by_hand: impl Into<String>) -> Self {
        Self { what: what.into(), by_hand: Some(by_hand.into()), ..Self::default() }
    }
}

/// Brings the project up to this checkout and these settings. An error reports what was done before
/// it.
pub async fn bring_up(deployment: &Deployment, how: BringUp) -> Result<Vec<ProjectAct>> {
    management::refuse_two_projects(deployment)?;
    let project = HostedProject::connect(deployment, how).await?;
    let mut acts = Vec::new();
    match project.perform(&mut acts).await {
        Ok(()) => Ok(acts),
        Err(error) => {
            let done = acts.iter().filter(|act| act.done).map(|act| act.what.as_str());
            let done = done.collect::<Vec<_>>().join("; ");
            Err(if done.is_empty() { error } else { error.context(format!("after: {done}")) })
        }
    }
}

/// The project of a deployment, with one session of the role that owns our objects.
struct HostedProject<'a> {
    deployment: &'a Deployment,
    how: BringUp,
    client: Client,
    /// The server's warnings, with their hints.
    warnings: Arc<Mutex<Vec<String>>>,
}

impl<'a> HostedProject<'a> {
    async fn connect(deployment: &'a Deployment, how: BringUp) -> Result<Self> {
        let url = &deployment.access.database_url;
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = warnings.clone();
        let hear = move |warning| {
            if let Ok(mut heard) = heard.lock() {
                heard.push(warning);
            }
        };
        let client = postgres::connect_with(url, hear).await.context("DATABASE_URL")?;
        // The app's own sessions take precedence.
        client.batch_execute("set lock_timeout = '5s'").await?;
        Ok(Self { deployment, how, client, warnings })
    }

    async fn perform(&self, acts: &mut Vec<ProjectAct>) -> Result<()> {
        let owner = Owner::of(&self.client).await?;
        self.refuse_other_owner(owner.as_ref())?;
        // The buckets are read first, because a migration makes them too.
        let files = self.file_place().await?;
        self.migrate(acts).await?;
        // The migrations know no other names of buckets than their own: set them right at once.
        acts.extend(self.own(owner, files.as_ref()).await?);
        acts.extend(self.files(files).await?);
        acts.extend(self.schedule().await?);
        acts.push(self.expose().await?);
        acts.push(self.first_admin().await?);
        acts.extend(self.limits().await?);
        Ok(())
    }

    async fn migrate(&self, acts: &mut Vec<ProjectAct>) -> Result<()> {
        let project = migration::Project::here();
        let (history, all) = (apply::history(&self.client).await?, project.migrations()?);
        let pending = apply::pending(&history, &all)?;
        if pending.is_empty() {
            acts.push(ProjectAct::already("all migrations are applied"));
        }
        let undo = history.is_empty().then(|| REMOVE_ALL.to_owned());
        let act = |file: &str| ProjectAct {
            what: format!("the migration {file}"),
            done: true,
            undo: undo.clone(),
            by_hand: None,
        };
        if self.how.plan_only {
            acts.extend(pending.iter().map(|(name, _)| act(&name.file())));
            return Ok(());
        }
        let applied = Mutex::new(Vec::new());
        let note = |file: &str| {
            if let Ok(mut applied) = applied.lock() {
                applied.push(act(file));
            }
        };
        let migrated = apply::migrate(&self.client, &project, note).await;
        acts.extend(applied.into_inner().unwrap_or_default());
        migrated.map(drop)
    }

    /// Whether we are installed. For a database without our objects, a plan only reports what would
    /// be made.
    async fn is_installed(&self) -> Result<bool> {
        let query = "select to_regclass('unstuck_private.deployment') is not null";
        Ok(self.client.query_one(query, &[]).await?.get(0))
    }

    /// Runs the statements as one transaction, unless this is a plan. If our role lacks a right,
    /// they are left to a person.
    async fn change(&self, what: String, statements: &str, undo: &str) -> Result<ProjectAct> {
        if self.how.plan_only {
            return Ok(ProjectAct::done(what, undo));
        }
        let sent = self.client.batch_execute(&format!("begin;\n{statements}\ncommit;")).await;
        let Err(error) = sent else { return Ok(ProjectAct::done(what, undo)) };
        let _ = self.client.batch_execute("rollback").await;
        if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            let why = error.as_db_error().map_or_else(String::new, |db| db.message().to_owned());
            return Ok(ProjectAct::left(format!("not done: {what} ({why})"), statements));
        }
        Err(postgres::failed(&what, statements, &error))
    }

    fn setting(&self, name: &str) -> &str {
        self.deployment.vars.get(name).map_or("", String::as_str)
    }
}

/// A text as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
