//! `cargo xtask dump-schema` writes supabase/schema.sql, the golden dump that a test compares with
//! the migrations.
//!
//! `schema.sql` beside this file reads the dump from the catalogs, because npm's embedded Postgres
//! has no `pg_dump`. Its order depends on names alone. The dump is made for comparison, not for a
//! restore.

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::command::say;
use crate::paths;
use crate::postgres::{self, Options, Postgres};

const QUERIES: &str = include_str!("schema.sql");
/// `public` holds only the old names, because the dumped database has no app in it.
const DUMPED: [&str; 3] = ["unstuck", "unstuck_private", "public"];
const HEAD: &str = "\
-- Made by `cargo xtask dump-schema` from supabase/migrations; a test compares it. Never edited.
";

/// The whole database as text.
pub async fn dump(client: &Client) -> Result<String> {
    // With an empty search path the catalogs print every name in full.
    client.batch_execute("set search_path to ''").await?;
    let mut text = HEAD.to_owned();
    for section in QUERIES.split("\n\n-- ").skip(1) {
        let (heading, query) = section.split_once('\n').context("a heading without a query")?;
        text.push_str(&format!("\n-- {heading}\n"));
        let rows = client.query(query, &[&DUMPED.as_slice()]).await;
        for row in rows.with_context(|| format!("dump of {heading}"))? {
            text.push_str(row.get::<_, &str>(0).trim_end());
            text.push('\n');
        }
    }
    client.batch_execute("reset search_path").await?;
    Ok(text)
}

/// Applies the platform's part and the migrations to a new Postgres, and dumps it.
pub async fn dump_of_migrations() -> Result<String> {
    let server = Postgres::start(Options::for_tests()?).await?;
    let client = postgres::connect(&server.url("postgres")).await?;
    postgres::install(&client, false).await?;
    dump(&client).await
}

pub async fn dump_to_file() -> Result<()> {
    let text = dump_of_migrations().await?;
    std::fs::write(paths::root().join("supabase/schema.sql"), &text)?;
    say(format_args!("supabase/schema.sql: {} lines", text.lines().count()));
    Ok(())
}
