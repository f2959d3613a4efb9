//! `cargo xtask migrate <url>` applies the migrations that a database's history lacks.
//!
//! The stack, the tests and the golden dump make their databases in the same way.

use anyhow::{Context, Result, bail};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::Project;
use super::file::{self, Name};
use crate::command::say;
use crate::postgres;

const TRIES: u32 = 10;
const BUSY: [SqlState; 2] = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];

pub async fn task(url: &str) -> Result<()> {
    let warn = |warning| say(format_args!("warning: {warning}"));
    let client = postgres::connect_with(url, warn).await.context("URL")?;
    let say_so = |file: &str| say(format_args!("applied {file}"));
    if migrate(&client, &Project::here(), say_so).await? == 0 {
        say("nothing to apply");
    }
    Ok(())
}

/// Applies each pending migration as one query. Returns their number.
pub async fn migrate(client: &Client, project: &Project, applied: impl Fn(&str)) -> Result<usize> {
    project.frozen()?;
    let migrations = project.migrations()?;
    let pending = pending(&history(client).await?, &migrations)?;
    for (name, text) in pending {
        let file = name.file();
        apply(client, &format!("supabase/migrations/{file}"), text).await?;
        applied(&file);
    }
    Ok(pending.len())
}

/// Applies one migration. Retries if other sessions hold the locks that it needs.
async fn apply(client: &Client, file: &str, text: &str) -> Result<()> {
    for attempt in 1.. {
        let Err(error) = client.batch_execute(text).await else { break };
        // The transaction of the file is still open.
        let _ = client.batch_execute("rollback").await;
        if attempt == TRIES || !error.code().is_some_and(|code| BUSY.contains(code)) {
            return Err(postgres::failed(file, text, &error));
        }
        say(format_args!("{file}: waited too long for a lock; retrying"));
    }
    Ok(())
}

/// One row of `unstuck_private.migrations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub number: u32,
    pub name: String,
    pub hash: String,
}

pub async fn history(client: &Client) -> Result<Vec<Applied>> {
    let exists = "select to_regclass('unstuck_private.migrations') is not null";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = "select number, name, hash from unstuck_private.migrations order by number";
    let rows = client.query(rows, &[]).await.context("cannot read unstuck_private.migrations")?;
    rows.into_iter()
        .map(|row| {
            let number = u32::try_from(row.get::<_, i32>(0))?;
            Ok(Applied { number, name: row.get(1), hash: row.get(2) })
        })
        .collect()
}

/// The migrations that are not in the history yet. Fails if the history differs from the files.
pub fn pending<'a>(
    history: &[Applied],
    migrations: &'a [(Name, String)],
) -> Result<&'a [(Name, String)]> {
    for (at, applied) in history.iter().enumerate() {
        let shown = format!("{:04}_{}", applied.number, applied.name);
        let Some((name, text)) = migrations.get(at) else {
            bail!("the database has {shown}, which is not here: use a newer checkout");
        };
        if (name.number, &name.name) != (applied.number, &applied.name) {
            bail!("the database has {shown} where supabase/migrations has {}", name.file());
        }
        if file::hash(text).is_some_and(|hash| hash != applied.hash) {
            bail!(
                "the database has {shown} as it was before it was remade: only a database that may \
                 be thrown away takes an unreleased migration; start with a new one"
            );
        }
    }
    Ok(migrations.get(history.len()..).unwrap_or_default())
}
