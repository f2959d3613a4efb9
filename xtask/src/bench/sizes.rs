//! The size of each table with its indexes.

use anyhow::Result;
use tokio_postgres::Client;

const SIZES: &str = "
select n.nspname || '.' || c.relname as name, pg_total_relation_size(c.oid) as bytes,
  (
    xpath(
      '/row/n/text()',
      query_to_xml(
        format('select count(*) as n from %I.%I', n.nspname, c.relname), false, true, ''
      )
    )
  )[1]::text::bigint
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('unstuck', 'unstuck_private')
  and c.relkind = 'r'
order by 1";

/// One of our tables.
#[derive(Clone, Debug)]
pub(super) struct TableSize {
    pub(super) name: String,
    pub(super) bytes: i64,
    pub(super) rows: i64,
}

/// All our tables, by name.
pub(super) async fn tables(client: &Client) -> Result<Vec<TableSize>> {
    let rows = client.query(SIZES, &[]).await?;
    let table = |row: &tokio_postgres::Row| TableSize {
        name: row.get(0),
        bytes: row.get(1),
        rows: row.get(2),
    };
    Ok(rows.iter().map(table).collect())
}
