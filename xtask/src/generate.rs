//! `cargo xtask generate` writes every file that is made from the functions' declarations and from
//! openapi.yaml.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::say;
use crate::function::{self, docs, wrangler};
use crate::paths;

/// A generated file with its right text.
#[derive(Debug)]
pub struct Generated {
    /// Below the checkout.
    pub path: &'static str,
    pub text: String,
}

impl Generated {
    fn file(&self) -> PathBuf {
        paths::root().join(self.path)
    }

    /// Whether the file is missing or has another text.
    pub fn is_stale(&self) -> bool {
        std::fs::read_to_string(self.file()).ok().as_ref() != Some(&self.text)
    }
}

/// Every generated file.
pub fn files() -> Result<Vec<Generated>> {
    let functions = function::all()?;
    let readme = docs::function_table(&functions);
    let configuration = docs::setting_lists(&functions);
    Ok(vec![
        Generated { path: "wrangler.toml", text: wrangler::render(&functions) },
        between("README.md", "functions", &readme)?,
        between("docs/configuration.md", "settings", &configuration)?,
        Generated { path: "packages/client/src/contract.ts", text: printed("xtask/contract.mjs")? },
    ])
}

/// Writes every stale file.
pub fn write() -> Result<()> {
    for generated in files()?.iter().filter(|generated| generated.is_stale()) {
        let file = generated.file();
        std::fs::write(&file, &generated.text)
            .with_context(|| format!("cannot write {}", file.display()))?;
        say(generated.path);
    }
    Ok(())
}

/// Fails if a file is stale and names it.
pub fn check() -> Result<()> {
    let stale: Vec<&str> = files()?
        .iter()
        .filter(|generated| generated.is_stale())
        .map(|generated| generated.path)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("stale: {}; run `cargo xtask generate`", stale.join(", "))
}

/// What a script of the checkout prints.
fn printed(script: &str) -> Result<String> {
    let mut node = Command::new(paths::node_bin("node"));
    let output = node.arg(script).current_dir(paths::root()).output().context("cannot run node")?;
    if !output.status.success() {
        bail!("{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{script} prints no UTF-8"))
}

/// A file of which only the part between `<!-- name -->` and `<!-- /name -->` is generated.
fn between(path: &'static str, name: &str, part: &str) -> Result<Generated> {
    let text = std::fs::read_to_string(paths::root().join(Path::new(path)))
        .with_context(|| format!("cannot read {path}"))?;
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let found = text.split_once(&open).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&close)?;
        Some(format!("{before}{open}\n\n{part}\n{close}{after}"))
    });
    let text = found.with_context(|| format!("{path} has no part {open} … {close}"))?;
    Ok(Generated { path, text })
}
