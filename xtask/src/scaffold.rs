//! `cargo xtask new-function <name>`: the folder, the environment and the gateway's binding. Overwrites nothing.

use anyhow::{Result, bail};

use crate::command::say;
use crate::paths;

const MANIFEST: &str = include_str!("../templates/function.toml");
const SOURCE: &str = include_str!("../templates/function.rs.txt");

pub fn new_function(name: &str) -> Result<()> {
    if !is_name(name) {
        bail!("{name} is no function name: lower-case letters, digits and hyphens, a letter first");
    }
    let dir = paths::root().join("functions").join(name);
    if dir.exists() {
        bail!("functions/{name} exists");
    }
    std::fs::create_dir_all(dir.join("src"))?;
    std::fs::write(dir.join("Cargo.toml"), MANIFEST.replace("{name}", name))?;
    std::fs::write(dir.join("src/lib.rs"), SOURCE.replace("{name}", name))?;
    say(format_args!(
        "functions/{name} and its environment are there; next: its input and mapping, a row in `tools`"
    ));
    Ok(())
}

fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_urls_and_bindings_can_hold() {
        assert!(is_name("generate-website2"));
        for bad in ["", "2d", "Paint", "paint_cats", "../x"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
