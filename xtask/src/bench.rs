//! `cargo xtask bench <name>`: measurements on a Postgres of their own, beside a plain transaction in the same run.

use anyhow::{Result, bail};

pub async fn run(name: &str) -> Result<()> {
    bail!("no bench is named {name}")
}
