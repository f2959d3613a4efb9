//! What an app's database holds besides our objects.

use anyhow::{Context, Result};
use xtask::fingerprint::{self, Change, Fingerprint};
use xtask::postgres;

/// All of the app's database that is not ours.
#[derive(Debug, PartialEq, Eq)]
pub struct HostState {
    pub catalog: Fingerprint,
    /// For each table the number of rows and their hash, for each sequence its value.
    pub contents: Vec<String>,
}

impl HostState {
    /// Reads the database at that URL, as a superuser.
    pub async fn of(url: &str) -> Result<Self> {
        let client = postgres::connect(url).await?;
        let contents = contents(&client).await?;
        Ok(Self { contents, catalog: Fingerprint::take(&client).await? })
    }
}

/// How the app's database differs after an uninstallation, without the differences that
/// `exceptions.txt` allows to stay.
pub fn not_undone(before: &Fingerprint, after: &Fingerprint) -> Vec<Change> {
    let exceptions = fingerprint::exceptions().expect("exceptions.txt");
    let mut changes = before.changes(after);
    changes.retain(|change| {
        !exceptions.iter().any(|exception| !exception.removed && exception.allows(change))
    });
    changes
}

/// One text for each of the app's tables (the number of rows, and their hash) and sequences,
/// without the rows that `exceptions.txt` names.
async fn contents(client: &tokio_postgres::Client) -> Result<Vec<String>> {
    let relations = "
        select format('%I.%I', n.nspname, c.relname), c.relkind = 'S'
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'S') and n.nspname !~ '^pg_'
          and n.nspname not in ('unstuck', 'unstuck_private', 'information_schema', 'cron')
        order by 1";
    let ours: Vec<String> = fingerprint::exceptions()?
        .into_iter()
        .filter(|exception| exception.kind == "bucket")
        .map(|exception| format!("'{}'", exception.name))
        .collect();
    let mut parts = Vec::new();
    for row in client.query(relations, &[]).await? {
        let (name, sequence): (String, bool) = (row.get(0), row.get(1));
        let said = if sequence {
            format!("(select format('%s %s', last_value, is_called) from {name})")
        } else {
            let rows = match name.as_str() {
                "storage.buckets" => format!("where id not in ({})", ours.join(", ")),
                _ => String::new(),
            };
            format!(
                "(select format('%s %s', count(*), md5(string_agg(t::text, ' ' order by t::text)))
                from {name} t {rows})"
            )
        };
        parts.push(format!("'{name} ' || {said}"));
    }
    let row = client
        .query_one(&format!("select array[{}]", parts.join(", ")), &[])
        .await
        .context("contents")?;
    Ok(row.get(0))
}
