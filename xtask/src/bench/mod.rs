//! `cargo xtask bench <name>` measures on a Postgres of its own. It compares each figure with
//! another one of the same run: hardware is shared, so only ratios are meaningful. It never asserts
//! a time.
//!
//! * one part: [`enqueue`], [`sweep`], [`audit`], [`queue`], [`life`], [`year`]
//! * the functions alone: [`edge`] (also `cold`)
//! * the whole local stack: [`cards`], [`load`]
//! * another queue for comparison: [`peers`]
//! * shared by the measurements: [`figures`], [`sizes`], [`cpu`], [`waiting`], [`shopper`]

mod audit;
mod cards;
pub mod cpu;
mod edge;
mod enqueue;
mod figures;
mod life;
mod load;
mod peers;
mod queue;
mod shopper;
mod sizes;
mod sweep;
mod waiting;
mod year;

use anyhow::{Result, bail};
use tokio_postgres::Client;

use crate::postgres::{self, Options, Postgres};
use crate::{paths, stack, tools};

const NAMES: &str = "audit, cards, cold, edge, enqueue, life, load, peers, queue, sweep, year";

pub async fn run(name: &str) -> Result<()> {
    match name {
        // These measurements start workers.
        "cards" => return cards::run().await,
        "load" => return load::run().await,
        "edge" => return edge::edge(),
        "cold" => return edge::cold(),
        _ => {}
    }
    tools::setup()?;
    let port = stack::free_port_base()? + 2;
    let server = Postgres::start(Options {
        port,
        fsync: true,
        installed: None,
        env: Vec::new(),
        log_dir: paths::local().join("bench"),
    })
    .await?;
    let admin = postgres::connect(&server.url("postgres")).await?;
    admin.batch_execute("create database template_unstuck").await?;
    postgres::install(&postgres::connect(&server.url("template_unstuck")).await?, true).await?;
    let bench = Bench { server, admin };
    match name {
        "audit" => audit::run(&bench).await,
        "enqueue" => enqueue::run(&bench).await,
        "life" => life::run(&bench).await,
        "peers" => peers::run(&bench).await,
        "queue" => queue::run(&bench).await,
        "sweep" => sweep::run(&bench).await,
        "year" => year::run(&bench).await,
        _ => bail!("no bench is named {name}; there are: {NAMES}, memory, world"),
    }
}

struct Bench {
    server: Postgres,
    admin: Client,
}

impl Bench {
    /// Makes a fresh database with our schema and returns its URL. Ends the connections to the
    /// template, because a template must have none while it is copied.
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
