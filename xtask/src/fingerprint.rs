//! Lists a database's objects outside of our schemas, by `supabase/fingerprint.sql`, and compares
//! them with what an installation may add, `supabase/exceptions.txt`.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::paths;

/// One line for each object that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(BTreeSet<String>);

/// A line that was added or removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub added: bool,
    pub line: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.added { '+' } else { '-' }, self.line)
    }
}

impl Fingerprint {
    /// Reads the database. It leaves the session with an empty search path.
    pub async fn take(client: &Client) -> Result<Self> {
        let file = paths::root().join("supabase/fingerprint.sql");
        let sql = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let messages = client.simple_query(&sql).await.context("fingerprint.sql")?;
        let line = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        Ok(Self(messages.iter().filter_map(line).collect()))
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The lines that `later` lacks, then the lines that it adds.
    pub fn changes(&self, later: &Self) -> Vec<Change> {
        let only = |here: &Self, there: &Self, added| -> Vec<Change> {
            here.0.difference(&there.0).map(|line| Change { added, line: line.clone() }).collect()
        };
        let mut changes = only(self, later, false);
        changes.extend(only(later, self, true));
        changes
    }
}

/// A kind of object that an installation may add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    pub kind: String,
    /// The name; `*` matches any.
    pub name: String,
    /// Whether `uninstall.sql` removes the object.
    pub removed: bool,
}

impl Exception {
    pub fn allows(&self, change: &Change) -> bool {
        let mut parts = change.line.splitn(3, " | ");
        let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        change.added && kind == self.kind && (self.name == "*" || self.name == name)
    }
}

/// Reads `supabase/exceptions.txt`.
pub fn exceptions() -> Result<Vec<Exception>> {
    let file = paths::root().join("supabase/exceptions.txt");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").collect();
            let [kind, name, fate @ ("removed" | "kept")] = parts[..] else {
                bail!("exceptions.txt: not `kind | name | removed or kept`: {line}");
            };
            Ok(Exception { kind: kind.into(), name: name.into(), removed: fate == "removed" })
        })
        .collect()
}
