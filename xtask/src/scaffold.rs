//! `cargo xtask new-function <name>`: the folder, the environment and the gateway's binding.

use anyhow::{Result, bail};

pub fn new_function(name: &str) -> Result<()> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !good {
        bail!("{name} is no function name: lower-case letters, digits and hyphens, a letter first");
    }
    Ok(())
}
