//! `cargo xtask bench <name>` measures on a Postgres of its own. It compares each figure with a
//! transaction that writes the same rows in the same run: hardware is shared, so only ratios hold.
//! It never asserts a time.

mod audit;
mod cards;
mod enqueue;
mod sweep;
mod year;

use anyhow::{Result, bail};
use tokio_postgres::Client;

use crate::postgres::{self, Options, Postgres};
use crate::{paths, stack, tools};

pub async fn run(name: &str) -> Result<()> {
    // This one starts the whole stack, workers too.
    if name == "cards" {
        return cards::run().await;
    }
    tools::setup()?;
    let port = stack::free_port_base()? + 2;
    let server = Postgres::start(Options {
        port,
        fsync: true,
        installed: None,
        log_dir: paths::local().join("bench"),
    })
    .await?;
    let admin = postgres::connect(&server.url("postgres")).await?;
    admin.batch_execute("create database template_unstuck").await?;
    postgres::install(&postgres::connect(&server.url("template_unstuck")).await?, true).await?;
    let bench = Bench { server, admin };
    match name {
        "audit" => audit::run(&bench).await,
        "sweep" => sweep::run(&bench).await,
        "enqueue" => enqueue::run(&bench).await,
        "year" => year::run(&bench).await,
        _ => {
            bail!("no bench is named {name}; there are: audit, cards, enqueue, sweep, world, year")
        }
    }
}

struct Bench {
    server: Postgres,
    admin: Client,
}

impl Bench {
    /// Makes a fresh database with our schema; its URL. Ends the connections to the template, which
    /// must have none while it is copied.
    async fn database(&self, name: &str) -> Result<String> {
        let end = "
            select pg_terminate_backend(pid)
            from pg_stat_activity
            where datname = 'template_unstuck'";
        self.admin.batch_execute(end).await?;
        self.admin.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
        self.admin
            .batch_execute(&format!("create database {name} template template_unstuck"))
            .await?;
        let path =
            format!("alter role current_user in database {name} set search_path = unstuck, public");
        self.admin.batch_execute(&path).await?;
        Ok(self.server.url(name))
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
