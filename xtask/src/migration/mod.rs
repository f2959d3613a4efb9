//! `cargo xtask migration <name>` makes the next numbered migration from the SQL that people edit.
//!
//! [`text`] parses quoting and words, [`source`] reads the files of supabase/schemas and orders
//! them, [`file`] composes a migration, and [`plan`] decides what goes into the next one. These
//! four work on text alone. This module reads and writes files, and [`apply`] updates a database.

pub mod apply;
pub mod file;
pub mod plan;
pub mod source;
pub mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use file::Name;
use source::Source;

use crate::command::say;

/// The file of the released migrations' hashes, in the format of `sha256sum`.
const FROZEN: &str = "frozen.sha256";

pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder `supabase` of a checkout.
#[derive(Clone, Debug)]
pub struct Project {
    supabase: PathBuf,
}

impl Project {
    pub fn at(supabase: impl Into<PathBuf>) -> Self {
        Self { supabase: supabase.into() }
    }

    pub fn here() -> Self {
        Self::at(crate::paths::root().join("supabase"))
    }

    fn migrations_dir(&self) -> PathBuf {
        self.supabase.join("migrations")
    }

    /// All sources, in the order in which they can be created.
    pub fn sources(&self) -> Result<Vec<Source>> {
        let dir = self.supabase.join("schemas");
        let mut sources = Vec::new();
        for path in sql_below(&dir)? {
            let name = path.strip_prefix(&dir)?.to_string_lossy().replace('\\', "/");
            sources.push(Source::new(&name, &read(&path)?)?);
        }
        source::in_order(sources)
    }

    /// The name and text of each migration, in order. Fails unless the numbers are 1, 2, 3 …
    pub fn migrations(&self) -> Result<Vec<(Name, String)>> {
        let mut found = Vec::new();
        for path in sql_below(&self.migrations_dir())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((Name::parse(&name)?, read(&path)?));
        }
        found.sort_by_key(|(name, _)| name.number);
        for (at, (name, _)) in found.iter().enumerate() {
            let due = u32::try_from(at)? + 1;
            if name.number != due {
                let what =
                    if name.number < due { "is there twice" } else { "has no migration before it" };
                bail!("supabase/migrations/{}: its number {what}; {due:04} was due", name.file());
            }
        }
        Ok(found)
    }

    /// File → hash of each released migration. Fails if one is missing or was changed.
    pub fn frozen(&self) -> Result<BTreeMap<String, String>> {
        let path = self.migrations_dir().join(FROZEN);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let mut frozen = BTreeMap::new();
        for line in read(&path)?.lines() {
            let (hash, file) =
                line.split_once("  ").with_context(|| format!("{FROZEN}: cannot read `{line}`"))?;
            frozen.insert(file.to_owned(), hash.to_owned());
        }
        let migrations = self.migrations()?;
        for (file, hash) in &frozen {
            match migrations.iter().find(|(name, _)| name.file() == *file) {
                None => bail!("supabase/migrations/{file} is released and is gone: bring it back"),
                Some((_, text)) if sha256(text) != *hash => bail!(
                    "supabase/migrations/{file} is released and was changed: \
                     bring it back as it was, and put the change into a new migration"
                ),
                Some(_) => {}
            }
        }
        Ok(frozen)
    }

    /// Writes the next migration, or rewrites the newest one if it is not released. Returns the
    /// name of the file.
    pub fn make(&self, name: &str, by_hand: Option<&Path>) -> Result<String> {
        let (name, text) = self.made(name, by_hand.map(read).transpose()?)?;
        let file = name.file();
        std::fs::create_dir_all(self.migrations_dir())?;
        let path = self.migrations_dir().join(&file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(file)
    }

    /// Rewrites the newest migration if it is not released, else writes the next one under `name`.
    pub fn make_next(&self, name: &str) -> Result<String> {
        let (frozen, migrations) = (self.frozen()?, self.migrations()?);
        let open = migrations.last().filter(|(newest, _)| !frozen.contains_key(&newest.file()));
        self.make(open.map_or(name, |(newest, _)| &newest.name), None)
    }

    /// The migration that `make` would write. Without new statements written by hand, a rewritten
    /// migration keeps its own.
    pub fn made(&self, name: &str, mut by_hand: Option<String>) -> Result<(Name, String)> {
        let frozen = self.frozen()?;
        let mut earlier = self.migrations()?;
        if let Some((newest, _)) = earlier.last()
            && !frozen.contains_key(&newest.file())
        {
            if newest.name != name {
                bail!(
                    "supabase/migrations/{} is not released yet, so what changed belongs into it: \
                     `cargo xtask migration {}` remakes it; \
                     run `cargo xtask migration --freeze` once it is released",
                    newest.file(),
                    newest.name
                );
            }
            let rewritten = earlier.pop();
            by_hand = by_hand.or_else(|| file::by_hand(&rewritten?.1));
        }
        let next = Name::new(u32::try_from(earlier.len())? + 1, name)?;
        let text = plan::migration(&next, &earlier, &self.sources()?, by_hand.as_deref())?;
        Ok((next, text))
    }

    /// Marks every migration as released. Returns their number.
    pub fn freeze(&self) -> Result<usize> {
        self.frozen()?;
        let migrations = self.migrations()?;
        let lines =
            migrations.iter().map(|(name, text)| format!("{}  {}\n", sha256(text), name.file()));
        std::fs::write(self.migrations_dir().join(FROZEN), lines.collect::<String>())?;
        Ok(migrations.len())
    }
}

pub fn task(name: &str, by_hand: Option<&Path>) -> Result<()> {
    let file = Project::here().make(name, by_hand)?;
    say(format_args!("supabase/migrations/{file}"));
    Ok(())
}

pub fn task_freeze() -> Result<()> {
    let count = Project::here().freeze()?;
    say(format_args!("supabase/migrations/{FROZEN}: {count} released"));
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Every `.sql` file below `dir`; none if the folder does not exist.
fn sql_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if dir.is_dir() {
        for entry in
            std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                files.extend(sql_below(&path)?);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
