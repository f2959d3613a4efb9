//! `cargo xtask generate` writes every file that is made from the functions' declarations, from the
//! contract or from the client's package.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::say;
use crate::function::{self, docs, wrangler};
use crate::paths;

/// A generated file with the text that it should have.
#[derive(Debug)]
pub struct Generated {
    /// The path below the checkout.
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

    fn write(&self) -> Result<()> {
        if self.is_stale() {
            let file = self.file();
            std::fs::write(&file, &self.text)
                .with_context(|| format!("cannot write {}", file.display()))?;
            say(self.path);
        }
        Ok(())
    }
}

/// Every generated file.
pub fn files() -> Result<Vec<Generated>> {
    let functions = function::all()?;
    let readme = docs::function_table(&functions);
    let configuration = docs::setting_lists(&functions);
    let OneFile { script, types } = one_file()?;
    Ok(vec![
        Generated { path: "wrangler.toml", text: wrangler::render(&functions) },
        between("README.md", "functions", &readme)?,
        between("docs/configuration.md", "settings", &configuration)?,
        contract()?,
        Generated { path: "web/client.js", text: script },
        Generated { path: "web/client.d.ts", text: types },
    ])
}

/// The two files that are made of the client's package, for pages without a bundler.
#[derive(Deserialize)]
struct OneFile {
    #[serde(rename = "client.js")]
    script: String,
    #[serde(rename = "client.d.ts")]
    types: String,
}

fn one_file() -> Result<OneFile> {
    let printed = printed(&["packages/client/build.mjs", "--one-file"])?;
    serde_json::from_str(&printed).context("packages/client/build.mjs prints no JSON")
}

/// Makes the file of the client's package that describes the tools of the contract.
fn contract() -> Result<Generated> {
    let text = printed(&["xtask/contract.mjs"])?;
    Ok(Generated { path: "packages/client/src/contract.ts", text })
}

/// Writes every stale file.
pub fn write() -> Result<()> {
    // The package is built from this file.
    contract()?.write()?;
    files()?.iter().try_for_each(Generated::write)
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

/// Runs a script of the checkout and returns what it prints.
fn printed(script: &[&str]) -> Result<String> {
    let mut node = Command::new(paths::node_bin("node"));
    let output = node.args(script).current_dir(paths::root()).output();
    let output = output.context("node does not run; run `cargo xtask setup`")?;
    if !output.status.success() {
        bail!("{}: {}", script.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{script:?} prints no UTF-8"))
}

/// Makes a file of which only the part between `<!-- name -->` and `<!-- /name -->` is generated.
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
